"""Being a good guest on somebody's laptop: what else it is doing, and when to keep still."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

# SHQueryUserNotificationState: busy with a full-screen program, Direct3D full screen, presentation.
_FULL_SCREEN_STATES = (2, 3, 4)
_LOOK_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Surroundings:
    """What matters about the computer right now. busy_processors: how many others keep busy, without this process."""

    is_on_battery: bool = False
    is_full_screen: bool = False
    busy_processors: float = 0.0

    @property
    def is_quiet_time(self) -> bool:
        """True when only replies should be computed, nothing ahead of time."""
        return self.is_on_battery or self.is_full_screen

    def wants_memory(self, when: str) -> bool:
        """True when the model's memory is to be given back; `when` is a choice of the setting `free_memory`."""
        return when != "never" and (self.is_full_screen or (self.is_on_battery and when != "full screen"))


class Lookout:
    """Looks around at most every ten seconds; looking costs under a millisecond."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, every_seconds: float = _LOOK_EVERY_SECONDS
    ) -> None:
        self._clock, self._every = clock, every_seconds
        self._looked_at = float("-inf")
        self._seen = Surroundings()
        self._load = _Load()

    def look(self) -> Surroundings:
        """The surroundings, at most ten seconds old."""
        now = self._clock()
        if now - self._looked_at >= self._every:
            self._looked_at = now
            self._seen = Surroundings(on_battery(), full_screen(), self._load.busy_processors())
        return self._seen


class _Load:
    """Processor time used by everybody else since the last question."""

    def __init__(self) -> None:
        self._before: tuple[float, float, float] | None = None

    def busy_processors(self) -> float:
        import psutil

        try:
            times = psutil.cpu_times()
            own = psutil.Process().cpu_times()
        except (psutil.Error, OSError):
            return 0.0
        idle = times.idle + getattr(times, "iowait", 0.0)
        now = (time.monotonic(), idle, own.user + own.system)
        before, self._before = self._before, now
        if before is None or now[0] - before[0] < 0.5:
            return 0.0
        elapsed = now[0] - before[0]
        total = (os.cpu_count() or 1) - (now[1] - before[1]) / elapsed
        return max(total - (now[2] - before[2]) / elapsed, 0.0)


def threads_for(tuned: int, busy_processors: float, processors: int | None = None) -> int:
    """How many threads to use while others keep some processors busy: two threads on one free processor decode four
    times slower than one, because each waits for the other at every step."""
    free = (processors or os.cpu_count() or 1) - busy_processors
    return max(min(tuned, int(free + 0.35)), 1)


def on_battery() -> bool:
    """True on a laptop that is not plugged in."""
    import psutil

    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, RuntimeError):
        return False
    return bool(battery is not None and battery.power_plugged is False)


def full_screen() -> bool:
    """True while a full-screen program (a game, a presentation) has the screen. Known on Windows only."""
    if sys.platform != "win32":
        return False
    state = ctypes.c_int()
    try:
        failed = ctypes.windll.shell32.SHQueryUserNotificationState(ctypes.byref(state))
    except OSError:
        return False
    return failed == 0 and state.value in _FULL_SCREEN_STATES
