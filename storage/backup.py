"""Backup and restore of a workspace: both databases, the index, finetuned models, and `.env` without the token.

A backup is a folder; its manifest is written last, so a folder with one is complete. What did not change since
the backup before (models, mostly) is a hard link to it where the disk can do that.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from storage.backup_checks import (
    TakenSettings,
    checked_count,
    checked_files,
    checked_moment,
    require_our_schema,
    require_plain_file,
    taken_settings,
)
from storage.environment import API_BASE, GATEWAY, KEYS, TOKEN, parse_environment, text_of, with_value
from storage.erasing.backups import erase_from_backup
from storage.errors import StorageError
from storage.jobs.progress import ProgressCallback, silent
from storage.migrations import CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS, Migration
from storage.paths import Workspace
from storage.store import Store
from storage.system.files import make_private, remove_tree, replace_file
from storage.system.locks import FileLock
from storage.version import program_version

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
_PREFIX, _PARTIAL, _REMOVED = "backup-", ".partial-", ".removed-"
CONTROL, MESSAGES, ENV = "database/control.db", "database/messages.db", "env"
_BLOCK = 4 * 2**20
_PARTIAL_SECONDS = 3600.0
# Room to leave on the disk beyond the backup itself.
_SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Backup:
    """A complete backup. `files`: relative path -> {"bytes", "mtime_ns", "sha256"}.

    number: which one of its folder; the order of backups goes by it, since the clock may have been set back in between.
    0 for those of earlier versions, which go by their time.
    """

    folder: Path
    created_at: float
    messages: int
    files: dict[str, dict[str, Any]]
    number: int = 0

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts backups, the oldest first."""
        return self.number, self.created_at, self.folder.name

    @property
    def total_bytes(self) -> int:
        """Size of all files; those shared with an older backup take no room twice."""
        return sum(entry["bytes"] for entry in self.files.values())


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back, and what had been erased since and was taken out again."""

    backup: Path
    messages: int
    erased_messages: int
    forgotten_members: int
    needs_token: bool


def create_backup(
    store: Store,
    *,
    folder: Path | None = None,
    report: ProgressCallback = silent,
    clock: Callable[[], float] = time.time,
) -> Backup:
    """Copy everything into a new folder below `folder` (the workspace's backups) while the bot may be running.

    StorageError when the disk is too small or fills up; nothing half-made stays behind.
    """
    target_root = folder or store.workspace.backups
    target_root.mkdir(mode=0o700, parents=True, exist_ok=True)
    last = next(reversed(list_backups(target_root)), None)
    moment = clock()
    seen = store.withdrawals.newest()
    name = time.strftime("%Y%m%d-%H%M%S", time.localtime(moment))
    for left in target_root.glob(f"{_PARTIAL}*"):  # of a backup that was killed; a younger one may be at work
        if moment - left.stat().st_mtime > _PARTIAL_SECONDS:
            remove_tree(left)
    partial = free_name(target_root / f"{_PARTIAL}{name}")
    _require_space(target_root, store.workspace)
    try:
        backup = _fill(store, partial, last, moment, report)
        final = free_name(target_root / f"{_PREFIX}{name}")
        replace_file(partial, final)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"The backup in {target_root} could not be finished ({error}). Nothing of it was kept.",
            "Free some space, or choose another folder with --folder.",
        ) from error
    finally:
        remove_tree(partial)
    if later := store.withdrawals.after(seen):  # erased while it was being copied
        erase_from_backup(final, later, moment)
        return read_backup(final)
    report(1.0, "The backup is complete")
    return replace(backup, folder=final)


def list_backups(folder: Path) -> list[Backup]:
    """Complete backups in a folder, oldest first."""
    found = []
    for path in sorted(folder.glob(f"{_PREFIX}*/{MANIFEST}")) if folder.is_dir() else ():
        try:
            found.append(read_backup(path.parent))
        except StorageError:
            continue  # not a backup of ours, or damaged: restoring it by name says why
    return sorted(found, key=lambda backup: backup.order)


def read_backup(folder: Path) -> Backup:
    """A backup's manifest; StorageError when it is none or incomplete."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = checked_files(raw["files"], folder)
        number = checked_count(raw.get("number", 0))
        return Backup(folder, checked_moment(raw["created_at"]), int(raw["messages"]), files, number)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StorageError(
            f"{folder} is not a complete backup ({type(error).__name__}).", "Choose one that `--list` shows."
        ) from error


def prune(folder: Path, *, keep: int) -> list[Path]:
    """Delete all but the newest `keep` complete backups; returns what went."""
    old = list_backups(folder)[:-keep] if keep > 0 else []
    gone = []
    for backup in old:
        # Renamed first: a deletion cut short leaves no backup that looks complete, and its rest is known by its name.
        try:
            replace_file(backup.folder, folder / f"{_REMOVED}{backup.folder.name}")
        except OSError as error:
            log.warning("%s cannot be deleted yet (%s); the next backup tries again", backup.folder.name, error)
            continue
        gone.append(backup.folder)
    for rest in folder.glob(f"{_REMOVED}*"):
        if not remove_tree(rest):
            log.warning("Something in %s is held by another program; the next backup tries again", rest)
    return gone


def verify(backup: Backup, *, report: ProgressCallback = silent) -> None:
    """Compare every file with the manifest and check both databases; StorageError names the first fault.

    A backup may come from elsewhere: links are refused, and so is a database that is not built like ours, before SQLite
    is asked for anything but its list of tables.
    """
    done = 0
    for name, entry in backup.files.items():
        path = require_plain_file(backup.folder, name)
        if not path.is_file() or path.stat().st_size != entry["bytes"] or _digest(path) != entry["sha256"]:
            raise StorageError(
                f"The backup {backup.folder.name} is damaged: {name} is not what was saved.", "Use another backup."
            )
        done += entry["bytes"]
        report(done / max(backup.total_bytes, 1), "Checking the backup")
    for name, migrations in ((CONTROL, CONTROL_MIGRATIONS), (MESSAGES, MESSAGES_MIGRATIONS)):
        trouble = "it is not there" if name not in backup.files else _trouble_with(backup.folder / name, migrations)
        if trouble:
            raise StorageError(
                f"The backup {backup.folder.name} is damaged: {name} cannot be read ({trouble}).", "Use another backup."
            )


def settings_in(backup: Backup) -> TakenSettings:
    """What a restore takes from the backup's `.env`, to be shown before it does."""
    if ENV not in backup.files:
        return TakenSettings({}, ())
    return taken_settings(text_of(require_plain_file(backup.folder, ENV)))


# ---- making one -------------------------------------------------------------------------------------


def _fill(store: Store, partial: Path, last: Backup | None, moment: float, report: ProgressCallback) -> Backup:
    partial.mkdir(mode=0o700)
    (partial / "database").mkdir(mode=0o700)
    workspace = store.workspace
    # Nothing may move from the queue to the index meanwhile: database and index must agree.
    with FileLock(workspace.locks / "index.lock", holder="Indexing").acquire(timeout_seconds=600):
        report(0.0, "Copying the databases")
        store.messages_db.backup_to(partial / MESSAGES)
        store.control_db.backup_to(partial / CONTROL)
        _copy_tree(workspace.embeddings, partial / "embeddings", "embeddings/", last, report, 0.2, 0.5)
    _copy_tree(workspace.finetuned_models, partial / "models/finetuned", "models/finetuned/", last, report, 0.5, 0.9)
    environment = _environment_without_token(workspace)
    if environment is not None:
        (partial / ENV).write_text(environment, encoding="utf-8")
    for path in partial.rglob("*"):
        make_private(path)
    report(0.9, "Checking what was copied")
    files = {path.relative_to(partial).as_posix(): _entry(path, partial, last) for path in _files(partial)}
    with_count = Backup(partial, moment, store.messages.count(), files, last.number + 1 if last else 1)
    manifest = {
        "version": 1,
        "program": program_version(),
        "created_at": moment,
        "number": with_count.number,
        "messages": with_count.messages,
        "files": files,
    }
    text = json.dumps(manifest, indent=1)
    (partial / MANIFEST).write_text(text, encoding="utf-8")
    make_private(partial / MANIFEST)
    return with_count


def _copy_tree(
    source: Path, target: Path, prefix: str, last: Backup | None, report: ProgressCallback, start: float, end: float
) -> None:
    files = list(_files(source))
    total = max(sum(path.stat().st_size for path in files), 1)
    done = 0
    for path in files:
        name = path.relative_to(source).as_posix()
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not _link_to_last(path, copy, prefix + name, last):
            shutil.copy2(path, copy)
        done += path.stat().st_size
        report(start + (end - start) * done / total, f"Copying {prefix.rstrip('/')}")


def _link_to_last(source: Path, copy: Path, name: str, last: Backup | None) -> bool:
    """Share an unchanged file with the backup before; never with the workspace itself."""
    known = last.files.get(name) if last else None
    if last is None or known is None or (known["bytes"], known["mtime_ns"]) != _mark(source):
        return False
    try:
        os.link(last.folder / name, copy)
    except OSError:
        return False  # another disk, or a file system without links: copy
    return True


def _entry(path: Path, root: Path, last: Backup | None) -> dict[str, Any]:
    status = path.stat()
    known = last.files.get(path.relative_to(root).as_posix()) if last else None
    is_linked = known is not None and status.st_nlink > 1
    digest = known["sha256"] if known is not None and is_linked else _digest(path)
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": digest}


def _environment_without_token(workspace: Workspace) -> str | None:
    if not workspace.env_file.exists():
        return None
    values = parse_environment(text_of(workspace.env_file))
    text = ""
    for key in KEYS:
        # Nothing else: a token of another service, or a note with one in it, has no place in a backup.
        if key not in (TOKEN, API_BASE, GATEWAY) and values.get(key):
            text = with_value(text, key, values[key])
    return text


def _require_space(folder: Path, workspace: Workspace) -> None:
    sources = (workspace.database_folder, workspace.embeddings, workspace.finetuned_models)
    needed = sum(path.stat().st_size for source in sources for path in _files(source)) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"The backup needs {needed / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free.",
            "Free some space, or choose another folder with --folder.",
        )


# ---- files ------------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file()) if folder.is_dir() else iter(())


def _mark(path: Path) -> tuple[int, int]:
    """What tells an unchanged file: size and time of the last change."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def free_name(path: Path) -> Path:
    """The path, or the same with -2, -3 ... behind it where something has the name."""
    number = 2
    free = path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


@contextmanager
def open_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """A backup's database, strictly read: our usual settings could change the file and with it its sum."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    finally:
        connection.close()


def quick_check(path: Path) -> str:
    """SQLite's word about a file that nothing writes to: "ok", what is damaged, or why it cannot be read."""
    try:
        with open_copy(path) as connection:
            return str(connection.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)


def _trouble_with(path: Path, migrations: Sequence[Migration]) -> str:
    """What is wrong with a backup's database, '' when nothing is. StorageError when it is not one of ours."""
    try:
        with open_copy(path) as connection:
            require_our_schema(connection, f"{path.parent.parent.name}/{path.name}", migrations)
            said = str(connection.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else said
