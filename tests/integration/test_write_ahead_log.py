"""A newer SQLite keeps a write-ahead log: what a kill, a copy or a read-only disk makes of it, and another SQLite."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.dev.siege_disks import in_state, small_disk
from storage import database
from storage.backup import create_backup, list_backups
from storage.errors import StorageError
from storage.forgetting import forget_member
from storage.paths import Workspace
from storage.records import Message
from storage.restoring import restore
from storage.store import Store
from tests.support.cut_short import in_a_process

MIRA, TAM = 7, 8
WORD = "zebrafinchword"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def newer_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """This project's choice for a SQLite without the fault; every SQLite can read and write such a file."""
    monkeypatch.setattr(database, "journal_mode", lambda: "WAL")


def lines(first: int, last: int, *, word: str = "line") -> list[Message]:
    return [Message(n, 1, MIRA if n % 2 else TAM, "m", f"{word} {n}", n, username="m") for n in range(first, last + 1)]


def killed_while_open(workspace: Workspace, first: int, last: int, *, word: str = "line") -> None:
    """A process stores messages and is killed with both databases open: they and their logs lie there."""

    def work() -> int:
        store = Store.open(workspace)
        store.messages.save(lines(first, last, word=word), cursor=(1, last, False))
        store.facts.set("newest", last)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert in_a_process(work) == -signal.SIGKILL


@pytest.fixture
def killed(tmp_path: Path) -> Workspace:
    """Ten messages in the file, ten more in the log that a kill left."""
    workspace = Workspace.at(tmp_path / "home").create()
    with Store.open(workspace) as store:
        store.messages.save(lines(1, 10), cursor=(1, 10, False))
    killed_while_open(workspace, 11, 20)
    assert wal(workspace.messages_db).stat().st_size
    return workspace


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def kept(workspace: Workspace) -> int:
    """How many messages there are; both databases are whole, and messages and cursor agree."""
    with Store.open(workspace) as store:
        assert {store.messages_db.check(), store.control_db.check()} == {"ok"}
        assert store.messages.count() == store.messages.cursor(1)
        return store.messages.count()


@pytest.mark.parametrize("mode", ["WAL", "TRUNCATE"])
def test_what_a_kill_left_in_the_log_is_there_for_the_next_start_whichever_sqlite_it_has(
    killed: Workspace, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Fault 130: the workspace may have come from a computer with another SQLite."""
    monkeypatch.setattr(database, "journal_mode", lambda: mode)
    assert kept(killed) == 20
    with Store.open(killed) as store:
        assert store.facts.get("newest") == 20
        assert store.messages_db.value("PRAGMA journal_mode") == mode.lower()


@pytest.mark.parametrize("gone", [("-wal", "-shm"), ("-wal",), ("-shm",)])
def test_a_log_that_is_gone_costs_what_was_in_it_and_no_more(killed: Workspace, gone: tuple[str, ...]) -> None:
    """Fault 130: a copy of the databases alone, or somebody tidied up."""
    for path in (killed.messages_db, killed.control_db):
        for suffix in gone:
            path.with_name(path.name + suffix).unlink()
    assert kept(killed) == (20 if gone == ("-shm",) else 10)


def test_databases_copied_while_they_are_written_are_whole(killed: Workspace, tmp_path: Path) -> None:
    """Fault 130: with their logs they have everything, without them what had been moved into the files."""
    with Store.open(killed) as store:
        store.messages.save(lines(21, 30), cursor=(1, 30, False))
        for name, suffixes in (("with", ("", "-wal", "-shm")), ("without", ("",))):
            folder = Workspace.at(tmp_path / name).create().database_folder
            for path in (killed.messages_db, killed.control_db):
                for suffix in suffixes:
                    shutil.copy(path.with_name(path.name + suffix), folder)
    assert kept(Workspace.at(tmp_path / "with")) == 30
    assert kept(Workspace.at(tmp_path / "without")) in (10, 20)


def test_a_log_of_another_day_is_told_or_harmless(killed: Workspace, tmp_path: Path) -> None:
    """Fault 130: an older copy of the file put back beside the log that was there."""
    older = tmp_path / "older.db"
    shutil.copy(killed.messages_db, older)
    kept_wal = wal(killed.messages_db).read_bytes()
    with Store.open(killed) as store:
        store.messages.save(lines(21, 400, word="x" * 500))
    shutil.copy(older, killed.messages_db)
    wal(killed.messages_db).write_bytes(kept_wal)
    assert kept(killed) == 20, "the log belongs to this very file"
    killed_while_open(killed, 21, 30)
    newer = wal(killed.messages_db).read_bytes()
    shutil.copy(older, killed.messages_db)
    wal(killed.messages_db).write_bytes(newer)
    try:
        with Store.open(killed) as store:
            words = store.messages_db.check()
    except StorageError as error:
        words = error.text()
    assert words == "ok" or "damaged" in words or "python scripts/backup.py --restore" in words


def test_a_restore_is_not_written_over_by_the_log_of_what_was_there(killed: Workspace) -> None:
    """Faults 78 and 130: the databases that are replaced had logs that a kill left."""
    with Store.open(killed) as store:
        create_backup(store)
    killed_while_open(killed, 21, 60, word="never saved " * 40)
    restore(killed, list_backups(killed.backups)[0])
    assert kept(killed) == 20
    aside = next(killed.database_folder.glob("before-restore-*"))
    with sqlite3.connect(aside / "messages.db") as connection:
        assert connection.execute("SELECT COUNT(*) FROM messages").fetchone()[0] == 60, "nothing was lost either"


def test_a_forgotten_member_is_in_no_byte_of_the_log_either(killed: Workspace) -> None:
    """Faults 76 and 130."""
    killed_while_open(killed, 21, 40, word=WORD)
    with Store.open(killed) as store:
        forget_member(store, MIRA)
        forget_member(store, TAM)
    for path in killed.database_folder.iterdir():
        assert path.is_dir() or WORD.encode() not in path.read_bytes(), path.name


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Workspace]:
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("mounting a small disk needs root on Linux")
        workspace = Workspace.at(disk / "home").create()
        with Store.open(workspace) as store:
            store.messages.save(lines(1, 10), cursor=(1, 10, False))
        killed_while_open(workspace, 11, 20)
        yield workspace


def test_a_log_on_a_read_only_disk_is_a_sentence_and_keeps_what_is_in_it(read_only: Workspace) -> None:
    """Faults 112 and 130."""
    with in_state(read_only.root.parent, "read-only"), pytest.raises(StorageError, match="ead-only") as caught:
        Store.open(read_only)
    assert str(read_only.root) in caught.value.text()
    for path in (read_only.messages_db, read_only.control_db):
        path.chmod(0o400)
    assert kept(read_only) == 20
