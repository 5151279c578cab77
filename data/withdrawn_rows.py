"""A finished data set, looked through before it is used: what may not be learnt from any more goes out of it.

`storage.forgetting.sweep` cleans the data sets it knows of when something is taken back. This goes by what is so
today, whenever and wherever the set was made: rows that say, answer, recall or name somebody who is left out, that hold
a message which is out of sight, deleted or worded otherwise since, or that are of a channel (or recall one) that may
not be learnt from there now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data.chat.audience import training_sources
from data.chat.rows import JUDGED, PREFERENCES, SESSIONS, TEST, TRAIN, VALIDATION
from storage.artefacts import MANIFEST, read_object
from storage.erasing.documents import without
from storage.errors import StorageError
from storage.forgetting import sweep_if_free
from storage.standing import Standing, erased_channels, standing_of
from storage.store import Store
from storage.system.files import remove_file, replace_file, write_whole
from storage.withdrawals import Subject

_FILES = (TRAIN, VALIDATION, TEST, SESSIONS, PREFERENCES, JUDGED)
_ROWS_AT_ONCE = 2_000
_PAGE = "report.html"


@dataclass(frozen=True)
class LearningRules:
    """What decides about a row besides its messages.

    absent: members nothing may be learnt from. sources: by channel that is learnt from, itself and those whose lines
    may stand recalled in it. off: known channels that are not learnt from. erased: channels, up to when (seconds).
    made_at: when the set's messages were read (seconds).
    """

    absent: frozenset[int]
    sources: Mapping[int, frozenset[int]]
    off: frozenset[int]
    erased: frozenset[int]
    made_at: float

    @classmethod
    def of(cls, store: Store, *, made_at: float) -> LearningRules:
        """As the store says now."""
        trainable = store.channels.trainable()
        sources = {target: frozenset({target, *ids}) for target, ids in training_sources(trainable).items()}
        off = frozenset(channel.id for channel in store.channels.all()) - sources.keys()
        return cls(store.members.absent_ids(), sources, off, erased_channels(store.messages_db), made_at)

    def allow(self, row: Mapping[str, Any], standing: Standing) -> bool:
        """Whether a row may still be learnt from and measured with."""
        channel = _number(row.get("channel_id"))
        if _number(row.get("author_id")) in self.absent or channel in self.off:
            return False
        if not self.absent.isdisjoint(_numbers(row.get("mentions"))):
            return False
        if not self.absent.isdisjoint(source[0] for source in _sources(row)):
            return False
        return all(self._allows_message(message, channel, standing) for message in messages_of(row))

    def _allows_message(self, message: int, channel: int, standing: Standing) -> bool:
        if message in standing.gone or standing.edited_at.get(message, 0.0) > self.made_at:
            return False
        place = standing.places.get(message)
        if place is None:  # of another computer's messages, if not of a channel that was erased here
            return channel not in self.erased
        return place in self.sources.get(channel, frozenset())


def drop_withdrawn(store: Store, folder: Path) -> int:
    """Take out of a data set what may not be used any more; returns how many rows went.

    What was withdrawn and not swept yet leaves every other file too. StorageError when the folder cannot be changed.
    """
    sweep_if_free(store)
    manifest = read_object(folder / MANIFEST)
    if manifest is None:
        return 0  # whoever opens it says what is wrong with it
    rules = LearningRules.of(store, made_at=float(manifest.get("read_at") or manifest.get("made_at") or 0.0))
    try:
        dropped = sum(_clean(store, folder / name, rules) for name in _FILES)
        allowed = _still_allowed(manifest, rules)
        if allowed != manifest:
            write_whole(folder / MANIFEST, json.dumps(allowed, indent=1, ensure_ascii=False).encode())
        if dropped or allowed != manifest:
            remove_file(folder / _PAGE)
    except OSError as error:
        raise StorageError(
            f"Messages were taken back since {folder} was made, and it cannot be changed ({error}).",
            "Prepare the data again, or copy the folder to a disk that can be written.",
        ) from error
    return dropped


def dropped_note(dropped: int) -> str:
    """The sentence about it, '' for none."""
    if not dropped:
        return ""
    return f"{dropped:,} rows of the data set were left out: what they hold was taken back since it was prepared."


def messages_of(row: Mapping[str, Any]) -> set[int]:
    """Ids of every message in a row: said, answered, recalled."""
    found = {message for source in _sources(row) for message in source[1:]}
    return found | ({number} if (number := _number(row.get("id"))) > 0 else set())


def _clean(store: Store, path: Path, rules: LearningRules) -> int:
    if not path.is_file():
        return 0
    dropped = sum(kept is None for _, kept in _judged(store, path, rules))
    if dropped:
        fresh = path.with_name(f"{path.name}.fresh")
        with open(fresh, "wb") as new:
            new.writelines(line for line, kept in _judged(store, path, rules) if kept is not None)
        replace_file(fresh, path)
    return dropped


def _judged(store: Store, path: Path, rules: LearningRules) -> Iterator[tuple[bytes, object]]:
    """Every line with itself, or None where it may not stay. What is no row is left to whoever reads it."""
    with open(path, "rb") as lines:
        while some := list(islice(lines, _ROWS_AT_ONCE)):
            rows = [_parsed(line) for line in some]
            wanted: set[int] = set()
            for row in rows:
                wanted |= messages_of(row)
            standing = standing_of(store.messages_db, wanted)
            for line, row in zip(some, rows, strict=True):
                yield line, line if rules.allow(row, standing) else None


def _still_allowed(manifest: dict[str, Any], rules: LearningRules) -> dict[str, Any]:
    """The manifest without the people who are out, and with no more channels for an evaluation to recall from."""
    cleaned = without(manifest, Subject(members=rules.absent))
    if not isinstance(cleaned, dict):
        return manifest
    recall = cleaned.get("recall_sources")
    if isinstance(recall, dict):
        cleaned["recall_sources"] = {
            target: [number for number in ids if number in rules.sources.get(_number(target), ids)]
            for target, ids in recall.items()
            if _number(target) not in rules.off
        }
    return cleaned


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _sources(row: Mapping[str, Any]) -> Sequence[Sequence[int]]:
    return [source for source in row.get("sources") or () if isinstance(source, list) and source]


def _numbers(values: Any) -> set[int]:
    return {_number(value) for value in values or ()}


def _number(value: Any) -> int:
    """An id, a number or its digits; -1 for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return -1
    return int(value) if str(value).isascii() and str(value).isdigit() else -1
