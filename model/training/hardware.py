"""What this computer offers a training run: graphics card, memory, disk, speed. Reads only, changes nothing."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from model.training.on_processor import is_bfloat16_faster


@dataclass(frozen=True)
class Hardware:
    """Bytes throughout. gpu_* are of the largest NVIDIA GPU, '' and 0 without one; gflops is a measured product, on a
    processor of 32-bit numbers.

    is_apple: Apple's graphics compute for torch; the memory is the processor's. has_fast_16bit: of a processor that
    trains in 16 bit.
    """

    cpu_cores: int
    memory_bytes: int
    free_memory_bytes: int
    free_disk_bytes: int
    gpu_name: str = ""
    gpu_bytes: int = 0
    free_gpu_bytes: int = 0
    gpu_count: int = 0
    gflops: float = 0.0
    is_apple: bool = False
    has_fast_16bit: bool = False

    @property
    def has_gpu(self) -> bool:
        """Whether there is a GPU that training can use."""
        return self.gpu_bytes > 0


def find_hardware(folder: Path, *, measure_speed: bool = True) -> Hardware:
    """The hardware as it is now. folder: where the run will be written (its disk counts)."""
    import psutil

    memory = psutil.virtual_memory()
    name, total, free, count = _largest_gpu()
    is_apple = has_apple_graphics()
    return Hardware(
        cpu_cores=os.cpu_count() or 1,
        memory_bytes=memory.total,
        free_memory_bytes=memory.available,
        free_disk_bytes=free_disk(folder),
        gpu_name=name,
        gpu_bytes=total,
        free_gpu_bytes=free,
        gpu_count=count,
        gflops=_gflops("cuda" if total else "mps" if is_apple else "cpu") if measure_speed else 0.0,
        is_apple=is_apple,
        has_fast_16bit=measure_speed and not total and not is_apple and is_bfloat16_faster(),
    )


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of `folder`, or of its nearest parent that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _largest_gpu() -> tuple[str, int, int, int]:
    import torch

    if not torch.cuda.is_available():
        return "", 0, 0, 0
    count = torch.cuda.device_count()
    largest = max(range(count), key=lambda index: torch.cuda.get_device_properties(index).total_memory)
    free, total = torch.cuda.mem_get_info(largest)
    return torch.cuda.get_device_name(largest), total, free, count


def has_apple_graphics() -> bool:
    """Whether torch can compute on Apple silicon's graphics."""
    import torch

    return bool(torch.backends.mps.is_available())


def has_bfloat16(device: int = 0) -> bool:
    """Whether the card computes in bf16. torch also says yes where it only emulates it (a T4), many times slower."""
    import torch

    return bool(torch.cuda.get_device_capability(device) >= (8, 0))


def _gflops(device: str) -> float:
    """Speed of a matrix product in the type training uses, measured for a moment; the base of the time estimate."""
    import torch

    is_gpu = device != "cpu"
    size = 4096 if is_gpu else 768
    is_half = device == "cuda" and not has_bfloat16()
    dtype = torch.float16 if is_half else torch.bfloat16 if is_gpu else torch.float32
    a = torch.randn(size, size, device=device, dtype=dtype)
    # On a processor, time spent computing: what else happens to run at this moment says nothing about tonight.
    clock = time.perf_counter if is_gpu else time.process_time
    threads = 1 if is_gpu else torch.get_num_threads()
    rounds, started = 0, clock()
    while rounds < 2 or clock() - started < 0.3 * threads:
        float((a @ a)[0, 0])
        rounds += 1
    return rounds * 2 * size**3 / ((clock() - started) / threads) / 1e9
