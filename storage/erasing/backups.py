"""Erasure inside finished backups: each is made again beside itself without what was withdrawn, and takes its place.

Unchanged files are hard links to the old backup's. Cut short anywhere, the old backup or the new one is there, whole;
`finish_swaps` tidies up.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from storage.artefacts import MANIFEST, Care, kind_of
from storage.backup_checks import checked_files, require_our_schema, require_plain_file
from storage.erasing.databases import erase_from_copy
from storage.erasing.files import clean_document, drop_samples
from storage.errors import StorageError
from storage.index_sync import purge_folder
from storage.migrations import CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS
from storage.paths import Workspace
from storage.system.files import remove_tree, replace_file
from storage.withdrawals import Subject

log = logging.getLogger(__name__)
_PREFIX, _FRESH, _OLD = "backup-", ".erased-", ".old-"
_DATABASES = ("database/control.db", "database/messages.db")
_INDEX = "embeddings/"
_BLOCK = 4 * 2**20


def erase_from_backups(folder: Path, subject: Subject, at: float) -> int:
    """All complete backups in `folder`; returns how many changed. OSError or sqlite3.Error where one cannot be made
    again: it stays as it was."""
    finish_swaps(folder)
    found = [path.parent for path in sorted(folder.glob(f"{_PREFIX}*/{MANIFEST}"))]
    return sum(erase_from_backup(backup, subject, at) for backup in found if _is_ours(backup))


def _is_ours(backup: Path) -> bool:
    """Whether this program made a backup; one from elsewhere, which no restore takes, is left alone and named."""
    try:
        names = checked_files(json.loads((backup / MANIFEST).read_text(encoding="utf-8"))["files"], backup)
        for name in names:
            require_plain_file(backup, name)
        for name, migrations in zip(_DATABASES, (CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS), strict=True):
            if name in names:
                with closing(sqlite3.connect(f"{(backup / name).resolve().as_uri()}?mode=ro", uri=True)) as connection:
                    require_our_schema(connection, name, migrations)
    except (StorageError, ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning(
            "%s is not a backup of this program and is left alone; delete it if it holds anybody's words. %s",
            backup,
            error,
        )
        return False
    return True


def erase_from_backup(backup: Path, subject: Subject, at: float) -> bool:
    """One of them; True when it held something."""
    manifest = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
    fresh = backup.with_name(f"{_FRESH}{backup.name}")
    remove_tree(fresh)
    fresh.mkdir()
    try:
        changed = _changed_files(backup, fresh, manifest["files"], subject, at)
        if not changed:
            return False
        manifest["files"] = _entries(fresh, manifest["files"], changed)
        manifest["messages"] = _count(fresh)
        (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        old = backup.with_name(f"{_OLD}{backup.name}")
        remove_tree(old)
        replace_file(backup, old)
        replace_file(fresh, backup)
        if not remove_tree(old):
            raise OSError(f"{old} is held by another program")
        return True
    finally:
        remove_tree(fresh)


def finish_swaps(folder: Path) -> None:
    """After a kill in the middle: the backup under its own name is whole, and nothing else of it is left."""
    for old in folder.glob(f"{_OLD}{_PREFIX}*"):
        backup = old.with_name(old.name.removeprefix(_OLD))
        fresh = old.with_name(f"{_FRESH}{backup.name}")
        if not backup.exists():
            replace_file(fresh if (fresh / MANIFEST).is_file() else old, backup)
        remove_tree(old)
    for fresh in folder.glob(f"{_FRESH}{_PREFIX}*"):
        remove_tree(fresh)


def _changed_files(backup: Path, fresh: Path, names: dict[str, Any], subject: Subject, at: float) -> set[str]:
    """Fill `fresh`; the names that differ from the old backup, among them those that are gone."""
    changed = set()
    for name in names:
        if name.startswith(_INDEX):
            continue
        copy = fresh / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if name in _DATABASES:
            shutil.copy2(backup / name, copy)
            is_changed = erase_from_copy(copy, subject, at)
        elif (cleaner := _cleaner(name)) is not None:
            shutil.copy2(backup / name, copy)
            is_changed = cleaner(copy, subject)
        else:
            _link(backup / name, copy)
            is_changed = False
        if is_changed:
            changed.add(name)
    if any(name.startswith(_INDEX) for name in names):
        changed |= _clean_index(backup, fresh, subject)
    return changed


def _cleaner(name: str) -> Any:
    if not name.startswith("models/"):
        return None
    here = Workspace(Path("/"))
    kind = kind_of(here.root / name, here)
    return {Care.DOCUMENT: clean_document, Care.SAMPLES: drop_samples}.get(kind.care) if kind else None


def _clean_index(backup: Path, fresh: Path, subject: Subject) -> set[str]:
    """The whole index is copied and rewritten: which of its files hold a row is not written on them."""
    shutil.copytree(backup / _INDEX, fresh / _INDEX)
    purge_folder(fresh / _INDEX, subject)
    before, after = (_sums(root / _INDEX) for root in (backup, fresh))
    return {_INDEX + name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _sums(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _entries(fresh: Path, known: dict[str, Any], changed: set[str]) -> dict[str, Any]:
    entries = {}
    for path in sorted(path for path in fresh.rglob("*") if path.is_file()):
        name = path.relative_to(fresh).as_posix()
        status = path.stat()
        is_known = name in known and name not in changed
        entries[name] = {
            "bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": known[name]["sha256"] if is_known else _digest(path),
        }
    return entries


def _count(fresh: Path) -> int:
    with closing(sqlite3.connect(fresh / _DATABASES[1])) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM messages WHERE is_own = 0").fetchone()[0])


def _link(source: Path, copy: Path) -> None:
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
