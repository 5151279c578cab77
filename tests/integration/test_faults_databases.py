"""Databases that were damaged, cut short or attacked: nothing is lost silently, nobody is let in."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.catalog import check_gguf, resolve_model
from model.inference import get_model
from model.publishing import deployment
from model.training.base_model import resolve_base
from storage.backup import create_backup, list_backups
from storage.database import Database, set_aside
from storage.environment import Environment
from storage.errors import KnownError, StorageError
from storage.migrations import MESSAGES_MIGRATIONS
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import Message
from storage.restoring import restore
from storage.settings import Settings
from storage.store import Store
from storage.vectordb import IndexRow, VectorIndex
from tests.support.endings import KILLED

# ---- damage ---------------------------------------------------------------------------------------------


def filled(workspace: Workspace, count: int = 400) -> None:
    with Store.open(workspace) as store:
        store.messages.save([Message(n, 1, 7, "ann", f"line {n} " + "words " * 20, n) for n in range(1, count + 1)])


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_page_gives_a_sentence_with_a_cure_or_correct_rows_never_a_traceback(
    workspace: Workspace, seed: int
) -> None:
    """Fault 29: a random page is overwritten; seed 0 hits the first, which holds the schema."""
    filled(workspace)
    dice = random.Random(seed)
    content = bytearray(workspace.messages_db.read_bytes())
    page = dice.randrange(len(content) // 4096) if seed else 0
    content[page * 4096 : (page + 1) * 4096] = dice.randbytes(4096)
    workspace.messages_db.write_bytes(content)
    try:
        with Store.open(workspace) as store:
            words = store.messages_db.check()
            texts = [m.content for rows in store.messages.in_channel(1) for m in rows]
            store.messages.save([Message(9_999, 1, 7, "ann", "more", 1)])
    except StorageError as error:
        assert "messages.db" in error.what
        assert error.cure
    else:
        assert words != "ok" or len(texts) == 400


def test_after_damage_the_backup_brings_everything_back_and_the_damaged_file_is_kept(workspace: Workspace) -> None:
    """Fault 29: the whole way out, as the error tells it."""
    filled(workspace)
    with Store.open(workspace) as store:
        create_backup(store)
    workspace.messages_db.write_bytes(b"\0" * 50_000)
    with pytest.raises(StorageError, match="--restore"):
        Store.open(workspace)
    restore(workspace, list_backups(workspace.backups)[-1])
    with Store.open(workspace) as store:
        assert (store.messages.count(), store.messages_db.check()) == (400, "ok")
    assert list(workspace.database_folder.glob("before-restore-*/messages.db"))


def test_a_damaged_file_is_set_aside_with_its_journal_and_never_over_another(workspace: Workspace) -> None:
    """Fault 29."""
    for number in (1, 2):
        workspace.messages_db.write_bytes(b"damaged %d" % number)
        workspace.messages_db.with_name("messages.db-journal").write_bytes(b"journal")
        kept = set_aside(workspace.messages_db)
        assert kept.name == f"messages.damaged-{number}.db"
        assert kept.read_bytes() == b"damaged %d" % number
        assert kept.with_name(kept.name + "-journal").exists()


# ---- migrations -------------------------------------------------------------------------------------------

KILLED_OPEN = """
import os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from storage import database
from storage.migrations import MESSAGES_MIGRATIONS
path, kill_at, steps = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
seen, plain_connect = 0, database.connect

def watched(statement):
    global seen
    seen += 1
    if seen == kill_at:
        os.kill(os.getpid(), 9)

def connect(path, **options):
    connection = plain_connect(path, **options)
    connection.set_trace_callback(watched)
    return connection

database.connect = connect

def step_2(connection):
    connection.execute("ALTER TABLE messages ADD COLUMN mood TEXT")
    connection.execute("UPDATE messages SET mood = 'fine'")

def step_3(connection):
    connection.execute("CREATE TABLE moods (name TEXT)")
    connection.execute("INSERT INTO moods SELECT DISTINCT mood FROM messages")

