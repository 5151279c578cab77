"""New messages, edits and deletions reach the search index while the bot runs: small batches, off the event loop.

Large ones (a first index, another embedding model) are a script's work: the bot's embedder is made for one query.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bot.recall import Recall
from data.chat.recall import recalled_text
from storage.errors import AlreadyRunningError, KnownError
from storage.index_sync import catch_up, drain_removals, index_newest
from storage.records import Message
from storage.store import Store

if TYPE_CHECKING:
    from storage.vectordb import VectorIndex

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.5
# More than this to embed is a script's work.
MAX_ROWS = 1_000
# Of what was said since this start, past a mountain that waits for the script.
NEWEST_ROWS = 32
# Embedded between two looks at whether the bot stops.
STEP_ROWS = 8


async def keep_index_in_step(store: Store, recall: Recall, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Until cancelled."""
    last_trouble = ""
    mark: list[int] = []  # the newest change that was waiting at the start

    def in_step(index: Any, embedder: Any) -> str:
        return _catch_up(store, index, embedder, lambda: recall.is_closing, mark[0])

    while True:
        await asyncio.sleep(every_seconds)
        try:
            if not mark:
                mark.append(await recall.on_index_thread(lambda _: store.messages.newest_queued()))
            await recall.on_index_thread(lambda opened: _take_out(store, opened))
            trouble = await recall.with_index(in_step)
        except AlreadyRunningError:
            continue  # a script is at it
        except KnownError as error:
            trouble = error.text()
        except Exception as error:
            # LanceDB's core raises what it likes; the truth is in SQLite and the next try or a script mends it.
            log.debug("Indexing failed", exc_info=True)
            trouble = f"{type(error).__name__}: {error}"[:300]
        if trouble and trouble != last_trouble:
            log.warning("The search index is not up to date: %s", trouble)
        last_trouble = trouble


def _take_out(store: Store, opened: Callable[[], VectorIndex]) -> int:
    """What has to leave leaves at once, however much it is and whatever else waits."""
    return drain_removals(store, opened()) if store.messages.queued_removals(limit=1) else 0


def _catch_up(
    store: Store,
    index: Any,
    embedder: Any,
    is_stopping: Callable[[], bool] = lambda: False,
    after_seq: int = 0,
) -> str:
    """On the recall thread. What keeps the index behind, '' when nothing does. after_seq: the newest change that was
    waiting when the bot started; what came later is indexed even when a mountain waits before it."""
    waiting = store.messages.queue_length()
    if not waiting:
        return ""
    index.refresh()
    rows = store.messages.count() if index.needs_rebuild else waiting

    names = store.channels.names()

    def to_text(message: Message) -> str:
        return recalled_text(message, names)

    def embed(texts: Sequence[str]) -> Any:
        return _embedded(texts, embedder, is_stopping)

    if rows > MAX_ROWS:
        if not index.needs_rebuild:
            index_newest(store, index, embed, after_seq=after_seq, limit=NEWEST_ROWS, to_text=to_text)
        return f"{rows:,} messages wait; run scripts/fetch_and_embed.py --only-index."
    catch_up(store, index, embed, may_build_index=False, to_text=to_text)
    return ""


def _embedded(texts: Sequence[str], embedder: Any, is_stopping: Callable[[], bool]) -> Any:
    """The vectors of many texts, unless the bot stops: what is not indexed stays in the queue for the next run."""
    import numpy as np

    parts = []
    for start in range(0, len(texts), STEP_ROWS):
        if is_stopping():
            raise KnownError("The bot is stopping; the rest is indexed by the next run.")
        parts.append(embedder.embed(texts[start : start + STEP_ROWS]))
    return np.concatenate(parts)
