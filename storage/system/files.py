"""Files that appear whole or not at all, also where another program holds the old one for a moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

# On Windows a virus scanner, an indexer or a reader of ours may hold the target: together about two seconds.
REPLACE_TRIES = 10
_FIRST_WAIT_SECONDS = 0.05


def replace_file(fresh: Path, target: Path, *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Put `fresh` (a file or a folder beside the target) in place of `target` in one step.

    A refused replace is tried again; until one succeeds the old target stays as it was. OSError of the last try.
    """
    for attempt in range(REPLACE_TRIES):
        try:
            os.replace(fresh, target)
            break
        except PermissionError:
            if attempt == REPLACE_TRIES - 1:
                raise
            sleep(_FIRST_WAIT_SECONDS * (attempt + 1))
    _flush_folder(target.parent)


def write_whole(
    target: Path, content: bytes, *, mode: int = 0o666, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Write a small file so that readers, and the disk after a power cut, hold the old content or the new one.

    mode: who may read it (less the process's umask), from its first byte on.
    """
    fresh = target.with_name(f"{target.name}.part")
    fresh.unlink(missing_ok=True)  # one left by a crash would keep its own mode
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        replace_file(fresh, target, sleep=sleep)
    except OSError:
        fresh.unlink(missing_ok=True)  # it may hold a secret
        raise


def flush_file(path: Path) -> None:
    """What was written to a file is on the disk when this returns. Windows flushes only what is open for writing."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    # A rename survives a power cut only once its folder is on disk; Windows has no such call.
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
