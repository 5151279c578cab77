"""One thread for the databases, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


class StorageThread:
    """Runs storage calls in order of arrival on a thread of its own."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="storage")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Await the result of a storage call."""
        return await asyncio.wrap_future(self._executor.submit(function, *arguments))

    def post(self, function: Callable[..., object], *arguments: Any) -> Future[object]:
        """Run a storage call without waiting; a failure is logged with its cause."""
        try:
            future = self._executor.submit(function, *arguments)
        except RuntimeError as error:  # the thread has ended: the bot is on its way out
            future = Future()
            future.set_exception(error)
        future.add_done_callback(_log_failure)
        return future

    def close(self, *, timeout_seconds: float = 60.0) -> bool:
        """Finish what is queued, then end the thread; False when that takes longer than there is time."""
        last = self._executor.submit(_nothing)
        self._executor.shutdown(wait=False)
        return bool(wait([last], timeout_seconds).done)


def _nothing() -> None:
    return


def _log_failure(future: Future[object]) -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None:
        log.error("Not stored: %s", error)
