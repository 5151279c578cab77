"""Starting over with a damaged database and no backup: as much as can be read comes along, and nothing is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.backup import main
from storage.errors import AlreadyRunningError, BadInputError, NewerSchemaError, StorageError
from storage.paths import Workspace
from storage.records import Channel, CommandKind, Message
from storage.salvage import start_anew
from storage.settings import TEMPERATURE
from storage.store import Store
from storage.system.locks import FileLock

COUNT = 3000


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.at(tmp_path).create()
    with Store.open(workspace) as store:
        store.channels.add([Channel(1, "general", speak=True, recall=True, is_private=False)])
        store.messages.save(
            [Message(n, 1, 7 + n % 3, f"member{n % 3}", f"line {n} " + "x" * 60, n) for n in range(1, COUNT + 1)]
        )
        store.members.set_opted_out(8, True)
        store.members.forget(9)
        store.settings.set(TEMPERATURE, 0.9, changed_by="test")
        store.commands.ask(CommandKind.STOP, asked_by="test")
        store.messages.save([], cursor=(1, COUNT, True))
    return workspace


def damage(path: Path, *, at: float) -> None:
    """Overwrite two pages at that share of the file."""
    raw = bytearray(path.read_bytes())
    page = int(len(raw) * at) // 4096 * 4096
    raw[page : page + 8192] = b"\xa5" * 8192
    path.write_bytes(raw)


def test_what_lies_before_and_behind_the_damage_is_carried_over(workspace: Workspace) -> None:
    """Fault 29."""
    damage(workspace.messages_db, at=0.5)
    (salvaged,) = start_anew(workspace)
    assert salvaged.cut_short == ("messages",)
    assert salvaged.aside.exists()
    with Store.open(workspace) as store:
        kept = [m.id for page in store.messages.in_channel(1) for m in page]
        assert len(kept) > COUNT * 0.5
        assert min(kept) < 10
        assert max(kept) > COUNT - 10
        assert salvaged.rows["messages"] == len(kept)
        assert store.messages_db.check() == "ok"
        assert store.control_db.check() == "ok"
        assert store.channels.get(1).speak
        assert store.settings.get(TEMPERATURE) == 0.9


def test_who_opted_out_or_was_forgotten_stays_so(workspace: Workspace) -> None:
    damage(workspace.messages_db, at=0.5)
    start_anew(workspace)
    with Store.open(workspace) as store:
        assert store.members.get(8).is_opted_out
        store.messages.save([Message(COUNT + 3, 1, 9, "member0", "back again", 1)])
        assert store.messages.get([COUNT + 3]) == {}


def test_everything_is_fetched_and_indexed_again(workspace: Workspace) -> None:
    damage(workspace.messages_db, at=0.5)
    start_anew(workspace)
    with Store.open(workspace) as store:
        assert store.messages.cursor(1) == 0
        assert store.messages_db.value("SELECT COUNT(*) FROM index_queue") == store.messages.count()


@pytest.mark.parametrize("content", [b"", b"<html>not a database</html>" * 400])
def test_a_file_of_which_nothing_can_be_read_makes_room_for_a_new_one(workspace: Workspace, content: bytes) -> None:
    """Fault 29."""
    workspace.control_db.write_bytes(content)
    with pytest.raises(StorageError, match="--start-anew"):
        Store.open(workspace)
    (salvaged,) = start_anew(workspace)
    assert salvaged.aside.read_bytes() == content
    assert salvaged.rows == {}
    with Store.open(workspace) as store:
        assert store.settings.get(TEMPERATURE) == TEMPERATURE.default
        assert store.messages.count() > 0


def test_whole_databases_newer_ones_and_those_in_use_are_left_alone(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = workspace.messages_db.read_bytes()
    main(["--workspace", str(workspace.root), "--start-anew"])
    assert "nothing was changed" in capsys.readouterr().out
    with FileLock(workspace.locks / "bot.lock", holder="The bot").acquire():
        damage(workspace.control_db, at=0.3)
        with pytest.raises(AlreadyRunningError, match="The bot"):
            start_anew(workspace)
    assert workspace.messages_db.read_bytes() == before
    with Store.open(Workspace.at(workspace.root / "other")) as store:
        store.messages_db.execute("PRAGMA user_version = 999")
    with pytest.raises(NewerSchemaError):
        start_anew(Workspace.at(workspace.root / "other"))


def test_the_script_says_what_came_along_and_what_to_do_next(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(workspace.messages_db, at=0.5)
    with pytest.raises(BadInputError, match="There is no backup"):
        main(["--workspace", str(workspace.root), "--restore"])
    main(["--workspace", str(workspace.root), "--start-anew"])
    said = capsys.readouterr().out
    assert "messages.damaged-1.db" in said
    assert "not read to its end" in said
    assert "fetch_and_embed" in said
