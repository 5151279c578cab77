"""One training run: base and prepared folder in, adapter out; every phase resumable, nothing lost on the way.

OUT/run.json              what was asked for: recipe, method, data, versions (written first)
OUT/sft, OUT/dpo ...      one folder a phase: checkpoint-N, and adapter/ once the phase is finished
OUT/loss.png              the curve
OUT/training.json         the result (written last)
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.chat.rows import SESSIONS, TRAIN, VALIDATION
from model.layouts import LAYOUT_KEY
from model.provenance import git_revision, library_versions
from model.training.base_model import BaseModel, chat_template, encoder, load_tokenizer
from model.training.checkpoints import discard_incomplete, is_complete, last_complete, mark_complete, step_of
from model.training.loaders import Runtime, find_runtime, free_memory, is_out_of_memory, open_for_training
from model.training.phases import PhaseRows, PhaseSetup, build_trainer, preferred_share
from model.training.progress import (
    PhaseNews,
    Reporter,
    SilentReporter,
    SpentTime,
    TrainingStop,
    mean_loss,
    news_callback,
    seconds_before,
    stopping_on_signals,
)
from model.training.recipes import Method, PhaseRecipe, Recipe, halved, least_batch
from model.training.rows import (
    Example,
    PreferenceExample,
    PreparedFolder,
    Renderer,
    Skipped,
    disliked_examples,
    examples,
    preference_examples,
    session_examples,
)
from model.training.shared_prefix import reply_loss
from storage.errors import BadInputError, ConfigurationError, KnownError
from storage.settings import CHAT
from storage.system.processes import peak_memory_bytes

log = logging.getLogger(__name__)

RUN, RESULT, ADAPTER = "run.json", "training.json", "adapter"
# SFT sees far more rows than a preference phase: how much of the progress bar each gets.
_WEIGHTS = {"sft": 4.0, "orpo": 4.0, "dpo": 1.0, "kto": 1.0}
# How often memory may run out before we give up, whatever the batch size.
MAX_MEMORY_RETRIES = 5


class TrainingError(KnownError):
    """A run that cannot go on."""


@dataclass(frozen=True)
class TrainingPlan:
    """One run. base: found by model.training.base_model.resolve_base, as `base_asked`. out: its own folder."""

    data: PreparedFolder
    base: BaseModel
    out: Path
    recipe: Recipe
    method: Method = Method.SFT
    is_resumed: bool = False
    tensorboard: bool = False
    layout: str = CHAT
    base_asked: str = ""


@dataclass(frozen=True)
class PhaseResult:
    """One finished phase. Validation losses are mean negative log-likelihoods of a held-back reply token (nats).

    loss, seconds: over all of it, however often it was stopped and gone on with; what was computed after the newest
    checkpoint and lost with a crash does not count. preferred_*: share of held-back pairs whose chosen side is likelier
    per token than the rejected one.
    """

    name: str
    steps: int
    rows: int
    held_back_rows: int
    loss: float | None
    validation_before: float | None
    validation_after: float | None
    preferred_before: float | None = None
    preferred_after: float | None = None
    tokens_per_second: float | None = None
    peak_memory_bytes: int = 0
    batch_size: int = 0
    seconds: float = 0.0
    skipped_too_long: int = 0
    trimmed: int = 0


@dataclass(frozen=True)
class TrainingResult:
    """A finished run: where the adapter is, and what each phase did."""

    adapter: Path
    method: str
    recipe: str
    base: str
    device: str
    loader: str
    phases: tuple[PhaseResult, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For the job row and training.json."""
        return asdict(self) | {"adapter": str(self.adapter)}


def train(plan: TrainingPlan, reporter: Reporter | None = None, *, callbacks: Sequence[Any] = ()) -> TrainingResult:
    """Run every phase of the method; raises CancelledError or KeyboardInterrupt after saving a checkpoint.

    callbacks: more transformers callbacks, for every phase.
    """
    reporter = reporter or SilentReporter()
    _begin(plan)
    runtime = find_runtime(plan.recipe)
    run = _Run(plan, reporter, runtime, tuple(callbacks), TrainingStop())
    with stopping_on_signals(run.stop):
        adapter, phases = run.all_phases()
    warnings = tuple(text for text in (plan.data.layout_warning,) if text)
    result = TrainingResult(
        adapter,
        plan.method.value,
        plan.recipe.name,
        plan.base.name,
        runtime.device,
        runtime.loader,
        phases,
        warnings,
        sum(phase.seconds for phase in phases),
    )
    if is_main_process():
        (plan.out / RESULT).write_text(json.dumps(result.as_dict(), indent=1), encoding="utf-8")
    return result


