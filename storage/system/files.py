"""Files that appear whole or not at all, and go whole, also where another program holds them for a moment.

What only Windows refuses is waited for or cured here and nowhere else: a file that a scanner, an indexer or a reader
holds (WinError 5 and 32), and one that is read-only, which can be neither replaced nor deleted there.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

# On Windows a virus scanner, an indexer or a reader of ours may hold the target: together about two seconds.
REPLACE_TRIES = 10
_FIRST_WAIT_SECONDS = 0.05


def keep_private() -> None:
    """From now on what this process makes is its user's alone (folders 0700, files 0600), whatever the umask was."""
    os.umask(0o077)


def private_opener(path: str, flags: int) -> int:
    """For open(..., opener=): a file it creates is its user's alone."""
    return os.open(path, flags, 0o600)


def make_private(path: Path) -> None:
    """Take everybody else's rights off a file or folder of ours; harmless where they cannot be changed."""
    if os.name == "nt":  # modes mean little there; the user's profile is private as it is
        return
    with suppress(OSError):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 and not path.is_symlink():
            path.chmod(mode & 0o700)


def replace_file(fresh: Path, target: Path, *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Put `fresh` (a file or a folder beside the target) in place of `target` in one step.

    A refused replace is tried again; until one succeeds the old target stays as it was. OSError of the last try.
    """
    _patiently(lambda: fresh.replace(target), target, sleep)
    _flush_folder(target.parent)


def free_path(wanted: Path) -> Path:
    """The path itself, or with a number where something of that name is there: two of a second, or a clock set back."""
    if not wanted.exists():
        return wanted
    return next(path for number in count(2) if not (path := wanted.with_name(f"{wanted.name}-{number}")).exists())


def remove_file(path: Path, *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Delete a file, read-only or not; harmless when there is none. OSError of the last try when it stays held."""
    _patiently(lambda: path.unlink(missing_ok=True), path, sleep)


def remove_tree(folder: Path, *, sleep: Callable[[float], object] = time.sleep) -> bool:
    """Delete a folder and all in it, read-only or not; True when it is gone, False when something stays held."""
    # Renamed in Python 3.12; the old name is deprecated.
    handler: Any = {"onexc" if sys.version_info >= (3, 12) else "onerror": _delete_after_all}
    for attempt in range(REPLACE_TRIES):
        shutil.rmtree(folder, **handler)
        if not os.path.lexists(folder):
            return True
        sleep(_wait(attempt))
    return False


@contextmanager
def temporary_folder(parent: Path | None = None, *, prefix: str) -> Iterator[Path]:
    """A folder that is gone afterwards, below `parent` or where the system keeps such things. Unlike tempfile's, one
    that somebody holds for a moment is waited for, and one that stays held ends nothing."""
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield folder
    finally:
        remove_tree(folder)


def write_whole(
    target: Path, content: bytes, *, mode: int = 0o666, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Write a small file so that readers, and the disk after a power cut, hold the old content or the new one.

    mode: who may read it (less the process's umask), from its first byte on.
    """
    fresh = target.with_name(f"{target.name}.part")
    remove_file(fresh, sleep=sleep)  # one left by a crash would keep its own mode
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        replace_file(fresh, target, sleep=sleep)
    except OSError:
        with suppress(OSError):
            remove_file(fresh, sleep=sleep)  # it may hold a secret
        raise


def _patiently(action: Callable[[], object], path: Path, sleep: Callable[[float], object]) -> None:
    """Do it; while `path` is refused, try again for about two seconds in all."""
    mode = None
    for attempt in range(REPLACE_TRIES):
        try:
            action()
            return
        except PermissionError:
            if attempt == REPLACE_TRIES - 1:
                if mode is not None:
                    with suppress(OSError):
                        path.chmod(mode)
                raise
            if mode is None and (mode := _made_writable(path)) is not None:
                continue
            sleep(_wait(attempt))


def _wait(attempt: int) -> float:
    return _FIRST_WAIT_SECONDS * (attempt + 1)


def _made_writable(path: Path) -> int | None:
    """Take a read-only mark off; the mode before, or None where there was no such mark."""
    try:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & stat.S_IWRITE or path.is_symlink():
            return None
        path.chmod(mode | stat.S_IWRITE)
    except OSError:
        return None
    return mode


def _delete_after_all(delete: Callable[[str], object], path: str, _: object) -> None:
    """shutil.rmtree could not do this one: the mark may be on it, or (not on Windows) on its folder."""
    if _made_writable(Path(path)) is not None or _made_writable(Path(path).parent) is not None:
        with suppress(OSError):
            delete(path)


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
