"""The one table of jobs: what there is to start, which script does it, what it is called, what may not run beside it.

Whoever starts a job, shows it, finds its log or reads its result asks here. Standard library and results only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from storage.jobs.results import (
    BackupResult,
    BlindTestResult,
    DeployResult,
    DoctorResult,
    DownloadResult,
    EvaluateResult,
    FetchResult,
    ImportResult,
    IndexResult,
    JobResult,
    PreflightResult,
    PrepareResult,
    RetrainResult,
    SweepResult,
    TrainResult,
)


class JobKind(StrEnum):
    """What a job does; the word in its row, in the name of its log and of its lock."""

    FETCH = "fetch"
    IMPORT = "import"
    DEMO = "demo"
    INDEX = "index"
    PREPARE = "prepare"
    PREFLIGHT = "preflight"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SWEEP = "sweep"
    BLIND_TEST = "blind_test"
    DEPLOY = "deploy"
    RETRAIN = "retrain"
    BACKUP = "backup"
    DOWNLOAD = "download"
    TUNE = "tune"
    DOCTOR = "doctor"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One kind of job.

    script: in scripts/. label: what it does, as the panel says it. log_label: its log's name in the panel.
    arguments: what it is started with where the caller says nothing else. lock: jobs that share it run one at a time
    (its own kind's where ''). result: what its row holds when it is done; None where nobody reads it. after_a_stop:
    what is left of one that was stopped, and how to go on.
    """

    kind: JobKind
    script: str
    label: str
    log_label: str
    arguments: tuple[str, ...] = ()
    lock: str = ""
    result: type[JobResult] | None = None
    after_a_stop: str = "What was finished is kept; start it again to continue."

    @property
    def lock_name(self) -> str:
        """The name of the lock it holds while it runs."""
        return self.lock or self.kind.value


_FETCH, _TRAIN, _EVALUATE = "fetch_and_embed.py", "3_train_model.py", "4_evaluate_personality.py"
_AFRESH = "Nothing was written; start it again from the beginning."
_CHECKPOINT = (
    "The newest checkpoint is kept: with --resume (in the panel: Resume) training continues from it; without, a new "
    "run begins."
)
_TABLE = (
    JobSpec(JobKind.FETCH, _FETCH, "Fetching messages", "Fetch", result=FetchResult),
    JobSpec(JobKind.IMPORT, _FETCH, "Importing messages", "Import", lock="fetch", result=ImportResult),
    JobSpec(
        JobKind.DEMO,
        "open_demo_server.py",
        "Setting up the sample server",
        "Sample server",
        lock="fetch",
        result=ImportResult,
    ),
    # Catching up itself holds the lock 'index'.
    JobSpec(
        JobKind.INDEX, _FETCH, "Updating the index", "Index", ("--only-index",), lock="index-job", result=IndexResult
    ),
    JobSpec(
        JobKind.PREPARE,
        "2_prepare_training_data.py",
        "Preparing training data",
        "Prepare",
        result=PrepareResult,
        after_a_stop=_AFRESH,
    ),
    JobSpec(
        JobKind.PREFLIGHT,
        _TRAIN,
        "Checking the hardware",
        "Preflight",
        ("--preflight",),
        result=PreflightResult,
        after_a_stop=_AFRESH,
    ),
    JobSpec(JobKind.TRAIN, _TRAIN, "Training", "Training", result=TrainResult, after_a_stop=_CHECKPOINT),
    JobSpec(JobKind.EVALUATE, _EVALUATE, "Evaluating", "Evaluation", result=EvaluateResult),
    JobSpec(JobKind.SWEEP, _EVALUATE, "Trying settings", "Sweep", ("--sweep",), result=SweepResult),
    JobSpec(
        JobKind.BLIND_TEST,
        _EVALUATE,
        "Blind test",
        "Blind test",
        ("--blind-test",),
        result=BlindTestResult,
        after_a_stop=_AFRESH,
    ),
    JobSpec(
        JobKind.DEPLOY,
        "5_deploy_bot.py",
        "Deploying",
        "Deployment",
        result=DeployResult,
        after_a_stop="The model from before is in use; start it again.",
    ),
    JobSpec(
        JobKind.RETRAIN,
        "retrain.py",
        "Retraining",
        "Retrain",
        result=RetrainResult,
        after_a_stop="A training that was under way goes on with scripts/3_train_model.py --resume (in the panel: "
        "Resume); retraining again begins a new round.",
    ),
    JobSpec(JobKind.BACKUP, "backup.py", "Backing up", "Backup", result=BackupResult, after_a_stop=_AFRESH),
    JobSpec(JobKind.DOWNLOAD, "download_model.py", "Downloading", "Download", result=DownloadResult),
    JobSpec(JobKind.TUNE, "tune.py", "Tuning", "Tuning", after_a_stop=_AFRESH),
    JobSpec(JobKind.DOCTOR, "doctor.py", "Checking everything", "Check-up", result=DoctorResult, after_a_stop=_AFRESH),
)
JOBS: dict[JobKind, JobSpec] = {spec.kind: spec for spec in _TABLE}


def job_label(kind: str) -> str:
    """What a job of this kind does, in the panel's words; a kind of another version is called by its own word."""
    return JOBS[JobKind(kind)].label if kind in JOBS else kind


def lock_name(kind: str) -> str:
    """The lock that a job of this kind holds."""
    return JOBS[JobKind(kind)].lock_name if kind in JOBS else kind


def after_a_stop(kind: str) -> str:
    """What is left of a job that was stopped, cancelled or killed, and how to go on: a sentence."""
    return JOBS[JobKind(kind)].after_a_stop if kind in JOBS else ""
