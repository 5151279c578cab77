"""Deployment to a real bot process with the real small model: it answers with the new one, and comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.catalog import offline_chat_model
from model.publishing import deployment
from model.publishing.deployment import DeploymentError
from model.publishing.release import Release
from storage.paths import PROJECT_ROOT, Workspace
from storage.playground import BOT, CHECK, OWNER
from storage.records import BotStatus, ModelState
from storage.settings import MAX_TOKENS
from storage.store import Store
from storage.system.processes import kill_tree
from tests.support.switched_bot import publish
from tests.support.waiting import wait_for


def a_model(folder: Path, name: str) -> Path:
    """The packaged model under another name and hash: llama.cpp reads past nothing that is not in its tables."""
    path = folder / f"{name}.gguf"
    shutil.copyfile(offline_chat_model(), path)
    with path.open("ab") as file:
        file.write(name.encode() * 8)
    return path


@pytest.fixture
def offline_bot(store: Store, workspace: Workspace, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A bot that answers the playground only, with a first model deployed."""
    store.settings.set(MAX_TOKENS, 50, changed_by="test")
    publish(workspace, a_model(tmp_path, "first"))
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "bot" / "run.py"), "--workspace", str(workspace.root), "--offline"],
        env=os.environ | {"GOMP_SPINCOUNT": "1000"},
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: model_of(store).startswith("first-"), "the first model")
        yield process
    finally:
        kill_tree(process.pid)
        process.wait(10)


def model_of(store: Store) -> str:
    status: BotStatus | None = store.status.read_bot()
    return status.model_name if status is not None and status.model_state is ModelState.READY else ""


def test_the_bot_answers_with_the_deployed_model_and_after_a_rollback_with_the_one_before(
    store: Store, tmp_path: Path, offline_bot: subprocess.Popen[bytes]
) -> None:
    outcome = Release(store).deploy(a_model(tmp_path, "second"), is_forced=True)
    assert outcome.was_reloaded
    assert model_of(store) == outcome.version.name
    question = store.playground.ask("hey, still there?")
    wait_for(
        lambda: any(entry.role == BOT and entry.answers_id == question for entry in store.playground.history(limit=5)),
        "an answer of the new model",
    )
    assert Release(store).roll_back().was_reloaded
    assert model_of(store).startswith("first-")
    assert offline_bot.poll() is None


def test_a_model_the_real_bot_cannot_load_is_taken_back_and_the_bot_goes_on(
    store: Store, workspace: Workspace, tmp_path: Path, offline_bot: subprocess.Popen[bytes]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(offline_chat_model().read_bytes()[:200_000])
    # Stored past the checks, as if the disk had spoilt it afterwards.
    version = deployment.store_version(workspace, broken)
    with pytest.raises(DeploymentError, match="is in use, as before"):
        Release(store).use_version(version.name)
    assert deployment.current(workspace).source == "first.gguf"  # type: ignore[union-attr]
    wait_for(lambda: model_of(store).startswith("first-"), "the model from before")
    assert offline_bot.poll() is None


def test_a_check_is_answered_alone_and_is_no_part_of_the_owners_chat(
    store: Store, offline_bot: subprocess.Popen[bytes]
) -> None:
    def ask(text: str, role: str) -> tuple[int, str]:
        number = store.playground.ask(text, role=role)
        answer = wait_for(lambda: store.playground.answer_to(number), "an answer")
        return number, str(answer.details.get("prompt"))

    ask("the owner's own words", OWNER)
    check, prompt = ask("anyone there?", CHECK)
    assert "anyone there?" in prompt
    assert "own words" not in prompt
    _, later = ask("and now", OWNER)
    assert "own words" in later
    assert "anyone there?" not in later
    assert len(store.playground.history()) == 4
    store.playground.withdraw(check)
    assert len(store.playground.history()) == 4
