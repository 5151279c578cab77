"""From SQLite to the search index: drains the queue of changes, as often as you like, without loss or repeats.

Scripts use it with the bulk embedder, the running bot in small batches with its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.control import KeyValueStore
from storage.errors import StorageError
from storage.jobs.progress import ProgressCallback, silent
from storage.jobs.results import IndexResult
from storage.messages import QueuedChange
from storage.reactions import reaction_score
from storage.records import Message
from storage.similarity import SAMPLE_LINES, chance_similarity
from storage.store import Store
from storage.system.files import remove_tree
from storage.system.locks import FileLock
from storage.vectordb import IndexRow, IndexState, VectorIndex
from storage.withdrawals import Subject

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

Embed = Callable[[Sequence[str]], "np.ndarray"]
BATCH_ROWS = 2_048
# Progress inside a batch: embedding is slow, and somebody is watching.
_EMBED_ROWS = 128
# After this many new rows in one run the indexes are brought up to date and small files merged.
_OPTIMIZE_FROM_ROWS = 500
_ROWS_FACT = "indexed_rows"
_CHANCE_FACT = "chance_similarity"
# Where a new index is made beside the one in use.
_DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What a run changed in the index."""

    indexed: int = 0
    removed: int = 0
    rows: int = 0
    is_rebuilt: bool = False

    def as_result(self) -> IndexResult:
        """For a job row."""
        return IndexResult(self.indexed, self.removed, self.rows, self.is_rebuilt)


def catch_up(
    store: Store,
    index: VectorIndex,
    embed: Embed,
    report: ProgressCallback = silent,
    *,
    rebuild: bool = False,
    to_text: Callable[[Message], str] | None = None,
    may_build_index: bool = True,
    wait_seconds: float = 0.0,
) -> CatchUp:
    """Bring the index in step with the messages and return what changed.

    embed: texts -> float32 (n, dimension), length 1. to_text: what of a message is embedded (its content as it
    is, when None). A change leaves the queue only after the index has it, so a run cut short anywhere is
    completed by the next. A missing, damaged or foreign index is rebuilt. may_build_index=False in the bot
    (VectorIndex.optimize). Raises AlreadyRunningError when another process is at it for longer than wait_seconds.
    """
    with FileLock(store.workspace.locks / "index.lock", holder="Indexing").acquire(timeout_seconds=wait_seconds):
        _remove_draft(index)  # of a run that was cut short
        is_rebuilt = rebuild or _is_behind(store, index)
        if is_rebuilt and index.made_by:
            # Something can be searched: it stays in place until the new one is complete.
            _replace(store, index, embed, report, to_text or _content)
        elif is_rebuilt:
            # Everything is in line again before the table is emptied: a kill in between loses nothing.
            store.messages.queue_everything()
            index.recreate()
        facts = KeyValueStore(store.messages_db)
        indexed, removed = _drain(store, index, embed, report, to_text or _content, facts)
        if is_rebuilt or indexed >= _OPTIMIZE_FROM_ROWS:
            report(0.99, "Merging the index")
            index.optimize(may_build_index=may_build_index)
        elif indexed or removed:
            index.compact_if_fragmented()
        rows = index.count()
        _measure_chance(store, index, is_new=is_rebuilt)
        report(1.0, "The index is complete")
    log.info("Index: %d added or changed, %d removed, %d in all", indexed, removed, rows)
    return CatchUp(indexed, removed, rows, is_rebuilt)


def chance_of(store: Store, model: str) -> float | None:
    """The measured similarity of random pairs with this embedding model; None where it was not measured."""
    known = KeyValueStore(store.messages_db).get(_CHANCE_FACT, {})
    value = known.get("similarity") if known.get("model") == model else None
    return float(value) if isinstance(value, int | float) else None


def _measure_chance(store: Store, index: VectorIndex, *, is_new: bool) -> None:
    if not is_new and chance_of(store, index.model) is not None:
        return
    chance = chance_similarity(index.sample(SAMPLE_LINES))
    if chance is not None:
        KeyValueStore(store.messages_db).set(_CHANCE_FACT, {"model": index.model, "similarity": chance})
        log.info("Random pairs of lines are alike to %.3f with %s; recall begins there", chance, index.model)


def _replace(
    store: Store, index: VectorIndex, embed: Embed, report: ProgressCallback, to_text: Callable[[Message], str]
) -> None:
    """A whole new index beside the one in use, and then in its place. What changes meanwhile stays in the queue."""
    draft = VectorIndex.open(index.folder / _DRAFT, model=index.model, dimension=index.dimension)
    serving = VectorIndex.open(index.folder, model=index.made_by, dimension=index.dimension)
    draft.recreate()
    total, done, last = max(store.messages.count(), 1), 0, 0
    while True:
        page, end = store.messages.indexable(after_id=last, limit=BATCH_ROWS)
        if end is None:
            break
        vectors = _embedded([to_text(message) for message in page], embed, report, done, total)
        draft.upsert([_row(message, vector) for message, vector in zip(page, vectors, strict=True)])
        done, last = done + len(page), end
        # What was deleted does not wait for hours in the index that still serves.
        changes = store.messages.queued_changes(limit=BATCH_ROWS)
        serving.delete([change.message_id for change in changes if change.message is None])
    KeyValueStore(store.messages_db).set(_ROWS_FACT, 0)
    index.take_over(draft)
    KeyValueStore(store.messages_db).set(_ROWS_FACT, index.count())
    _remove_draft(index)


def _remove_draft(index: VectorIndex) -> None:
    remove_tree(index.folder / _DRAFT)


