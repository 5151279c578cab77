"""One evaluation from files to a report: every model writes in turn (one in memory at a time), then all is measured."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.chat.trial import require_usable
from model.draft_scorer import SCORER
from model.evaluation import blind_test, dialogues, generation, recall_lines
from model.evaluation.comparison import QUICK, Effort
from model.evaluation.draft_fit import fit_scorer
from model.evaluation.evaluate import ReportHeader, Written, evaluate
from model.evaluation.generation import GenerationSetup
from model.evaluation.memory import CanaryProbe, FindPrivate
from model.evaluation.page import write_page
from model.evaluation.places import known_names
from model.evaluation.report import Drift, EvaluationReport, MeasuredModel, write_report
from model.evaluation.rows import EvaluationExample, read_manifest, read_rows, require_places, spread
from model.evaluation.sweep import Point, sweep
from model.files.parts import model_sha256
from model.layouts import layout_for
from model.prompts import LAYOUT, TRANSCRIPT_LAYOUT, UNKNOWN_OWN_NAME
from storage.blind_test import Quiz
from storage.control import KeyValueStore as MachineFacts
from storage.errors import BadInputError
from storage.settings import (
    CHAT_TEMPLATE,
    CONTEXT_LENGTH,
    GPU_LAYERS,
    HISTORY_MESSAGES,
    LISTENING,
    MAX_TOKENS,
    RECALL_COUNT,
    RECALL_MIN_SIMILARITY,
    RECALL_TOKENS,
    SYSTEM_PROMPT,
    THREADS,
    Setting,
    Settings,
)
from storage.similarity import chance_similarity, similarity_limit
from storage.split_files import model_bytes, whole_stem
from storage.system.files import remove_file

if TYPE_CHECKING:
    from model.inference import ChatModel

ROWS, QUICK_ROWS = 400, 80
SCORED_ROWS, QUICK_SCORED_ROWS = 150, 30
# Written one by one, as the bot writes them, for the figures about speed.
TIMED_ROWS, QUICK_TIMED_ROWS = 40, 16
SWEEP_ROWS, QUICK_SWEEP_ROWS = 40, 12
_QUICK_LINES = 1000
QUICK_LACKS = (
    "A quick evaluation cannot give these figures: long dialogues (does it drift?) are left out, fit after a question "
    "is usually missing because too few places ask something, and MAUVE and self-BLEU rest on so few places that "
    "their intervals say little. Leave out --quick for them."
)
_KEPT_DAYS = 30

Progress = Callable[[float, str], None]
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class EvaluationConfig:
    """What to evaluate. models: (role, file) with role "model" first; then "base" and "against" where wanted.

    adapter: a GGUF LoRA that the model with role "model" is loaded with.
    embed: texts -> vectors, or None without an embedding model (recall and the figures that need it are left out).
    machine: what was measured on this computer, so that models run as the bot runs them.
    answers: folder where finished replies are kept, so that whatever was stopped goes on; None: inside `out`.
    dialogue_limit: most long dialogues; 0: as many as usual.
    scorer: where the model under test keeps what chooses among its drafts; None: in `out` alone.
    suggested: settings of the model with role "model" alone, as a sweep found them; the others keep `settings`.
    """

    data: Path
    out: Path
    models: tuple[tuple[str, Path], ...]
    settings: Settings
    embed: Embed | None = None
    find_private: FindPrivate | None = None
    is_quick: bool = False
    row_limit: int = 0
    dialogue_limit: int = 0
    scored_rows: int = 0
    recipe: str = ""
    notes: tuple[str, ...] = field(default=())
    adapter: Path | None = None
    machine: MachineFacts | None = None
    answers: Path | None = None
    scorer: Path | None = None
    suggested: Mapping[str, Any] = field(default_factory=dict)


def run(plan: EvaluationConfig, report: Progress = lambda _fraction, _step: None) -> EvaluationReport:
    """Write report.json and report.html into plan.out and return the report. BadInputError when the data changed
    meanwhile: a member may have been forgotten, whom the page would quote."""
    plan.out.mkdir(parents=True, exist_ok=True)
    as_read = _stamps(plan.data)
    manifest = read_manifest(plan.data)
    rows = _places(plan, "test.jsonl", ROWS, QUICK_ROWS)
    require_places(plan.data, len(rows))
    canaries = planted(manifest)
    _drop_old_answers(plan)
    talks, talk_notes = _dialogues(plan)
    seats = [seat.place for talk in talks for seat in talk]
    voice, recall_notes = _voice(plan, [*rows, *seats], manifest, report=_part(report, 0.0, 0.1))
    own_voice = _own_voice(plan, voice, plan.models[0][1], plan.adapter)
    written, count = [], len(plan.models)
    for number, (role, file) in enumerate(plan.models):
        start = 0.1 + 0.65 * number / count
        written.append(
            _write(plan, role, file, rows, voice, canaries, talks, manifest, _part(report, start, start + 0.65 / count))
        )
    training_rows = int(sum(1 for _ in read_rows(plan.data / "train.jsonl")))
    facts = ReportHeader(
        str(manifest.get("hash", "")),
        training_rows,
        plan.is_quick,
        _described(plan, own_voice),
        plan.notes + recall_notes + talk_notes,
        bool(canaries),
        plan.recipe,
    )
    result = evaluate(
        rows,
        written,
        lambda: training_texts(plan.data),
        embed=plan.embed,
        effort=QUICK if plan.is_quick else Effort(),
        facts=facts,
        find_private=plan.find_private,
        report=_part(report, 0.75, 1.0),
    )
    _require_unchanged(plan, as_read)
    keep_scorer(plan, rows, written[0].texts)
    write_report(result, plan.out / "report.json")
    write_page(result, plan.out / "report.html")
    return result


def keep_scorer(plan: EvaluationConfig, rows: Sequence[EvaluationExample], texts: Sequence[str]) -> None:
    """What chooses among this model's drafts, beside the report and beside the model; nothing from too few places."""
    scorer = fit_scorer(rows, texts)
    if scorer is None:
        return
    scorer.write(plan.out / SCORER)
    if plan.scorer is not None:
        scorer.write(plan.scorer)


