"""Weights on disk, read a few rows at a time: nothing larger than a piece is ever in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

# Rows are read in pieces of about this many bytes (as float32).
PIECE_BYTES = 16 << 20
_INDEX = "model.safetensors.index.json"


class TensorSource(Protocol):
    """Tensors by their names in a Hugging Face folder."""

    def names(self) -> list[str]:
        """Every tensor there is."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Its dimensions."""

    def rows(self, name: str, start: int, stop: int) -> Any:
        """Rows (entries of the first dimension) from start to before stop, as a float32 torch tensor."""


class FolderWeights:
    """The safetensors files of a folder. Files are open only while something is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _files(self) -> dict[str, tuple[Path, tuple[int, ...]]]:
        found = {}
        for path in self._weight_files():
            for name, entry in _header(path).items():
                if name != "__metadata__":
                    found[name] = (path, tuple(entry["shape"]))
        return found

    def _weight_files(self) -> list[Path]:
        """The files the index names where there is one: others hold the same weights in another format."""
        index = self.folder / _INDEX
        if index.is_file():
            names = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
            return [self.folder / name for name in sorted(names)]
        return sorted(self.folder.glob("*.safetensors"))

    def names(self) -> list[str]:
        """Every tensor, in the order of the files."""
        return list(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Its dimensions, from the header."""
        return self._files[name][1]

    def rows(self, name: str, start: int, stop: int) -> Any:
        """See TensorSource."""
        import torch
        from safetensors import safe_open

        with safe_open(self._files[name][0], framework="pt") as tensors:
            return tensors.get_slice(name)[start:stop].to(torch.float32)


def _header(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    return header


def pieces(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(start, stop) of the rows of a tensor, in pieces of about PIECE_BYTES."""
    row = 4
    for size in shape[1:]:
        row *= size
    step = max(PIECE_BYTES // row, 1)
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])


def whole(source: TensorSource, name: str) -> Any:
    """One tensor in one piece, as float32."""
    return source.rows(name, 0, source.shape(name)[0])
