"""What must be set before any native library loads. Standard library only: entry points call it first."""

from __future__ import annotations

import os
import sys
import threading

# Idle OpenMP threads spin; with a core taken by something else that made decoding four times slower.
_SPINS = "1000"
_NICE = 5


def prepare_process_environment(*, embedding_threads: int | None = None) -> None:
    """Set OpenMP's waiting policy unless the owner set it. Must run before numpy, torch or llama.cpp load.

    embedding_threads: for bulk embedding jobs, the number of torch threads (1 is fastest on a busy machine).
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Hugging Face's libraries report their use to the hub unless told not to.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # LanceDB's core writes to stderr what is no news to a person (a table is being created).
    os.environ.setdefault("LANCEDB_LOG", "error")
    if embedding_threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(embedding_threads))


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