def run_sweep(
    plan: EvaluationConfig,
    report: Progress = lambda _fraction, _step: None,
    *,
    points: Sequence[Point] | None = None,
) -> list[Point]:
    """The grid, or the points given, on the validation split with the first model of the plan, best first."""
    rows = _places(plan, "validation.jsonl", SWEEP_ROWS, QUICK_SWEEP_ROWS)
    if len(rows) < QUICK_SWEEP_ROWS:
        raise BadInputError(
            f"{plan.data / 'validation.jsonl'} holds only {len(rows)} places.", "Collect more messages."
        )
    manifest = read_manifest(plan.data)
    _drop_old_answers(plan)
    voice, _ = _voice(plan, rows, manifest, report=_part(report, 0.0, 0.1))
    role, file = plan.models[0]
    voice = _own_voice(plan, voice, file, plan.adapter)
    kept = _answers(plan) / f"sweep-{_key(plan, _identities(plan, role, file), voice, manifest)}"
    with loaded(file, plan, plan.adapter) as model:
        part = _part(report, 0.1, 0.95)
        return sweep(model, rows, voice, embed=plan.embed, kept=kept, points=points, report=part)


def run_blind_test(
    plan: EvaluationConfig,
    *,
    per_side: int,
    report: Progress = lambda _fraction, _step: None,
) -> tuple[Quiz, blind_test.Key]:
    """A quiz from the test part: half of the places keep what people said, at the others the model answers.

    BadInputError when the data changed meanwhile, as with `run`.
    """
    as_read = _stamps(plan.data)
    rows = [row for row in read_rows(plan.data / "test.jsonl") if row.conversation.turns]
    people, places = blind_test.choose_places(rows, per_side=per_side, max_tokens=plan.settings[MAX_TOKENS])
    voice, _ = _voice(plan, places, read_manifest(plan.data), report=_part(report, 0.0, 0.1))
    voice = _own_voice(plan, voice, plan.models[0][1], plan.adapter)
    with loaded(plan.models[0][1], plan, plan.adapter) as model:
        answers: dict[str, str] = {}

        def answer(row: EvaluationExample) -> str:
            report(0.1 + 0.9 * min(1.0, len(answers) / len(people)), f"{model.name} writes")
            answers[row.id] = generation.answer_at(model, row, voice).text
            return answers[row.id]

        bot = blind_test.answered(places, answer, len(people))
    if len(bot) < min(len(people), blind_test.LEAST_PER_SIDE):
        raise BadInputError(
            f"The model stayed silent at all but {len(bot)} of {len(places)} places.",
            "Check it with a normal evaluation first.",
        )
    _require_unchanged(plan, as_read)
    # Where it kept silent too often to fill its half, people's half is made as small.
    return blind_test.make(people[: len(bot)], bot, model=(plan.adapter or plan.models[0][1]).stem)


