"""Models in several files, `name-00001-of-00003.gguf` and on: llama.cpp opens the first and finds the others by name.

For everybody else a model is one thing: what it is called, which files belong to it, how large they are.
"""

from __future__ import annotations

import re
from pathlib import Path

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def part_name(stem: str, number: int, count: int) -> str:
    """The file name llama.cpp looks for; number counts from 1. A model in one piece is `stem.gguf`."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf" if count > 1 else f"{stem}.gguf"


def whole_stem(name: str) -> str:
    """What a model file is called without its part's number and ending."""
    short = _PART.sub("", name)
    return short if short != name else Path(name).stem


def is_later_part(path: Path) -> bool:
    """True for the second part of a split model and those after it: nothing to choose from a list."""
    match = _PART.search(path.name)
    return match is not None and int(match[1]) > 1


def model_files(path: Path) -> tuple[Path, ...]:
    """Every file of the model that begins in `path`, in order; the file itself where it is whole."""
    match = _PART.search(path.name)
    if match is None or int(match[1]) != 1:
        return (path,)
    stem, count = whole_stem(path.name), int(match[2])
    return tuple(path.with_name(part_name(stem, number, count)) for number in range(1, count + 1))


def model_bytes(path: Path) -> int:
    """Size of all parts together."""
    return sum(part.stat().st_size for part in model_files(path))
