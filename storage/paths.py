"""Where things live. Everything that changes at run time is below one workspace folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.errors import disk_error
from storage.system.cloud_folders import unsafe_folder
from storage.system.files import keep_private, make_private
from storage.typed_paths import typed_path

__all__ = ["PROJECT_ROOT", "Workspace", "unsafe_folder"]

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Workspace:
    """One server's folder: settings, messages, models and logs. The default is the project root."""

    root: Path

    @classmethod
    def at(cls, root: str | Path | None = None) -> Workspace:
        """The workspace at `root` (the project root when None), absolute; creates nothing."""
        return cls(typed_path(str(root)).resolve() if root else PROJECT_ROOT)

    @property
    def env_file(self) -> Path:
        """Token and ids; nobody else may read it."""
        return self.root / ".env"

    @property
    def data(self) -> Path:
        """Everything made of messages: databases, index, data sets, evaluations."""
        return self.root / "data_storage"

    @property
    def database_folder(self) -> Path:
        """The two databases and what starts and stops beside them."""
        return self.data / "database"

    @property
    def control_db(self) -> Path:
        """Settings, status, jobs and activity."""
        return self.database_folder / "control.db"

    @property
    def messages_db(self) -> Path:
        """What people said, and what they chose."""
        return self.database_folder / "messages.db"

    @property
    def message_files(self) -> Path:
        """Exports and prepared training folders."""
        return self.data / "messages"

    @property
    def embeddings(self) -> Path:
        """The LanceDB index."""
        return self.data / "embeddings"

    @property
    def habits(self) -> Path:
        """What was learnt of how members behave; no words of theirs."""
        return self.data / "habits"

    @property
    def base_models(self) -> Path:
        """Models as they were downloaded."""
        return self.root / "models" / "base"

    @property
    def finetuned_models(self) -> Path:
        """Published versions and the pointer to the one in use."""
        return self.root / "models" / "finetuned"

    @property
    def embedding_models(self) -> Path:
        """Models that recall searches with."""
        return self.root / "models" / "embedding"

    @property
    def logs(self) -> Path:
        """Log files of the bot and every job."""
        return self.root / "logs"

    @property
    def backups(self) -> Path:
        """Backups, unless the owner keeps them elsewhere."""
        return self.root / "backups"

    @property
    def locks(self) -> Path:
        """Lock files; harmless when deleted while nothing runs."""
        return self.data / "locks"

    def create(self) -> Workspace:
        """Make every folder that is missing, for this user alone; returns itself.

        StorageError names the folder that cannot be made, and why.
        """
        keep_private()
        for folder in (
            self.database_folder,
            self.message_files,
            self.embeddings,
            self.base_models,
            self.finetuned_models,
            self.embedding_models,
            self.logs,
            self.locks,
        ):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(error, folder) from error
        # What holds messages, or what was learnt from them, also where an older version made it for everybody.
        for folder in (self.data, self.logs, self.backups, self.finetuned_models):
            make_private(folder)
        return self
