"""Errors a person can act on. Anything else is a bug and should crash loudly."""

from __future__ import annotations

import errno
from pathlib import Path

from storage.system.long_paths import is_too_long


class KnownError(Exception):
    """Something the owner can understand and cure: shown as a sentence, never as a traceback.

    what: what happened and where, one sentence. cure: what to do next (may be empty).
    """

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure

    def text(self) -> str:
        """The finished message for the person in front of the program."""
        return f"{self.what} {self.cure}".strip()

    def __str__(self) -> str:
        return self.text()


class ConfigurationError(KnownError):
    """Token, intent, model path, workspace: restarting does not help (exit code 78)."""


class StorageError(KnownError):
    """A database, index or file that cannot be read or written."""


class BusyError(StorageError):
    """Another program holds a database; asking again later helps."""


class NewerSchemaError(StorageError):
    """The database was written by a newer version of the program; it is left untouched."""


class AlreadyRunningError(KnownError):
    """Another process holds the lock for the same job in this workspace."""


class SettingError(KnownError):
    """A value outside its setting's type or range."""


class BadInputError(KnownError):
    """A file given to the program is not what it should be; nothing of it was kept."""


class ModelFileError(KnownError):
    """A model file is missing, truncated or not GGUF."""


class CancelledError(KnownError):
    """The owner asked a job to stop; what it had finished is kept."""


_CURES = {
    errno.ENOSPC: "Free some space.",
    errno.EDQUOT: "Free some space: the quota of this user is used up.",
    errno.EROFS: "The disk is read-only: choose a folder on another one with --workspace.",
    errno.ENAMETOOLONG: "Choose a folder with a shorter path: --workspace.",
    errno.EIO: "The disk reports an error: look after it, and keep a backup elsewhere.",
}


def disk_error(error: OSError, path: Path | str | None = None) -> StorageError:
    """What the disk or the file system refused, where, and what to do. path: where the error itself does not say."""
    place = Path(path or error.filename or ".")
    if isinstance(error, FileExistsError | NotADirectoryError):
        blocker = next((each for each in (place, *place.parents) if _is_file(each)), None)
        if blocker is not None:
            return StorageError(
                f"{shortened_path(blocker)} is a file, and a folder has to be there.",
                "Move or rename the file, then start again.",
            )
    number = errno.ENAMETOOLONG if is_too_long(error, place) else error.errno or 0
    what = "the path is too long" if number == errno.ENAMETOOLONG else error.strerror or str(error)
    return StorageError(
        f"{shortened_path(place)} cannot be used: {what}.",
        _CURES.get(number, "Check its permissions, or choose another folder with --workspace."),
    )


def is_disk_error(error: OSError) -> bool:
    """True for what a full, read-only, closed or broken disk says, not for a network."""
    known = isinstance(error, PermissionError | FileExistsError | NotADirectoryError | IsADirectoryError)
    return known or error.errno in _CURES


def shortened_path(path: Path) -> str:
    """A path as a sentence can hold it: the beginning and the end of one that is very long."""
    text = str(path)
    return text if len(text) <= 200 else f"{text[:120]}...{text[-60:]}"


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:
        return False