def purge_index(store: Store, subject: Subject, *, wait_seconds: float = 30.0) -> None:
    """Take what was withdrawn out of the index and out of every byte of its files, older versions included.

    Needs no embedder. A damaged index is removed: the next run builds it from SQLite. AlreadyRunningError while a
    script is indexing: it may be about to write a row it read before the erasure.
    """
    folder = store.workspace.embeddings
    if not any(folder.iterdir()):
        return
    with FileLock(store.workspace.locks / "index.lock", holder="Indexing").acquire(timeout_seconds=wait_seconds):
        facts = KeyValueStore(store.messages_db)
        facts.set(_ROWS_FACT, 0)  # as in `_drain`: fewer rows are no damage
        facts.set(_ROWS_FACT, purge_folder(folder, subject))
        # Whoever holds the lock makes no new index: what lies there was left by a killed one.
        remove_tree(folder / _DRAFT)


def purge_folder(folder: Path, subject: Subject) -> int:
    """The same for an index that nobody else writes (in a backup); returns the rows that are left."""
    index = VectorIndex.open_any(folder)
    if index.state is IndexState.DAMAGED:
        log.warning("The search index in %s cannot be read and is removed; it is built again.", folder)
        index.destroy()
        return 0
    index.remove(author_ids=subject.members, channel_ids=subject.channels, message_ids=subject.messages)
    if index.keeps_deleted and not index.purge():
        raise StorageError("The search index still holds deleted rows.", "It is tried again.")
    return index.rows_of_any_model()


def drain_removals(store: Store, index: VectorIndex) -> int:
    """Take out what only has to leave, however much it is; returns how many. No embedder, no rebuild."""
    if not store.messages.queued_removals(limit=1):
        return 0
    removed = 0
    with FileLock(store.workspace.locks / "index.lock", holder="Indexing").acquire():
        facts = KeyValueStore(store.messages_db)
        while gone := store.messages.queued_removals(limit=BATCH_ROWS):
            facts.set(_ROWS_FACT, 0)
            index.remove(message_ids=[change.message_id for change in gone])
            store.messages.clear_queued([change.seq for change in gone])
            removed += len(gone)
        facts.set(_ROWS_FACT, index.rows_of_any_model())
    return removed


def index_newest(
    store: Store, index: VectorIndex, embed: Embed, *, after_seq: int, limit: int, to_text: Callable[[Message], str]
) -> int:
    """Index up to `limit` changes that came after `after_seq`, past a mountain that waits for a script."""
    with FileLock(store.workspace.locks / "index.lock", holder="Indexing").acquire():
        changes = store.messages.queued_changes(limit=limit, after_seq=after_seq)
        present = [change for change in changes if change.message is not None]
        if not present or index.refresh() is not IndexState.READY:
            return 0
        facts = KeyValueStore(store.messages_db)
        vectors = embed([to_text(_message(change)) for change in present])
        facts.set(_ROWS_FACT, 0)
        index.upsert([_row(_message(change), vector) for change, vector in zip(present, vectors, strict=True)])
        store.messages.clear_queued([change.seq for change in present])
        facts.set(_ROWS_FACT, index.count())
    return len(present)


def _is_behind(store: Store, index: VectorIndex) -> bool:
    """True when the queue does not tell all that is missing: no table, a foreign one, or rows lost since."""
    state = index.refresh()
    if state is not IndexState.READY:
        return True
    rows = index.count()
    if index.state is not IndexState.READY:
        return True
    # A power cut can take LanceDB back by some versions without a word.
    return rows < int(KeyValueStore(store.messages_db).get(_ROWS_FACT, 0))


def _drain(
    store: Store,
    index: VectorIndex,
    embed: Embed,
    report: ProgressCallback,
    to_text: Callable[[Message], str],
    facts: KeyValueStore,
) -> tuple[int, int]:
    total = max(store.messages.queue_length(), 1)
    indexed = removed = 0
    while changes := store.messages.queued_changes(limit=BATCH_ROWS):
        done = indexed + removed
        gone = [change.message_id for change in changes if change.message is None]
        present = [change for change in changes if change.message is not None]
        vectors = _embedded([to_text(_message(change)) for change in present], embed, report, done, total)
        # Until the new count is known the old one could condemn a good index: a deletion makes it smaller.
        facts.set(_ROWS_FACT, 0)
        index.delete(gone)
        index.upsert([_row(_message(change), vector) for change, vector in zip(present, vectors, strict=True)])
        store.messages.clear_queued([change.seq for change in changes])
        facts.set(_ROWS_FACT, index.count())
        indexed += len(present)
        removed += len(gone)
    return indexed, removed


def _embedded(texts: Sequence[str], embed: Embed, report: ProgressCallback, done: int, total: int) -> list[np.ndarray]:
    """One vector a text; what many people say ("lol") is embedded once."""
    distinct = list(dict.fromkeys(texts))
    vectors: dict[str, np.ndarray] = {}
    for start in range(0, len(distinct), _EMBED_ROWS):
        part = distinct[start : start + _EMBED_ROWS]
        vectors.update(zip(part, embed(part), strict=True))
        finished = done + int(len(texts) * len(vectors) / len(distinct))
        report(min(0.98 * finished / max(total, finished), 0.98), "Indexing messages", done=finished, unit="messages")
    return [vectors[text] for text in texts]


def _message(change: QueuedChange) -> Message:
    assert change.message is not None
    return change.message


def _content(message: Message) -> str:
    return message.content


def _row(message: Message, vector: np.ndarray) -> IndexRow:
    return IndexRow(
        message.id,
        message.channel_id,
        message.author_id,
        message.content,
        message.created_ms,
        reaction_score(message.reactions),
        vector,
    )
