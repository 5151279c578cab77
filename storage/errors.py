"""Errors a person can act on. Anything else is a bug and should crash loudly."""

from __future__ import annotations


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
