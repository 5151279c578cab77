"""Ending a process, or failing it, at any step it takes on the disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

STEPS = (
    (os, "replace"),
    (os, "fsync"),
    (os, "unlink"),
    (os, "open"),
    (shutil, "copy2"),
    (shutil, "rmtree"),
    (sqlite3, "connect"),
)


def stop_at(number: int, stop: Callable[[], Any]) -> list[str]:
    """Count every step on the disk from now on; at the given one `stop` is called instead. For a process of its own."""
    seen: list[str] = []
    for module, name in STEPS:
        setattr(module, name, _watched(seen, name, getattr(module, name), number, stop))
    return seen


def _watched(
    seen: list[str], name: str, plain: Callable[..., Any], number: int, stop: Callable[[], Any]
) -> Callable[..., Any]:
    def watched(*arguments: Any, **named: Any) -> Any:
        seen.append(name)
        if len(seen) == number:
            stop()
        return plain(*arguments, **named)

    return watched


def in_a_process(work: Callable[[], int]) -> int:
    """The exit status of a forked process that does the work."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
