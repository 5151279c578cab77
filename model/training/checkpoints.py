"""Which checkpoint can be trusted: a marker, written last, lists every file with its size and hash.

After a crash or a power cut the newest folder may be half written; a run continues from the last complete one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from storage.stored_json import parse_json
from storage.system.files import remove_tree, replace_file

MARKER = "complete.json"
# With several GPUs each process writes its own random state, unwatched; a missing one is only a warning.
_UNWATCHED = "rng_state_"


def mark_complete(folder: Path) -> None:
    """Flush everything in `folder` to disk, then write the marker."""
    files = {str(path.relative_to(folder)): _flushed(path) for path in _files(folder)}
    partial = folder / (MARKER + ".partial")
    with open(partial, "w", encoding="utf-8") as out:
        json.dump(files, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    replace_file(partial, folder / MARKER)


def is_complete(folder: Path) -> bool:
    """True when the marker is there and every file it lists is as it was."""
    try:
        files = parse_json((folder / MARKER).read_text(encoding="utf-8"))
        return bool(files) and all(_is_same(folder / name, entry) for name, entry in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def last_complete(folder: Path) -> Path | None:
    """The newest complete `checkpoint-N` below `folder`, or None."""
    return next((path for path in reversed(checkpoints(folder)) if is_complete(path)), None)


def checkpoints(folder: Path) -> list[Path]:
    """All `checkpoint-N` folders, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.is_dir() and step_of(path) >= 0]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The N of `checkpoint-N`, -1 for anything else."""
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def discard_incomplete(folder: Path) -> list[Path]:
    """Delete checkpoints that cannot be trusted, so that nothing picks them up; returns them."""
    broken = [path for path in checkpoints(folder) if not is_complete(path)]
    for path in broken:
        remove_tree(path)
    return broken


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((MARKER, _UNWATCHED))
    )


def _flushed(path: Path) -> dict[str, int | str]:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _is_same(path: Path, entry: dict[str, int | str]) -> bool:
    return path.stat().st_size == entry["bytes"] and _sha256(path) == entry["sha256"]


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
