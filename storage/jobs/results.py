"""What jobs leave in their rows: written by the script, read by panel, bot and erasure. One dataclass a kind.

A row is JSON that an older version, another kind or a tipped bit may have written: what does not fit a field counts
as not said and leaves the field's default, so every field has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from storage.records import Job
from storage.stored_json import fits


@dataclass(frozen=True, slots=True)
class JobResult:
    """The base of every result."""

    def as_json(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)

    @classmethod
    def of(cls, job: Job | None) -> Self:
        """What a job's row says, all defaults where there is no job or it says nothing."""
        return cls.from_json(job.result if job is not None else {})

    @classmethod
    def from_json(cls, values: object) -> Self:
        """Read leniently; anything but an object is all defaults."""
        found: Self = _read(cls, values if isinstance(values, Mapping) else {})
        return found


def _read(kind: Any, values: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    known: dict[str, Any] = {}
    for each in fields(kind):
        if each.name in values:
            value = _fitted(hints[each.name], values[each.name])
            if value is not _UNFIT:
                known[each.name] = value
    return kind(**known)


_UNFIT = object()


def _fitted(hint: Any, value: object) -> Any:
    """`value` as a field of this type holds it, or _UNFIT."""
    if get_origin(hint) in (Union, UnionType):
        if value is None:
            return None if NoneType in get_args(hint) else _UNFIT
        found = (_fitted(part, value) for part in get_args(hint) if part is not NoneType)
        return next((each for each in found if each is not _UNFIT), _UNFIT)
    if is_dataclass(hint):
        return _read(hint, value) if isinstance(value, Mapping) else _UNFIT
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            return _UNFIT
        members = (_fitted(get_args(hint)[0], each) for each in value)
        return tuple(each for each in members if each is not _UNFIT)
    return value if fits(value, hint) else _UNFIT


@dataclass(frozen=True, slots=True)
class IndexResult(JobResult):
    """What a catch-up changed in the search index."""

    indexed: int = 0
    removed: int = 0
    rows: int = 0
    is_rebuilt: bool = False


@dataclass(frozen=True, slots=True)
class ChannelFetched:
    """One channel of a fetch. unclear: messages of which only the owner can say whether they were deleted."""

    id: int = 0
    name: str = ""
    new: int = 0
    edited: int = 0
    deleted: int = 0
    missing: int = 0
    returned: int = 0
    unclear: int = 0
    requests: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class FetchResult(JobResult):
    """A fetch from Discord. attention: sentences for the owner. index is None where the index was left for later."""

    new: int = 0
    edited: int = 0
    deleted: int = 0
    missing: int = 0
    attention: tuple[str, ...] = ()
    channels: tuple[ChannelFetched, ...] = ()
    index: IndexResult | None = None
    index_trouble: str = ""


@dataclass(frozen=True, slots=True)
class ChannelFound:
    """A channel that a first look at the server found."""

    id: int = 0
    name: str = ""
    kind: int = 0
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class DiscoverResult(JobResult):
    """A first look at the server (a fetch with --discover)."""

    server_id: int = 0
    name: str = ""
    members: int = 0
    is_discoverable: bool = False
    is_large: bool = False
    channels: tuple[ChannelFound, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportResult(JobResult):
    """An import: what each file brought, by the importer's own counts."""

    files: tuple[dict[str, Any], ...] = ()
    index: IndexResult | None = None
    index_trouble: str = ""


@dataclass(frozen=True, slots=True)
class PreparedShare:
    """A member's share of the messages to learn from, before and after balancing, 0-1."""

    author_id: int = 0
    name: str = ""
    before: float = 0.0
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class PrepareResult(JobResult):
    """A data set. ceiling: the largest share anybody may have, 0-1."""

    folder: str = ""
    report: str = ""
    counts: dict[str, Any] = field(default_factory=dict)
    ceiling: float | None = None
    hash: str = ""
    shares: tuple[PreparedShare, ...] = ()


@dataclass(frozen=True, slots=True)
class HardwareFound:
    """The computer a training would run on. gpu_name is '' without a usable card."""

    gpu_name: str = ""
    gpu_bytes: int = 0
    cpu_cores: int = 0


@dataclass(frozen=True, slots=True)
class PreflightResult(JobResult):
    """A look at the hardware before a training: what it would need, and what stands against it."""

    recipe: str = ""
    reason: str = ""
    method: str = ""
    base: str = ""
    hardware: HardwareFound = field(default_factory=HardwareFound)
    memory_bytes: int = 0
    free_bytes: int = 0
    disk_bytes: int = 0
    free_disk_bytes: int = 0
    seconds: float = 0.0
    steps: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    bot_bytes: int = 0
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pausing_the_bot_helps: bool = False
    can_run: bool = True


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The files an export made ('' for one it did not), and the loss per reply token before and after training."""

    gguf: str = ""
    adapter_gguf: str = ""
    manifest: str = ""
    checks: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    loss_untuned: float | None = None
    loss_tuned: float | None = None


@dataclass(frozen=True, slots=True)
class TrainResult(JobResult):
    """A training run. export is None with --no-export; training holds the trainer's own record."""

    training: dict[str, Any] = field(default_factory=dict)
    export: ExportedModel | None = None
    curve: str = ""
    preflight: PreflightResult | None = None

    @property
    def gguf(self) -> str:
        """The exported model's file, '' where there is none."""
        return self.export.gguf if self.export is not None else ""


@dataclass(frozen=True, slots=True)
class EvaluateResult(JobResult):
    """An evaluation's figures. auc is None in a row that holds no evaluation."""

    report: str = ""
    report_json: str = ""
    match_percent: float | None = None
    auc: float | None = None
    people_auc: float | None = None
    objections: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SweepResult(JobResult):
    """The settings that did best."""

    suggested: dict[str, Any] = field(default_factory=dict)
    auc: float | None = None
    fit: float | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class BlindTestResult(JobResult):
    """A test that was made for members."""

    quiz: str = ""
    page: str = ""
    items: int = 0


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """A share with its 95 % interval, 0-1, of `count` answers."""

    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class ScoreResult(JobResult):
    """A blind test that was scored (the kind blind_test with --score). reading is '' in a row that holds no score."""

    quiz_id: str = ""
    model: str = ""
    raters: tuple[dict[str, Any], ...] = ()
    detected: MeasuredRate = field(default_factory=MeasuredRate)
    false_alarms: MeasuredRate = field(default_factory=MeasuredRate)
    rubric: dict[str, Any] = field(default_factory=dict)
    agreement: float | None = None
    rubric_agreement: float | None = None
    notes: tuple[str, ...] = ()
    rubric_mean: float | None = None
    reading: str = ""


@dataclass(frozen=True, slots=True)
class DeployResult(JobResult):
    """A publication, a way back, or versions that were removed."""

    version: str = ""
    was_reloaded: bool = False
    remarks: tuple[str, ...] = ()
    text: str = ""
    model: dict[str, Any] | None = None
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedDeployResult(JobResult):
    """What a deployment that failed leaves for the owner to decide about: the file, and what speaks against it."""

    model: str = ""
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrainResult(JobResult):
    """A whole round: the data set, the model file, and how it was measured. settings: the file with the sampling
    settings it was measured with, '' where those in use were."""

    data: str = ""
    model: str = ""
    evaluation: EvaluateResult = field(default_factory=EvaluateResult)
    settings: str = ""


@dataclass(frozen=True, slots=True)
class BackupResult(JobResult):
    """A backup, and the names of older ones that went."""

    folder: str = ""
    bytes: int = 0
    messages: int = 0
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DownloadResult(JobResult):
    """The model file that came, and the folder of the one for recall where that came too."""

    file: str = ""
    embedding_model: str = ""


@dataclass(frozen=True, slots=True)
class FindingResult:
    """One line of a check-up. verdict: good, note or bad."""

    name: str = ""
    verdict: str = ""
    words: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class DoctorResult(JobResult):
    """A check-up."""

    findings: tuple[FindingResult, ...] = ()
