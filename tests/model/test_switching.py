"""Switching a running bot to another model: its answer is waited for, and what it cannot use is taken back."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from model.publishing import deployment, switching
from model.publishing.deployment import DeploymentError
from model.publishing.release import Release
from storage.errors import CancelledError, ModelFileError
from storage.paths import PROJECT_ROOT
from storage.records import ModelState
from storage.settings import ADAPTER_PATH, MODEL_PATH
from storage.store import Store
from tests.support.endings import KILLED
from tests.support.switched_bot import (
    BotOfOurs,
    abandon_switch,
    loads,
    model_file,
    only_the_old_one,
    publish,
    publish_to_bot,
)


def test_a_running_bot_answers_with_the_new_model_at_the_end(store: Store, tmp_path: Path) -> None:
    with BotOfOurs(store, react=loads) as bot:
        publish_to_bot(store, tmp_path, "new")
        assert bot.status.model_name == deployment.current(store.workspace).name  # type: ignore[union-attr]
        publish_to_bot(store, tmp_path, "newer")
        outcome = Release(store).roll_back()
        assert outcome.was_reloaded
        assert bot.status.model_name.startswith("new-")


def test_a_model_that_loads_and_says_nothing_is_taken_back(store: Store, tmp_path: Path) -> None:
    old = publish(store.workspace, model_file(tmp_path, "old"))
    with BotOfOurs(store, react=loads) as bot:
        bot.says = ""
        with pytest.raises(DeploymentError, match="says nothing"):
            publish_to_bot(store, tmp_path, "new")
        assert len(bot.asked) == 3
        assert not store.playground.history(), "the test chat is left as it was"
    assert deployment.current(store.workspace) == old


def only_what_was_before(store: Store) -> str:
    pointer = deployment.read_pointer(store.workspace)
    assert pointer is not None
    if pointer.file == "new.gguf":
        raise ModelFileError("new.gguf does not load.")
    return str(pointer.file)


def test_a_bot_goes_back_by_itself_where_a_killed_deployment_left_a_model_that_does_not_load(
    store: Store, tmp_path: Path
) -> None:
    old = abandon_switch(store, tmp_path)
    assert switching.load_or_take_back(store, lambda: only_what_was_before(store)) == old.file
    assert store.settings.get(ADAPTER_PATH) == "chosen.gguf"
    assert switching.unsettled_switch(store) is None
    deployment.write_pointer(store.workspace, deployment.Pointer("new.gguf", "old.gguf"))
    with pytest.raises(ModelFileError):  # a file that breaks later on is not a deployment's doing
        switching.load_or_take_back(store, lambda: only_what_was_before(store))


def a_bot_that_dies_of_it(store: Store) -> None:
    code = (
        f"import os, sys; sys.path.insert(0, {str(PROJECT_ROOT)!r})\n"
        "from model.publishing import switching\n"
        "from storage.paths import Workspace\nfrom storage.store import Store\n"
        f"store = Store.open(Workspace.at({str(store.workspace.root)!r}))\n"
        "switching.load_or_take_back(store, lambda: os.kill(os.getpid(), 9))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == KILLED


def test_a_model_that_ends_two_bots_as_they_load_it_goes_after_a_killed_deployment(
    store: Store, tmp_path: Path
) -> None:
    old = abandon_switch(store, tmp_path)
    a_bot_that_dies_of_it(store)
    unsettled = switching.unsettled_switch(store)
    assert unsettled is not None
    assert unsettled.attempts == 1, "one may have been stopped as it loaded"
    a_bot_that_dies_of_it(store)
    assert switching.load_or_take_back(store, lambda: only_what_was_before(store)) == old.file


def test_what_the_owner_chose_since_is_left_alone(store: Store, tmp_path: Path) -> None:
    abandon_switch(store, tmp_path)
    store.settings.set(MODEL_PATH, "mine.gguf", changed_by="owner")
    with pytest.raises(ModelFileError):
        switching.load_or_take_back(store, lambda: only_what_was_before(store))
    assert store.settings.get(MODEL_PATH) == "mine.gguf"
    pointer = deployment.read_pointer(store.workspace)
    assert pointer is not None
    assert pointer.file == "new.gguf"


def test_a_model_the_bot_has_loaded_is_never_taken_back_later(store: Store, tmp_path: Path) -> None:
    """The deploying process may be killed while it waits for the bot's first words."""
    publish(store.workspace, model_file(tmp_path, "old"))
    opened = switching.open_switch(store)
    version = publish(store.workspace, model_file(tmp_path, "new"))
    switching.note_moved(store, opened)
    assert switching.load_or_take_back(store, lambda: "loaded") == "loaded"
    assert switching.unsettled_switch(store) is None
    with pytest.raises(ModelFileError):
        switching.load_or_take_back(store, lambda: (_ for _ in ()).throw(ModelFileError("gone")))
    assert deployment.current(store.workspace) == version


