"""SQLite connections and transactions: short reads, immediate writes, a journal that fits the version."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from storage.errors import BusyError, StorageError, disk_error, shortened_path
from storage.migrations import Migration, migrate
from storage.paths import Workspace
from storage.system.files import private_opener, remove_file, replace_file
from storage.system.locks import FileLock

log = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 15_000
# Rows per read page. With the rollback journal an open read blocks a writer, so none is held long.
PAGE_ROWS = 2_000


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """True for SQLite 3.7.0-3.51.2 without the fix (in 3.51.3, 3.50.7 and 3.44.6): see sqlite.org/wal.html."""
    if version >= (3, 51, 3) or version < (3, 7, 0):
        return False
    fixed_lines: dict[tuple[int, ...], int] = {(3, 50): 7, (3, 44): 6}
    fixed_patch = fixed_lines.get(version[:2])
    return fixed_patch is None or version[2] < fixed_patch


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """TRUNCATE (a rollback journal) where the write-ahead log may lose data, WAL elsewhere."""
    return "TRUNCATE" if has_wal_reset_bug(version) else "WAL"


class Database:
    """One SQLite file. Each thread gets its own connection; writes go through `transaction()`."""

    def __init__(self, path: Path, migrations: Sequence[Migration]) -> None:
        self.path = path
        self._migrations = migrations
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    def open(self) -> Database:
        """Create or migrate the file. StorageError for an empty, damaged or newer one (it is left alone)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The lock covers creation: another process may be between creating the file and filling it.
        with FileLock(self.path.with_suffix(".open-lock"), holder="Opening the database").acquire(timeout_seconds=30):
            if self.path.exists() and self.path.stat().st_size == 0:
                raise StorageError(
                    f"The database {self.path.name} is empty (0 bytes): its content is gone.", DAMAGED_CURE
                )
            try:
                if not self.path.exists():
                    self._create()
                migrate(self.connection(), self.path, self._migrations)
            except sqlite3.DatabaseError as error:
                self.close()
                raise readable(error, self.path) from error
            except OSError as error:
                self.close()
                raise disk_error(error, self.path) from error
            except BaseException:
                self.close()
                raise
        return self

    def _create(self) -> None:
        """Make the file beside its place: cut short, a first start must not look like a database that lost all."""
        draft = self.path.with_suffix(".creating")
        for leftover in (draft, *side_files(draft)):
            remove_file(leftover)
        os.close(private_opener(str(draft), os.O_CREAT | os.O_WRONLY))
        with closing(connect(draft)) as connection:
            migrate(connection, draft, self._migrations)
        for leftover in side_files(draft):
            remove_file(leftover)
        replace_file(draft, self.path)

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, made on first use."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self.path, busy_timeout_ms=getattr(self._local, "busy_timeout_ms", BUSY_TIMEOUT_MS))
            self._local.connection = connection
            with self._guard:
                self._connections.append(connection)
        return connection

    def wait_at_most(self, seconds: float) -> None:
        """How long calls of this thread wait for another program before BusyError. Opens nothing."""
        self._local.busy_timeout_ms = int(seconds * 1000)
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.execute(f"PRAGMA busy_timeout = {self._local.busy_timeout_ms}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK on any exception. Nested use joins the outer one."""
        connection = self.connection()
        if connection.in_transaction:
            yield connection
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            _rollback(connection)
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise readable(error, self.path) from error
        except BaseException:
            _rollback(connection)
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """One write in its own transaction; returns the number of rows changed."""
        with self.transaction() as connection:
            return connection.execute(sql, parameters).rowcount

    def insert(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """One INSERT in its own transaction; returns the new row's id."""
        with self.transaction() as connection:
            return connection.execute(sql, parameters).lastrowid or 0

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """A short read, complete before it returns, so that no lock outlives the call."""
        try:
            return self.connection().execute(sql, parameters).fetchall()
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            raise readable(error, self.path) from error

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a short read, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, parameters)
        return found[0] if found else None

    def pages(
        self, sql: str, *, after: Sequence[Any], key: Sequence[str], page_rows: int = PAGE_ROWS
    ) -> Iterator[list[sqlite3.Row]]:
        """Long reads page by page, no read open in between.

        sql must hold the key comparison on `?` parameters and end in `ORDER BY <key> LIMIT ?`; `after` is
        the first key, `key` names the columns of a row that form the next one.
        """
        position = tuple(after)
        while page := self.rows(sql, (*position, page_rows)):
            yield page
            position = tuple(page[-1][name] for name in key)

    def backup_to(self, target: Path) -> None:
        """A consistent copy while others write (SQLite's online backup)."""
        os.close(private_opener(str(target), os.O_CREAT | os.O_WRONLY))
        with closing(sqlite3.connect(target)) as copy:
            self.connection().backup(copy, pages=512)

    def check(self) -> str:
        """'ok', or what SQLite's quick_check finds wrong."""
        return str(self.value("PRAGMA quick_check"))

    def close(self) -> None:
        """Close every thread's connection (the threads must be done with them)."""
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()


def connect(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> sqlite3.Connection:
    """A connection with this project's settings; autocommit, so transactions are always explicit.

    A file that is no database is not kept open: on Windows it could then be neither replaced nor moved.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=busy_timeout_ms / 1000, isolation_level=None, check_same_thread=False
        )
    except sqlite3.DatabaseError as error:
        raise readable(error, path) from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_mode = {journal_mode()}").fetchone()
        connection.execute("PRAGMA secure_delete = ON")  # a forgotten member's words must not linger in free pages
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise readable(error, path) from error
        raise
    return connection


DAMAGED_CURE = (
    "Restore a backup: python scripts/backup.py --restore. Without one: python scripts/backup.py "
    "--start-anew keeps what can still be read."
)


def readable(error: sqlite3.Error, path: Path) -> StorageError:
    """A sentence and a cure for SQLite's error codes."""
    name = getattr(error, "sqlite_errorname", "") or ""
    where = path.name
    if name.startswith("SQLITE_FULL"):
        return StorageError(
            f"The disk is full: {shortened_path(path)} could not be written. Nothing was lost.", "Free some space."
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StorageError(f"The database {where} is damaged ({error}).", DAMAGED_CURE)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BusyError(
            f"The database {where} is held by another program.",
            "Close other programs that have it open, e.g. a database viewer or a sync client.",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
        return StorageError(
            f"The database {where} cannot be written ({error}).",
            f"Check the permissions of {shortened_path(path.parent)} and the disk.",
        )
    return StorageError(f"The database {where} reported: {error}.", "See the log for details.")


def set_aside(path: Path) -> Path:
    """Move a damaged database and its journals out of the way; returns the new name. Nothing is deleted."""
    number = 1
    while (target := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    replace_file(path, target)
    for side in side_files(path):
        if side.exists():
            replace_file(side, target.with_name(target.name + side.name.removeprefix(path.name)))
    return target


def side_files(path: Path) -> list[Path]:
    """Where SQLite keeps what belongs to a database file: journal, write-ahead log and its index."""
    return [path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm")]


def placeholders(values: Iterable[Any]) -> str:
    """'?, ?, ?' for an IN list."""
    return ", ".join("?" for _ in values)


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def init_database(root: str | Path | None = None) -> None:
    """Create or migrate both databases of a workspace (the project root by default)."""
    from storage.store import Store  # the store is built on this module

    Store.open(Workspace.at(root)).close()
