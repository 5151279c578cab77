"""Native libraries that lie in other packages, where a system has to be told about them.

Standard library only: the set-up uses it, and so does everything before the first native library is loaded.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def add_cuda_libraries() -> bool:
    """Windows: let llama.cpp find CUDA in PyTorch's folder, before it is imported; True when there is such a folder.

    The CUDA builds of llama.cpp for Windows bring no cudart or cublas and look for them on the PATH and in an installed
    CUDA toolkit; PyTorch's build for NVIDIA cards brings them.
    """
    folder = _torch_libraries() if sys.platform == "win32" else None
    if folder is None:
        return False
    path = os.environ.get("PATH", "")
    if str(folder) not in path.split(os.pathsep):
        os.environ["PATH"] = f"{folder}{os.pathsep}{path}"
    return True


def _torch_libraries() -> Path | None:
    found = importlib.util.find_spec("torch")  # importing it would take seconds
    for place in (found.submodule_search_locations or []) if found else []:
        if any(Path(place, "lib").glob("cudart64_*.dll")):
            return Path(place, "lib")
    return None