def is_main_process() -> bool:
    """False in the helper processes of `accelerate launch`: they train, the main one reports and exports."""
    import os

    return os.environ.get("RANK", "0") == "0"


def run_description(plan: TrainingPlan) -> dict[str, Any]:
    """What identifies a run and its origin; saved with it and with everything exported from it."""
    return {
        "recipe": plan.recipe.as_dict(),
        "method": plan.method.value,
        "base": plan.base.name,
        LAYOUT_KEY: plan.layout,
        "own_name": plan.data.own_name,
        "data": {
            "hash": plan.data.data_hash,
            "layout": plan.data.layout,
            "system_prompt": plan.data.system_prompt,
            # Without the people in it: this travels with every model made from it.
            "manifest": {key: value for key, value in plan.data.manifest.items() if key not in ("shares", "members")},
        },
        "versions": library_versions(),
        "git_revision": git_revision(),
    }


def _begin(plan: TrainingPlan) -> None:
    """Write run.json, or check that a resumed run is the same one."""
    path = plan.out / RUN
    wanted = run_description(plan)
    if path.exists():
        _check_same(json.loads(path.read_text(encoding="utf-8")), wanted, plan)
        return
    if plan.is_resumed:
        log.info("There is no run in %s to go on with: starting one.", plan.out)
    plan.out.mkdir(parents=True, exist_ok=True)
    if is_main_process():
        # Where things were, for --resume; not part of the description, which travels with the exported model.
        here = {
            "data_path": str(plan.data.path.resolve()),
            "base_folder": str(plan.base.folder),
            "base_asked": plan.base_asked,
        }
        path.write_text(json.dumps(wanted | here, indent=1, ensure_ascii=False), encoding="utf-8")


def _check_same(begun: dict[str, Any], wanted: dict[str, Any], plan: TrainingPlan) -> None:
    if not plan.is_resumed and is_main_process():
        raise ConfigurationError(
            f"{plan.out} already holds a training run.", "Give --resume to go on with it, or another --out folder."
        )
    differs = [name for name in ("recipe", "method", "base") if begun.get(name) != json.loads(json.dumps(wanted[name]))]
    if begun.get(LAYOUT_KEY, CHAT) != wanted[LAYOUT_KEY]:
        differs.append("prompt layout")
    if begun.get("data", {}).get("hash") != wanted["data"]["hash"]:
        differs.append("data")
    if differs:
        raise ConfigurationError(
            f"The run in {plan.out} was begun with another {', '.join(differs)}.",
            "Resume it with what it was begun with, or give another --out folder.",
        )


@dataclass
class _Run:
    plan: TrainingPlan
    reporter: Reporter
    runtime: Runtime
    callbacks: tuple[Any, ...]
    stop: TrainingStop
    results: list[PhaseResult] = field(default_factory=list)

    def all_phases(self) -> tuple[Path, tuple[PhaseResult, ...]]:
        """Train or take over each phase; returns the last adapter."""
        adapter: Path | None = None
        names = self.plan.method.phases
        total = sum(_WEIGHTS[name] for name in names)
        done = 0.0
        for name in names:
            start, done = done, done + _WEIGHTS[name] / total
            adapter = self._phase(name, adapter, start, done)
        assert adapter is not None  # every method has a phase
        return adapter, tuple(self.results)

    def _phase(self, name: str, previous: Path | None, start: float, end: float) -> Path:
        folder = self.plan.out / name
        finished = folder / ADAPTER
        if is_complete(finished):
            self.results.append(PhaseResult(**json.loads((finished / "phase.json").read_text(encoding="utf-8"))))
            return finished
        numbers = self.plan.recipe.phase(name)
        for _ in range(MAX_MEMORY_RETRIES + 1):
            result = self._attempt(_Attempt(self, name, numbers, folder, previous, start, end))
            if result is not None:
                self.results.append(result)
                return finished
            smaller = halved(numbers, least=least_batch(name))
            if smaller is None:
                break
            numbers = smaller
            free_memory()
        raise _no_memory(name, numbers)

    def _attempt(self, attempt: _Attempt) -> PhaseResult | None:
        """The phase's result, or None when memory ran out. The error must be gone before memory can be freed."""
        try:
            return attempt.run()
        except Exception as error:  # every back end has its own class for it
            if not is_out_of_memory(error):
                raise
            log.warning("Out of memory in %s with a batch of %s: %s", attempt.name, attempt.numbers.batch_size, error)
            return None


