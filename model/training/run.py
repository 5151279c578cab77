"""What `scripts/3_train_model.py` does, as functions: settle on a plan, look before leaping, train, export."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from data.chat.rows import PREFERENCES, VALIDATION
from model.catalog import PACKAGED
from model.files.gguf_files import read_config
from model.layouts import layout_in
from model.training.base_model import BaseModel, chat_template, encoder, load_tokenizer, resolve_base
from model.training.curve import draw_curve
from model.training.export import ExportPlan, ExportResult, export
from model.training.export_readiness import export_objection, require_exportable
from model.training.hardware import Hardware, find_hardware
from model.training.preflight import Preflight, examine, fit_batches, fit_hours, measure_work
from model.training.progress import Reporter, SilentReporter
from model.training.recipes import Method, PhaseRecipe, Recipe, choose_recipe, recipe_from_dict, recipe_named
from model.training.rows import (
    Example,
    PreparedFolder,
    Renderer,
    Skipped,
    examples,
)
from model.training.shapes import KNOWN_BASES, QWEN_3B, SMOLLM2_135M, ModelShape
from model.training.trainer import RUN, TrainingPlan, TrainingResult, is_main_process, run_description, train
from storage.artefacts import PreparedSet, TrainingRun
from storage.errors import BadInputError, ConfigurationError
from storage.jobs.results import TrainResult
from storage.paths import Workspace
from storage.settings import TRANSCRIPT

# Fewer pairs than this teach nothing but themselves.
LEAST_PAIRS = 20
# Validation rows on which the exported file is measured.
_MEASURED_ROWS = 100
# How much of the progress bar training gets; the rest is the export.
_TRAINING_SHARE = 0.9


@dataclass(frozen=True)
class RunRequest:
    """The command line as values; None means "decide for me".

    chosen_base: what the model in use is trained from (model/origin.py); it counts where neither a base
    nor a practice recipe is asked for.
    """

    data: Path | None = None
    out: Path | None = None
    base: str | None = None
    chosen_base: str | None = None
    base_gguf: Path | None = None
    layout: str | None = None
    recipe: str | None = None
    method: str | None = None
    changes: tuple[str, ...] = ()
    name: str | None = None
    quantisation: str = "Q4_K_M"
    is_resumed: bool = False
    adapter_only: bool = False
    skip_export: bool = False
    keep_merged: bool = False
    tensorboard: bool = False


@dataclass(frozen=True)
class PlannedRun:
    """Everything settled, nothing begun."""

    request: RunRequest
    data: PreparedFolder
    out: Path
    base_name: str
    recipe: Recipe
    reason: str
    method: Method
    hardware: Hardware
    is_begun: bool = False
    layout: str = TRANSCRIPT


@dataclass(frozen=True)
class RunResult:
    """A finished run. exported is None with --no-export."""

    training: TrainingResult
    exported: ExportResult | None
    curve: Path | None

    def as_result(self, preflight: Preflight) -> TrainResult:
        """What the job leaves in its row."""
        return TrainResult(
            self.training.as_dict(),
            self.exported.as_result() if self.exported else None,
            str(self.curve or ""),
            preflight.as_result(),
        )


def settle(request: RunRequest, workspace: Workspace) -> PlannedRun:
    """Fill in what was left open: newest data set, recipe for this hardware, method for this data.

    A run to go on with brings its own answers.
    """
    out = _out_folder(request, workspace)
    begun = _begun(request, out)
    if begun is not None:
        return begun
    data = PreparedFolder.open(request.data or _newest_data(workspace))
    hardware = find_hardware(out)
    recipe, reason = _recipe_for(request, hardware, workspace)
    method = Method(request.method) if request.method else _method_for(data, recipe)
    return PlannedRun(
        request,
        data,
        out,
        _base_for(request, recipe),
        with_changes(recipe, request.changes),
        reason,
        method,
        hardware,
        layout=request.layout or TRANSCRIPT,
    )


def _recipe_for(request: RunRequest, hardware: Hardware, workspace: Workspace) -> tuple[Recipe, str]:
    """The recipe asked for, else the one that fits this computer and the base."""
    if request.recipe:
        return recipe_named(request.recipe), "chosen by you"
    base = request.base or request.chosen_base or ""
    is_practice = base in ("", PACKAGED) and not hardware.has_gpu
    weights = _shape_of(base, workspace)[0].weights if base else 0
    return choose_recipe(
        gpu_bytes=hardware.gpu_bytes, weights=weights, is_apple=hardware.is_apple, is_practice=is_practice
    )


def _base_for(request: RunRequest, recipe: Recipe) -> str:
    """The base asked for; else the one of the model in use, unless a recipe for practice was asked for by name."""
    if request.base:
        return request.base
    is_practice = bool(request.recipe) and recipe.default_base == PACKAGED
    return recipe.default_base if is_practice else request.chosen_base or recipe.default_base


def _begun(request: RunRequest, out: Path) -> PlannedRun | None:
    """The run in `out` as it was begun, when it shall be gone on with."""
    path = out / RUN
    if not (request.is_resumed and path.is_file()):
        return None
    begun = json.loads(path.read_text(encoding="utf-8"))
    data = PreparedFolder.open(request.data or Path(begun["data_path"]))
    known = (begun.get("base_folder"), begun.get("base_asked"))
    here = next((name for name in known if name and (name == PACKAGED or Path(name).exists())), None)
    base = request.base or here or begun.get("base_asked") or begun["base"]
    recipe = with_changes(recipe_from_dict(begun["recipe"]), request.changes)
    return PlannedRun(
        request,
        data,
        out,
        base,
        recipe,
        "as the run was begun",
        Method(request.method or begun["method"]),
        find_hardware(out),
        is_begun=True,
        layout=layout_in(begun),
    )


def look(run: PlannedRun, workspace: Workspace, *, bot_bytes: int = 0) -> tuple[PlannedRun, Preflight]:
    """The preflight, and the run with the batch sizes that fit."""
    shape, is_here = _shape_of(run.base_name, workspace)
    # A run that was begun keeps its numbers; should memory run out, the trainer halves the batch itself.
    fitted = run.recipe if run.is_begun else fit_batches(run.recipe, run.method, shape, run.hardware)
    work = measure_work(run.data, fitted, run.method, run.layout)
    all_rows = work.rows
    if not run.is_begun:
        fitted = fit_hours(fitted, run.method, shape, run.hardware, work)
        work = measure_work(run.data, fitted, run.method, run.layout)
    found = examine(
        recipe=fitted,
        reason=run.reason,
        method=run.method,
        base=run.base_name,
        shape=shape,
        hardware=run.hardware,
        work=work,
        is_base_here=is_here,
        bot_bytes=bot_bytes,
        exports=not run.request.skip_export,
        keeps_merged=run.request.keep_merged,
    )
    notes = (
        run.data.layout_warning,
        _batch_note(run.recipe, fitted, run.method),
        _hours_note(fitted, all_rows, work.rows),
    )
    warnings = [text for text in notes if text]
    objection = "" if run.request.skip_export else _export_objection(run, workspace)
    problems = (*found.problems, *([objection] if objection else []))
    # Pausing the bot frees memory; it does not make a model exportable.
    helps = found.pausing_the_bot_helps and not objection
    found = replace(found, problems=problems, pausing_the_bot_helps=helps)
    return replace(run, recipe=fitted), replace(found, warnings=(*found.warnings, *warnings))


def _export_objection(run: PlannedRun, workspace: Workspace) -> str:
    return export_objection(
        run.base_name,
        workspace.base_models,
        system_prompt=run.data.system_prompt,
        layout=run.layout,
        gguf=run.request.base_gguf,
    )


def execute(run: PlannedRun, workspace: Workspace, reporter: Reporter) -> RunResult | None:
    """Train and export. None in the helper processes of `accelerate launch`, which only train."""
    with _main_process_first():
        base = resolve_base(
            run.base_name,
            workspace.base_models,
            gguf=run.request.base_gguf,
            # The bar belongs to training; how far a download is, the step says.
            report=lambda _fraction, step: reporter.report(0.0, step),
        )
    if not run.request.skip_export:
        # Again, now that the base is here: what was fetched may be another edition than the catalogue knows.
        require_exportable(base, system_prompt=run.data.system_prompt, layout=run.layout)
    plan = TrainingPlan(
        run.data,
        base,
        run.out,
        run.recipe,
        run.method,
        run.request.is_resumed,
        run.request.tensorboard,
        run.layout,
        run.base_name,
    )
    if not is_main_process():
        train(plan, SilentReporter())
        return None
    share = 1.0 if run.request.skip_export else _TRAINING_SHARE
    training = train(plan, _Scaled(reporter, share))
    curve = draw_curve(run.out, training)
    if run.request.skip_export:
        return RunResult(training, None, curve)
    exported = export(
        _export_plan(run, base, plan, training),
        lambda fraction, step: reporter.report(share + (1 - share) * fraction, step),
    )
    return RunResult(training, exported, curve)


def _main_process_first() -> AbstractContextManager[Any]:
    """Under `accelerate launch`, one process fetches or unpacks the base and the others find it there."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return nullcontext()
    from accelerate import PartialState

    first: AbstractContextManager[Any] = PartialState().main_process_first()
    return first


