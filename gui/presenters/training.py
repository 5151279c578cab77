"""The training room: data set, this computer, the run and its curve, the evaluation, and the models there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gui import texts
from gui.presenters import format as words
from gui.presenters.charts import Curve, nice_ceiling, thin
from gui.presenters.notifications import Note
from gui.presenters.plain import plain
from gui.presenters.status import Fact
from storage.artefacts import ModelVersion, Pointer, PreparedSet
from storage.errors import KnownError
from storage.jobs.kinds import JOBS, JobKind
from storage.jobs.results import (
    EvaluateResult,
    PreflightResult,
    PrepareResult,
    RefusedDeployResult,
    RetrainResult,
    TrainResult,
)
from storage.paths import Workspace
from storage.records import Job, JobMetric, JobState
from storage.trained_models import PRACTICE_RECIPES

# A training that takes longer than this is called long.
LONG_SECONDS = 12 * 3600.0


@dataclass(frozen=True)
class TrainingFacts:
    """Everything the room reads in one go."""

    new_messages: int
    all_messages: int
    has_trained: bool
    jobs: dict[str, Job]
    metrics: tuple[JobMetric, ...]
    is_running: frozenset[str]
    taught: int = 0


@dataclass(frozen=True, slots=True)
class TrainingView:
    """What the cards show."""

    retrain: str
    can_retrain: bool
    dataset: tuple[Fact, ...]
    dataset_note: str
    dataset_report: str
    computer: tuple[Fact, ...]
    computer_note: str
    offers_colab: bool
    curve: Curve
    run_note: str
    is_run_failed: bool
    can_start: bool
    can_resume: bool
    can_cancel: bool
    evaluation: tuple[Fact, ...]
    evaluation_note: str
    evaluation_report: str


def training_view(facts: TrainingFacts, *, now: float) -> TrainingView:
    """Pure; every card says what to do next while it has nothing to show."""
    dataset, dataset_note, report = _dataset(facts.jobs.get("prepare"), now)
    computer, computer_note, colab = _computer(facts.jobs.get("preflight"))
    evaluation, evaluation_note, evaluation_report = _evaluation(facts.jobs.get("evaluate"))
    train = facts.jobs.get("train")
    is_training = "train" in facts.is_running or "retrain" in facts.is_running
    return TrainingView(
        _retrain(facts, is_training),
        facts.all_messages > 0 and not is_training,
        dataset,
        dataset_note,
        report,
        computer,
        computer_note,
        colab,
        loss_curve(facts.metrics),
        _run_note(train, is_training),
        is_run_failed=train is not None and train.state in (JobState.FAILED, JobState.LOST),
        can_start=not is_training and bool(dataset),
        can_resume=not is_training
        and train is not None
        and train.state in (JobState.CANCELLED, JobState.FAILED, JobState.LOST),
        can_cancel=is_training,
        evaluation=evaluation,
        evaluation_note=evaluation_note,
        evaluation_report=evaluation_report,
    )


def _retrain(facts: TrainingFacts, is_training: bool) -> str:
    if is_training:
        return texts.RETRAIN_RUNNING
    if not facts.all_messages:
        return texts.RETRAIN_NONE
    if not facts.has_trained:
        return texts.RETRAIN_NEVER.format(count=words.plural(facts.all_messages, "message"))
    new = texts.RETRAIN_NEW.format(count=words.plural(facts.new_messages, "new message"))
    return f"{new} {texts.TRAINING_TAUGHT.format(count=words.plural(facts.taught, 'thing'))}" if facts.taught else new


def is_due(new_messages: int, *, reminder: int, told_at: int) -> bool:
    """True once every `reminder` new messages; `told_at` is the count at the last reminder. 0 is off."""
    return bool(reminder) and new_messages >= told_at + reminder


def retrain_note(new_messages: int) -> Note:
    """The reminder after many new messages."""
    return Note(
        texts.RETRAIN_DUE,
        texts.RETRAIN_DUE_TEXT.format(count=words.plural(new_messages, "new message")),
        "idle",
        "everything",
    )


def _dataset(job: Job | None, now: float) -> tuple[tuple[Fact, ...], str, str]:
    if job is None or job.state is not JobState.DONE:
        return (), plain(job.error) if job is not None and job.error else texts.DATASET_NONE, ""
    result = PrepareResult.of(job)
    facts = [
        Fact(label, words.whole(value))
        for key, label in texts.DATASET_FACTS.items()
        if isinstance(value := result.counts.get(key), int)
    ]
    when = words.ago(now - (job.finished_at or now))
    return tuple(facts), texts.DATASET_MADE.format(when=when), result.report


def _computer(job: Job | None) -> tuple[tuple[Fact, ...], str, bool]:
    if job is None or job.state is not JobState.DONE:
        return (), plain(job.error) if job is not None and job.error else texts.COMPUTER_NONE, False
    found = PreflightResult.of(job)
    gpu = found.hardware.gpu_name
    is_practice = found.recipe in PRACTICE_RECIPES
    shown_gpu = f"{gpu.removeprefix('NVIDIA ')}, {words.size(found.hardware.gpu_bytes)}"
    facts = [
        Fact(texts.COMPUTER_GPU, shown_gpu if gpu else texts.COMPUTER_NO_GPU, "text" if gpu else "busy"),
        Fact(texts.COMPUTER_CPU, texts.COMPUTER_CORES.format(count=found.hardware.cpu_cores or "?")),
        Fact(texts.COMPUTER_RECIPE, texts.COMPUTER_PRACTICE if is_practice else found.recipe or texts.NONE),
    ]
    if found.memory_bytes:
        facts.append(
            Fact(
                texts.COMPUTER_NEEDS,
                texts.COMPUTER_OF.format(used=words.size(found.memory_bytes), free=words.size(found.free_bytes)),
                "text" if found.can_run else "bad",
            )
        )
    if found.seconds:
        facts.append(Fact(texts.COMPUTER_TIME, words.duration(found.seconds)))
    notes = [plain(each) for each in (*found.problems, *found.warnings)]
    if not any(notes):
        notes = [plain(found.reason)]
    offers_colab = not gpu or not found.can_run
    if offers_colab:
        # One time and one verdict: a practice model is quick, a real one without a graphics card is not.
        is_long = not is_practice and found.seconds > LONG_SECONDS
        notes.append(texts.COLAB_PRACTICE if is_practice else texts.COLAB_LONG if is_long else "")
        notes.append(texts.COLAB_TEXT)
    return tuple(facts), " ".join(_sentence(note) for note in notes if note), offers_colab


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _run_note(job: Job | None, is_training: bool) -> str:
    if is_training or job is None:
        return ""
    if job.state is JobState.CANCELLED:
        return texts.RUN_CANCELLED
    return plain(job.error) if job.state in (JobState.FAILED, JobState.LOST) else ""


def loss_curve(metrics: Sequence[JobMetric]) -> Curve:
    """The newest phase's loss over its steps. SFT, always the first, is plain `loss`; a later one has its name in
    front (`dpo_loss`) and is shown as soon as it has a line to show."""
    phases: dict[str, list[tuple[float, float]]] = {}
    for metric in metrics:
        phase, _, name = metric.name.rpartition("_")
        if name == "loss" and "eval" not in phase:
            phases.setdefault(phase, []).append((float(metric.step), metric.value))
    lines = {phase: sorted(points) for phase, points in phases.items() if len(points) > 1}
    if not lines:
        return Curve((), empty_text=texts.RUN_NONE)
    phase = next((phase for phase in lines if phase), "")
    points = lines[phase]
    first, last = points[0][0], points[-1][0]
    high = nice_ceiling(max(value for _, value in points))
    low = 0.0 if min(value for _, value in points) < high / 3 else high / 4
    scaled = tuple(((x - first) / max(last - first, 1.0), y) for x, y in thin(points, 300))
    return Curve(
        (scaled,),
        low,
        high,
        ((low, f"{low:g}"), (high, f"{high:g}")),
        start_text=texts.RUN_STEP.format(phase=phase.upper(), step=int(first)).strip(),
        end_text=texts.RUN_STEP.format(phase=phase.upper(), step=int(last)).strip(),
    )


def _evaluation(job: Job | None) -> tuple[tuple[Fact, ...], str, str]:
    result = EvaluateResult.of(job)
    if job is None or job.state is not JobState.DONE or result.auc is None:
        return (), plain(job.error) if job is not None and job.error else texts.EVALUATION_NONE, ""
    facts = []
    match = result.match_percent
    if match is not None:
        facts.append(Fact(texts.EVALUATION_MATCH, words.percent(match / 100), "good" if match >= 85 else "text"))
    for value, label in ((result.auc, texts.EVALUATION_AUC), (result.people_auc, texts.EVALUATION_PEOPLE)):
        if value is not None:
            facts.append(Fact(label, f"{value:.2f}"))
    objections = [f"{texts.EVALUATION_OBJECTION}: {text}" for text in result.objections]
    notes = objections or list(result.next_steps)[:2] or [texts.EVALUATION_AUC_NOTE]
    return tuple(facts), " ".join(notes), result.report


def job_arguments(kind: str, jobs: dict[str, Job], workspace: Workspace, *, now: float) -> list[str]:
    """What a script needs to know when a button starts it; KnownError when something must come first.

    `jobs` are the newest of each kind ('train', 'retrain').
    """
    if kind == JobKind.PREPARE:
        return ["--out", str(workspace.message_files / time.strftime("prepared-%Y%m%d-%H%M%S", time.localtime(now)))]
    if kind != JobKind.EVALUATE:
        return list(JOBS[JobKind(kind)].arguments)
    model, data = _newest_model(jobs, workspace, now), _newest_data(workspace)
    if model is None:
        raise KnownError("There is no trained model to evaluate yet.", "Train one first: Training > Retrain.")
    if data is None:
        raise KnownError("There is no prepared data to evaluate on.", "Prepare it first: Training > Prepare.")
    current = f"{name}.gguf" if (name := Pointer.in_use(workspace)) else ""
    # Measured together the two can be compared; two separate reports can only roughly.
    compared = ["--against", "current"] if current and model.name != current else []
    return ["--model", str(model), "--data", str(data), *compared]


def _newest_model(jobs: dict[str, Job], workspace: Workspace, now: float) -> Path | None:
    trained, retrained = jobs.get("train"), jobs.get("retrain")
    exported = TrainResult.of(trained).gguf
    name = Pointer.in_use(workspace)
    deployed = ModelVersion.in_use(workspace)
    is_newest = trained is not None and (trained.finished_at or now) > (deployed.deployed_at if deployed else 0.0)
    if trained is not None and trained.state is JobState.DONE and not exported and is_newest:
        # An older model would be measured in its place, and its figures taken for the new one's.
        raise KnownError(
            "The newest training left no model file to evaluate.",
            "Press Training > Resume to export it, or train again.",
        )
    candidates = (
        exported,
        RetrainResult.of(retrained).model,
        str(workspace.finetuned_models / f"{name}.gguf") if name else None,
    )
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)


def _newest_data(workspace: Workspace) -> Path | None:
    newest = PreparedSet.newest(workspace)
    return newest.folder if newest else None


@dataclass(frozen=True, slots=True)
class DeployQuestion:
    """Asked once after a training that was evaluated."""

    gguf: str
    text: str


def force_question(job: Job) -> DeployQuestion | None:
    """From a refused deployment whose objections the owner may override; None for every other job."""
    refused = RefusedDeployResult.of(job)
    if job.kind != JobKind.DEPLOY or job.state is not JobState.FAILED or not refused.model or not refused.objections:
        return None
    said = [plain(each) or texts.FORCE_UNNAMED for each in refused.objections]
    return DeployQuestion(refused.model, " ".join(dict.fromkeys(said)))


def deploy_question(job: Job) -> DeployQuestion | None:
    """From a finished round's result; None when there is no model."""
    done = RetrainResult.of(job)
    if job.kind != JobKind.RETRAIN or job.state is not JobState.DONE or not done.model:
        return None
    match = done.evaluation.match_percent
    shown = texts.DEPLOY_MATCH.format(match=words.percent(match / 100)) if match is not None else ""
    return DeployQuestion(done.model, texts.DEPLOY_TEXT.format(name=Path(done.model).name, match=shown))
