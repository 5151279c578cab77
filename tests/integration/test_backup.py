"""Backups: complete or not there, restorable, without the token, and blind to what was erased since."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.backup import task
from storage.backup import Backup, create_backup, list_backups, prune, read_backup
from storage.environment import read_environment
from storage.errors import AlreadyRunningError, StorageError
from storage.paths import Workspace
from storage.records import Channel, Message
from storage.restoring import restore
from storage.settings import TEMPERATURE
from storage.store import Store
from storage.system.locks import FileLock
from storage.system.schedule import Schedule
from storage.system.schedule.linux import cron_line

SECRET = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"


def message(number: int, author: int = 7) -> Message:
    return Message(number, 1, author, f"member{author}", f"line {number}", number, username=f"m{author}")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.at(tmp_path / "home").create()
    with Store.open(workspace) as store:
        store.messages.save([message(n, author=7 + n % 2) for n in range(1, 11)])
        store.settings.set(TEMPERATURE, 0.9, changed_by="test")
    workspace.env_file.write_text(f"DISCORD_TOKEN='{SECRET}'\nSERVER_ID='42'\n# old: {SECRET}\n", encoding="utf-8")
    (workspace.embeddings / "messages.lance").mkdir()
    (workspace.embeddings / "messages.lance" / "part").write_bytes(b"vectors")
    (workspace.finetuned_models / "voice-1.gguf").write_bytes(b"weights" * 1000)
    (workspace.finetuned_models / "current.json").write_text('{"file": "voice-1.gguf"}', encoding="utf-8")
    return workspace


def backup_of(workspace: Workspace, at: float = 1_700_000_000.0) -> Backup:
    with Store.open(workspace) as store:
        return create_backup(store, clock=lambda: at)


def ids(workspace: Workspace) -> list[int]:
    with Store.open(workspace) as store:
        return [m.id for page in store.messages.in_channel(1) for m in page]


def test_a_lost_workspace_comes_back_whole(workspace: Workspace, tmp_path: Path) -> None:
    backup = backup_of(workspace)
    elsewhere = Workspace.at(tmp_path / "new home")
    restored = restore(elsewhere, backup)
    assert ids(elsewhere) == list(range(1, 11))
    assert restored.messages == 10
    with Store.open(elsewhere) as store:
        assert store.settings.get(TEMPERATURE) == 0.9
    assert (elsewhere.embeddings / "messages.lance" / "part").read_bytes() == b"vectors"
    assert (elsewhere.finetuned_models / "voice-1.gguf").read_bytes() == b"weights" * 1000
    environment = read_environment(elsewhere.env_file, process={})
    assert environment.server_id == 42
    assert restored.needs_token


def test_the_token_is_in_no_file_of_a_backup(workspace: Workspace) -> None:
    """Faults 31 and 48."""
    backup = backup_of(workspace)
    for path in backup.folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path.name


def test_the_token_in_place_survives_a_restore(workspace: Workspace) -> None:
    backup = backup_of(workspace)
    assert not restore(workspace, backup).needs_token
    assert read_environment(workspace.env_file, process={}).token == SECRET


def test_a_channel_that_was_closed_since_stays_closed(workspace: Workspace) -> None:
    """Fault 72: the owner's word and Discord's are newer than the backup's."""
    with Store.open(workspace) as store:
        store.channels.add([Channel(n, f"c{n}", recall=True, is_private=False) for n in (501, 502)])
        backup = create_backup(store)
        store.channels.switch(501, is_private=True)
    restore(workspace, backup)
    with Store.open(workspace) as store:
        assert [store.channels.get(n).owner_private for n in (501, 502)] == [True, None]
        assert store.channels.get(501).is_private
        assert store.channels.get(501).recall


def test_what_was_erased_since_stays_erased_and_who_opted_out_stays_out(workspace: Workspace) -> None:
    backup = backup_of(workspace)
    with Store.open(workspace) as store:
        store.messages.delete([3])
        store.members.forget(8)
        store.members.set_opted_out(7, True)
    restored = restore(workspace, backup)
    assert ids(workspace) == [2, 4, 6, 8, 10]
    assert restored.erased_messages == 5
    assert restored.forgotten_members == 1
    with Store.open(workspace) as store:
        assert store.members.absent_ids() == {7, 8}
        store.messages.save([message(1, author=8)])
    assert ids(workspace) == [2, 4, 6, 8, 10]


def test_erasures_are_found_in_newer_backups_when_the_database_is_destroyed(workspace: Workspace) -> None:
    """Fault 29: the reason for most restores."""
    old = backup_of(workspace)
    with Store.open(workspace) as store:
        store.members.forget(8)
    backup_of(workspace, at=1_700_000_100.0)
    workspace.messages_db.write_bytes(b"\0" * 5000)
    restore(workspace, old)
    assert ids(workspace) == [2, 4, 6, 8, 10]


def test_the_present_databases_are_set_aside_not_deleted(workspace: Workspace) -> None:
    backup = backup_of(workspace)
    with Store.open(workspace) as store:
        store.messages.save([message(99)])
    restore(workspace, backup)
    (aside,) = workspace.database_folder.glob("before-restore-*/messages.db")
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (11,)
    assert 99 not in ids(workspace)


