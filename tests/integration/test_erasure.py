"""Nothing of somebody who is forgotten is left in any byte, and nothing of anybody else is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from storage.artefacts import Pointer, kind_of
from storage.backup import create_backup, list_backups, verify
from storage.forgetting import forget_channel, forget_member, sweep
from storage.index_sync import catch_up
from storage.paths import Workspace
from storage.restoring import restore
from storage.store import Store
from tests.support.cut_short import in_a_process, stop_at
from tests.support.full_workspace import MIRA, NAME, NAMESAKE, OLD_NAME, WORD, embed, fill, holding, index_of, messages


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


def test_no_byte_of_a_forgotten_member_is_left_anywhere(store: Store, outside: Path) -> None:
    """Fault 76."""
    fill(store, outside)
    workspace = store.workspace
    before = holding([workspace.root, outside], WORD)
    assert len(before) > 15, "the search itself works"
    done = forget_member(store, MIRA)
    assert not done.remaining
    assert done.messages == 20
    assert holding([workspace.root, outside], WORD, NAME, OLD_NAME) == []
    # Others' words, the figures, the models and the pointer are as they were.
    assert store.messages.counts_by_author()[NAMESAKE] == 12
    assert store.messages.counts_by_author()[11] > 20
    assert index_of(workspace).count() == store.messages.count()
    assert Pointer.in_use(workspace) == "voice-1"
    kept = json.loads((workspace.data / "evaluation" / "voice-1" / "report.json").read_text(encoding="utf-8"))
    assert kept["match"] == 71
    rows = (workspace.message_files / "prepared-1" / "train.jsonl").read_text(encoding="utf-8")
    assert "namesake says" in rows
    assert "keep me" in (workspace.message_files / "export.csv").read_text(encoding="utf-8")
    assert "keep me" in (workspace.message_files / "export.json").read_text(encoding="utf-8")
    assert "kept line" in (workspace.logs / "bot.log").read_text(encoding="utf-8")


def test_forgetting_twice_changes_nothing_more(store: Store, outside: Path) -> None:
    fill(store, outside)
    forget_member(store, MIRA)
    again = forget_member(store, MIRA)
    assert (again.messages, again.files_changed, again.remaining) == (0, 0, ())


def test_no_byte_of_a_forgotten_channel_is_left_and_it_may_be_used_again(store: Store, outside: Path) -> None:
    """Fault 76."""
    fill(store, outside)
    # These say neither which channel nor which of its messages they are from.
    for path in (*store.workspace.message_files.glob("export.[!j]*"), *store.workspace.message_files.glob("*.jsonl")):
        path.unlink()
    (store.workspace.logs / "bot.log").unlink()
    done = forget_channel(store, 1)
    assert not done.remaining
    assert done.messages > 500
    assert holding([store.workspace.root, outside], WORD) == []
    assert store.messages.count() == 0
    assert index_of(store.workspace).count() == 0
    store.messages.save(messages())
    assert store.messages.count() == 0, "no import brings them back"


def test_a_message_deleted_on_discord_leaves_every_file_with_the_next_sweep(store: Store, outside: Path) -> None:
    """Fault 76."""
    fill(store, outside)
    workspace = store.workspace
    (gone,) = [m.id for page in store.messages.in_channel(1) for m in page if f"{WORD}3 " in m.content]
    text = f"{WORD}3 "
    assert holding([workspace.root, outside], text)
    store.messages.delete([gone])
    catch_up(store, index_of(workspace), embed)
    swept = sweep(store)
    assert not swept.remaining
    assert holding([workspace.root, outside], text) == []
    assert holding([workspace.root], f"{WORD}6 "), "the others are still there"
    assert index_of(workspace).count() == store.messages.count()


def test_a_sweep_cut_short_is_finished_by_the_next(
    store: Store, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 77."""
    fill(store, outside)
    with monkeypatch.context() as patched:
        patched.setattr("storage.forgetting.purge_index", _locked)
        done = forget_member(store, MIRA)
    assert done.remaining
    assert "search index" in done.remaining[0]
    assert not sweep(store).remaining
    assert holding([store.workspace.root, outside], WORD, OLD_NAME) == []


def _locked(*_: object) -> None:
    raise PermissionError("another program has it open")


def test_backups_stay_whole_and_restore_without_the_forgotten(store: Store, outside: Path) -> None:
    fill(store, outside)
    forget_member(store, MIRA)
    (backup,) = list_backups(store.workspace.backups)
    verify(backup)
    elsewhere = Workspace.at(outside / "new home")
    restored = restore(elsewhere, backup)
    assert restored.messages == store.messages.count()
    assert holding([elsewhere.root], WORD, OLD_NAME) == []


def test_every_file_of_the_pipeline_is_claimed_by_the_registry(store: Store, outside: Path) -> None:
    """Whoever adds a writer says what an erasure does with its file (storage/artefacts.py)."""
    fill(store, outside)
    paths = [path for path in store.workspace.root.rglob("*") if path.is_file()]
    assert len(paths) > 40
    assert [str(path) for path in paths if kind_of(path, store.workspace) is None] == []