database.Database(path, (MESSAGES_MIGRATIONS[0], step_2, step_3)[:steps]).open().close()
print(seen)
"""


def open_and_kill(path: Path, kill_at: int, steps: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED_OPEN, str(PROJECT_ROOT), str(path), str(kill_at), str(steps)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_update_killed_at_any_statement_leaves_the_old_or_the_new_schema_and_a_copy(tmp_path: Path) -> None:
    """Fault 30: two further steps, a kill at each of their statements."""
    original = tmp_path / "original.db"
    database = Database(original, MESSAGES_MIGRATIONS[:1]).open()
    database.execute("INSERT INTO messages (id, channel_id, author_id, content, created_ms) VALUES (1, 1, 7, 'x', 1)")
    database.close()  # a newer SQLite keeps the row in its log until then, and the copies below are of the file
    counted = tmp_path / "counted.db"
    shutil.copy(original, counted)
    statements = int(open_and_kill(counted, 0, 3).stdout)
    assert statements > 8
    for kill_at in range(1, statements + 1):
        path = tmp_path / f"killed-{kill_at}.db"
        shutil.copy(original, path)
        assert open_and_kill(path, kill_at, 3).returncode == KILLED
        connection = sqlite3.connect(path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        columns = {row[1] for row in connection.execute("PRAGMA table_info(messages)")}
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert ("mood" in columns, "moods" in tables) == (version >= 2, version >= 3)
        assert version == 1 or path.with_name(f"{path.stem}.before-schema-2.db").exists()
        connection.close()
        assert open_and_kill(path, 0, 3).returncode == 0
        assert sqlite3.connect(path).execute("SELECT mood FROM messages").fetchall() == [("fine",)]


def test_a_first_start_killed_at_any_statement_can_be_repeated(tmp_path: Path) -> None:
    """Fault 30: it must not look like a database whose content is gone."""
    statements = int(open_and_kill(tmp_path / "counted.db", 0, 1).stdout)
    for kill_at in sorted({1, 2, 3, 4, 5, 6, statements // 2, statements - 2, statements - 1, statements}):
        path = tmp_path / f"new-{kill_at}.db"
        open_and_kill(path, kill_at, 1)
        Database(path, MESSAGES_MIGRATIONS).open().close()
        assert sqlite3.connect(path).execute("SELECT COUNT(*) FROM messages").fetchone() == (0,)


# ---- attacks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    ["x' OR '1'='1", "1) OR (1=1", "'; DROP TABLE messages; --", '" OR ""="', "1 UNION SELECT 1", None, 1.5, "1"],
)
def test_nothing_but_numbers_reaches_a_filter_of_the_index(tmp_path: Path, attack: object) -> None:
    """Fault 49: injected text gives no rows; it is refused before a filter is built."""
    index = VectorIndex.open(tmp_path / "index", model="m", dimension=4)
    index.upsert([IndexRow(1, 5, 7, "secret", 1, 0.0, np.array([1, 0, 0, 0], dtype=np.float32))])
    vector = np.array([1, 0, 0, 0], dtype=np.float32)
    for arguments in ({"channel_ids": [attack]}, {"channel_ids": [5], "exclude_ids": [attack]}):
        try:
            hits = index.search(vector, limit=5, **arguments)
        except (TypeError, ValueError):
            continue
        assert [hit.channel_id for hit in hits] in ([], [5])
        assert "channel_ids" in arguments
        assert arguments["channel_ids"] == [5] or not hits
    assert index.count() == 1


def test_names_and_texts_that_look_like_sql_are_only_text(store: Store) -> None:
    """Fault 49."""
    attack = "'); DELETE FROM messages; --"
    store.messages.save([Message(1, 1, 7, attack, attack, 1), Message(2, 1, 8, "tam", "x", 2)])
    store.members.set_opted_out(7, True, name=attack)
    store.playground.ask(attack)
    assert store.messages.count() == 2
    assert store.messages.get([1])[1].content == attack


class Bomb:
    """A pickle that would write a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_in_place_of_a_model_is_never_opened(tmp_path: Path) -> None:
    """Fault 51: as a chat model under honest and dishonest names, and as a base model for training."""
    mark = tmp_path / "exploded"
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}))
    for name in ("model.gguf", "model.bin", "pytorch_model.bin"):
        for path in (tmp_path / name, folder / name):
            path.write_bytes(pickle.dumps(Bomb(mark)))
        with pytest.raises(KnownError):
            get_model(tmp_path / name)
    with pytest.raises(KnownError, match="safetensors"):
        resolve_base(str(folder), tmp_path / "models")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["../../outside.gguf", "/etc/passwd", "..\\..\\outside.gguf", "C:\\outside.gguf"])
def test_the_deployed_pointer_cannot_name_a_file_outside_its_folder(workspace: Workspace, name: str) -> None:
    """Fault 51."""
    (workspace.root / "outside.gguf").write_bytes(b"GGUF")
    (workspace.root / "outside.json").write_text("{}")
    (workspace.finetuned_models / deployment.POINTER).write_text(json.dumps({"file": name, "previous": name}))
    for look in (lambda: resolve_model(workspace, Settings(), Environment()), lambda: deployment.rollback(workspace)):
        with pytest.raises(KnownError):
            check_gguf(look())
    assert deployment.current(workspace) is None