@pytest.mark.parametrize("is_tried_by_a_dead_bot", [False, True])
def test_the_next_deployment_does_not_go_back_to_a_model_that_was_left_broken(
    store: Store, tmp_path: Path, is_tried_by_a_dead_bot: bool
) -> None:
    old = abandon_switch(store, tmp_path)
    if is_tried_by_a_dead_bot:
        a_bot_that_dies_of_it(store)
    with BotOfOurs(store, react=loads) as bot:
        if not is_tried_by_a_dead_bot:
            bot.status = replace(bot.status, model_state=ModelState.FAILED, model_name="", model_error="no")
        bot._write()
        publish_to_bot(store, tmp_path, "newer")
        pointer = deployment.read_pointer(store.workspace)
        assert pointer is not None
        assert pointer.previous == old.file


def test_a_deployment_cancelled_while_the_bot_loads_leaves_the_model_from_before(store: Store, tmp_path: Path) -> None:
    """FAULTS 58: nobody would be there to take a model back that does not load."""
    old = publish(store.workspace, model_file(tmp_path, "old"))
    store.settings.set(ADAPTER_PATH, "chosen.gguf", changed_by="test")

    def cancel(share: float, step: str) -> None:
        raise CancelledError("Cancelled.")

    version = deployment.store_version(store.workspace, model_file(tmp_path, "new"))
    release = Release(store, progress=cancel)
    with pytest.raises(CancelledError):
        release._switch(lambda: deployment.use(store.workspace, version), (), "test")
    assert deployment.current(store.workspace) == old
    assert store.settings.get(ADAPTER_PATH) == "chosen.gguf"


def test_a_model_the_bot_cannot_load_is_taken_back_by_itself(store: Store, tmp_path: Path) -> None:
    old = publish(store.workspace, model_file(tmp_path, "old"))
    with BotOfOurs(store, react=only_the_old_one) as bot:
        # A failure may be an old one, so it counts only once it outlives the command for a while.
        clock = iter(range(10_000))
        release = Release(
            store,
            sleep=lambda _seconds: threading.Event().wait(0.02) and None,
            clock=lambda: bot.status.heartbeat_at + next(clock) * 0.05,
        )
        version = deployment.store_version(store.workspace, model_file(tmp_path, "new"))
        with pytest.raises(DeploymentError, match="Not a GGUF file"):
            release._switch(lambda: deployment.use(store.workspace, version), (), "test")
        assert deployment.current(store.workspace) == old
        while bot.reloads < 2 or bot.status.model_state is not ModelState.READY:
            threading.Event().wait(0.02)
        assert bot.status.model_name == old.name


def test_the_first_model_that_fails_leaves_no_pointer_behind(store: Store, tmp_path: Path) -> None:
    store.settings.set(MODEL_PATH, str(tmp_path / "old.gguf"), changed_by="test")
    with BotOfOurs(store, react=only_the_old_one) as bot:
        clock = iter(range(10_000))
        release = Release(
            store,
            sleep=lambda _seconds: threading.Event().wait(0.02) and None,
            clock=lambda: bot.status.heartbeat_at + next(clock) * 0.05,
        )
        version = deployment.store_version(store.workspace, model_file(tmp_path, "new"))
        with pytest.raises(DeploymentError):
            release._switch(lambda: deployment.use(store.workspace, version), (), "test")
    assert deployment.read_pointer(store.workspace) is None
    assert store.settings.get(MODEL_PATH).endswith("old.gguf"), "the owner's choice is back too"
