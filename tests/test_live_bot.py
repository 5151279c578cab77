"""The bot process on the loopback Discord, with the real small model."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.paths import Workspace
from storage.records import BotPhase, ExitCode
from tests.discord_server import DiscordServer
from tests.discord_world import BOT_ID, World
from tests.live_bot import MIRA, OWNER, TAM, offline_model_environment, prepare, running_bot


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
        assert about.spoke and about.reason == "mentioned" and about.reply_id == int(sent[0].message["id"])
        assert "rolled" in bot.store.activity.about(silent).reason
        kept = bot.store.messages.recent(1000, limit=10)
        assert [m.id for m in kept if not m.is_own] == [silent, asked]
        assert any(m.is_own for m in kept)
        assert bot.status.phase is BotPhase.STOPPED
        assert 1000 in server.typing
