"""A model of several files as one: its checksum, and whether all of it is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model.files.gguf_check import GgufHeader, check_gguf
from storage.errors import ModelFileError
from storage.split_files import model_bytes, model_files, part_name, whole_stem

_CHUNK = 8 << 20


def model_sha256(path: Path, progress: Callable[[float], None] = lambda _fraction: None) -> str:
    """SHA-256 over all parts in order, in hexadecimal; of a whole file it is the file's own."""
    digest, done, size = hashlib.sha256(), 0, max(1, model_bytes(path))
    for part in model_files(path):
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress(done / size)
    return digest.hexdigest()


def check_parts(header: GgufHeader) -> GgufHeader:
    """The header of the whole model that begins here: `size_bytes` and `tensor_count` of all parts together.

    Raises ModelFileError for a later part, for missing and renamed parts, and for parts that are damaged.
    """
    count, number = header.metadata.get("split.count", 1), header.metadata.get("split.no", 0)
    if not isinstance(count, int) or not isinstance(number, int) or count <= 1:
        if model_files(header.path) != (header.path,):
            raise ModelFileError(
                f"{header.path} is named like the first part of a split model, but is a whole one.",
                f"Rename it, for example to {whole_stem(header.path.name)}.gguf.",
            )
        return header
    path, stem = header.path, whole_stem(header.path.name)
    if number != 0:
        first = path.with_name(part_name(stem, 1, count))
        raise ModelFileError(
            f"{path} is part {number + 1} of {count} of a split model.",
            f"Choose the first part, {first.name}"
            + ("." if first.is_file() else f", after downloading all {count} parts into one folder."),
        )
    if path.name != part_name(stem, 1, count):
        raise ModelFileError(
            f"{path} is the first of {count} parts of a split model, but was renamed; the others are found by name.",
            f"Give all parts their names back: {part_name('NAME', 1, count)} to {part_name('NAME', count, count)}.",
        )
    missing = [part.name for part in model_files(path) if not part.is_file()]
    if missing:
        raise ModelFileError(
            f"{path} is the first of {count} parts; missing beside it: {', '.join(missing[:4])}"
            f"{' and more' if len(missing) > 4 else ''}.",
            f"Download all {count} parts into one folder.",
        )
    parts = [header, *(check_gguf(part) for part in model_files(path)[1:])]
    for place, part in enumerate(parts):
        if (part.metadata.get("split.count"), part.metadata.get("split.no")) != (count, place):
            raise ModelFileError(
                f"{part.path} is not part {place + 1} of {count} of {stem}.",
                f"Download all {count} parts of the same model again.",
            )
    return replace(
        header,
        size_bytes=sum(part.size_bytes for part in parts),
        tensor_count=sum(part.tensor_count for part in parts),
    )
