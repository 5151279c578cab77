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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from storage import withheld
from storage.database import connect, side_files
from storage.environment import TOKEN, read_environment
from storage.errors import StorageError
from storage.jobs import Report, silent
from storage.paths import Workspace
from storage.store import Store
from storage.system.files import remove_file, remove_tree, replace_file
from storage.system.locks import FileLock, sole_use

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
_PREFIX, _PARTIAL, _REMOVED = "backup-", ".partial-", ".removed-"
_CONTROL, _MESSAGES, _ENV = "database/control.db", "database/messages.db", "env"
_BLOCK = 4 * 2**20
# Room to leave on the disk beyond the backup itself.
_SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Backup:
    """A complete backup. `files`: relative path -> {"bytes", "mtime_ns", "sha256"}."""

    folder: Path
    created_at: float
    messages: int
    files: dict[str, dict[str, Any]]

    @property
    def total_bytes(self) -> int:
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
    store: Store, *, folder: Path | None = None, report: Report = silent, clock: Callable[[], float] = time.time
) -> Backup:
    """Copy everything into a new folder below `folder` (the workspace's backups) while the bot may be running.

    StorageError when the disk is too small or fills up; nothing half-made stays behind.
    """
    target_root = folder or store.workspace.backups
    target_root.mkdir(parents=True, exist_ok=True)
    before = {backup.folder: backup for backup in list_backups(target_root)}
    last = before[max(before)] if before else None
    moment = clock()
    name = time.strftime("%Y%m%d-%H%M%S", time.localtime(moment))
    partial = target_root / f"{_PARTIAL}{name}"
    _require_space(target_root, store.workspace)
    try:
        backup = _fill(store, partial, last, moment, report)
        final = _free_name(target_root / f"{_PREFIX}{name}")
        replace_file(partial, final)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"The backup in {target_root} could not be finished ({error}). Nothing of it was kept.",
            "Free some space, or choose another folder with --folder.",
        ) from error
    finally:
        remove_tree(partial)
    report(1.0, "The backup is complete")
    return Backup(final, backup.created_at, backup.messages, backup.files)


def list_backups(folder: Path) -> list[Backup]:
    """Complete backups in a folder, oldest first."""
    found = []
    for path in sorted(folder.glob(f"{_PREFIX}*/{MANIFEST}")) if folder.is_dir() else ():
        try:
            found.append(read_backup(path.parent))
        except StorageError:
            continue  # not a backup of ours, or damaged: restoring it by name says why
    return sorted(found, key=lambda backup: (backup.created_at, backup.folder.name))