@dataclass
class _Attempt:
    """One try at a phase with one batch size."""

    run_: _Run
    name: str
    numbers: PhaseRecipe
    folder: Path
    previous: Path | None
    start: float
    end: float

    def run(self) -> PhaseResult:
        """Train from the last complete checkpoint, or from the start, to the end."""
        plan, runtime = self.run_.plan, self.run_.runtime
        started = time.monotonic()
        tokenizer = load_tokenizer(plan.base)
        skipped = Skipped()
        rows = self._rows(tokenizer, skipped)
        checkpoint = self._checkpoint()
        first_step = step_of(checkpoint) if checkpoint else 0
        model = self._model(checkpoint)
        before = self._before(model, rows, checkpoint)
        self.run_.stop.raise_if_set()
        setup = PhaseSetup(self.name, self.numbers, plan.recipe, runtime, self.folder, plan.tensorboard)
        spent = SpentTime(started, seconds_before(checkpoint))
        news = news_callback(self._news(), spent)
        trainer = build_trainer(setup, model, tokenizer, rows, [news, *self.run_.callbacks])
        _reset_peak_memory(runtime)
        output = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.run_.stop.raise_if_set()
        after = self._measure(trainer.accelerator.unwrap_model(trainer.model), rows, "Measuring the trained model")
        result = PhaseResult(
            name=self.name,
            steps=trainer.state.global_step,
            rows=len(rows.train),
            held_back_rows=len(rows.held_back),
            loss=mean_loss(trainer.state.log_history),
            validation_before=before.get("validation"),
            validation_after=after["validation"],
            preferred_before=before.get("preferred"),
            preferred_after=after["preferred"],
            tokens_per_second=_rate(rows, trainer.state, first_step, output),
            peak_memory_bytes=_peak_memory(runtime),
            batch_size=self.numbers.batch_size,
            seconds=spent.seconds,
            skipped_too_long=skipped.too_long,
            trimmed=skipped.trimmed,
        )
        self._keep(trainer, tokenizer, result)
        trainer.accelerator.wait_for_everyone()  # the next phase of the other processes opens what was kept
        return result

    def _before(self, model: Any, rows: PhaseRows, checkpoint: Path | None) -> dict[str, float | None]:
        """The measures before the phase, kept on disk: a resumed phase cannot take them again."""
        path = self.folder / "before.json"
        if checkpoint is not None and path.is_file():
            kept: dict[str, float | None] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        before = self._measure(model, rows, "Measuring the model before training")
        if is_main_process():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(before), encoding="utf-8")
        return before

    def _measure(self, model: Any, rows: PhaseRows, step: str) -> dict[str, float | None]:
        """Loss of the held-back replies (the chosen side of pairs), and how often the chosen side is likelier."""
        if not is_main_process():
            return {"validation": None, "preferred": None}
        self.run_.reporter.report(self.start if "before" in step else self.end, step)
        replies = [row if isinstance(row, Example) else Example(row.prompt, row.chosen) for row in rows.held_back]
        pairs = [row for row in rows.held_back if isinstance(row, PreferenceExample)]
        return {
            "validation": measured_loss(model, replies, loader=self.run_.runtime.loader),
            "preferred": preferred_share(model, pairs),
        }

    def _sft_rows(self, renderer: Renderer, skipped: Skipped) -> list[Example]:
        """Whole conversations for a model that reads transcripts, with the loss on everybody's kept lines: three to
        five times the words of single replies for the same work. Otherwise replies one by one."""
        data, limit = self.run_.plan.data, self.numbers.max_rows
        if renderer.template.is_transcript and data.count(SESSIONS):
            return session_examples(data, renderer, limit=limit, most_tokens=self.numbers.max_tokens)
        return examples(data, TRAIN, renderer, skipped, limit=limit)

    def _rows(self, tokenizer: Any, skipped: Skipped) -> PhaseRows:
        plan = self.run_.plan
        renderer = Renderer(
            encoder(tokenizer),
            chat_template(tokenizer, name=plan.base.name, layout=plan.layout),
            plan.data.system_prompt,
            self.numbers.max_length,
            plan.data.own_name,
        )
        if self.name == "sft":
            rows = PhaseRows(
                self._sft_rows(renderer, skipped),
                examples(plan.data, VALIDATION, renderer.of_lines, skipped, limit=plan.recipe.validation_rows),
            )
        else:
            pairs = preference_examples(plan.data, renderer, skipped, limit=self.numbers.max_rows)
            rows = PhaseRows(*pairs, disliked_examples(plan.data, renderer, skipped) if self.name == "kto" else ())
        if not rows.train:
            raise BadInputError(
                f"{plan.data.path} holds no rows that {self.name.upper()} could be trained on.",
                "Prepare more data" + (", or train with --method sft." if self.name != "sft" else "."),
            )
        if skipped.too_long:
            log.warning(
                "%s: %s rows left out, their reply alone is longer than %s tokens.",
                self.name,
                skipped.too_long,
                self.numbers.max_length,
            )
        return rows

    def _checkpoint(self) -> Path | None:
        """Where to go on: checkpoints of this run alone, since `_begin` refused a folder of another one."""
        broken = discard_incomplete(self.folder) if self.folder.is_dir() and is_main_process() else []
        for path in broken:
            log.warning("%s is incomplete (a crash or power cut while saving) and was removed.", path)
        return last_complete(self.folder) if self.folder.is_dir() else None

    def _model(self, checkpoint: Path | None) -> Any:
        from transformers import set_seed

        plan = self.run_.plan
        step = f"Loading {plan.base.name}" + (f", going on at step {step_of(checkpoint)}" if checkpoint else "")
        self.run_.reporter.report(self.start, step)
        set_seed(plan.recipe.seed)
        return open_for_training(
            plan.base, plan.recipe, self.run_.runtime, adapter=self.previous, max_length=self.numbers.max_length
        )

    def _news(self) -> PhaseNews:
        prefix = "" if self.name in ("sft", "orpo") else f"{self.name}_"
        return PhaseNews(self.run_.reporter, self.run_.stop, self.name.upper(), prefix, self.start, self.end)

    def _keep(self, trainer: Any, tokenizer: Any, result: PhaseResult) -> None:
        if not is_main_process():
            return
        target = self.folder / ADAPTER
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.save_pretrained(target, selected_adapters=["default"])
        tokenizer.save_pretrained(target)
        (target / "phase.json").write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
        (target / "log.json").write_text(json.dumps(trainer.state.log_history, indent=1), encoding="utf-8")
        mark_complete(target)


