"""Bounds a process sets for itself before it runs something it does not trust."""

from __future__ import annotations

import os
import sys


def limit_own_memory(most_bytes: int) -> None:
    """Let this process hold so much memory of its own at most, mapped files not counted, and leave no core file behind.
    Where the system cannot hold it to that (Windows, macOS), whoever started it has to watch."""
    try:
        import resource
    except ImportError:  # Windows
        return
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
