"""The bot process on the loopback Discord, with the real small model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from bot_controller import BotController, ControllerState
from storage.activity import ENDED_EARLY
from storage.paths import Workspace
from storage.records import BotPhase, ExitCode
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, OWNER, TAM, offline_model_environment, prepare, running_bot


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=1000)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


def test_a_mention_is_answered_once_and_everything_is_recorded(workspace: Workspace, server: DiscordServer) -> None:
    prepare(workspace, server)
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        silent = server.say(1000, TAM, "anyone here?")
        asked = server.say(1000, MIRA, f"<@{BOT_ID}> what is your favourite food?")
        sent = server.wait_for_sent(1)
        assert all(0 < len(message.content) <= 2000 for message in sent)
        assert bot.stop() == ExitCode.STOPPED
        about = bot.store.activity.about(asked)
        assert about.spoke
        assert about.reason == "mentioned"
        assert about.reply_id == int(sent[0].message["id"])
        assert "rolled" in bot.store.activity.about(silent).reason
        kept = bot.store.messages.recent(1000, limit=10)
        assert [m.id for m in kept if not m.is_own] == [silent, asked]
        assert any(m.is_own for m in kept)
        assert bot.status.phase is BotPhase.STOPPED
        assert 1000 in server.typing


def test_one_person_gets_one_answer_and_a_deleted_question_none(workspace: Workspace, server: DiscordServer) -> None:
    prepare(workspace, server)
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        deleted = server.say(1000, TAM, f"<@{BOT_ID}> never mind")
        server.delete(1000, deleted)
        lines = [server.say(1000, MIRA, text) for text in (f"<@{BOT_ID}> quick question", "about cats", "ok?")]
        # a resume may repeat what was said
        server.repeat(lines[0], 1000)
        server.say(1000, TAM, "by the way")
        first = server.wait_for_sent(1)[0]
        assert first.reply_to == lines[-1]
        later = server.say(1000, OWNER, f"<@{BOT_ID}> and dogs?")
        server.wait_for(
            lambda: bot.store.activity.about(later) is not None and not bot.store.activity.due(),
            what="the second answer",
            timeout=90,
        )
        rows = [bot.store.activity.about(i) for i in (deleted, *lines, later)]
        assert not rows[0].spoke
        assert "deleted" in rows[0].reason
        assert {row.reply_id for row in rows[1:4]} == {int(first.message["id"])}
        assert rows[2].reason == "part of the same answer"
        assert rows[4].spoke
        assert deleted not in bot.store.messages.get([deleted, *lines])
        assert all(sent.pings <= {f"user {MIRA}", f"user {OWNER}"} for sent in server.world.sent)


def test_a_kill_while_it_writes_loses_no_decision(workspace: Workspace, server: DiscordServer) -> None:
    """Faults 24 and 46: what joins an answer is stored at once, in the order it was said."""
    prepare(workspace, server, max_tokens=300)
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        lines = [server.say(1000, MIRA, text) for text in (f"<@{BOT_ID}> quick question", "about cats", "ok?")]
        server.wait_for(lambda: bot.store.activity.about(lines[-1]) is not None, what="the last decision", timeout=90)
        bot.process.kill()
        bot.wait_for_exit()
        assert server.world.sent == []
        rows = list(reversed(bot.store.activity.recent()))
        assert [(row.message_id, row.is_due) for row in rows] == [(line, True) for line in lines]
        assert [row.reason for row in rows] == ["mentioned", *["part of the same answer"] * 2]
    with running_bot(workspace, server, arguments=("--offline",), environment={"MODEL_PATH": "none.gguf"}) as bot:
        bot.wait_until(lambda _: not bot.store.activity.due(), what="the record of what was left")
        assert all(ENDED_EARLY in row.reason for row in bot.store.activity.recent())


def test_restart_asked_for_on_discord_is_done_once_by_the_supervisor(
    workspace: Workspace, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 3: exit 26, one start, no crash counted, the old command never again."""
    prepare(workspace, server)
    for key, value in (server.environment | {"ADMIN_USERS": str(OWNER), "MODEL_PATH": "none.gguf"}).items():
        monkeypatch.setenv(key, value)
    with Store.open(workspace) as store:
        controller = BotController(store)
        controller.start()
        try:
            tick_until(controller, lambda: store.status.read_bot().is_connected)
            first = store.status.read_bot().pid
            server.say(1000, MIRA, "!restart")
            server.wait_for_sent(1)
            assert "admins" in server.world.sent[0].content
            server.say(1000, OWNER, "!restart")
            tick_until(
                controller, lambda: store.status.read_bot().pid != first and store.status.read_bot().is_connected
            )
            again = server.say(1000, MIRA, "are you back?")
            tick_until(controller, lambda: store.activity.about(again) is not None)
            assert server.identifies == 2
            assert store.status.starts_since(0) == 2
            assert controller.view().crashes == 0
        finally:
            controller.stop()
            tick_until(controller, lambda: controller.view().state is ControllerState.STOPPED)
            controller.close(leave_running=False)


def tick_until(controller: BotController, condition: Callable[[], bool], *, timeout: float = 120.0) -> None:
    """Drive the supervisor as the panel does until the condition holds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        controller.tick()
        if controller.view().status is not None and condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout:g} s: {controller.view()}")
