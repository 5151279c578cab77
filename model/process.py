"""What must be set before any native library loads. Standard library only: entry points call it first."""

from __future__ import annotations

import os

from storage.system.libraries import add_cuda_libraries

# Idle OpenMP threads spin; with a core taken by something else that made decoding four times slower.
_SPINS = "1000"


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
    add_cuda_libraries()
    if embedding_threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(embedding_threads))