HOSTILE_NAMES = [
    "file",
    "null",
    "content",
    "2026",
    "true",
    "0",
    'say "cheese"',
    "back\\slash",
    "two\nlines",
    ".*",
    "(a+)+$",
    "[",
    "🦊",
    "",
    " ",
    "someone",
    "sha256",
    "voice-1",
    "voice-1.gguf",
    "name",
    "text",
    "shares",
    "author_id",
    "İi",
    "ß",
    "e",
    "member11",
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One filled workspace to copy, with a name to replace: preparing data takes seconds."""
    root = tmp_path_factory.mktemp("filled")
    with Store.open(Workspace.at(root / "home").create()) as store:
        fill(store, root / "elsewhere")
    return root


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
def test_whatever_a_member_is_called_only_what_is_theirs_goes(filled: Path, tmp_path: Path, name: str) -> None:
    """Fault 76. By id: somebody may be called like a key, a file, a number or somebody else."""
    shutil.copytree(filled, tmp_path / "copy")
    workspace = Workspace.at(tmp_path / "copy" / "home")
    with Store.open(workspace) as store:
        _rename(store, name)
        done = forget_member(store, MIRA)
        assert not done.remaining
        assert holding([workspace.root], WORD) == []
        assert store.messages.counts_by_author()[NAMESAKE] == 12
        assert store.members.get(NAMESAKE).display_name == name  # type: ignore[union-attr]
        assert Pointer.in_use(workspace) == "voice-1"
        for path in workspace.root.rglob("*.json"):
            json.loads(path.read_text(encoding="utf-8"))
        version = json.loads((workspace.finetuned_models / "voice-1.json").read_text(encoding="utf-8"))
        assert version["sha256"] == "0" * 64
        assert version["name"] == "voice-1"
        rows = (workspace.message_files / "prepared-1" / "train.jsonl").read_text(encoding="utf-8").splitlines()
        assert sum(json.loads(row)["author_id"] == NAMESAKE for row in rows) > 5
        manifest = json.loads((workspace.message_files / "prepared-1" / "manifest.json").read_text(encoding="utf-8"))
        assert {share["author_id"] for share in manifest["shares"]} > {NAMESAKE, 11}
        log = (workspace.logs / "bot.log").read_text(encoding="utf-8")
        assert "[2026-01-01 00:00:01] [INFO] [bot] kept line" in log
        verify(list_backups(workspace.backups)[-1])


def _rename(store: Store, name: str) -> None:
    """Mira and the namesake take the name, in the database and in the files that hold names."""
    with store.messages_db.transaction() as connection:
        connection.execute(
            "UPDATE members SET display_name = ?, username = ? WHERE id IN (?, ?)", (name, name, MIRA, NAMESAKE)
        )
    with store.control_db.transaction() as connection:
        connection.execute("UPDATE activity SET author_name = ?", (name,))
    for path in (*store.workspace.message_files.rglob("*.json*"), *(store.workspace.root / "models").rglob("*.json")):
        lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]
        values = [json.loads(line) for line in lines]
        written = [json.dumps(_with_name(value, name), ensure_ascii=False) + "\n" for value in values]
        path.write_text("".join(written), encoding="utf-8")


def _with_name(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_name(part, name) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_name(part, name) for part in value]
    return name if value in (NAME, OLD_NAME, "Tam") else value


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_erasure_killed_at_any_step_is_finished_by_the_next_sweep(tmp_path: Path) -> None:
    """Fault 77. Without an index: its library does not outlive a fork."""
    made = tmp_path / "made"
    with Store.open(Workspace.at(made).create()) as store:
        store.messages.save(messages())
        _some_files(store)
        create_backup(store)

    def forgotten(root: Path, number: int) -> int:
        def work() -> int:
            seen = stop_at(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            with Store.open(Workspace.at(root)) as store:
                forget_member(store, MIRA)
            return len(seen)

        return in_a_process(work)

    steps = forgotten(shutil.copytree(made, tmp_path / "counted"), 0)
    assert 20 < steps < 200
    begun = 0
    for number in range(1, steps + 1):
        root = shutil.copytree(made, tmp_path / f"killed-{number}")
        assert forgotten(root, number) == -signal.SIGKILL
        workspace = Workspace.at(root)
        with Store.open(workspace) as store:
            if not store.members.absent_ids():
                continue  # killed before the decision: nobody was told anything
            begun += 1
            assert not sweep(store).remaining
            assert holding([root], WORD, NAME, OLD_NAME) == [], number
            for backup in list_backups(workspace.backups):
                verify(backup)
            assert len(list_backups(workspace.backups)) == 1
        shutil.rmtree(root)
    assert begun > 15


def _some_files(store: Store) -> None:
    workspace = store.workspace
    folder = workspace.message_files / "prepared-1"
    folder.mkdir()
    row = {"id": "1", "author_id": 5, "context": [{"name": NAME, "text": WORD}], "reply": "x"}
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps({"shares": [{"author_id": MIRA, "name": NAME}]}), encoding="utf-8")
    (folder / "report.html").write_text(WORD, encoding="utf-8")
    store.messages_db.backup_to(workspace.database_folder / "messages.before-schema-9.db")
    store.playground.answer(
        store.playground.ask("?"), "!", details={"recalled": [{"message_id": 50001, "name": NAME, "text": WORD}]}
    )
