"""A backup from elsewhere: whoever made it may mean harm, and whoever restores it may not look."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scripts import backup as script
from storage.backup import Backup, create_backup, read_backup, settings_in
from storage.environment import read_environment
from storage.erasing.backups import erase_from_backups
from storage.errors import StorageError
from storage.migrations import CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS
from storage.paths import Workspace
from storage.records import Message
from storage.restoring import restore
from storage.store import Store
from storage.withdrawals import Subject

TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """The owner's own workspace."""
    workspace = Workspace.at(tmp_path / "home").create()
    workspace.env_file.write_text(f"# mine\nDISCORD_TOKEN='{TOKEN}'\nADMIN_USERS='1'\n", encoding="utf-8")
    with Store.open(workspace) as store:
        store.messages.save([Message(1, 1, 7, "Ida", "mine", 1)])
    return workspace


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A backup that somebody sent."""
    elsewhere = Workspace.at(tmp_path / "elsewhere").create()
    elsewhere.env_file.write_text("SERVER_ID='42'\nLOG_LEVEL='DEBUG'\n", encoding="utf-8")
    (elsewhere.finetuned_models / "voice.json").write_text("{}", encoding="utf-8")
    with Store.open(elsewhere) as store:
        store.messages.save([Message(2, 1, 8, "Ole", "theirs", 1)])
        return create_backup(store).folder


def signed(folder: Path) -> Backup:
    """The manifest in step with the files again, as whoever changes them would leave it."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            manifest["files"][path.relative_to(folder).as_posix()] = {
                "bytes": path.stat().st_size,
                "mtime_ns": path.stat().st_mtime_ns,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return read_backup(folder)


def untouched(workspace: Workspace) -> bool:
    with Store.open(workspace) as store:
        kept = [m.content for page in store.messages.in_channel(1) for m in page]
    return kept == ["mine"] and read_environment(workspace.env_file, process={}).token == TOKEN