def _rate(rows: PhaseRows, state: Any, first_step: int, output: Any) -> float | None:
    """Tokens a second, prompts included, over the steps done in this process (evaluations count as time)."""
    seconds = output.metrics.get("train_runtime") or 0.0
    if not seconds or not state.global_step:
        return None
    passes = (state.epoch or 0.0) * (state.global_step - first_step) / state.global_step
    return float(passes * sum(_length(row) for row in rows.train) / seconds)


def measured_loss(model: Any, replies: Sequence[Example], *, loader: str) -> float | None:
    """reply_loss with as many rows at once as memory takes: measuring must not say that training does not fit."""
    is_unsloth = loader == "unsloth"
    # Unsloth's attention takes no mask of ours: one row at a time needs none.
    for at_once in (1,) if is_unsloth else (8, 2):
        try:
            return reply_loss(model, replies, at_once=at_once, picks_logits=not is_unsloth)
        except Exception as error:  # every back end has its own class for it
            if not is_out_of_memory(error) or is_unsloth:
                raise
            log.warning("Out of memory while measuring %s rows at once: %s", at_once, error)
        free_memory()
    return reply_loss(model, replies, at_once=1)


def _no_memory(name: str, numbers: PhaseRecipe) -> TrainingError:
    return TrainingError(
        f"{name.upper()} does not fit into memory, even {numbers.batch_size} row(s) of {numbers.max_length} tokens.",
        "Choose a smaller base model or the recipe 'rtx3070', close other programs, or train on a rented GPU "
        "(docs/train_on_colab.ipynb).",
    )


def _length(row: Any) -> int:
    if hasattr(row, "reply"):
        return len(row.prompt) + len(row.reply)
    return 2 * len(row.prompt) + len(row.chosen) + len(row.rejected)


def _reset_peak_memory(runtime: Runtime) -> None:
    import torch

    if runtime.is_cuda:
        torch.cuda.reset_peak_memory_stats()


def _peak_memory(runtime: Runtime) -> int:
    """Most bytes in use: on the GPU, or of this process."""
    import torch

    if runtime.is_cuda:
        return int(torch.cuda.max_memory_allocated())
    return peak_memory_bytes()
