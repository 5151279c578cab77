"""The result of an evaluation as values, written to report.json and read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from model.evaluation.comparison import Estimate
from model.evaluation.memory import Copy, Memorisation
from model.evaluation.resampling import Range
from model.evaluation.verdict import Match, Part
from storage.errors import BadInputError
from storage.stored_json import parse_json
from storage.system.files import write_whole

# 2: figures about the context, and the match that counts them. 3: long dialogues.
VERSION = 3
# The detector may find the bot by so much more easily at the last turn of a long dialogue than at the first.
MOST_DRIFT = 0.05


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A GGUF that was measured; `sha256` ties the report to the file's bytes."""

    name: str
    file: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured while the replies were written: milliseconds, tokens per second, bytes, over `replies_counted`.

    ranges: 95 % intervals by field name; loading and memory are single readings and have none.
    """

    tokens_per_second: float
    first_token_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    load_seconds: float
    memory_bytes: int
    replies_counted: int
    ranges: dict[str, Range] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares per class, for the plots."""

    labels: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DriftTurn:
    """One turn (from 1) of the long dialogues: how well the bot was told from people there, and how both fitted."""

    turn: int
    auc: Estimate
    fit: float | None = None
    people_fit: float | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """The bot in long dialogues. auc_change, fit_change: from the first turn to the last; intervals over dialogues."""

    dialogues: int
    turns: tuple[DriftTurn, ...]
    auc_change: Estimate
    fit_change: Estimate | None = None

    @property
    def is_steady(self) -> bool | None:
        """Whether it is told no more easily at the last turn than at the first, beyond what is allowed; None where so
        few dialogues cannot tell."""
        low, high = self.auc_change.low, self.auc_change.high
        if high is not None and high <= MOST_DRIFT:
            return True
        return False if low is not None and low > MOST_DRIFT else None

    @property
    def in_words(self) -> str:
        """What it comes to, against what is aimed at."""
        first, last = self.turns[0], self.turns[-1]
        change = self.auc_change
        told = (
            f"Over {self.dialogues} dialogues the detector AUC is {first.auc.value:.2f} at turn 1 and "
            f"{last.auc.value:.2f} at turn {last.turn}; the line through all turns changes by {change.value:+.2f} "
            f"[{change.low:+.2f}, {change.high:+.2f}]. The aim is at most {MOST_DRIFT:+.2f}: "
        )
        verdict = {
            True: "reached.",
            False: "missed. The longer it talks, the more easily it is told.",
            None: "so few dialogues cannot tell, since the interval holds both. "
            + ("It looks reached." if (change.value or 0.0) <= MOST_DRIFT else "It looks missed."),
        }
        return told + verdict[self.is_steady]


@dataclass(frozen=True, slots=True)
class Contender:
    """One column of the report. role: "people", "base", "model" or "against"."""

    role: str
    name: str
    figures: dict[str, Estimate]
    memory: Memorisation
    match: Match | None = None
    model: MeasuredModel | None = None
    speed: Speed | None = None
    histograms: dict[str, Histogram] = field(default_factory=dict)
    drift: Drift | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One place with everybody's reply; `replies` maps a role to a text, people's included."""

    context: tuple[tuple[str, str], ...]
    replies: dict[str, str]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything measured. `writers` starts with people; the model under test has role "model"."""

    made_at: str
    data_hash: str
    rows: int
    sessions: int
    training_rows: int
    is_quick: bool
    settings: dict[str, Any]
    writers: tuple[Contender, ...]
    objections: tuple[str, ...]
    next_steps: tuple[str, ...]
    samples: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()
    has_canaries: bool = False
    recipe: str = ""
    version: int = VERSION

    def writer(self, role: str) -> Contender | None:
        """The contender with this role; None where the evaluation had none."""
        return next((writer for writer in self.writers if writer.role == role), None)

    @property
    def model(self) -> Contender:
        """The writer under test."""
        writer = self.writer("model")
        if writer is None:
            raise BadInputError("The report has no model in it.", "Evaluate the model again.")
        return writer

    @property
    def match_percent(self) -> float:
        """Personality match, 0-100; 0 where it was not measured."""
        return self.model.match.percent if self.model.match else 0.0

    @property
    def headline_auc(self) -> float | None:
        """The detector's AUC, 0.5 (cannot tell) to 1; None where it was not measured."""
        return self.model.figures["auc"].value if "auc" in self.model.figures else None


def write_report(report: EvaluationReport, path: Path) -> None:
    """Write beside and rename, so that a report is there whole or not at all."""
    write_whole(path, json.dumps(asdict(report), ensure_ascii=False, indent=1).encode("utf-8"))


def read_report(path: Path) -> EvaluationReport:
    """BadInputError when the file is no report of this program."""
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        if record["version"] > VERSION:
            raise BadInputError(f"{path} was written by a newer version of the program.", "Update, or evaluate again.")
        return _report(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{path} is not an evaluation report ({type(error).__name__}: {error}).",
            "Evaluate the model with scripts/4_evaluate_personality.py.",
        ) from error


def _report(record: dict[str, Any]) -> EvaluationReport:
    values = dict(record)
    values["writers"] = tuple(_writer(each) for each in record["writers"])
    values["samples"] = tuple(
        Sample(tuple((name, text) for name, text in each["context"]), each["replies"]) for each in record["samples"]
    )
    for key in ("objections", "next_steps", "notes"):
        values[key] = tuple(record[key])
    return EvaluationReport(**values)


def _writer(record: dict[str, Any]) -> Contender:
    values = dict(record)
    values["figures"] = {key: Estimate(**each) for key, each in record["figures"].items()}
    memory = dict(record["memory"])
    memory["canaries"] = tuple((planted, told, asked) for planted, told, asked in memory["canaries"])
    memory["examples"] = tuple(Copy(**each) for each in memory["examples"])
    memory["ranges"] = _ranges(memory)
    values["memory"] = Memorisation(**memory)
    if record["match"]:
        match = record["match"]
        values["match"] = Match(
            match["percent"],
            tuple(Part(**part) for part in match["parts"]),
            match["own_share"],
            match.get("former_percent"),
        )
    values["model"] = MeasuredModel(**record["model"]) if record["model"] else None
    speed = record["speed"]
    values["speed"] = Speed(**speed | {"ranges": _ranges(speed)}) if speed else None
    values["histograms"] = {
        key: Histogram(tuple(each["labels"]), tuple(each["shares"])) for key, each in record["histograms"].items()
    }
    values["drift"] = _drift(record.get("drift"))
    return Contender(**values)


def _drift(record: dict[str, Any] | None) -> Drift | None:
    if not record:
        return None
    turns = tuple(DriftTurn(**each | {"auc": Estimate(**each["auc"])}) for each in record["turns"])
    fit = record["fit_change"]
    return Drift(record["dialogues"], turns, Estimate(**record["auc_change"]), Estimate(**fit) if fit else None)


def _ranges(record: dict[str, Any]) -> dict[str, Range]:
    """Reports of an earlier version have none."""
    return {name: (low, high) for name, (low, high) in record.get("ranges", {}).items()}
