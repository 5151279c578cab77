"""Work that must not run on the Tk thread: reads of databases, starts and stops, waiting for files.

Two threads share the load: clicks and the heartbeat's reading are never behind a long count. Results come back
through one queue that the window drains; nothing here touches a widget.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    work: Callable[[], Any]
    then: Callable[[Any], Any] | None
    failed: Callable[[Exception], Any] | None


class BackgroundRunner:
    """`ask(work, then)`: work runs on a thread, then(result) on the thread that calls `deliver`."""

    def __init__(self) -> None:
        self._lanes = {"quick": queue.SimpleQueue[_Task | None](), "slow": queue.SimpleQueue[_Task | None]()}
        self._ready: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"panel-{name}", daemon=True)
            for name, lane in self._lanes.items()
        ]
        for thread in self._threads:
            thread.start()

    def ask(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], Any] | None = None,
        *,
        failed: Callable[[Exception], Any] | None = None,
        slow: bool = False,
    ) -> None:
        """Queue `work`. `slow` for anything that may read a whole table."""
        self._lanes["slow" if slow else "quick"].put(_Task(work, then, failed))

    def post(self, call: Callable[[], Any]) -> None:
        """From any thread: have `call` run where `deliver` is called."""
        self._ready.put(call)

    def deliver(self, *, budget_seconds: float = 0.012, on_error: Callable[[Exception], Any] | None = None) -> bool:
        """Hand over finished results until the time is used up; True when more are waiting."""
        deadline = time.perf_counter() + budget_seconds
        while time.perf_counter() < deadline:
            try:
                call = self._ready.get_nowait()
            except queue.Empty:
                return False
            try:
                call()
            except Exception as error:
                # A broken widget must not stop the loop that keeps all others alive.
                log.exception("A result could not be shown")
                if on_error is not None:
                    on_error(error)
        return True

    def close(self, *, timeout_seconds: float = 5.0) -> None:
        """Let both threads finish what they do and end."""
        for lane in self._lanes.values():
            lane.put(None)
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _run(self, lane: queue.SimpleQueue[_Task | None]) -> None:
        while (task := lane.get()) is not None:
            try:
                result = task.work()
            except Exception as error:  # shown where the result was asked for
                self._hand_over_error(task, error)
                continue
            if task.then is not None:
                self._ready.put(lambda task=task, result=result: task.then(result))  # type: ignore[misc]

    def _hand_over_error(self, task: _Task, error: Exception) -> None:
        if task.failed is not None:
            self._ready.put(lambda: task.failed(error))  # type: ignore[misc]
        else:
            log.error("Work for the panel failed: %s", error, exc_info=error)
