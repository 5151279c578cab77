"""Rows of a data set: the one place that writes and reads them. One JSON object a line; unknown fields are ignored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from storage.errors import BadInputError
from storage.records import Conversation, Turn

TRAIN, VALIDATION, TEST = "train.jsonl", "validation.jsonl", "test.jsonl"
PREFERENCES, JUDGED, SESSIONS = "preferences.jsonl", "kto.jsonl", "sessions.jsonl"

RowType = TypeVar("RowType")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the lines of a row come from: by this, and not by anybody's name, an erasure finds it.

    sources: (author id, message ids ...) of every turn and recalled line, the reply's too. mentions: ids of the people
    named in them. Rows of older data sets have neither.
    """

    sources: tuple[tuple[int, ...], ...] = ()
    mentions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One place in a real conversation and what was really said there.

    id: of the message, as text. timestamp: milliseconds since 1970. session: rows with the same one are of one
    conversation and kept together. layout: the prompt layout it was prepared for; the row itself is text. The
    conversation's turns by the reply's author are its own (`is_self`).
    """

    id: str
    channel_id: int
    author_id: int
    timestamp: int
    session: str
    conversation: Conversation
    reply: str
    layout: int
    origin: Origin = Origin()

    def to_json(self) -> str:
        """The row as one line of a file, with its line break."""
        return _line(self.fields() | {"reply": self.reply, "layout": self.layout})

    @classmethod
    def parse(cls, line: str | bytes) -> TrainingRow:
        """A row as `to_json` wrote it. Raises ValueError, KeyError or TypeError where it is none."""
        record = _record(line)
        return _place(record, _text(record["reply"]))

    def fields(self) -> dict[str, Any]:
        """What says where the reply stands."""
        return {
            "id": self.id,
            "channel_id": self.channel_id,
            "author_id": self.author_id,
            "timestamp": self.timestamp,
            "session": self.session,
            "context": [
                {"name": turn.name, "text": turn.text, "is_target_author": turn.is_self}
                for turn in self.conversation.turns
            ],
            "recalled": [{"name": line.name, "text": line.text} for line in self.conversation.recalled],
            **(asdict(self.origin) if self.origin.sources else {}),
        }


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """A place with the reply people liked (`place.reply`) and one they would not have. strength: approvals, 1 to 5.

    model: which one said the bot's own of the two; '' where people spoke.
    """

    place: TrainingRow
    rejected: str
    strength: int
    model: str = ""

    @property
    def chosen(self) -> str:
        """What was really said."""
        return self.place.reply

    def to_json(self) -> str:
        """The row as one line of a file, with its line break."""
        more = {"chosen": self.chosen, "rejected": self.rejected, "strength": self.strength} | _by(self.model)
        return _line(self.place.fields() | {"layout": self.place.layout} | more)

    @classmethod
    def parse(cls, line: str | bytes) -> PreferenceRow:
        """A row as `to_json` wrote it. Raises ValueError, KeyError or TypeError where it is none."""
        record = _record(line)
        place = _place(record, _text(record["chosen"]))
        return cls(place, _text(record["rejected"]), int(record.get("strength", 1)), str(record.get("model", "")))


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """A place with one reply (`place.reply`) and whether it was liked. model: as in `PreferenceRow`."""

    place: TrainingRow
    is_liked: bool
    model: str = ""

    def to_json(self) -> str:
        """The row as one line of a file, with its line break."""
        more = {"completion": self.place.reply, "label": self.is_liked} | _by(self.model)
        return _line(self.place.fields() | {"layout": self.place.layout} | more)

    @classmethod
    def parse(cls, line: str | bytes) -> JudgedRow:
        """A row as `to_json` wrote it. Raises ValueError, KeyError or TypeError where it is none."""
        record = _record(line)
        place = _place(record, _text(record["completion"]))
        return cls(place, bool(record["label"]), str(record.get("model", "")))


@dataclass(frozen=True, slots=True)
class SessionTurn:
    """One turn of a whole conversation. is_own: by the person in whose place the bot stands. is_learnt: kept by the
    quotas; the rest is context."""

    name: str
    text: str
    is_own: bool
    is_learnt: bool


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A whole conversation of the training part, for a model that reads transcripts."""

    session: str
    channel_id: int
    turns: tuple[SessionTurn, ...]
    origin: Origin = Origin()

    def to_json(self) -> str:
        """The row as one line of a file, with its line break."""
        turns = [asdict(turn) for turn in self.turns]
        origin = asdict(self.origin) if self.origin.sources else {}
        return _line({"session": self.session, "channel_id": self.channel_id, "turns": turns} | origin)

    @classmethod
    def parse(cls, line: str | bytes) -> SessionRow:
        """A row as `to_json` wrote it. Raises ValueError, KeyError or TypeError where it is none."""
        record = _record(line)
        turns = tuple(
            SessionTurn(_text(turn["name"]), _text(turn["text"]), bool(turn["is_own"]), bool(turn["is_learnt"]))
            for turn in record["turns"]
        )
        return cls(str(record["session"]), int(record.get("channel_id", 0)), turns, _origin(record))


def read_rows(path: Path, parse: Callable[[str], RowType]) -> Iterator[RowType]:
    """The rows of one file in order; nothing when it is absent. BadInputError names a broken line."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _parsed(line, parse, path, number)


def count_rows(path: Path) -> int:
    """Number of rows of one file; 0 when it is absent."""
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8") as lines:
        return sum(1 for line in lines if line.strip())


def _parsed(line: str, parse: Callable[[str], RowType], path: Path, number: int) -> RowType:
    try:
        return parse(line)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BadInputError(
            f"{path.name} line {number} is not a valid data-set row ({type(error).__name__}: {error}).",
            "Prepare the data again with scripts/2_prepare_training_data.py (panel: Training, Prepare).",
        ) from error


def _by(model: str) -> dict[str, Any]:
    return {"model": model} if model else {}


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _record(line: str | bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(record, dict):
        raise TypeError("not an object")
    return record


def _place(record: Mapping[str, Any], reply: str) -> TrainingRow:
    turns = tuple(
        Turn(_text(turn["name"]), _text(turn["text"]), bool(turn.get("is_target_author", False)))
        for turn in record["context"]
    )
    recalled = tuple(Turn(_text(line["name"]), _text(line["text"])) for line in record.get("recalled", ()))
    return TrainingRow(
        id=str(record["id"]),
        channel_id=int(record.get("channel_id", 0)),
        author_id=int(record.get("author_id", 0)),
        timestamp=int(record.get("timestamp", 0)),
        session=str(record.get("session", "")),
        conversation=Conversation(turns, recalled),
        reply=reply,
        layout=int(record.get("layout", 2)),
        origin=_origin(record),
    )


def _origin(record: Mapping[str, Any]) -> Origin:
    return Origin(
        tuple(tuple(int(number) for number in source) for source in record.get("sources") or ()),
        tuple(int(number) for number in record.get("mentions") or ()),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
