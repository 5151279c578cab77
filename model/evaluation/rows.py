"""Prepared rows as the evaluation reads them, and the replies of one writer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.chat import rows
from storage.errors import BadInputError
from storage.records import Conversation
from storage.stored_json import parse_json

# With fewer, chance decides.
LEAST_PLACES = 20


@dataclass(frozen=True, slots=True)
class EvaluationExample:
    """One place in a real conversation and what was really said there."""

    id: str
    channel_id: int
    session: str
    conversation: Conversation
    reply: str


@dataclass(frozen=True, slots=True)
class Replies:
    """What one writer said: reply `i` stands in session `sessions[i]`. Sessions are kept whole when resampling."""

    texts: tuple[str, ...]
    sessions: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.sessions):
            raise ValueError("one session for every reply")

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int]) -> Replies:
        """The replies at these indices, in that order."""
        return Replies(tuple(self.texts[i] for i in indices), tuple(self.sessions[i] for i in indices))


def real_replies(places: Sequence[EvaluationExample]) -> Replies:
    """What people really said in these places."""
    return Replies(tuple(row.reply for row in places), tuple(row.session for row in places))


def read_rows(path: Path) -> Iterator[EvaluationExample]:
    """The rows of a prepared JSON-lines file, one at a time; BadInputError names the line."""
    if not path.is_file():
        raise BadInputError(
            f"{path} does not exist.", "Give --data a folder made by scripts/2_prepare_training_data.py."
        )
    for row in rows.read_rows(path, rows.TrainingRow.parse):
        yield EvaluationExample(row.id, row.channel_id, row.session, row.conversation, row.reply)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The data set's manifest; BadInputError when the folder was not finished."""
    path = folder / "manifest.json"
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{path} cannot be read ({error}).", "Prepare the data again with scripts/2_prepare_training_data.py."
        ) from error
    if not isinstance(manifest, dict):
        raise BadInputError(f"{path} is not a data set manifest.")
    return manifest


def spread(places: Sequence[EvaluationExample], limit: int) -> list[EvaluationExample]:
    """At most `limit` rows, evenly over time, so that a short evaluation still sees the whole split."""
    if limit <= 0 or len(places) <= limit:
        return list(places)
    step = len(places) / limit
    return [places[int(i * step)] for i in range(limit)]


def require_places(data: Path, count: int | None = None) -> None:
    """BadInputError unless a prepared folder's test part is large enough to judge a model by. count: of the places that
    can be used, where they are known; else its lines, so that a round that must end here ends before it trains."""
    path = data / "test.jsonl"
    if count is None:
        with open(path, "rb") as lines:
            count = sum(1 for _ in lines)
    if count < LEAST_PLACES:
        raise BadInputError(
            f"{path} holds only {count} places; at least {LEAST_PLACES} are needed.",
            "Collect more messages, or prepare the data with a larger test part.",
        )
