"""Everything the program makes is its user's alone, from its first byte on."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.backup import create_backup
from storage.logs import configure_logging
from storage.paths import Workspace
from storage.records import Message
from storage.restoring import restore
from storage.store import Store
from storage.system.locks import FileLock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes mean little on Windows")


@pytest.fixture(params=[0o000, 0o022, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_to_others(root: Path) -> list[str]:
    return [
        f"{stat.S_IMODE(path.stat().st_mode):o} {path.relative_to(root)}"
        for path in (root, *root.rglob("*"))
        if path.stat().st_mode & 0o077
    ]


def test_databases_logs_models_and_backups_are_their_users_alone_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    """Fault 115."""
    workspace = Workspace.at(tmp_path / "home" / "server")
    handlers = list(logging.getLogger().handlers)
    try:
        with Store.open(workspace) as store, FileLock(workspace.locks / "bot.lock", holder="A bot").acquire():
            configure_logging(workspace.logs, "bot")
            logging.getLogger("test").warning("said")
            store.messages.save([Message(1, 1, 7, "Ida", "words", 1)])
            (workspace.finetuned_models / "voice.gguf").write_bytes(b"weights")
            os.umask(umask)
            backup = create_backup(store)
            create_backup(store)
    finally:
        for handler in logging.getLogger().handlers:
            if handler not in handlers:
                handler.close()
        logging.getLogger().handlers = handlers
    assert not open_to_others(tmp_path / "home")
    os.umask(umask)
    restore(Workspace.at(tmp_path / "home" / "again"), backup)
    assert not open_to_others(tmp_path / "home")


def test_an_older_versions_folders_are_closed_at_the_next_start(tmp_path: Path) -> None:
    """Fault 115: with the folders closed nobody reaches what is in them."""
    workspace = Workspace.at(tmp_path / "home").create()
    for folder in (workspace.data, workspace.logs, workspace.finetuned_models):
        folder.chmod(0o755)
    Store.open(workspace).close()
    for folder in (workspace.data, workspace.logs, workspace.finetuned_models):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
