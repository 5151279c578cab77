"""The round from messages to a model as five steps with their states, one bar and one time; and what is said before it
starts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gui import texts
from gui.presenters import format as words
from gui.presenters.snapshot import Pulse
from storage.jobs.kinds import JobKind
from storage.jobs.results import EvaluateResult, FetchResult, PreflightResult, PrepareResult, TrainResult
from storage.records import Job, JobState
from storage.trained_models import PRACTICE_RECIPES

ORDER = (JobKind.FETCH, JobKind.PREPARE, JobKind.TRAIN, JobKind.EVALUATE)
# A look at the hardware that is older than this says little about the memory that is free now.
FRESH_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class StepView:
    """One step. state: 'done', 'now', 'next' or 'skipped'."""

    name: str
    note: str
    state: str


@dataclass(frozen=True, slots=True)
class PipelineView:
    """The steps; while a round runs its bar, both sentences below it and the job to cancel."""

    steps: tuple[StepView, ...]
    is_running: bool = False
    job_id: int = 0
    progress: float = 0.0
    left: str = ""
    right: str = ""
    headline: str = ""
    is_cancelling: bool = False


@dataclass(frozen=True, slots=True)
class RetrainPlan:
    """What is said before a round starts. arguments: of the script; is_practice: what it makes is for trying only."""

    text: str
    arguments: tuple[str, ...]
    is_practice: bool
    go: str


def pipeline_view(
    pulse: Pulse, *, remaining: Mapping[int, float], cancelling: frozenset[int], setting_up: str = ""
) -> PipelineView:
    """The round that runs, or the bare steps. setting_up: what is being installed before it can report."""
    job = next((each for each in pulse.jobs if each.kind == JobKind.RETRAIN), None)
    if job is None:
        bare = tuple(StepView(name, "", "next") for name in texts.RETRAIN_STEPS)
        if not setting_up:
            return PipelineView(bare)
        return PipelineView(bare, True, 0, 0.0, setting_up, "", texts.PIPELINE_SETUP)
    of_round = {
        _kind(each): each
        for each in (*reversed(pulse.finished), *pulse.jobs)
        if _kind(each) in ORDER and each.started_at >= job.started_at - 1
    }
    reached = max((ORDER.index(JobKind(kind)) for kind in of_round), default=-1)
    steps = [_step(number, of_round.get(kind), reached) for number, kind in enumerate(ORDER)]
    steps.append(StepView(texts.RETRAIN_STEPS[4], "", "next"))
    is_cancelling = job.is_cancel_requested or job.id in cancelling
    seconds = remaining.get(job.id)
    right = ""
    if is_cancelling:
        right = texts.JOB_CANCELLING
    elif seconds is not None:
        done_at = words.clock(pulse.now + seconds)
        right = texts.PIPELINE_DONE_AT.format(at=done_at, left=words.about(seconds))
    return PipelineView(
        tuple(steps),
        True,
        job.id,
        job.progress,
        words.percent(job.progress),
        right,
        texts.PIPELINE_STARTED.format(at=words.clock(job.started_at)),
        is_cancelling,
    )


def _kind(job: Job) -> str:
    """Which step of a round a job is; finding settings is the first part of evaluating."""
    return JobKind.EVALUATE if job.kind == JobKind.SWEEP else job.kind


def _step(number: int, job: Job | None, reached: int) -> StepView:
    name = texts.RETRAIN_STEPS[number]
    if job is None:
        return StepView(
            name, texts.PIPELINE_SKIPPED if number < reached else "", "skipped" if number < reached else "next"
        )
    if job.is_active:
        return StepView(name, _doing(job), "now")
    return StepView(name, _done(job) if job.state is JobState.DONE else "", "done")


def _doing(job: Job) -> str:
    """'step 22 of 40', or what the script says it is at."""
    return job.step.split(",")[0][:34] if job.step else texts.STATE_STARTING + "…"


def _done(job: Job) -> str:
    if job.kind == JobKind.FETCH:
        return texts.PIPELINE_NEW.format(count=words.whole(FetchResult.of(job).new))
    if job.kind == JobKind.PREPARE:
        count = PrepareResult.of(job).counts.get("train")
        return words.plural(count, "example") if isinstance(count, int) else ""
    if job.kind == JobKind.TRAIN:
        return Path(TrainResult.of(job).gguf).stem[:24]
    match = EvaluateResult.of(job).match_percent
    return texts.PIPELINE_MATCH.format(match=words.percent(match / 100)) if match is not None else ""


def retrain_plan(preflight: Job | None, pulse: Pulse | None, *, has_packages: bool = True, now: float) -> RetrainPlan:
    """What the round will make, how long it takes, what it brings along, and whether the bot pauses meanwhile."""
    found = PreflightResult.of(preflight)
    is_known = preflight is not None and preflight.state is JobState.DONE and bool(found.recipe)
    is_practice = is_known and found.recipe in PRACTICE_RECIPES
    is_fresh = is_known and preflight is not None and now - (preflight.finished_at or 0.0) < FRESH_SECONDS
    is_alive = pulse is not None and pulse.is_alive
    lines = [_makes(found, is_known=is_known, is_practice=is_practice)]
    lines.append(
        texts.PLAN_TIME.format(time=words.about(found.seconds))
        if is_known and found.seconds
        else texts.PLAN_TIME_UNKNOWN
    )
    if not has_packages:
        lines.append(texts.PLAN_PACKAGES)
    pauses = is_alive and is_known and found.pausing_the_bot_helps
    if is_known and found.memory_bytes:
        memory = texts.PLAN_MEMORY.format(used=words.size(found.memory_bytes), free=words.size(found.free_bytes))
        lines.append(memory if is_fresh else f"{memory} {texts.PLAN_MEMORY_OLD}")
    if is_alive:
        lines.append(texts.PLAN_PAUSES if pauses else texts.PLAN_STAYS)
    lines.append(texts.PLAN_END_PRACTICE if is_practice else texts.PLAN_END)
    arguments = ("--pause-bot",) if pauses else ()
    go = texts.PLAN_GO_PRACTICE if is_practice else texts.RETRAIN_ASK_GO
    return RetrainPlan("\n\n".join(lines), arguments, is_practice, go)


def _makes(found: PreflightResult, *, is_known: bool, is_practice: bool) -> str:
    if not is_known:
        return texts.PLAN_UNKNOWN
    base = found.base or texts.PLAN_SOME_BASE
    return (texts.PLAN_PRACTICE if is_practice else texts.PLAN_REAL).format(base=Path(base).name)
