"""One installation at a time: a file lock that the operating system drops with its holder."""

from __future__ import annotations

import errno
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

WAIT_STEP_SECONDS = 0.2


class Waiting(Protocol):
    """Told again and again while somebody else holds the lock."""

    def __call__(self, *, is_first: bool) -> None:
        """Called before each wait for whoever installs now; the first one is worth telling."""


class InstallLock:
    """Held while the environment is changed. On POSIX pip inherits it, so it outlives a killed parent."""

    def __init__(self, path: Path, *, waiting: Waiting) -> None:
        self._path = path
        self._waiting = waiting
        self._file: IO[bytes] | None = None

    def fileno(self) -> int:
        """The descriptor a child process may inherit."""
        assert self._file is not None
        return self._file.fileno()

    def __enter__(self) -> InstallLock:
        self._file = self._path.open("a+b")
        is_first = True
        while not _try_lock(self._file):
            self._waiting(is_first=is_first)
            is_first = False
            time.sleep(WAIT_STEP_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A disk without locks (some network drives) must not forbid the installation.
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True
