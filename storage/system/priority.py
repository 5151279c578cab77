"""Leaving the computer to its owner: less processor time than the programs somebody is looking at."""

from __future__ import annotations

import os
import sys
import threading

_NICE = 5


def lower_priority() -> bool:
    """Make this process a good guest: below-normal priority. False where the system refuses.

    On Linux, where priority belongs to threads, nothing is done here: the thread that computes lowers its own
    (`lower_thread_priority`), and the event loop stays prompt.
    """
    if sys.platform.startswith("linux"):
        return True
    import psutil

    try:
        process = psutil.Process()
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        elif process.nice() < _NICE:
            process.nice(_NICE)
    except (psutil.Error, OSError):
        return False
    return True


def lower_thread_priority() -> bool:
    """Lower the calling thread and those it starts from now on. Linux only: elsewhere it is the process's."""
    if not sys.platform.startswith("linux"):
        return False
    thread = threading.get_native_id()
    try:
        if os.getpriority(os.PRIO_PROCESS, thread) < _NICE:
            os.setpriority(os.PRIO_PROCESS, thread, _NICE)
    except OSError:
        return False
    return True
