"""Whether llama.cpp can use a graphics card here, and how much memory it has: for the panel's GPU layers."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

from model.llama_cpp_api import library

FACT = "gpu"
# ggml_backend_dev_type of ggml-backend.h: a card of its own, and one that shares the processor's memory.
_GRAPHICS = (1, 2)
_QUERY = ("--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits")


def gpu_facts() -> dict[str, Any]:
    """{"supported": build can offload} and, with an NVIDIA card, name, free_bytes and total_bytes of the largest."""
    facts: dict[str, Any] = {"supported": bool(library().llama_supports_gpu_offload())}
    if not facts["supported"]:
        return facts
    free, total = _llama_memory()
    if total:
        facts |= {"free_bytes": free, "total_bytes": total}
    command = shutil.which("nvidia-smi")
    if command is None:
        return facts
    try:
        answer = subprocess.run(
            [command, *_QUERY],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return facts
    return facts | largest_card(answer)


def free_graphics_bytes() -> int | None:
    """Free memory of the graphics cards a model may be put on; None where nobody knows or nothing can be put there."""
    if not library().llama_supports_gpu_offload():
        return None
    free, total = _llama_memory()
    if total:
        return free
    return gpu_facts().get("free_bytes")


def _llama_memory() -> tuple[int, int]:
    """Free and whole memory of all cards by llama.cpp's own figures; zeros where it cannot be asked."""
    try:
        ggml = _ggml()
        free, total = 0, 0
        for number in range(ggml.ggml_backend_dev_count()):
            device = ctypes.c_void_p(ggml.ggml_backend_dev_get(ctypes.c_size_t(number)))
            if ggml.ggml_backend_dev_type(device) in _GRAPHICS:
                own_free, own_total = ctypes.c_size_t(), ctypes.c_size_t()
                ggml.ggml_backend_dev_memory(device, ctypes.byref(own_free), ctypes.byref(own_total))
                free, total = free + own_free.value, total + own_total.value
    except (AttributeError, OSError):  # another build keeps these functions elsewhere
        return 0, 0
    return free, total


def _ggml() -> Any:
    """The library the devices are asked in: on Windows not found through llama.cpp's own."""
    own = library()._lib  # noqa: SLF001 - the package keeps its library there and nowhere else
    if not hasattr(own, "ggml_backend_dev_count"):
        folder = Path(str(library().__file__)).parent / "lib"
        own = ctypes.CDLL(str(next(folder.glob("*ggml.dll"), folder / "ggml.dll")))
    own.ggml_backend_dev_count.restype = ctypes.c_size_t
    own.ggml_backend_dev_get.restype = ctypes.c_void_p
    own.ggml_backend_dev_type.restype = ctypes.c_int
    return own


def largest_card(answer: str) -> dict[str, Any]:
    """The card with the most memory in nvidia-smi's answer (name, MiB free, MiB in all; a line each)."""
    cards = []
    for line in answer.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            cards.append((int(parts[2]) << 20, int(parts[1]) << 20, parts[0]))
    if not cards:
        return {}
    total, free, name = max(cards)
    return {"name": name, "free_bytes": free, "total_bytes": total}
