"""How many of a model's layers go onto the graphics card: as many as its free memory holds, fewer when loading fails.

What is tried is noted before it is tried. A load that ends the process (a graphics library may abort instead of saying
no) is then not tried again by the next process: it begins one step below.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from model.chat.gpu import free_graphics_bytes
from model.files.gguf_check import GgufHeader
from model.files.model_kind import check_chat_model
from model.llama_cpp_api import ContextOptions, NativeModel, library
from storage.control import KeyValueStore
from storage.errors import ModelFileError

log = logging.getLogger(__name__)

AUTO = -2
ALL = -1
# The driver's own, and the buffers in which llama.cpp computes.
_RESERVE_BYTES = 700 << 20
_STEPS = (0.75, 0.5, 0.25)
# So much more free memory than when a number failed is another situation.
_MORE_FREE = 1.2
_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32}


@dataclass(frozen=True)
class LoadAttempt:
    """What was tried with a model last. failed: layers that did not load (0: none); free_bytes: at that time."""

    trying: int = 0
    failed: int = 0
    free_bytes: int = 0

    @classmethod
    def parse(cls, value: Any) -> LoadAttempt:
        """From the fact; an empty one for anything else."""
        if not isinstance(value, dict):
            return cls()
        numbers = {key: value.get(key) for key in ("trying", "failed", "free_bytes")}
        return cls(**{key: number for key, number in numbers.items() if isinstance(number, int)})


def layer_costs(header: GgufHeader, options: ContextOptions) -> list[int]:
    """Bytes each step of one layer costs, in the order in which llama.cpp puts them there: the output first, then the
    layers from the last to the first, each with its part of the KV cache."""
    layers = int(header.metadata.get(f"{header.architecture}.block_count", 0) or 0)
    if not layers:
        return []
    in_layers = sum(header.layer_bytes.values())
    # Of a split model only the first part's tensors are known.
    is_whole = len(header.layer_bytes) == layers
    even = header.size_bytes // (layers + 1)
    cache = int(options.cells * _values_per_cell(header) * _KV_BYTES.get(options.kv_type, 2.0))
    output = header.tensor_bytes - in_layers if is_whole else even
    return [output, *(header.layer_bytes[at] + cache if is_whole else even + cache for at in reversed(range(layers)))]


def _values_per_cell(header: GgufHeader) -> int:
    """Numbers a layer keeps of one token: keys and values."""

    def read(key: str, default: int) -> int:
        value = header.metadata.get(f"{header.architecture}.{key}")
        return value if isinstance(value, int) and value > 0 else default

    heads = read("attention.head_count", 1)
    kv_heads = read("attention.head_count_kv", heads)
    size = read("embedding_length", 0) // heads
    return kv_heads * (read("attention.key_length", size) + read("attention.value_length", size))


def layers_that_fit(costs: list[int], free_bytes: int) -> int:
    """llama.cpp's number of layers for so much free memory: ALL, or how many of the costs' steps fit."""
    left = free_bytes - _RESERVE_BYTES
    for count, cost in enumerate(costs):
        left -= cost
        if left < 0:
            return count
    return ALL


def ways_down(wanted: int, layers: int) -> Iterator[int]:
    """What to try one after the other; the last is the processor alone."""
    count = layers + 1 if wanted == ALL else wanted
    tried = {wanted, 0}
    yield wanted
    for share in _STEPS:
        fewer = int(count * share)
        if fewer not in tried:
            tried.add(fewer)
            yield fewer
    if wanted != 0:
        yield 0


@dataclass(frozen=True)
class Offload:
    """The owner's wish (AUTO, ALL or a number) and how to find out what is possible. Stand-ins rehearse a card."""

    wish: int
    facts: KeyValueStore | None = None
    free_bytes: Callable[[], int | None] = free_graphics_bytes
    is_possible: Callable[[], bool] = lambda: bool(library().llama_supports_gpu_offload())
    open_model: Callable[[Path, ContextOptions], NativeModel] = NativeModel

    def open(self, path: Path, options: ContextOptions) -> NativeModel:
        """The model with as many layers on the card as can be had. ModelFileError when even none does not help."""
        if self.wish == 0 or not self.is_possible():
            return self.open_model(path, replace(options, gpu_layers=0))
        header = check_chat_model(path)
        free = self.free_bytes() or 0
        costs = layer_costs(header, options)
        wanted = self._wanted(costs, free)
        before = self._before(path)
        ways = list(ways_down(wanted, max(len(costs) - 1, 0)))
        for layers in self._without_failed(ways, before, free, costs):
            self._note(path, LoadAttempt(trying=layers, failed=before.failed, free_bytes=free))
            try:
                model = self.open_model(path, replace(options, gpu_layers=layers))
            except ModelFileError as error:
                if layers == 0:
                    self._note(path, before)
                    raise
                before = LoadAttempt(failed=layers, free_bytes=free)
                log.warning("%s with %s on the graphics card: %s", path.name, _words(layers), error)
                continue
            self._note(path, replace(before, trying=0))
            if layers != wanted:
                log.warning("%s is loaded with %s on the graphics card.", path.name, _words(layers))
            return model
        raise AssertionError("the processor alone is always tried")

    def _wanted(self, costs: list[int], free: int) -> int:
        if self.wish != AUTO:
            return self.wish
        # Nobody knows what is free: all, and down from there.
        return layers_that_fit(costs, free) if free and costs else ALL

    @staticmethod
    def _without_failed(ways: list[int], before: LoadAttempt, free: int, costs: list[int]) -> list[int]:
        """Nothing at or above what failed already, unless there is clearly more room by now."""
        if not before.failed or free > before.free_bytes * _MORE_FREE:
            return ways

        def rank(layers: int) -> int:
            return len(costs) if layers == ALL else layers

        return [layers for layers in ways if rank(layers) < rank(before.failed)] or [0]

    def _before(self, path: Path) -> LoadAttempt:
        found = LoadAttempt.parse(self.facts.get(_key(path))) if self.facts is not None else LoadAttempt()
        # It was being tried when the process ended: that is a failure nobody could tell of.
        return LoadAttempt(failed=found.trying, free_bytes=found.free_bytes) if found.trying else found

    def _note(self, path: Path, attempt: LoadAttempt) -> None:
        if self.facts is not None:
            self.facts.set(_key(path), asdict(attempt))


def wish_of(setting: str) -> int:
    """The setting 'GPU layers' as a number."""
    return {"auto": AUTO, "all": ALL}.get(setting) or int(setting)


def _key(path: Path) -> str:
    """By size, as in model/chat/tuning.py: every retrained model has a name of its own and needs what the last did."""
    return f"gpu_layers:{path.stat().st_size >> 20}"


def _words(layers: int) -> str:
    return "all layers" if layers == ALL else "no layer" if layers == 0 else f"{layers} layers"
