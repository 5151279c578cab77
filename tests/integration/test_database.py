"""SQLite files: made, migrated, written by several at once, damaged, refused."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from data.chat.audience import ANYBODY, AccessFacts, Audience, opened_channels, with_facts
from storage.database import Database, connect, has_wal_reset_bug, init_database, journal_mode, set_aside
from storage.errors import NewerSchemaError, StorageError
from storage.migrations import CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS, migrate
from storage.paths import Workspace
from storage.records import Message
from storage.salvage import start_anew
from storage.store import Store


def message(number: int, content: str = "yo") -> Message:
    return Message(number, 1, 7, "name7", content, number)


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "TRUNCATE"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 51, 3), "WAL"),
        ((3, 50, 7), "WAL"),
        ((3, 44, 6), "WAL"),
        ((3, 44, 5), "TRUNCATE"),
    ],
)
def test_the_journal_fits_the_sqlite_version(version: tuple[int, ...], mode: str) -> None:
    """Fault 25."""
    assert journal_mode(version) == mode
    assert has_wal_reset_bug(version) == (mode == "TRUNCATE")


def test_init_database_makes_both_files(tmp_path: Path) -> None:
    init_database(tmp_path)
    assert Workspace.at(tmp_path).control_db.exists()
    assert Workspace.at(tmp_path).messages_db.exists()


def test_an_error_inside_a_transaction_leaves_nothing_behind(store: Store) -> None:
    def saves_and_fails() -> None:
        with store.messages_db.transaction():
            store.messages.save([message(1)])
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        saves_and_fails()
    assert store.messages.count() == 0


def test_a_read_that_turns_into_a_write_waits_for_the_other_writer(store: Store) -> None:
    """Fault 26."""
    other = Store.open(store.workspace)

    def count_up(writer: Store) -> None:
        for _ in range(50):
            with writer.control_db.transaction():
                writer.facts.set("count", writer.facts.get("count", 0) + 1)

    # Each writes a set number of times: SQLite's locks are not fair, so a loop without an end may starve the other.
    with ThreadPoolExecutor() as pool:
        for writing in [pool.submit(count_up, store), pool.submit(count_up, other)]:
            writing.result(timeout=60)
    other.close()
    assert store.facts.get("count") == 100


def test_an_empty_file_is_no_new_install(workspace: Workspace) -> None:
    """Fault 29."""
    Store.open(workspace).close()
    workspace.messages_db.write_bytes(b"")
    with pytest.raises(StorageError, match="backup"):
        Store.open(workspace)


def test_a_damaged_file_is_named_and_can_be_set_aside(workspace: Workspace) -> None:
    """Fault 29."""
    Store.open(workspace).close()
    workspace.messages_db.write_bytes(b"not a database at all" * 500)
    with pytest.raises(StorageError, match="damaged"):
        Store.open(workspace)
    kept = set_aside(workspace.messages_db)
    assert kept.exists()
    assert not workspace.messages_db.exists()
    with pytest.raises(StorageError, match="--start-anew"):
        Store.open(workspace)
    start_anew(workspace)
    Store.open(workspace).close()


@pytest.mark.parametrize("content", [b"\0" * 5000, b"not a database at all" * 500, b""])
def test_a_database_that_is_refused_is_not_kept_open(workspace: Workspace, content: bytes) -> None:
    """Fault 99: on Windows an open file cannot be moved, and a restore has to move it."""
    Store.open(workspace).close()
    workspace.messages_db.write_bytes(content)
    with pytest.raises(StorageError):
        Store.open(workspace)
    if content:  # an empty file is one to SQLite
        with pytest.raises(StorageError):
            connect(workspace.messages_db)
    assert open_files() == []
    workspace.messages_db.rename(workspace.messages_db.with_suffix(".moved"))


def test_a_newer_database_is_not_kept_open(workspace: Workspace) -> None:
    """Faults 30 and 99."""
    Store.open(workspace).close()
    with closing(sqlite3.connect(workspace.messages_db)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(NewerSchemaError):
        Store.open(workspace)
    assert open_files() == []
    workspace.messages_db.rename(workspace.messages_db.with_suffix(".moved"))


def open_files() -> list[str]:
    """Databases this process has open. Nothing is collected in between: whoever opened one must have closed it."""
    return [file.path for file in psutil.Process().open_files() if file.path.endswith(".db")]


def test_a_newer_schema_is_refused_untouched(workspace: Workspace) -> None:
    """Fault 30."""
    Store.open(workspace).close()
    with closing(sqlite3.connect(workspace.messages_db)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = workspace.messages_db.read_bytes()
    with pytest.raises(NewerSchemaError):
        Store.open(workspace)
    assert workspace.messages_db.read_bytes() == before


def test_an_older_workspace_is_brought_to_todays_schema_with_everything_in_it(workspace: Workspace) -> None:
    old = Database(workspace.control_db, CONTROL_MIGRATIONS[:1]).open()
    old.execute(
        "INSERT INTO activity (at, message_id, channel_id, author_id, author_name, spoke, reason) "
        "VALUES (1.0, 5, 1, 7, 'tam', 1, 'mentioned')"
    )
    old.close()
    Database(workspace.messages_db, MESSAGES_MIGRATIONS[:1]).open().close()
    with Store.open(workspace) as store:
        about = store.activity.about(5)
        assert about is not None
        assert about.reason == "mentioned"
        assert not about.is_due
    assert list(workspace.control_db.parent.glob("control.before-schema-2.db"))


def test_channels_that_an_older_version_kept_private_ask_before_they_open(workspace: Workspace) -> None:
    """Fault 72: one column held Discord's word and the owner's."""
    old = Database(workspace.messages_db, MESSAGES_MIGRATIONS[:1]).open()
    with old.transaction() as connection:
        connection.executemany(
            "INSERT INTO channel_allowlist (channel_id, channel_name, guild_id, is_private) VALUES (?, ?, ?, ?)",
            [(1, "open", 5, 0), (2, "closed", 5, 1), (3, "imported", None, 1)],
        )
    old.close()
    with Store.open(workspace) as store:
        said = {c.name: (c.is_private, c.discord_private, c.owner_private) for c in store.channels.all()}
        assert said == {"open": (False, False, None), "closed": (True, True, None), "imported": (True, None, None)}
        facts = AccessFacts(Audience(ANYBODY, ANYBODY), False)
        store.channels.update_access({n: lambda channel: with_facts(channel, facts) for n in (1, 2, 3)})
        assert [channel.name for channel in opened_channels(store.channels.all())] == ["closed"]


def test_a_failing_migration_leaves_the_old_schema_and_a_copy(tmp_path: Path) -> None:
    """Fault 30."""

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half_done (x)")
        raise RuntimeError("power cut")

    path = tmp_path / "messages.db"
    Database(path, MESSAGES_MIGRATIONS).open().close()
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(RuntimeError):
        migrate(connection, path, (*MESSAGES_MIGRATIONS, fails))
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MESSAGES_MIGRATIONS)
    assert connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'half_done'").fetchone()[0] == 0
    connection.close()
    assert (tmp_path / f"messages.before-schema-{len(MESSAGES_MIGRATIONS) + 1}.db").exists()


def test_a_full_disk_rolls_back_and_says_so(store: Store) -> None:
    """Fault 28, with max_page_count in the disk's place."""
    store.messages.save([message(1)])
    pages = store.messages_db.value("PRAGMA page_count")
    store.messages_db.connection().execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageError, match="disk is full"):
        store.messages.save([message(n, content="x" * 2000) for n in range(2, 200)], cursor=(1, 200, False))
    assert (store.messages.count(), store.messages.cursor(1)) == (1, 0)
