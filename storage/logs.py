"""Log files: one line format written and parsed here, rotated, capped, old ones purged, no secrets."""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path

from storage.masking.credentials import redact
from storage.system.files import private_opener

MAX_FILE_BYTES = 5 * 1024 * 1024
FILES_KEPT = 5
# After a refused rotation. Most are over at once (somebody looked at the file), and what is refused costs little.
RETRY_SECONDS = 0.25
LINE = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] \[([A-Z]+)\] (?:\[([\w.\-]+)\] )?(.*)$")
_TRIES = 4
_FORMAT = "[%(asctime)s] [%(levelname)s] [%(name)s] %(message)s"
_TIME = "%Y-%m-%d %H:%M:%S"


class _Masking(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(_FORMAT, _TIME)
        self._secrets = [secret for secret in secrets if len(secret) >= 8]

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        # A line break in somebody's name must not begin an entry of its own.
        text = text.replace("\n[", "\n [")
        # Any other secret that reaches a log by way of a library's message.
        return redact(text)


class _Rotating(logging.handlers.RotatingFileHandler):
    """Rotation that also holds under a reader: on Windows a file that somebody has open cannot be renamed.

    Nothing is shifted before the newest file has somewhere to go, and what is refused is tried again soon.
    """

    _refused_until = 0.0

    def _open(self) -> TextIOWrapper:
        return open(  # type: ignore[return-value]
            self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=private_opener
        )

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the base class names it
        return time.monotonic() >= self._refused_until and bool(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802 - the base class names it
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        try:
            self._rotate(Path(self.baseFilename))
        except OSError:
            self._refused_until = time.monotonic() + RETRY_SECONDS
        self.stream = self._open()

    def _rotate(self, path: Path) -> None:
        waiting = path.with_name(f"{path.name}.rotating")  # there already: a rotation that was cut short
        if not waiting.exists():
            try:
                _replace(path, waiting)
            except PermissionError:
                # Readers share writing, so the content can go where the file cannot. Only this process writes here.
                _move_content(path, waiting)
        self._shift(path)
        _replace(waiting, Path(f"{path}.1"))

    def _shift(self, path: Path) -> None:
        """Make room for a new .1; with a gap in the row only what is before the gap has to move."""
        numbers = range(1, self.backupCount + 1)
        gap = next((number for number in numbers if not Path(f"{path}.{number}").exists()), self.backupCount)
        for number in range(gap - 1, 0, -1):
            _replace(Path(f"{path}.{number}"), Path(f"{path}.{number + 1}"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class names it
        """A full disk must not turn each log line into a traceback on stderr."""


def _replace(source: Path, target: Path) -> None:
    """With a few tries in as many milliseconds: whoever logs is waiting, perhaps the bot's event loop."""
    for attempt in range(_TRIES):
        try:
            source.replace(target)
            return
        except PermissionError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.002)


def _move_content(path: Path, target: Path) -> None:
    try:
        shutil.copyfile(path, target)
        os.truncate(path, 0)
    except OSError:
        target.unlink(missing_ok=True)  # else the same lines would be kept twice
        raise


def configure_logging(
    folder: Path,
    name: str,
    *,
    level: str = "INFO",
    keep_days: int = 30,
    secrets: Iterable[str] = (),
    console: bool = False,
) -> Path:
    """Send this process's log to `folder/name.log` (at most 30 MB in all); returns the file.

    Called once, by an entry point. Files of any process older than `keep_days` are removed.
    """
    path = folder / f"{name}.log"
    trouble: OSError | None = None
    handler: logging.Handler
    try:
        folder.mkdir(parents=True, exist_ok=True)
        purge(folder, keep_days=keep_days)
        handler = _Rotating(
            path, maxBytes=MAX_FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:  # a disk that cannot be written keeps nobody from working; the terminal has the lines
        trouble, console = error, False
        handler = logging.StreamHandler(sys.stderr)
    formatter = _Masking(secrets)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    if console:
        shown = logging.StreamHandler(sys.stderr)
        shown.setFormatter(formatter)
        root.addHandler(shown)
    root.setLevel(level)
    for noisy in ("discord", "urllib3", "httpx", "filelock", "sentence_transformers", "lance"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level) if level != "DEBUG" else logging.INFO)
    if trouble is not None:
        logging.getLogger(__name__).warning("%s cannot be written (%s): this is said here instead", path, trouble)
    return path


def purge(folder: Path, *, keep_days: int, now: float | None = None) -> int:
    """Delete log files untouched for `keep_days`; returns how many went."""
    limit = (time.time() if now is None else now) - keep_days * 86_400
    gone = 0
    for path in folder.glob("*.log*"):
        try:
            if path.stat().st_mtime < limit:
                path.unlink()
                gone += 1
        except OSError:
            continue  # in use or already gone: the next start tries again
    return gone


class LogTail:
    """Reads what was added to a log file since the last call, across rotations, without blocking."""

    def __init__(self, path: Path, *, start_at_end: bool = False, max_bytes: int = 256 * 1024) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._partial = b""
        self._identity: int | None = None
        self._position = 0
        if start_at_end and path.exists():
            stat = path.stat()
            self._identity, self._position = stat.st_ino, stat.st_size

    def read(self) -> list[str]:
        """New complete lines, at most `max_bytes` a call; the rest comes with the next calls."""
        try:
            stat = self.path.stat()
            if stat.st_ino != self._identity or stat.st_size < self._position:
                self._identity, self._position, self._partial = stat.st_ino, 0, b""
            if stat.st_size == self._position:
                return []
            with open(self.path, "rb") as file:
                file.seek(self._position)
                block = file.read(self._max_bytes)
        except OSError:
            return []  # between rename and re-creation: the next call sees the new file
        self._position += len(block)
        *lines, self._partial = (self._partial + block).split(b"\n")
        return [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]
