"""What was taken back elsewhere (in the panel, by a fetch, by another command) reaches the running bot, and its traces
leave the files while it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from bot.storage_thread import StorageThread
from storage.errors import AlreadyRunningError, KnownError
from storage.forgetting import sweep
from storage.store import Store
from storage.withdrawals import Withdrawal

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.5
# Deletions come in bursts; whoever erases a member sweeps at once and needs no help.
SWEEP_SECONDS, SWEEP_FROM_AGE_SECONDS = 30.0, 20.0
# A file that could not be cleaned (open in another program, a data set being made) is tried again.
RETRY_SECONDS = 300.0


async def follow_withdrawals(
    store: Store,
    storage: StorageThread,
    on_rows: Callable[[Sequence[Withdrawal]], None],
    *,
    every_seconds: float = FOLLOW_SECONDS,
) -> None:
    """Hand on what is new, until cancelled. What was taken back before the start was never in memory."""
    seq: int | None = None
    trouble = ""
    while True:
        try:
            if seq is None:
                seq = await storage.run(store.withdrawals.newest)
            rows = await storage.run(store.withdrawals.since, seq)
            if rows:
                on_rows(rows)
                seq = rows[-1].seq
            trouble = ""
        except KnownError as error:  # a locked database now may be fine in a moment
            if error.what != trouble:
                log.warning("Not following withdrawals: %s", error.text())
            trouble = error.what
        await asyncio.sleep(every_seconds)


async def sweep_withdrawals(store: Store, *, every_seconds: float = SWEEP_SECONDS) -> None:
    """Clean the files of what was deleted on Discord or left by a sweep cut short, until cancelled."""
    while True:
        wait = every_seconds
        try:
            if await asyncio.to_thread(_sweep_if_due, store):
                wait = RETRY_SECONDS
        except AlreadyRunningError:
            pass
        except KnownError as error:
            log.warning("Files not cleaned: %s", error.text())
            wait = RETRY_SECONDS
        except Exception:
            # Whatever stands in a foreign file or breaks a disk: the bot goes on, and the next round tries again.
            log.exception("Files not cleaned")
            wait = RETRY_SECONDS
        await asyncio.sleep(wait)


def _sweep_if_due(store: Store) -> bool:
    """True when something is left to be done."""
    oldest = store.withdrawals.oldest_unswept()
    if oldest is None or 0 <= time.time() - oldest < SWEEP_FROM_AGE_SECONDS:
        return False
    return bool(sweep(store).remaining)
