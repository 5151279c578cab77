"""One thread for the databases, so that the event loop never waits for a disk.

Another program may hold a database for a while (a viewer, a virus scanner, a backup). A call that meets it waits
`TRY_SECONDS` on the thread, no longer, so that the bot's heartbeat to the other database gets through; then it is tried
again until `PATIENCE_SECONDS` are over. Nothing that was asked for is dropped in the meantime.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from storage.errors import BusyError

T = TypeVar("T")
log = logging.getLogger(__name__)

TRY_SECONDS = 2.0
PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 120.0
# Writes nobody waits for, put off while a database is held.
MOST_PUT_OFF = 5_000


class StorageThread:
    """Runs storage calls in order of arrival on a thread of its own; those that met a held database, afterwards."""

    def __init__(self, *, on_start: Callable[[], object] | None = None) -> None:
        """on_start: run on the thread before anything else (`Store.wait_at_most`); must not touch a database."""
        self._executor = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="storage", initializer=on_start or _nothing
        )
        # Touched on the thread alone.
        self._put_off: deque[tuple[Callable[[], object], float]] = deque(maxlen=MOST_PUT_OFF)
        self._is_told = False

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Await the result of a storage call; BusyError only after PATIENCE_SECONDS."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await asyncio.wrap_future(self._executor.submit(self._call, function, *arguments))
            except BusyError:
                if time.monotonic() >= give_up_at:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)

    def post(self, function: Callable[..., object], *arguments: Any) -> Future[object]:
        """Run a storage call without waiting, later where a database is held; a failure is logged with its cause."""
        try:
            future = self._executor.submit(self._call_or_put_off, lambda: function(*arguments))
        except RuntimeError as error:  # the thread has ended: the bot is on its way out
            future = Future()
            future.set_exception(error)
        future.add_done_callback(_log_failure)
        return future

    def close(self, *, timeout_seconds: float = 60.0) -> bool:
        """Finish what is queued and put off, then end the thread; False when that takes longer than there is time."""
        last = self._executor.submit(self._catch_up)
        self._executor.shutdown(wait=False)
        return bool(wait([last], timeout_seconds).done)

    # ---- on the thread ----------------------------------------------------------------------------------

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            result = function(*arguments)
        except BusyError as error:
            self._tell(error)
            raise
        self._catch_up()
        return result

    def _call_or_put_off(self, call: Callable[[], object]) -> object:
        try:
            return self._call(call)
        except BusyError:
            self._put_off.append((call, time.monotonic() + PATIENCE_SECONDS))
            return None

    def _catch_up(self) -> None:
        """What was put off, in order, up to the first that still meets a held database."""
        while self._put_off:
            call, give_up_at = self._put_off[0]
            try:
                call()
            except BusyError as error:
                if time.monotonic() < give_up_at:
                    return
                log.error("Not stored: %s", error)
            except Exception as error:
                # As for every posted call: whoever posted it is gone, the log is who hears of it.
                log.error("Not stored: %s", error)
            self._put_off.popleft()
        self._is_told = False

    def _tell(self, error: BusyError) -> None:
        if not self._is_told:  # once per time it is held, not once per call
            log.warning("%s The bot keeps running and asks again. %s", error.what, error.cure)
        self._is_told = True


def _nothing() -> None:
    return


def _log_failure(future: Future[object]) -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None:
        log.error("Not stored: %s", error)
