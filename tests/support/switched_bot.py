"""Model files that only stand for models, and a bot of ours that plays the real one's part of a switch."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.catalog import resolve_model
from model.publishing import deployment
from model.publishing.deployment import DeployedModel
from model.publishing.release import Release
from storage.environment import Environment
from storage.paths import PROJECT_ROOT, Workspace
from storage.playground import CHECK
from storage.records import BotPhase, BotStatus, CommandKind, ModelState
from storage.settings import ADAPTER_PATH
from storage.store import Store
from tests.support.endings import KILLED


def model_file(folder: Path, name: str, content: bytes | None = None) -> Path:
    """A file that stands for a model where its content does not matter."""
    path = folder / f"{name}.gguf"
    path.write_bytes(content or name.encode() * 1000)
    return path


def publish(workspace: Workspace, gguf: Path, **details: Any) -> DeployedModel:
    """Store a model file and use it, as a release does that found nothing to object to."""
    version = deployment.store_version(workspace, gguf, **details)
    deployment.use(workspace, version)
    return version


class BotOfOurs:
    """Plays the bot's part of a reload by hand: takes commands and reports a model, or that it cannot load it."""

    def __init__(self, store: Store, *, react: Callable[[BotStatus, Path], BotStatus]) -> None:
        self.store, self._react = store, react
        self.status = BotStatus(os.getpid(), BotPhase.RUNNING, 0.0, 0.0, model_state=ModelState.READY, model_name="old")
        self.reloads, self.says, self.asked = 0, "yo", list[str]()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> BotOfOurs:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _write(self) -> None:
        self.status = replace(self.status, heartbeat_at=self.store.status._clock())
        self.store.status.write_bot(self.status)

    def _run(self) -> None:
        while not self._done.wait(0.02):
            command = self.store.commands.take(pid=os.getpid())
            if command is not None:
                assert command.kind is CommandKind.RELOAD_MODEL
                self.reloads += 1
                self.store.commands.finish(command.id, "done")
                path = resolve_model(self.store.workspace, self.store.settings.read(), Environment())
                self.status = self._react(self.status, path)
            question = self.store.playground.take(pid=os.getpid())
            if question is not None:
                assert question.role == CHECK
                assert not self.store.playground.history()
                self.asked.append(question.text)
                self.store.playground.answer(question.id, self.says, details={"model": self.status.model_name})
            self._write()


def loads(status: BotStatus, path: Path) -> BotStatus:
    return replace(status, model_state=ModelState.READY, model_name=path.stem, model_error="")


def only_the_old_one(status: BotStatus, path: Path) -> BotStatus:
    if "new" in path.stem:
        return replace(status, model_state=ModelState.FAILED, model_name="", model_error="Not a GGUF file.")
    return loads(status, path)


def publish_to_bot(store: Store, tmp_path: Path, name: str) -> Release:
    """A release whose file checks are left out: the bot of ours opens no file."""
    release = Release(store, reload_seconds=5.0)
    version = deployment.store_version(store.workspace, model_file(tmp_path, name))
    release._switch(lambda: deployment.use(store.workspace, version), (), "test")
    return release


def abandon_switch(store: Store, tmp_path: Path) -> deployment.DeployedModel:
    """A deployment whose process was killed right after it had moved the pointer."""
    old = publish(store.workspace, model_file(tmp_path, "old"))
    store.settings.set(ADAPTER_PATH, "chosen.gguf", changed_by="test")
    code = (
        f"import os, sys; sys.path.insert(0, {str(PROJECT_ROOT)!r})\n"
        "from model.publishing import deployment, switching\n"
        "from storage.paths import Workspace\nfrom storage.store import Store\n"
        f"store = Store.open(Workspace.at({str(store.workspace.root)!r}))\n"
        "opened = switching.open_switch(store)\n"
        "deployment.write_pointer(store.workspace, deployment.Pointer('new.gguf', 'old.gguf'))\n"
        "store.settings.reset(*switching.MODEL_CHOICE)\nswitching.note_moved(store, opened)\n"
        "os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == KILLED
    assert deployment.read_pointer(store.workspace) == deployment.Pointer("new.gguf", "old.gguf")
    return old
