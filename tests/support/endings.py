"""Ending and freezing processes from outside, the same on every system.

`os.kill(pid, 9)` and `Popen.kill` end a process without a last word everywhere: SIGKILL, or TerminateProcess.
"""

from __future__ import annotations

import os

# What the parent of a process ended by os.kill(pid, 9) is told: a signal, or an exit code on Windows.
KILLED = 9 if os.name == "nt" else -9


def freeze(pid: int) -> None:
    """Let a process stand still (SIGSTOP, or its threads suspended)."""
    import psutil

    psutil.Process(pid).suspend()
