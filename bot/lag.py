"""How late the event loop runs, measured when BOT_MEASURE_LAG is set: the benchmark's view into a live bot."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

VARIABLE = "BOT_MEASURE_LAG"
EVERY_SECONDS = 0.02
WRITE_SECONDS = 5.0
_KEPT = 200_000


def is_wanted() -> bool:
    """True when the environment asks for it."""
    return bool(os.environ.get(VARIABLE))


async def measure_lag(write: Callable[[dict[str, Any]], object], is_generating: Callable[[], bool]) -> None:
    """Until cancelled: sleep a little, note by how much it was too long, tell the percentiles now and then."""
    busy: deque[float] = deque(maxlen=_KEPT)
    idle: deque[float] = deque(maxlen=_KEPT)
    written = time.monotonic()
    while True:
        before = time.monotonic()
        await asyncio.sleep(EVERY_SECONDS)
        now = time.monotonic()
        (busy if is_generating() else idle).append((now - before - EVERY_SECONDS) * 1000)
        if now - written > WRITE_SECONDS:
            written = now
            write({"generating": percentiles(busy), "idle": percentiles(idle)})


def percentiles(samples: deque[float]) -> dict[str, float]:
    """p50, p99 and the largest, in milliseconds."""
    ordered = sorted(samples)
    if not ordered:
        return {"samples": 0}
    return {
        "samples": len(ordered),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
        "max": ordered[-1],
    }
