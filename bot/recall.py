"""Earlier messages that resemble what is being said, from channels the current one may see."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from data.chat.audience import open_sources, recall_sources
from data.chat.recall import recalled_text
from storage.errors import KnownError
from storage.index_sync import chance_of
from storage.records import PLAYGROUND_CHANNEL, Message
from storage.settings import RECALL_COUNT, RECALL_MIN_SIMILARITY, RECALL_REACTION_WEIGHT, Settings
from storage.similarity import similarity_limit
from storage.store import Store

if TYPE_CHECKING:
    from model.embeddings import Embedder
    from storage.vectordb import Hit, VectorIndex

T = TypeVar("T")
log = logging.getLogger(__name__)
# Asked for beyond the number wanted: some hits fall away (deleted, absent member, already in the conversation).
SPARE_HITS = 8
# How long a look-up waits for a database that another program holds.
HELD_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RecalledLine:
    """One earlier message, in readable text, with how close it is (cosine, 1 = same)."""

    message_id: int
    channel_id: int
    name: str
    text: str
    similarity: float


class Recall:
    """Looks lines up on a thread of its own; any trouble with the index means no lines, never no reply."""

    def __init__(
        self, store: Store, *, open_index: Callable[[], VectorIndex], open_embedder: Callable[[], Embedder]
    ) -> None:
        self._store = store
        self._open_index = open_index
        self._open_embedder = open_embedder
        self._index: VectorIndex | None = None
        self._embedder: Embedder | None = None
        self._executor = ThreadPoolExecutor(
            # A held database costs a reply its recall, not the time that was to be spent on it.
            max_workers=1,
            thread_name_prefix="recall",
            initializer=lambda: store.wait_at_most(HELD_SECONDS),
        )
        self._last_trouble = ""
        self._is_closing = False
        # False while nobody knows whether the channels' permissions are still what is stored of them: then a channel
        # gets its own lines only.
        self.is_checked = True

    def sources(self, channel_id: int) -> list[int]:
        """Channels whose lines may be recalled in this one. Reads the database; not for the event loop."""
        channels = self._store.channels.all()
        if channel_id == PLAYGROUND_CHANNEL:
            return open_sources(channels)
        allowed = recall_sources(channels, channel_id)
        return allowed if self.is_checked else [number for number in allowed if number == channel_id]

    async def lines(
        self, channel_id: int, text: str, settings: Settings, *, exclude_ids: Collection[int] = ()
    ) -> tuple[RecalledLine, ...]:
        """Up to `recall_count` lines for `text`, best first, only from channels `channel_id` may see."""
        if settings[RECALL_COUNT] == 0 or not text.strip():
            return ()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._look_up, channel_id, text, settings, frozenset(exclude_ids)
        )

    async def are_current(self, lines: Sequence[RecalledLine], channel_id: int) -> bool:
        """Whether lines looked up earlier may still be used: nothing deleted, edited, withdrawn or closed since."""
        if not lines:
            return True
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._are_current, tuple(lines), channel_id)

    def _are_current(self, lines: tuple[RecalledLine, ...], channel_id: int) -> bool:
        try:
            channels = set(self.sources(channel_id))
            messages = self._store.messages.get([line.message_id for line in lines])
            absent = self._store.members.absent_ids()
            names = self._store.channels.names()
        except KnownError as error:
            self._note(error.text())
            return False
        now = {
            number: _line(message, names, 0.0)
            for number, message in messages.items()
            if _may_use(message, channels, absent, frozenset())
        }
        return all(line.message_id in now and now[line.message_id].text == line.text for line in lines)

    async def with_index(self, work: Callable[[VectorIndex, Embedder], T]) -> T:
        """Run `work` with the index and the embedder on the thread that owns them."""

        def run() -> T:
            return work(*self._opened())

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    async def on_index_thread(self, work: Callable[[Callable[[], VectorIndex]], T]) -> T:
        """Run `work` there with a way to open the index alone: taking something out needs no embedder."""

        def opened() -> VectorIndex:
            if self._index is None:
                self._index = self._open_index()
            return self._index

        return await asyncio.get_running_loop().run_in_executor(self._executor, work, opened)

    @property
    def is_closing(self) -> bool:
        """True from the stop on: long work on the thread should end at its next step."""
        return self._is_closing

    def close(self, *, timeout_seconds: float = 60.0) -> bool:
        """Let what is under way end, then the thread; False when that takes longer than there is time."""
        self._is_closing = True
        last = self._executor.submit(lambda: None)
        self._executor.shutdown(wait=False)
        return bool(wait([last], timeout_seconds).done)

    def _look_up(
        self, channel_id: int, text: str, settings: Settings, exclude_ids: frozenset[int]
    ) -> tuple[RecalledLine, ...]:
        if self._is_closing:
            return ()
        try:
            channels = self.sources(channel_id)
            if not channels:
                return ()
            hits = self._search(channels, text, settings, exclude_ids)
            lines = self._readable(hits, set(channels), exclude_ids, settings)
        except KnownError as error:
            self._note(error.text())
            return ()
        except Exception as error:
            # A damaged index raises whatever its Rust core feels like; the reply continues without recall.
            log.debug("Recall failed", exc_info=True)
            self._note(f"{type(error).__name__}: {error}"[:300])
            self._index = None
            return ()
        self._last_trouble = ""
        return lines

    def _search(self, channels: list[int], text: str, settings: Settings, exclude_ids: frozenset[int]) -> list[Hit]:
        hits = self._nearest(channels, text, settings, exclude_ids)
        if not hits and self._index is not None and self._index.needs_rebuild:
            self._reopen()  # another model's index has taken its place
            hits = self._nearest(channels, text, settings, exclude_ids)
        chance = chance_of(self._store, self._index.model) if self._index is not None else None
        limit = similarity_limit(settings[RECALL_MIN_SIMILARITY], chance)
        return [hit for hit in hits if hit.similarity >= limit]

    def _nearest(self, channels: list[int], text: str, settings: Settings, exclude_ids: frozenset[int]) -> list[Hit]:
        index, embedder = self._opened()
        return index.search(
            embedder.embed([text])[0],
            channel_ids=channels,
            limit=settings[RECALL_COUNT] + SPARE_HITS,
            exclude_ids=sorted(exclude_ids),
            reaction_weight=settings[RECALL_REACTION_WEIGHT],
        )

    def _reopen(self) -> None:
        close = getattr(self._embedder, "close", None)
        if close is not None:
            close()
        self._embedder = self._index = None

    def _opened(self) -> tuple[VectorIndex, Embedder]:
        if self._index is not None and self._index.needs_rebuild:
            self._reopen()
        if self._embedder is None:
            self._embedder = self._open_embedder()
        if self._index is None:
            self._index = self._open_index()
        return self._index, self._embedder

    def _readable(
        self, hits: list[Hit], channels: set[int], exclude_ids: frozenset[int], settings: Settings
    ) -> tuple[RecalledLine, ...]:
        # SQLite is the truth: the index may lag behind a deletion, a move or an opt-out.
        messages = self._store.messages.get([hit.message_id for hit in hits])
        absent = self._store.members.absent_ids()
        names = self._store.channels.names()
        lines: list[RecalledLine] = []
        seen: set[str] = set()
        for hit in hits:
            message = messages.get(hit.message_id)
            if message is None or not _may_use(message, channels, absent, exclude_ids):
                continue
            line = _line(message, names, hit.similarity)
            if line.text and line.text.lower() not in seen:
                seen.add(line.text.lower())
                lines.append(line)
        return tuple(lines[: settings[RECALL_COUNT]])

    def _note(self, trouble: str) -> None:
        if trouble != self._last_trouble:  # once per kind of trouble, not once per message
            log.warning("Answering without recall: %s", trouble)
        self._last_trouble = trouble


def _may_use(message: Message, channels: set[int], absent: frozenset[int], exclude_ids: frozenset[int]) -> bool:
    return (
        message.channel_id in channels
        and message.author_id not in absent
        and not message.is_own
        and message.id not in exclude_ids
    )


def _line(message: Message, channel_names: Mapping[int, str], similarity: float) -> RecalledLine:
    text = recalled_text(message, channel_names)
    return RecalledLine(message.id, message.channel_id, message.author_name, text, similarity)