def training_texts(folder: Path) -> Iterator[str]:
    """Every reply and every line of context the model saw in training, as a stream."""
    previous: set[str] = set()
    for row in read_rows(folder / "train.jsonl"):
        yield row.reply
        texts = {turn.text for turn in row.conversation.turns}
        # Neighbouring rows share most of their context: each line is read about once.
        yield from texts - previous
        previous = texts


def planted(manifest: dict[str, Any]) -> tuple[CanaryProbe, ...]:
    """The canaries a data set says it holds: records with prompt, secret and count."""
    records = manifest.get("canaries") or ()
    found = []
    for record in records if isinstance(records, list) else ():
        secret = str(record.get("secret") or record.get("text") or "")
        prompt = str(record.get("prompt") or " ".join(secret.split()[: len(secret.split()) // 2]))
        if secret:
            found.append(CanaryProbe(prompt, secret, int(record.get("count") or record.get("times") or 1)))
    return tuple(found)


@contextmanager
def loaded(file: Path, plan: EvaluationConfig, adapter: Path | None = None) -> Iterator[ChatModel]:
    """The model of a file as the bot would load it, with an adapter where there is one; the only one in memory."""
    from model.inference import close_model, get_configured_model

    require_usable(file, adapter, plan.machine, chat_template=plan.settings[CHAT_TEMPLATE])
    close_model()
    model = get_configured_model(file, adapter, plan.settings, plan.machine, is_bulk=True)
    # Nobody reads along here: every place is new.
    model.is_listening_allowed = False
    try:
        yield model
    finally:
        close_model()


def file_identity(file: Path) -> MeasuredModel:
    """Name, size and SHA-256 of a model, all of its parts together."""
    return MeasuredModel(whole_stem(file.name), file.name, model_sha256(file), model_bytes(file))


def _write(
    plan: EvaluationConfig,
    role: str,
    file: Path,
    rows: Sequence[EvaluationExample],
    voice: GenerationSetup,
    canaries: Sequence[CanaryProbe],
    talks: Sequence[dialogues.Dialogue],
    manifest: dict[str, Any],
    report: Progress,
) -> Written:
    import psutil

    adapter = plan.adapter if role == "model" else None
    identities = _identities(plan, role, file)
    # What was trained is the adapter; a merged model must be measured again before it is published.
    identity = identities[-1]
    voice = _own_voice(plan, voice, file, adapter)
    report(0.0, f"Loading {file.name}")
    started = time.monotonic()
    with loaded(file, plan, adapter) as model:
        load_seconds = time.monotonic() - started
        kept = _answers(plan) / f"{_key(plan, identities, voice, manifest)}.jsonl"
        # As many replies as there are dialogues times turns come on top.
        played = len(talks) * dialogues.TURNS if role == "model" else 0
        end = 0.95 * len(rows) / (len(rows) + played)
        answers = generation.write_answers(
            model,
            rows,
            voice,
            kept=kept,
            report=_part(report, 0.0, end),
            scored_rows=plan.scored_rows or (QUICK_SCORED_ROWS if plan.is_quick else SCORED_ROWS),
            timed_rows=QUICK_TIMED_ROWS if plan.is_quick else TIMED_ROWS,
        )
        drift = None
        if role == "model" and talks:
            drift = _drift(plan, model, talks, voice, kept, _part(report, end, 0.95))
        told = generation.tell_canaries(model, canaries, voice, report=_part(report, 0.95, 1.0))
        speed = generation.speed_of(
            answers, load_seconds=load_seconds, memory_bytes=int(psutil.Process().memory_info().rss)
        )
    scored = tuple(answer.log_probabilities for answer in answers)
    return Written(role, identity.name, tuple(answer.text for answer in answers), scored, told, identity, speed, drift)


def _drift(
    plan: EvaluationConfig,
    model: ChatModel,
    talks: Sequence[dialogues.Dialogue],
    voice: GenerationSetup,
    kept: Path,
    report: Progress,
) -> Drift:
    kept = kept.with_name(f"{kept.stem}-dialogues.jsonl")
    known = known_names([seat.place for talk in talks for seat in talk], training_texts(plan.data))
    said = dialogues.play(model, talks, voice, known=known, kept=kept, report=report)
    return dialogues.measure(talks, said, plan.embed)


def _dialogues(plan: EvaluationConfig) -> tuple[list[dialogues.Dialogue], tuple[str, ...]]:
    """Long dialogues for the model under test, or a note why there are none."""
    if plan.is_quick:
        return [], (QUICK_LACKS,)
    rows = [row for row in read_rows(plan.data / "test.jsonl") if row.reply.strip()]
    found = dialogues.choose_dialogues(rows, count=plan.dialogue_limit or dialogues.MOST_DIALOGUES)
    if len(found) >= dialogues.LEAST_DIALOGUES:
        return found, ()
    return [], (
        f"No long dialogues were held: the test part has room for {len(found)} of {dialogues.TURNS} turns, and fewer "
        f"than {dialogues.LEAST_DIALOGUES} say nothing.",
    )


def _places(plan: EvaluationConfig, name: str, full: int, quick: int) -> list[EvaluationExample]:
    rows = [row for row in read_rows(plan.data / name) if row.conversation.turns and row.reply.strip()]
    return spread(rows, plan.row_limit or (quick if plan.is_quick else full))


def _voice(
    plan: EvaluationConfig, rows: Sequence[EvaluationExample], manifest: dict[str, Any], report: Progress
) -> tuple[GenerationSetup, tuple[str, ...]]:
    from model.inference import GenerationOptions

    settings = plan.settings
    voice = GenerationSetup(
        GenerationOptions.from_settings(settings).with_changes(drafts=1),
        settings[SYSTEM_PROMPT],
        settings[HISTORY_MESSAGES],
        settings[RECALL_TOKENS],
        own_name=str(manifest.get("own_name") or UNKNOWN_OWN_NAME),
    )
    if plan.embed is None or settings[RECALL_COUNT] == 0:
        return voice, ("No earlier lines were recalled.",)
    lines = recall_lines.training_lines(
        read_rows(plan.data / "train.jsonl"),
        plan.embed,
        report=report,
        limit=_QUICK_LINES if plan.is_quick else recall_lines.MOST_LINES,
        sources={int(target): ids for target, ids in manifest.get("recall_sources", {}).items()},
    )
    recalled = recall_lines.recalled_for(
        rows,
        lines,
        plan.embed,
        count=settings[RECALL_COUNT],
        min_similarity=similarity_limit(settings[RECALL_MIN_SIMILARITY], chance_similarity(lines.vectors)),
        is_standing=settings[LISTENING],
    )
    where = "of the same channel or of those all its readers can read" if lines.sources else "of the same channel"
    return replace(voice, recalled=recalled), (
        f"Recall came from the newest {len(lines.lines):,} training lines, {where}; the test part was not in it.",
    )


def _own_voice(plan: EvaluationConfig, voice: GenerationSetup, file: Path, adapter: Path | None) -> GenerationSetup:
    """The voice with the sampling that the bot would use for this model's layout."""
    from model.inference import GenerationOptions

    settings = plan.settings
    if plan.suggested and (file, adapter) == (plan.models[0][1], plan.adapter):
        settings = settings.with_values(dict(plan.suggested))
        voice = replace(voice, system_prompt=settings[SYSTEM_PROMPT])
    layout = layout_for(settings[CHAT_TEMPLATE], file, adapter)
    # The model itself is measured; what choosing among drafts brings has a figure of its own (docs/RESULTS.md).
    options = GenerationOptions.from_settings(settings.for_layout(layout)).with_changes(drafts=1)
    return replace(voice, options=options, layout=layout)


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """When each part of the data was last written, and its size."""
    return [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.glob("*.jsonl"))]


def _require_unchanged(plan: EvaluationConfig, as_read: list[tuple[str, int, int]]) -> None:
    if _stamps(plan.data) == as_read:
        return
    for path in _answers(plan).rglob("*.jsonl"):  # replies of this run may repeat what was erased before they came
        remove_file(path)
    raise BadInputError(
        f"The data in {plan.data} changed while it was read: it was prepared again, or a member was "
        "forgotten, whose words must not be quoted. Nothing was written.",
        "Start it again.",
    )


def _answers(plan: EvaluationConfig) -> Path:
    return plan.answers or plan.out / "answers"


def _drop_old_answers(plan: EvaluationConfig) -> None:
    """What nobody went on with for a month is not going to be asked for again."""
    oldest = time.time() - _KEPT_DAYS * 86_400
    for path in _answers(plan).rglob("*.jsonl"):
        if path.stat().st_mtime < oldest:
            remove_file(path)


def _identities(plan: EvaluationConfig, role: str, file: Path) -> list[MeasuredModel]:
    """The model's file and what is put on it. Reading gigabytes for a hash is done once."""
    return [file_identity(each) for each in (file, plan.adapter if role == "model" else None) if each]


def _key(
    plan: EvaluationConfig, identities: Sequence[MeasuredModel], voice: GenerationSetup, manifest: dict[str, Any]
) -> str:
    """Names the file of finished answers: whatever changes an answer or its speed starts anew."""
    # What was recalled is remembered with each answer, so that reports of different thoroughness can share them.
    chosen: tuple[Setting[Any], ...] = (CONTEXT_LENGTH, CHAT_TEMPLATE, GPU_LAYERS, THREADS)
    asked = repr(
        (
            (LAYOUT, TRANSCRIPT_LAYOUT, voice.layout),
            [each.sha256 for each in identities],
            manifest.get("hash", ""),
            voice.options,
            voice.system_prompt,
            voice.own_name,
            voice.keep_turns,
            voice.recall_tokens,
            [plan.settings[setting] for setting in chosen],
        )
    )
    return f"{identities[-1].name[:40]}-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


def _described(plan: EvaluationConfig, voice: GenerationSetup) -> dict[str, Any]:
    options = {key: value for key, value in asdict(voice.options).items() if key not in ("stop", "seed")}
    return options | {
        "prompt_layout": voice.layout,
        "history_messages": voice.keep_turns,
        "recall_count": plan.settings[RECALL_COUNT],
        "system_prompt": voice.system_prompt[:60],
    }


def _part(report: Progress, start: float, end: float) -> Progress:
    return lambda fraction, step: report(start + (end - start) * fraction, step)