def _export_plan(run: PlannedRun, base: BaseModel, plan: TrainingPlan, training: TrainingResult) -> ExportPlan:
    name = run.request.name or f"{base.name.rpartition('/')[2]}-{run.method.value.replace('+', '-')}"
    description = run_description(plan) | {"training": training.as_dict()}
    return ExportPlan(
        base=base,
        adapter=training.adapter,
        out=run.out,
        name=name,
        system_prompt=run.data.system_prompt,
        description=description,
        validation=_validation(run, base),
        quantisation=run.request.quantisation,
        adapter_only=run.request.adapter_only,
        keep_merged=run.request.keep_merged,
    )


def _validation(run: PlannedRun, base: BaseModel) -> list[Example]:
    """Validation rows for measuring the exported file."""
    tokenizer = load_tokenizer(base)
    renderer = Renderer(
        encoder(tokenizer),
        chat_template(tokenizer, name=base.name, layout=run.layout),
        run.data.system_prompt,
        run.recipe.sft.max_length,
        run.data.own_name,
    )
    limit = min(run.recipe.validation_rows, _MEASURED_ROWS)
    return examples(run.data, VALIDATION, renderer.of_lines, Skipped(), limit=limit)


@dataclass(frozen=True)
class _Scaled:
    """A reporter whose 0-1 is only a part of the bar."""

    reporter: Reporter
    share: float

    def report(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        self.reporter.report(fraction * self.share, step, done=done, unit=unit)

    def metric(self, name: str, step: int, value: float) -> None:
        self.reporter.metric(name, step, value)

    def is_cancel_requested(self) -> bool:
        return self.reporter.is_cancel_requested()


def with_changes(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with 'sft.epochs=2', 'lora.r=8' or 'save_every=50' applied; ConfigurationError names a bad one."""
    for change in changes:
        recipe = _with_change(recipe, change)
    return recipe


def _with_change(recipe: Recipe, change: str) -> Recipe:
    path, _, text = change.partition("=")
    part, _, key = path.rpartition(".")
    target: Any = getattr(recipe, part, None) if part else recipe
    known = {field.name for field in fields(target)} if is_dataclass(target) else set()
    if key not in known or isinstance(getattr(target, key), (PhaseRecipe, type(recipe.lora))):
        raise ConfigurationError(
            f"{change!r} changes no number of a recipe.", "Write it like sft.epochs=2, lora.r=8 or save_every=50."
        )
    value = _typed(change, text, getattr(target, key))
    changed = replace(target, **{key: value})
    return replace(recipe, **{part: changed}) if part else changed


def _typed(change: str, text: str, present: Any) -> Any:
    convert: Callable[[str], Any] = type(present)
    if isinstance(present, bool):
        return text.strip().lower() in ("1", "true", "yes", "on")
    try:
        return convert(text)
    except ValueError as error:
        raise ConfigurationError(f"{change!r} is not a valid {type(present).__name__}.", "Give a number.") from error


def _newest_data(workspace: Workspace) -> Path:
    newest = PreparedSet.newest(workspace)
    if newest is None:
        raise BadInputError(
            f"There is no prepared data set in {workspace.message_files}.",
            "Run scripts/2_prepare_training_data.py first, or give --data DIR.",
        )
    return newest.folder


def _out_folder(request: RunRequest, workspace: Workspace) -> Path:
    if request.out is not None:
        return request.out.resolve()
    runs = workspace.root / "models" / "training"
    if request.is_resumed:
        newest = TrainingRun.newest(workspace)
        if newest is None:
            raise BadInputError(f"There is no training run to go on with in {runs}.", "Start one without --resume.")
        return newest.folder
    return runs / datetime.now().strftime("%Y-%m-%d-%H%M%S")


def _method_for(data: PreparedFolder, recipe: Recipe) -> Method:
    """DPO after SFT where there are enough pairs."""
    if recipe.name == "demo" or data.count(PREFERENCES) < LEAST_PAIRS:
        return Method.SFT
    return Method.SFT_DPO


def _shape_of(base: str, workspace: Workspace) -> tuple[ModelShape, bool]:
    """A base's shape without fetching anything, and whether the base is on this computer."""
    candidates = [Path(base).expanduser(), workspace.base_models / base.replace("/", "--")]
    for folder in candidates:
        if base and (folder / "config.json").is_file():
            return ModelShape.of(read_config(folder)), True
    if base in ("", PACKAGED):
        return SMOLLM2_135M, False
    known = KNOWN_BASES.get(base)
    return (known.shape if known and known.shape else QWEN_3B), False


def _hours_note(recipe: Recipe, there: dict[str, int], used: dict[str, int]) -> str:
    less = [f"{name.upper()} {used[name]:,} of {count:,} rows" for name, count in there.items() if used[name] < count]
    return f"To end within {recipe.most_hours:g} hours: {', '.join(less)}." if less else ""


def _batch_note(asked: Recipe, fitted: Recipe, method: Method) -> str:
    smaller = [
        f"{name.upper()} {fitted.phase(name).batch_size}"
        for name in method.phases
        if fitted.phase(name).batch_size < asked.phase(name).batch_size
    ]
    return f"Fewer rows in memory at a time, to fit: {', '.join(smaller)}." if smaller else ""
