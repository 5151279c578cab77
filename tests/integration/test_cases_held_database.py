"""Another program holds a database for a while: nothing that was said in the meantime is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from bot import storage_thread
from bot.storage_thread import StorageThread
from storage.errors import BusyError
from storage.paths import Workspace
from storage.records import ExitCode
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.held_database import held
from tests.support.live_bot import MIRA, OWNER, TAM, offline_model_environment, prepare, running_bot
from tests.support.waiting import wait_for
from tests.support.wire_bot import WireBot, play

# Longer than the fifteen seconds after which a read gave up and the question was lost.
HELD_SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=1000)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def ready_store(workspace: Workspace, server: DiscordServer) -> Iterator[Store]:
    prepare(workspace, server, conversation_seconds=0)
    with Store.open(workspace) as store:
        yield store


@pytest.mark.parametrize("name", ["messages_db", "control_db"])
def test_a_question_asked_while_a_database_is_held_is_answered_afterwards(
    ready_store: Store, server: DiscordServer, name: str
) -> None:
    """Fault 92: held for 20 s by a process of its own; what else was said is kept, a deletion stays one."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        path = getattr(ready_store, name).path
        with held(path):
            question = await asyncio.to_thread(server.say, 1000, MIRA, f"<@{BOT_ID}> are you there?")
            aside = await asyncio.to_thread(server.say, 1000, TAM, "just saying")
            gone = await asyncio.to_thread(server.say, 1000, TAM, "I take this back")
            await asyncio.sleep(1.0)
            await asyncio.to_thread(server.delete, 1000, gone)
            await asyncio.sleep(HELD_SECONDS - 1.0)
        await bot.until(lambda: server.world.sent, what="the answer", timeout=60)
        await bot.until(
            lambda: {question, aside} <= set(ready_store.messages.get([question, aside])), what="both messages"
        )
        assert set(ready_store.messages.get([question, aside, gone])) == {question, aside}
        assert [sent.content for sent in server.world.sent] == ["yes"]

    play(ready_store, server, scene, "yes")


def test_a_running_bot_answers_after_both_databases_were_held(workspace: Workspace, server: DiscordServer) -> None:
    """Fault 92: a process with the real model, both held for 20 s at once; it ends in order and lost nothing."""
    prepare(workspace, server)
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        with held(workspace.messages_db), held(workspace.control_db):
            question = server.say(1000, MIRA, f"<@{BOT_ID}> are you there?")
            aside = server.say(1000, TAM, "just saying")
            gone = server.say(1000, TAM, "I take this back")
            time.sleep(1.0)
            server.delete(1000, gone)
            time.sleep(HELD_SECONDS - 1.0)
        server.wait_for_sent(1)
        wait_for(lambda: {question, aside} <= set(bot.store.messages.get([question, aside])), "both messages")
        assert bot.stop() == ExitCode.STOPPED
        assert set(bot.store.messages.get([question, aside, gone])) == {question, aside}
        assert bot.store.activity.about(question).spoke
        assert bot.store.activity.about(aside) is not None
        assert len(server.world.sent) >= 1


def test_what_nobody_waits_for_is_written_in_order_once_the_database_is_free(
    store: Store,
) -> None:
    """Fault 92."""
    thread = StorageThread(on_start=lambda: store.wait_at_most(0.05))
    with held(store.control_db.path):
        for number in range(5):
            thread.post(store.facts.set, "last", number)
        thread.post(lambda: None).result(10)
    assert thread.close(timeout_seconds=10)
    assert store.facts.get("last") == 4


def test_a_database_that_stays_held_is_told_once_and_given_up_on_in_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 92."""
    monkeypatch.setattr(storage_thread, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(storage_thread, "PAUSE_SECONDS", 0.05)
    thread = StorageThread(on_start=lambda: store.wait_at_most(0.05))

    async def scene() -> None:
        with held(store.control_db.path):
            thread.post(store.facts.set, "lost", 1)
            with pytest.raises(BusyError, match="held by another program"):
                await thread.run(store.facts.set, "x", 1)  # a write: with a write-ahead log reading is never held up
        assert await thread.run(store.facts.get, "x", 7) == 7

    asyncio.run(scene())
    assert thread.close(timeout_seconds=10)
    assert sum("asks again" in record.message for record in caplog.records) == 1
    assert threading.active_count() < 50
