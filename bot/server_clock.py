"""The time by Discord's clock, whatever is done to the computer's: learnt from the messages that arrive.

Every message carries the moment at which Discord took it. A delay on the way only makes that moment seem older, so the
newest one heard so far, carried on evenly, is never ahead of Discord's time and seldom more than a second behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class ServerClock:
    """Discord's time. Before anything was heard it is the computer's."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset: float | None = None

    def heard(self, at: float) -> None:
        """A message of this moment (seconds since 1970, Discord's clock) arrived just now."""
        offset = at - self._monotonic()
        self._offset = offset if self._offset is None else max(self._offset, offset)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._wall() if self._offset is None else self._monotonic() + self._offset

    @property
    def computer_is_ahead(self) -> float:
        """By how many seconds the computer's clock is ahead of Discord's; negative when it is behind."""
        return self._wall() - self.now()
