"""A clock that goes on while the computer sleeps."""

from __future__ import annotations

import time

# Linux has one of its own; on macOS the monotonic one goes on, which Python's `time.monotonic` does not; on Windows
# `time.monotonic` does.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def through_sleep() -> float:
    """Seconds since some moment, the time asleep included; never set back."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
