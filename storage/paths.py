"""Where things live. Everything that changes at run time is below one workspace folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.typed_paths import typed_path

PROJECT_ROOT = Path(__file__).resolve().parent.parent


# Folders that sync clients rewrite behind a program's back: a database in one is damaged sooner or later.
SYNC_CLIENTS = {
    "onedrive": "OneDrive",
    "dropbox": "Dropbox",
    "google drive": "Google Drive",
    "googledrive": "Google Drive",
    "icloud": "iCloud",
    "mobile documents": "iCloud",
    "nextcloud": "Nextcloud",
    "pcloud": "pCloud",
}


def unsafe_folder(path: str) -> str:
    """Why a workspace should not lie at `path` (a cloud or network folder), '' when nothing speaks against it."""
    if path.startswith(("\\\\", "//")) and not path.startswith(("\\\\?\\", "//?/")):
        return "This is a network folder: file locks do not hold there, and the database may be damaged."
    for part in path.replace("\\", "/").lower().split("/"):
        for mark, name in SYNC_CLIENTS.items():
            if part == mark or part.startswith((f"{mark} ", f"{mark}-")):
                return f"This folder is synchronised by {name}, which may damage the database while the bot writes."
    return ""


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
        return self.root / ".env"

    @property
    def data(self) -> Path:
        return self.root / "data_storage"

    @property
    def database_folder(self) -> Path:
        return self.data / "database"

    @property
    def control_db(self) -> Path:
        return self.database_folder / "control.db"

    @property
    def messages_db(self) -> Path:
        return self.database_folder / "messages.db"

    @property
    def message_files(self) -> Path:
        """Exports and prepared training folders."""
        return self.data / "messages"

    @property
    def embeddings(self) -> Path:
        return self.data / "embeddings"

    @property
    def base_models(self) -> Path:
        return self.root / "models" / "base"

    @property
    def finetuned_models(self) -> Path:
        return self.root / "models" / "finetuned"

    @property
    def embedding_models(self) -> Path:
        return self.root / "models" / "embedding"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def locks(self) -> Path:
        return self.data / "locks"

    def create(self) -> Workspace:
        """Make every folder that is missing; returns itself."""
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
            folder.mkdir(parents=True, exist_ok=True)
        return self
