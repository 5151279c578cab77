"""What the bot knows about itself, stamped by the event loop and written by the storage thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from storage.records import BotPhase, BotStatus
from storage.system.processes import memory_bytes


class LiveStatus:
    """The bot's own status row in the making; safe to use from any thread."""

    def __init__(
        self, *, mode: str, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        now = clock()
        self._clock = clock
        self._monotonic = monotonic
        self._guard = threading.Lock()
        self._status = BotStatus(pid=os.getpid(), phase=BotPhase.STARTING, heartbeat_at=now, started_at=now, mode=mode)
        self._stamped = monotonic()

    def stamp(self) -> None:
        """Called by the event loop, and only by it: proof that it turns."""
        self._stamped = self._monotonic()
        self.update(heartbeat_at=self._clock(), memory_bytes=memory_bytes())

    def seconds_since_stamp(self) -> float:
        """How long the event loop has been silent."""
        return self._monotonic() - self._stamped

    def update(self, **changes: Any) -> None:
        """Replace fields of BotStatus."""
        with self._guard:
            self._status = replace(self._status, **changes)

    def count_reply(self, *, seconds: float) -> None:
        """A reply went out."""
        with self._guard:
            self._status = replace(
                self._status, replies=self._status.replies + 1, last_reply_at=self._clock(), last_reply_seconds=seconds
            )

    def snapshot(self) -> BotStatus:
        """What the status row holds now, as a value of its own."""
        return self._status
