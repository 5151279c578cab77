"""Whether llama.cpp can use a graphics card here, and how much memory it has: for the panel's GPU layers."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from model.llama_cpp_api import library

FACT = "gpu"
_QUERY = ("--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits")


def gpu_facts() -> dict[str, Any]:
    """{"supported": build can offload} and, with an NVIDIA card, name, free_bytes and total_bytes of the largest."""
    facts: dict[str, Any] = {"supported": bool(library().llama_supports_gpu_offload())}
    command = shutil.which("nvidia-smi")
    if not facts["supported"] or command is None:
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
