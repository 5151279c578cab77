"""What a fetch or the owner hides in another process leaves the running bot's memory within a second.

The database is followed by the moment of hiding; what is prepared from a hidden line is dropped as for a deletion.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.storage_thread import StorageThread
from storage.errors import KnownError
from storage.store import Store

if TYPE_CHECKING:
    from bot.handlers import Handlers

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
# A transaction may become visible this much after the moment it notes.
LATE_SECONDS = 30.0


async def follow_withheld(
    store: Store,
    storage: StorageThread,
    handlers: Handlers,
    *,
    every_seconds: float = EVERY_SECONDS,
    clock: Callable[[], float] = time.time,
) -> None:
    """Until cancelled."""
    since = clock() - LATE_SECONDS
    dropped: set[int] = set()
    while True:
        await asyncio.sleep(every_seconds)
        try:
            hidden = await storage.run(store.withheld.since, since)
        except KnownError as error:  # a locked database may be free at the next look
            log.debug("Not followed: %s", error.what)
            continue
        for channel_id, message_ids in hidden.items():
            if fresh := message_ids - dropped:
                log.info("Hidden elsewhere: %d messages leave the memory", len(fresh))
                handlers.drop(channel_id, fresh)
        dropped = set().union(*hidden.values())
        since = max(since, clock() - LATE_SECONDS)
