"""New messages, edits and deletions reach the search index while the bot runs: small batches, off the event loop.

Large ones (a first index, another embedding model) are a script's work: the bot's embedder is made for one query.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from bot.recall import Recall
from data.chat.recall import recalled_text
from storage.errors import AlreadyRunningError, KnownError
from storage.index_sync import catch_up
from storage.store import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 3.0
MAX_ROWS = 1_000
# Embedded between two looks at whether the bot stops.
STEP_ROWS = 8


async def keep_index_in_step(store: Store, recall: Recall, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Until cancelled."""
    last_trouble = ""
    while True:
        await asyncio.sleep(every_seconds)
        try:
            trouble = await recall.with_index(
                lambda index, embedder: _catch_up(store, index, embedder, lambda: recall.is_closing)
            )
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


def _catch_up(store: Store, index: Any, embedder: Any, is_stopping: Callable[[], bool] = lambda: False) -> str:
    """On the recall thread. What keeps the index behind, '' when nothing does."""
    waiting = store.messages.queue_length()
    if not waiting:
        return ""
    index.refresh()
    rows = store.messages.count() if index.needs_rebuild else waiting
    if rows > MAX_ROWS:
        return f"{rows:,} messages wait; run scripts/fetch_and_embed.py --only-index."
    names = store.channels.names()
    catch_up(
        store,
        index,
        lambda texts: _embedded(texts, embedder, is_stopping),
        may_build_index=False,
        to_text=lambda message: recalled_text(message, names),
    )
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