def test_a_backup_made_while_others_write_is_consistent(workspace: Workspace, tmp_path: Path) -> None:
    """Fault 31."""
    is_done = threading.Event()

    def write() -> None:
        with Store.open(workspace) as store:
            number = 100
            while not is_done.wait(0.002):  # a pause, or the backup may never get its turn
                store.messages.save([message(number), message(number + 1)])
                number += 2

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup = backup_of(workspace)
    finally:
        is_done.set()
        writer.join()
    elsewhere = Workspace.at(tmp_path / "elsewhere")
    restore(elsewhere, backup)
    assert len(ids(elsewhere)) % 2 == 0
    assert len(ids(elsewhere)) >= 10


def test_a_damaged_backup_is_refused_and_nothing_is_touched(workspace: Workspace) -> None:
    backup = backup_of(workspace)
    for name in ("database/messages.db", "models/finetuned/voice-1.gguf"):
        path = backup.folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-9] + b"x" * 9)
        with pytest.raises(StorageError, match="is damaged"):
            restore(workspace, backup)
        path.write_bytes(content)
    (backup.folder / "manifest.json").unlink()
    with pytest.raises(StorageError, match="not a complete backup"):
        read_backup(backup.folder)
    assert ids(workspace) == list(range(1, 11))


def test_a_manifest_cannot_reach_outside_its_folder(workspace: Workspace) -> None:
    """Fault 51."""
    manifest = backup_of(workspace).folder / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"env"', '"../../../env"'), encoding="utf-8")
    with pytest.raises(StorageError, match="outside itself"):
        read_backup(manifest.parent)


def test_restoring_under_a_running_bot_is_refused(workspace: Workspace) -> None:
    backup = backup_of(workspace)
    with (
        FileLock(workspace.locks / "bot.lock", holder="A bot"),
        pytest.raises(AlreadyRunningError, match="The bot is already running"),
    ):
        restore(workspace, backup)


def test_unchanged_models_take_no_room_twice_and_never_share_with_the_workspace(workspace: Workspace) -> None:
    first, second = backup_of(workspace), backup_of(workspace, at=1_700_000_100.0)
    name = "models/finetuned/voice-1.gguf"
    if (first.folder / name).stat().st_nlink == 1:
        pytest.skip("no hard links on this disk")
    assert (first.folder / name).samefile(second.folder / name)
    assert not (first.folder / name).samefile(workspace.finetuned_models / "voice-1.gguf")
    prune(workspace.backups, keep=1)
    assert restore(workspace, second).messages == 10


def test_the_newest_are_kept(workspace: Workspace) -> None:
    made = [backup_of(workspace, at=1_700_000_000.0 + 100 * n).folder for n in range(5)]
    assert prune(workspace.backups, keep=2) == made[:3]
    assert [backup.folder for backup in list_backups(workspace.backups)] == made[3:]


def test_an_old_backup_goes_with_its_read_only_models(workspace: Workspace) -> None:
    """Fault 98: deployed models are read-only, and Windows deletes no such file."""
    (workspace.finetuned_models / "voice-1.gguf").chmod(stat.S_IREAD)
    made = [backup_of(workspace, at=1_700_000_000.0 + 100 * n).folder for n in range(3)]
    assert prune(workspace.backups, keep=1) == made[:2]
    assert list(workspace.backups.iterdir()) == [made[2]]


def test_a_backup_that_is_in_use_is_deleted_by_a_later_one(workspace: Workspace) -> None:
    """Fault 98: what is held stays, whole or under a name that the next time knows."""
    made = [backup_of(workspace, at=1_700_000_000.0 + 100 * n).folder for n in range(2)]
    with open(made[0] / "models" / "finetuned" / "voice-1.gguf", "rb"):
        prune(workspace.backups, keep=1)
    assert prune(workspace.backups, keep=1) in ([], made[:1])
    assert list(workspace.backups.iterdir()) == [made[1]]


def test_a_read_only_model_with_another_time_is_restored_over(workspace: Workspace) -> None:
    """Fault 98."""
    model = workspace.finetuned_models / "voice-1.gguf"
    model.chmod(stat.S_IREAD)
    backup = backup_of(workspace)
    model.chmod(stat.S_IREAD | stat.S_IWRITE)
    model.write_bytes(b"other")
    model.chmod(stat.S_IREAD)
    restore(workspace, backup)
    assert model.read_bytes() == b"weights" * 1000


def test_a_full_disk_leaves_nothing_half_made(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 28."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("storage.backup.shutil.copy2", full)
        with pytest.raises(StorageError, match="No space left"):
            backup_of(workspace)
    assert list(workspace.backups.iterdir()) == []

    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("storage.backup.shutil.disk_usage", lambda _: Usage(1000))
    with pytest.raises(StorageError, match=r"needs .* GiB"):
        backup_of(workspace)


def test_the_weekly_backup_is_the_same_command_with_its_own_name(workspace: Workspace) -> None:
    made = task(workspace, 4, None)
    line = cron_line(made, Schedule(4, 30, 0))
    assert line.startswith("30 4 * * 0 ")
    assert "backup.py" in line
    assert "--keep" in line
    assert made.name.startswith("discord-personality-backup-")
    shutil.rmtree(workspace.root)
