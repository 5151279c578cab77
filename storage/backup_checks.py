"""What a backup must be before anything of it is used: it may come from elsewhere, made by somebody who means harm.

Files: plain ones inside the backup's folder, no links. Databases: exactly the tables, views, triggers and indexes that
our own migrations make. `.env`: only keys that neither open the bot to anybody nor send its token anywhere.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from storage.environment import LOG_LEVEL, MODEL_PATH, SERVER_ID, parse_environment
from storage.errors import NewerSchemaError, StorageError
from storage.migrations import Migration

# Whose commands are obeyed (ADMIN_USERS), the token, and where it is sent are the present .env's affair alone.
HARMLESS_KEYS = (SERVER_ID, MODEL_PATH, LOG_LEVEL)
_OWN_TABLES = re.compile(r"sqlite_(?:sequence|stat[1-4])")
_HEX = re.compile(r"[0-9a-f]{64}")
_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master"


@dataclass(frozen=True, slots=True)
class TakenSettings:
    """What a restore takes from a backup's `.env`, and the names of the keys that it leaves."""

    values: dict[str, str]
    left_out: tuple[str, ...]


def checked_files(raw: Any, folder: Path) -> dict[str, dict[str, Any]]:
    """A manifest's list of files. StorageError for a name outside the folder; ValueError for anything else."""
    if not isinstance(raw, dict):
        raise ValueError("no list of files")
    for name, entry in raw.items():
        parts = PurePosixPath(name).parts
        if not parts or name != "/".join(parts) or ".." in parts or re.search(r"[\\:\x00-\x1f]|^/", name):
            raise StorageError(f"The backup {folder} names a file outside itself ({name[:80]!r}).", "Do not use it.")
        if not isinstance(entry, dict) or not _is_entry(entry):
            raise ValueError(f"no description of {name[:80]!r}")
    return dict(raw)


def _is_entry(entry: Mapping[str, Any]) -> bool:
    numbers = (entry.get("bytes"), entry.get("mtime_ns"))
    are_whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    return are_whole and isinstance(entry.get("sha256"), str) and bool(_HEX.fullmatch(entry["sha256"]))


def checked_moment(raw: Any) -> float:
    """When a backup was made. ValueError where that is not a point in time."""
    moment = float(raw)
    if not math.isfinite(moment) or not 0 <= moment < 2**35:
        raise ValueError("no moment")
    return moment


def checked_count(raw: Any) -> int:
    """Which backup of its folder it is. ValueError where that is no number."""
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw < 2**31:
        raise ValueError("no number")
    return raw


def require_plain_file(folder: Path, name: str) -> Path:
    """The file of this name in a backup; StorageError where it, or a folder on the way to it, is a link."""
    path = folder / name
    if os.path.normcase(path.resolve()) != os.path.normcase(folder.resolve() / name):
        raise StorageError(
            f"In the backup {folder.name}, {name} is a link to somewhere else: a backup made here has none.",
            "Do not use it: it would copy a file of this computer into the workspace.",
        )
    return path


def require_our_schema(connection: sqlite3.Connection, name: str, migrations: Sequence[Migration]) -> None:
    """StorageError unless a database has just what our migrations make up to its version. Only names are read."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise NewerSchemaError(
            f"{name} was written by a newer version of this program (schema {version}, known up to {len(migrations)}).",
            "Update the program.",
        )
    ours = our_schema(migrations, version)
    strange = sorted(_objects(connection) ^ ours)
    if version < 1 or strange:
        what = f"{strange[0][0]} {strange[0][1][:60]!r}" if strange else "no version"
        raise StorageError(
            f"The database {name} is not one that this program made ({what} differs): it could change what the bot "
            "does, or whom it listens to.",
            "Use another backup.",
        )


def our_schema(migrations: Sequence[Migration], version: int) -> set[tuple[str, str, str, str]]:
    """(type, name, table, statement) of everything in a database of ours at a version."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in migrations[: max(version, 0)]:
            step(connection)
        return _objects(connection)


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str, str]]:
    found = set()
    for kind, name, table, sql in connection.execute(_OBJECTS):
        is_sqlites_own = (kind == "table" and _OWN_TABLES.fullmatch(name)) or (kind == "index" and sql is None)
        if not is_sqlites_own:
            found.add((str(kind), str(name), str(table), " ".join(str(sql).split())))
    return found


def taken_settings(text: str) -> TakenSettings:
    """What of a backup's `.env` a restore takes."""
    values = {key: value for key, value in parse_environment(text).items() if value}
    left_out = tuple(key for key in values if key not in HARMLESS_KEYS)
    return TakenSettings({key: values[key] for key in HARMLESS_KEYS if key in values}, left_out)