@pytest.mark.parametrize(
    "key", ["DISCORD_TOKEN", "export DISCORD_API_BASE", "DISCORD_GATEWAY", "ADMIN_USERS", "HF_TOKEN"]
)
def test_no_key_of_a_foreign_env_sends_the_token_away_or_makes_an_admin(
    home: Workspace, foreign: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 110: what is taken, and what is not, is said before."""
    (foreign / "env").write_text(
        f"SERVER_ID=42\n{key}='666'\n# \nLOG_LEVEL=DEBUG\nMODEL_PATH='a\x1b[2Jb'\n", encoding="utf-8"
    )
    signed(foreign)
    script.main(["--workspace", str(home.root), "--restore", str(foreign)])
    environment = read_environment(home.env_file, process={})
    assert (environment.token, environment.admin_ids, environment.api_base, environment.gateway) == (
        TOKEN,
        frozenset({1}),
        "",
        "",
    )
    assert (environment.server_id, environment.log_level) == (42, "DEBUG")
    assert "666" not in home.env_file.read_text(encoding="utf-8")
    assert "# mine" in home.env_file.read_text("utf-8")
    said = capsys.readouterr().out
    assert said.index("SERVER_ID=42") < said.index("restored")
    assert key.split()[-1] in said
    assert "\x1b" not in said


def test_a_backup_holds_no_key_that_a_restore_would_not_take_but_the_admins(tmp_path: Path) -> None:
    """Fault 110: a token of another service in `.env` stays out of backups too."""
    workspace = Workspace.at(tmp_path / "home").create()
    workspace.env_file.write_text(
        f"DISCORD_TOKEN='{TOKEN}'\nHF_TOKEN=hf_secret\nADMIN_USERS=1, 2\nDISCORD_API_BASE=http://x\nSERVER_ID=42\n",
        encoding="utf-8",
    )
    with Store.open(workspace) as store:
        backup = create_backup(store)
    text = (backup.folder / "env").read_text(encoding="utf-8")
    assert "hf_secret" not in text
    assert TOKEN not in text
    assert "API_BASE" not in text
    assert settings_in(backup).values == {"SERVER_ID": "42"}
    assert settings_in(backup).left_out == ("ADMIN_USERS",)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("name", ["models/finetuned/voice.json", "env", "database/messages.db", "models/finetuned"])
def test_a_link_in_a_backup_is_refused(home: Workspace, foreign: Path, tmp_path: Path, name: str) -> None:
    """Fault 110: it would copy a file of this computer into the workspace."""
    moved = tmp_path / "away"
    (foreign / name).rename(moved)
    (foreign / name).symlink_to(moved)
    with pytest.raises(StorageError, match="is a link"):
        restore(home, signed(foreign))
    assert untouched(home)


@pytest.mark.parametrize(
    "name",
    ["/etc/hostname", "../outside", "models/finetuned/../../../x", "C:/x", "models\\finetuned\\x", "", ".", "a//b",
     "a/./b", "a\x00b", "models/finetuned/"],
)  # fmt: skip
def test_a_name_outside_the_backup_is_refused(foreign: Path, name: str) -> None:
    """Fault 110."""
    manifest = json.loads((foreign / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][name] = manifest["files"]["env"]
    (foreign / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(StorageError, match="outside itself"):
        read_backup(foreign)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(files=[]),
        lambda m: m.update(files={"env": 5}),
        lambda m: m["files"]["env"].pop("bytes"),
        lambda m: m["files"]["env"].update(bytes=-1),
        lambda m: m["files"]["env"].update(sha256=None),
        lambda m: m.update(created_at=float("inf")),
        lambda m: m.update(created_at=float("nan")),
        lambda m: m.update(created_at=None),
        lambda m: m.update(messages="many"),
        lambda m: m.update(messages=float("inf")),
    ],
)
def test_a_manifest_that_makes_no_sense_is_a_sentence(foreign: Path, change: Callable[[Any], Any]) -> None:
    """Fault 110."""
    manifest = json.loads((foreign / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (foreign / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(StorageError, match="is not a complete backup"):
        read_backup(foreign)
    (foreign / "manifest.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(StorageError, match="is not a complete backup"):
        read_backup(foreign)


STRANGE = {
    "a trigger": "CREATE TRIGGER own AFTER INSERT ON messages BEGIN UPDATE channel_allowlist SET is_private = 0; END",
    "a view": "CREATE VIEW more AS SELECT * FROM messages",
    "a table": "CREATE TABLE more (id INTEGER)",
    "a virtual table": "CREATE VIRTUAL TABLE more USING fts5(text)",
    "an index": "CREATE UNIQUE INDEX one ON messages (author_id)",
    "a trigger gone": "DROP TRIGGER queue_absent",
    "a column": "ALTER TABLE members ADD COLUMN more TEXT DEFAULT 'x'",
    "a table that is a view": "DROP TABLE erasures; CREATE VIEW erasures AS SELECT 'member' kind, 7 id, 1.0 erased_at",
}


@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("name", ["messages.db", "control.db"])
def test_a_database_that_is_not_built_like_ours_is_refused(
    home: Workspace, foreign: Path, name: str, what: str
) -> None:
    """Fault 110: it could make every channel public, or bring back who is gone."""
    statement = STRANGE[what]
    if name == "control.db":
        for ours, theirs in (
            ("ON messages (author_id)", "ON activity (reason)"),
            ("ON messages", "ON jobs"),
            ("TABLE members", "TABLE jobs"),
            ("DROP TABLE erasures;", ""),
            ("TRIGGER queue_absent", "INDEX activity_due"),
        ):
            statement = statement.replace(ours, theirs)
    with closing(sqlite3.connect(foreign / "database" / name)) as connection:
        connection.executescript(statement)
    with pytest.raises(StorageError, match="not one that this program made"):
        restore(home, signed(foreign))
    assert untouched(home)


def test_a_backup_of_every_older_version_is_ours(home: Workspace, foreign: Path) -> None:
    """Fault 110: the comparison is with the schema of the backup's own version."""
    for steps, name in ((MESSAGES_MIGRATIONS, "messages.db"), (CONTROL_MIGRATIONS, "control.db")):
        for version in range(1, len(steps) + 1):
            path = foreign / "database" / name
            path.unlink()
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                for step in steps[:version]:
                    step(connection)
                connection.execute(f"PRAGMA user_version = {version}")
                connection.execute("ANALYZE")
            restore(home, signed(foreign))


def test_an_erasure_opens_no_backup_from_elsewhere(
    home: Workspace, foreign: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 110: its names could lead out of the folder, its links to other files; it is named in the log instead."""
    outside = tmp_path / "outside.json"
    outside.write_text('{"author": {"id": "8"}}', encoding="utf-8")
    manifest = json.loads((foreign / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["../../../outside.json"] = manifest["files"]["env"]
    (foreign / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert erase_from_backups(foreign.parent, Subject(frozenset({8}), {}, frozenset()), 1.0) == 0
    assert outside.read_text(encoding="utf-8") == '{"author": {"id": "8"}}'
    assert "is not a backup of this program" in caplog.text
