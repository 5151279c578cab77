"""A question for another model: the real bot process switches, answers and goes back, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bot.live_status import LiveStatus
from bot.model_slot import ModelSlot
from bot.playground import PlaygroundAnswerer
from bot.storage_thread import StorageThread
from storage.errors import ModelFileError
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import ModelState, PlaygroundEntry
from storage.settings import ADAPTER_PATH, MAX_TOKENS, MODEL_PATH
from storage.store import Store
from storage.system.processes import kill_tree
from tests.support.waiting import wait_for

ADAPTER = PROJECT_ROOT / "data" / "demo" / "adapter.gguf"


def start_bot(workspace: Workspace) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "bot" / "run.py"), "--workspace", str(workspace.root), "--offline"],
        env=os.environ | {"GOMP_SPINCOUNT": "1000"},
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def bots(store: Store, workspace: Workspace) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Bot processes that answer the playground only, with the packaged model; all are ended afterwards."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    store.settings.set(MAX_TOKENS, 50, changed_by="test")
    started = [start_bot(workspace)]
    try:
        wait_for(lambda: own_model_is_back(store), "the bot")
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                kill_tree(process.pid)
            process.wait(10)


def own_model_is_back(store: Store) -> bool:
    status = store.status.read_bot()
    return status is not None and status.model_state is ModelState.READY and bool(status.model_name)


def answer(store: Store, question: int) -> PlaygroundEntry:
    found: PlaygroundEntry = wait_for(lambda: store.playground.answer_to(question), "an answer")
    return found


def other(path: object) -> dict[str, Any]:
    return {MODEL_PATH.key: str(path), ADAPTER_PATH.key: ""}


def loads(store: Store) -> int:
    """How often the bot has loaded a model, from its log."""
    return (store.workspace.logs / "bot.log").read_text(encoding="utf-8").count("Model loaded")


def test_another_model_answers_one_question_and_the_bots_own_the_next(
    store: Store, workspace: Workspace, bots: list[subprocess.Popen[bytes]]
) -> None:
    voice = workspace.base_models / "voice 😀.gguf"
    shutil.copyfile(ADAPTER, voice)
    own = answer(store, store.playground.ask("anyone up for a game?")).details["model"]
    first = store.playground.ask("anyone up for a game?", options=other(voice))
    second = store.playground.ask("and tomorrow?")
    assert answer(store, first).details["model"] == f"{own} + {voice.stem}"
    assert answer(store, second).details["model"] == own
    assert loads(store) == 3, "its own, the other, its own again"

    broken = workspace.base_models / "broken.gguf"
    broken.write_bytes(ADAPTER.read_bytes()[:100_000])
    assert "cut short" in answer(store, store.playground.ask("hello?", options=other(broken))).error
    assert loads(store) == 3, "a file that is plainly wrong costs no reload"

    embedder = workspace.base_models / "no-chat-model.gguf"
    embedder.write_bytes(ADAPTER.read_bytes().replace(b"blk.", b"xxx."))
    assert answer(store, store.playground.ask("hello?", options=other(embedder))).error
    assert answer(store, store.playground.ask("still you?")).details["model"] == own
    assert bots[0].poll() is None
    assert store.settings.get(MODEL_PATH) == "smollm2-135m-instruct"


def test_a_withdrawn_question_and_a_killed_bot_leave_the_bots_own_model(
    store: Store, workspace: Workspace, bots: list[subprocess.Popen[bytes]]
) -> None:
    """Fault 1: the choice of another model lives in its question only, so nothing has to be put back."""
    own = answer(store, store.playground.ask("hello?")).details["model"]
    question = store.playground.ask("a very long story please", options=other(ADAPTER))
    wait_for(lambda: loads(store) == 2, "the other model")
    store.playground.withdraw(question)
    wait_for(lambda: loads(store) == 3, "the way back")
    assert answer(store, store.playground.ask("you again?")).details["model"] == own
    assert not [entry for entry in store.playground.history() if entry.answers_id == question]

    store.settings.set(MAX_TOKENS, 500, changed_by="test")
    question = store.playground.ask("the longest story you know", options=other(ADAPTER))
    wait_for(lambda: loads(store) == 4, "the other model")
    bots[0].kill()
    bots[0].wait(10)
    if store.playground.answer_to(question) is None:
        bots.append(start_bot(workspace))
        assert "ended while it answered" in answer(store, question).error, "not tried for ever"
        assert answer(store, store.playground.ask("and you?")).details["model"] == own


class NoModel:
    """Stands where a model is loaded; a test that reaches it has failed to stop earlier."""

    queue_length = 0


def test_on_discord_the_bot_keeps_its_voice(store: Store) -> None:
    def never(*_: object) -> Any:
        raise AssertionError("a model was loaded")

    async def ask() -> PlaygroundEntry | None:
        status, storage = LiveStatus(mode="discord"), StorageThread()
        slot = ModelSlot(check=never, load=never, unload=never, status=status)
        slot.model = NoModel()  # type: ignore[assignment]
        desk = PlaygroundAnswerer(store, storage=storage, responder=None, slot=slot, status=status)  # type: ignore[arg-type]
        question = store.playground.ask("hello?", options=other("x.gguf"))
        for _ in range(500):
            await desk.poll()
            if (found := store.playground.answer_to(question)) is not None:
                storage.close(timeout_seconds=5.0)
                return found
            await asyncio.sleep(0.01)
        return None

    found = asyncio.run(ask())
    assert found is not None
    assert "on Discord" in found.error


def test_a_loan_ends_with_an_error_a_cancel_or_a_reload_and_never_holds_two_models(store: Store) -> None:
    loaded: list[str] = []

    def load(changes: Any) -> Any:
        assert not loaded, "two models in memory"
        if changes.get("model_path") == "bad":
            raise ModelFileError("It does not load.", "Take another.")
        loaded.append(changes.get("model_path", "own"))
        model = NoModel()
        model.name, model.size_bytes = loaded[0], 1  # type: ignore[attr-defined]
        return model

    async def life() -> None:
        slot = ModelSlot(check=lambda _: None, load=load, unload=loaded.clear, status=LiveStatus(mode="offline"))
        keeper = asyncio.create_task(slot.run())
        assert await slot.wait_until_settled()
        async with slot.borrowed({"model_path": "other"}):
            assert loaded == ["other"]
        assert slot.model is None, "nobody is answered by the model that is about to go"
        assert await slot.wait_until_settled()
        assert loaded == ["own"]
        with pytest.raises(ModelFileError):
            async with slot.borrowed({"model_path": "bad"}):
                raise AssertionError("never entered")
        assert await slot.wait_until_settled()
        assert loaded == ["own"]

        async def borrow() -> None:
            async with slot.borrowed({"model_path": "other"}):
                await asyncio.sleep(60)

        borrower = asyncio.create_task(borrow())
        while loaded != ["other"] or slot.model is None:
            await asyncio.sleep(0)
        borrower.cancel()
        await asyncio.gather(borrower, return_exceptions=True)
        assert await slot.wait_until_settled()
        assert loaded == ["own"]
        async with slot.borrowed({"model_path": "other"}):
            slot.reload()
            assert await slot.wait_until_settled()
            assert loaded == ["own"]
        assert slot.model is not None, "a reload in between is not repeated"
        keeper.cancel()

    asyncio.run(life())