def read_backup(folder: Path) -> Backup:
    """A backup's manifest; StorageError when it is none or incomplete."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        backup = Backup(folder, float(raw["created_at"]), int(raw["messages"]), dict(raw["files"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder} is not a complete backup ({type(error).__name__}).", "Choose one that `--list` shows."
        ) from error
    for name in backup.files:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name:
            raise StorageError(f"The backup {folder} names a file outside itself ({name[:80]!r}).", "Do not use it.")
    return backup


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


def verify(backup: Backup, *, report: Report = silent) -> None:
    """Compare every file with the manifest and check both databases; StorageError names the first fault."""
    done = 0
    for name, entry in backup.files.items():
        path = backup.folder / name
        if not path.is_file() or path.stat().st_size != entry["bytes"] or _digest(path) != entry["sha256"]:
            raise StorageError(
                f"The backup {backup.folder.name} is damaged: {name} is not what was saved.", "Use another backup."
            )
        done += entry["bytes"]
        report(done / max(backup.total_bytes, 1), "Checking the backup")
    for name in (_CONTROL, _MESSAGES):
        if name not in backup.files or _quick_check(backup.folder / name) != "ok":
            raise StorageError(
                f"The backup {backup.folder.name} is damaged: {name} cannot be read.", "Use another backup."
            )


def restore(workspace: Workspace, backup: Backup, *, report: Report = silent) -> Restored:
    """Put a checked backup in place of what is there; the present databases are set aside, nothing is lost.

    What was erased, and who opted out, since the backup is taken out again. The token stays as it is in
    `.env`. AlreadyRunningError while the bot, the panel or a job uses the workspace.
    """
    workspace.create()
    with sole_use(workspace):
        verify(backup, report=report)
        decisions = _decisions_since(workspace, backup)
        _put_databases(workspace, backup)
        _put_folder(backup, "embeddings/", workspace.embeddings)
        _put_models(workspace, backup)
        _put_environment(workspace, backup)
        return _with_decisions(workspace, backup, decisions)


# ---- making one -------------------------------------------------------------------------------------


def _fill(store: Store, partial: Path, last: Backup | None, moment: float, report: Report) -> Backup:
    (partial / "database").mkdir(parents=True)
    workspace = store.workspace
    # Nothing may move from the queue to the index meanwhile: database and index must agree.
    with FileLock(workspace.locks / "index.lock", holder="Indexing").acquire(timeout_seconds=600):
        report(0.0, "Copying the databases")
        store.messages_db.backup_to(partial / _MESSAGES)
        store.control_db.backup_to(partial / _CONTROL)
        _copy_tree(workspace.embeddings, partial / "embeddings", "embeddings/", last, report, 0.2, 0.5)
    _copy_tree(workspace.finetuned_models, partial / "models/finetuned", "models/finetuned/", last, report, 0.5, 0.9)
    environment = _environment_without_token(workspace)
    if environment is not None:
        (partial / _ENV).write_text(environment, encoding="utf-8")
    report(0.9, "Checking what was copied")
    files = {path.relative_to(partial).as_posix(): _entry(path, partial, last) for path in _files(partial)}
    with_count = Backup(partial, moment, store.messages.count(), files)
    text = json.dumps({"version": 1, "created_at": moment, "messages": with_count.messages, "files": files}, indent=1)
    (partial / MANIFEST).write_text(text, encoding="utf-8")
    return with_count


def _copy_tree(
    source: Path, target: Path, prefix: str, last: Backup | None, report: Report, start: float, end: float
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
    token = read_environment(workspace.env_file, process={}).token
    lines = workspace.env_file.read_text(encoding="utf-8-sig").splitlines()
    kept = [line for line in lines if TOKEN not in line and not (token and token in line)]
    return "\n".join(kept) + "\n"


def _require_space(folder: Path, workspace: Workspace) -> None:
    sources = (workspace.database_folder, workspace.embeddings, workspace.finetuned_models)
    needed = sum(path.stat().st_size for source in sources for path in _files(source)) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"The backup needs {needed / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free.",
            "Free some space, or choose another folder with --folder.",
        )


# ---- bringing one back ------------------------------------------------------------------------------


_ACCESS = (
    "SELECT is_private, discord_private, owner_private, audience, accepted_audience, access_lost, channel_id "
    "FROM channel_allowlist"
)
_PUT_ACCESS = (
    "UPDATE channel_allowlist SET is_private = ?, discord_private = ?, owner_private = ?, audience = ?, "
    "accepted_audience = ?, access_lost = ? WHERE channel_id = ?"
)


@dataclass
class _Decisions:
    """Erasures anybody knows of, and the newest word on who is left out, (opted out, excluded, id), and on who may read
    which channel.

    hidden: what the newest database keeps out of sight, None when no such database could be read.
    """

    erasures: dict[tuple[str, int], float] = field(default_factory=dict)
    absences: list[tuple[int, int, int]] = field(default_factory=list)
    access: list[tuple[object, ...]] = field(default_factory=list)
    hidden: withheld.Snapshot | None = None
    by_owner: set[int] = field(default_factory=set)

    def read(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT kind, id, erased_at FROM erasures").fetchall()
        self.erasures |= {(kind, erased_id): erased_at for kind, erased_id, erased_at in rows}
        self.absences = [tuple(row) for row in connection.execute("SELECT opted_out, excluded, id FROM members")]
        with suppress(sqlite3.OperationalError):  # a copy of an older version: nobody had said anything yet
            self.access = [tuple(row) for row in connection.execute(_ACCESS)]
        with suppress(sqlite3.OperationalError):  # a database from before anything was hidden
            owned = connection.execute("SELECT id FROM erasures WHERE kind = 'message' AND by_owner = 1")
            self.by_owner |= {row[0] for row in owned}
            self.hidden = withheld.snapshot(connection)
            # Erased once and found on Discord again since.
            back = self.hidden.in_sight
            self.erasures = {key: at for key, at in self.erasures.items() if key[0] != "message" or key[1] not in back}


def _decisions_since(workspace: Workspace, backup: Backup) -> _Decisions:
    decisions = _Decisions()
    for other in list_backups(backup.folder.parent):
        if other.created_at > backup.created_at:
            with suppress(sqlite3.Error), _open_copy(other.folder / _MESSAGES) as connection:
                decisions.read(connection)
    if workspace.messages_db.is_file() and workspace.messages_db.stat().st_size:
        # Damage here may be the very reason for the restore.
        with suppress(sqlite3.Error, StorageError), closing(connect(workspace.messages_db)) as connection:
            decisions.read(connection)
    return decisions


def _put_databases(workspace: Workspace, backup: Backup) -> None:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = _free_name(workspace.database_folder / f"before-restore-{stamp}")
    fresh = {
        name: path.with_suffix(".restoring")
        for name, path in ((_CONTROL, workspace.control_db), (_MESSAGES, workspace.messages_db))
    }
    for name, path in fresh.items():
        shutil.copy2(backup.folder / name, path)
    aside.mkdir(parents=True)
    for path in (workspace.control_db, workspace.messages_db):
        for side in (path, *side_files(path)):
            if side.exists():
                replace_file(side, aside / side.name)
    replace_file(fresh[_CONTROL], workspace.control_db)
    replace_file(fresh[_MESSAGES], workspace.messages_db)


def _put_folder(backup: Backup, prefix: str, target: Path) -> None:
    fresh = target.with_name(target.name + ".restoring")
    remove_tree(fresh)
    fresh.mkdir(parents=True)
    for name in backup.files:
        if name.startswith(prefix):
            copy = fresh / name.removeprefix(prefix)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(backup.folder / name, copy)
    remove_tree(target)
    replace_file(fresh, target)


def _put_models(workspace: Workspace, backup: Backup) -> None:
    prefix = "models/finetuned/"
    for name, entry in backup.files.items():
        if not name.startswith(prefix):
            continue
        target = workspace.finetuned_models / name.removeprefix(prefix)
        if target.exists() and _mark(target) == (entry["bytes"], entry["mtime_ns"]):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(target.name + ".restoring")
        remove_file(fresh)  # a read-only one of a restore cut short
        shutil.copy2(backup.folder / name, fresh)
        replace_file(fresh, target)  # a model file in use is never written into


def _put_environment(workspace: Workspace, backup: Backup) -> None:
    if _ENV not in backup.files:
        return
    present = workspace.env_file.read_text(encoding="utf-8-sig").splitlines() if workspace.env_file.exists() else []
    token_lines = [line for line in present if line.lstrip().removeprefix("export ").startswith(TOKEN)]
    fresh = workspace.env_file.with_name(".env.restoring")
    fresh.touch(mode=0o600)
    fresh.write_text(
        (backup.folder / _ENV).read_text(encoding="utf-8") + "".join(f"{line}\n" for line in token_lines),
        encoding="utf-8",
    )
    replace_file(fresh, workspace.env_file)


def _with_decisions(workspace: Workspace, backup: Backup, decisions: _Decisions) -> Restored:
    with Store.open(workspace) as store:
        before = store.messages.count()
        forgotten = [erased_id for kind, erased_id in decisions.erasures if kind == "member"]
        for member_id in forgotten:
            store.members.forget(member_id)
        erased = {erased_id for kind, erased_id in decisions.erasures if kind == "message"}
        store.messages.delete(sorted(erased & decisions.by_owner), by_owner=True)
        store.messages.delete(sorted(erased - decisions.by_owner))
        with store.messages_db.transaction() as connection:
            connection.executemany("UPDATE members SET opted_out = ?, excluded = ? WHERE id = ?", decisions.absences)
            if decisions.hidden is not None:
                withheld.apply(connection, decisions.hidden)
            connection.executemany(_PUT_ACCESS, decisions.access)
        after = store.messages.count()
    needs_token = not read_environment(workspace.env_file, process={}).token
    return Restored(backup.folder, after, before - after, len(forgotten), needs_token)


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


def _free_name(path: Path) -> Path:
    number = 2
    free = path
    while free.exists():
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


@contextmanager
def _open_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """A backup's database, strictly read: our usual settings could change the file and with it its sum."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _quick_check(path: Path) -> str:
    try:
        with _open_copy(path) as connection:
            return str(connection.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
