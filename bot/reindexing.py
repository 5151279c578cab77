"""A better embedding model has come, or more waits than the bot embeds on its own: a job makes the index, once.

The bot's own embedder is made for one query. The job runs beside it; the old index serves until then.
"""

from __future__ import annotations

import asyncio
import logging

from bot.indexing import MAX_ROWS
from storage.jobs.kinds import JOBS, JobKind
from storage.jobs.runner import spawn_job
from storage.jobs.table import active_kinds
from storage.settings import EMBEDDING_MODEL
from storage.store import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
# After a job that changed nothing (no memory, a broken download) it is not started again and again.
AGAIN_SECONDS = 6 * 3600.0
_BUSY_KINDS = frozenset({JobKind.FETCH, JobKind.IMPORT, JobKind.DEMO, JobKind.INDEX, JobKind.RETRAIN, JobKind.TRAIN})


async def keep_index_of_the_chosen_model(store: Store, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Until cancelled."""
    loop = asyncio.get_running_loop()
    last: tuple[str, float] = ("", 0.0)
    while True:
        await asyncio.sleep(every_seconds)
        try:
            reason = await asyncio.to_thread(why_reindex, store)
            if not reason or (reason == last[0] and loop.time() - last[1] < AGAIN_SECONDS):
                continue
            last = (reason, loop.time())
            log.info("The search index is brought up to date by a job: %s", reason)
            await asyncio.to_thread(spawn_job, store.workspace, JobKind.INDEX, JOBS[JobKind.INDEX].arguments)
        except Exception as error:
            # LanceDB's core raises what it likes; recall goes on with the index there is, and the next look may do.
            log.warning("The search index could not be looked at: %s", error)


def why_reindex(store: Store) -> str:
    """What a job should do for the index, '' for nothing. Opens the index: not for the event loop."""
    from model.embeddings import serving_model
    from storage.vectordb import VectorIndex

    if active_kinds(store.jobs.recent()) & _BUSY_KINDS:
        return ""
    wanted = store.settings.get(EMBEDDING_MODEL)
    index = VectorIndex.open(store.workspace.embeddings, model=wanted, dimension=384)
    best = serving_model(wanted, store.workspace)
    if index.made_by not in ("", best):
        return f"{best} takes the place of {index.made_by}"
    return "many messages wait" if store.messages.queue_length() > MAX_ROWS else ""
