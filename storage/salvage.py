"""Starting over with a damaged database and no backup: it is set aside, and what can still be read is carried over.

SQLite's own `.recover` belongs to its shell and not to the library. Here each table is read forwards up to the damage
and then backwards up to it, so that one bad page costs the rows of that page and of the tables it hides.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from storage.database import Database, set_aside, side_files
from storage.jobs.progress import ProgressCallback, silent
from storage.paths import Workspace
from storage.store import Store
from storage.system.files import temporary_folder
from storage.system.locks import sole_use

# What described a running program, and what is made again: cursors too, so that a fetch reads everything once more.
_NOT_CARRIED = {"bot_status", "supervisor", "bot_commands", "index_queue", "fetch_cursors", "sqlite_sequence"}
_ORPHANS = {
    "messages.db": "DELETE FROM reactions WHERE message_id NOT IN (SELECT id FROM messages)",
    "control.db": "DELETE FROM job_metrics WHERE job_id NOT IN (SELECT id FROM jobs)",
}


@dataclass(frozen=True, slots=True)
class Salvaged:
    """One database that was damaged: where it lies now, rows carried over by table, tables that were not read whole."""

    aside: Path
    rows: dict[str, int]
    cut_short: tuple[str, ...]


def start_anew(workspace: Workspace, *, report: ProgressCallback = silent) -> list[Salvaged]:
    """Set every damaged database aside and fill a new one with what can be read of it; [] when both are whole.

    Nothing is deleted. AlreadyRunningError while the bot, the panel or a job uses the workspace; NewerSchemaError and
    other troubles than damage are raised, since starting over would not cure them.
    """
    from storage.restoring import known_decisions  # both are built on the store

    with sole_use(workspace):
        # What a lost or damaged database knew of erasures and of who left, its copies and backups may still know.
        decisions = None if _is_whole(workspace.messages_db) else known_decisions(workspace)
        aside = {
            path.name: set_aside(path)
            for path in (workspace.control_db, workspace.messages_db)
            if path.exists() and _is_damaged(path)
        }
        with Store.open(workspace, may_start_over=True) as store:
            found = []
            for number, database in enumerate((store.control_db, store.messages_db)):
                if database.path.name in aside:
                    report(number / 2, f"Reading what is left of {database.path.name}")
                    found.append(_carry_over(aside[database.path.name], database))
        if decisions is not None:
            decisions.apply(workspace.messages_db)
        return found


def _is_whole(path: Path) -> bool:
    return path.exists() and not _is_damaged(path)


def _is_damaged(path: Path) -> bool:
    if not path.stat().st_size:
        return True
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        if (getattr(error, "sqlite_errorname", "") or "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return True
        raise


def _carry_over(aside: Path, database: Database) -> Salvaged:
    rows: dict[str, int] = {}
    cut_short: list[str] = []
    with temporary_folder(database.path.parent, prefix="salvage-") as folder:
        # A copy: opening it may play its journal back, and what was set aside stays as it was found.
        copy = folder / database.path.name
        shutil.copyfile(aside, copy)
        for side, target in zip(side_files(aside), side_files(copy), strict=True):
            if side.exists():
                shutil.copyfile(side, target)
        with closing(sqlite3.connect(copy)) as damaged:
            damaged.text_factory = lambda raw: raw.decode("utf-8", "replace")
            connection = database.connection()
            connection.execute("PRAGMA foreign_keys = OFF")  # parents may be lost; their children go below
            with database.transaction():
                for table in _tables(connection):
                    rows[table], is_whole = _copy(damaged, connection, table)
                    cut_short += [] if is_whole else [table]
                connection.execute(_ORPHANS[database.path.name])
            connection.execute("PRAGMA foreign_keys = ON")
    return Salvaged(aside, {table: count for table, count in rows.items() if count}, tuple(cut_short))


def _tables(connection: sqlite3.Connection) -> list[str]:
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
    return [name for name in names if name not in _NOT_CARRIED]


def _copy(damaged: sqlite3.Connection, fresh: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """Rows copied, and whether the table was read from end to end."""
    wanted = {row["name"]: row["pk"] for row in fresh.execute(f"PRAGMA table_info({table})")}
    try:
        there = {row[1] for row in damaged.execute(f"PRAGMA table_info({table})")}
    except sqlite3.DatabaseError:
        return 0, False
    columns = [name for name in wanted if name in there]
    if not columns:
        return 0, False
    key = sorted((name for name in columns if wanted[name]), key=lambda name: wanted[name])
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    damage: list[str] = []
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{name} {direction}" for name in key)
        fresh.executemany(
            insert, _readable(damaged, f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}", damage)
        )
        if not damage:
            break
    return int(fresh.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]), not damage


def _readable(damaged: sqlite3.Connection, select: str, damage: list[str]) -> Iterator[Sequence[object]]:
    """Rows up to the first that cannot be read; then `damage` says why. What goes wrong with writing is not caught."""
    try:
        yield from damaged.execute(select)
    except sqlite3.DatabaseError as error:
        damage.append(str(error))
