"""Operating-system file locks: they vanish with their process, even after kill -9."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from storage.errors import AlreadyRunningError, disk_error
from storage.paths import Workspace
from storage.system.files import private_opener

# Who may have the databases open; any other lock file names a job.
_USERS = {"bot": "The bot", "launcher": "The control panel", "index": "Indexing", "restore": "A restore"}


class FileLock:
    """An exclusive lock on one file; the holder writes who it is beside it, for the error message."""

    def __init__(self, path: Path, *, holder: str) -> None:
        self.path = path
        self.holder = holder
        self._file: IO[bytes] | None = None

    def acquire(self, *, timeout_seconds: float = 0.0) -> FileLock:
        """Take the lock or raise AlreadyRunningError naming the process that has it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, self.path.parent) from error
        deadline = time.monotonic() + timeout_seconds
        while not self._try():
            if time.monotonic() >= deadline:
                raise AlreadyRunningError(
                    f"{self.holder} is already running for this workspace{self._who()}.",
                    "Use that one, or stop it first.",
                )
            time.sleep(0.05)
        return self

    def release(self) -> None:
        """Give the lock back; harmless when not held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock; others may hold it where this is False."""
        return self._file is not None

    def _try(self) -> bool:
        try:
            handle = open(self.path, "a+b", opener=private_opener)  # noqa: SIM115 - kept open while the lock is held
        except OSError as error:
            raise disk_error(error, self.path) from error
        if not _lock(handle):
            handle.close()
            return False
        self._file = handle
        # Only for the message to others: a full disk keeps nobody from the lock.
        with suppress(OSError), open(self._note(), "w", encoding="utf-8", opener=private_opener) as note:
            note.write(json.dumps({"pid": os.getpid(), "since": time.time()}))
        return True

    def _note(self) -> Path:
        # A second file: on Windows a locked file cannot be read by others.
        return self.path.with_suffix(".json")

    def _who(self) -> str:
        try:
            return f" (process {json.loads(self._note().read_text(encoding='utf-8'))['pid']})"
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return ""

    def __enter__(self) -> FileLock:
        return self if self.is_held else self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


if os.name == "nt":
    import msvcrt

    def _lock(handle: IO[bytes]) -> bool:
        try:
            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(handle: IO[bytes]) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@contextmanager
def sole_use(workspace: Workspace) -> Iterator[None]:
    """Nobody else may use the workspace meanwhile; AlreadyRunningError names who does."""
    with ExitStack() as stack:
        for name in sorted({*_USERS, *(path.stem for path in workspace.locks.glob("*.lock"))}):
            holder = _USERS.get(name, f"The job '{name}'")
            stack.enter_context(FileLock(workspace.locks / f"{name}.lock", holder=holder))
        yield
