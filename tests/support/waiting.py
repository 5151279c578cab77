"""Waiting for what other processes and threads do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT_SECONDS = 150.0


def wait_for(look: Callable[[], T | None], what: str = "it", *, seconds: float = LIMIT_SECONDS) -> T:
    """Poll until `look` answers something true; the limit only ends a failing test."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s for {what}")
