"""On the loopback Discord: neither a thought nor another person's line is ever sent."""

from __future__ import annotations

import asyncio

import pytest

from storage import policy
from storage.records import Channel
from storage.settings import REGISTRY
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.wire_bot import WireBot, play


def sent_for(store: Store, text: str) -> list[str]:
    """What reaches the server when somebody says hi and the model writes `text`."""
    world = World()
    world.add_member(41, "Ana")
    world.add_member(42, "Bo")
    channel = world.add_channel("general")
    store.settings.set(REGISTRY["response_rate"], 0.0, changed_by="test")
    policy.record_policy(store.consents, accepted=True, given_by="owner")
    store.channels.add(
        [Channel(channel, "general", guild_id=world.guild_id, learn=True, recall=True, speak=True, is_private=False)]
    )

    async def scene(bot: WireBot) -> None:
        await bot.online()
        await asyncio.to_thread(lambda: bot.server.say(channel, 42, "morning"))
        await bot.until(lambda: is_answered(store), what="the first line")
        await asyncio.to_thread(lambda: bot.server.say(channel, 41, f"<@{BOT_ID}> hi"))
        await bot.until(lambda: is_answered(store, 2), what="the end of the reply")

    with DiscordServer(world) as server:
        play(store, server, scene, text)
    return [message.content for message in world.sent]


def is_answered(store: Store, messages: int = 1) -> bool:
    """What became of so many messages is on record."""
    return bool(store.control_db.value("SELECT COUNT(*) FROM activity WHERE is_due = 0") >= messages)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("<think>Ana greets me. I should act like a friend.</think>\n\nyo", ["yo"]),
        ("<think>Okay, so the user is saying hi. I need", []),
        ("Okay, the user says hi. Keep it short.\n</think>\n\nhey", ["hey"]),
        ("<think>\n\n</think>\n\nsup", ["sup"]),
        ("yo\nAna: what\nBo: lol", ["yo"]),
        ("yo\nBo: lol", ["yo"]),
        ("Ana: yo", ["yo"]),
        ("Note: bring snacks", ["Note: bring snacks"]),
    ],
)
def test_cases_only_the_bots_own_words_are_sent(store: Store, written: str, sent: list[str]) -> None:
    """Fault 85."""
    assert sent_for(store, written) == sent
