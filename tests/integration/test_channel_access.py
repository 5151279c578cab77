"""Who may read a channel, followed by the running bot: by events, over restarts, and by the owner's own word."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bot.recall import Recall
from data.chat.audience import opened_channels, recall_sources
from storage.paths import Workspace
from storage.records import PLAYGROUND_CHANNEL, Channel
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World
from tests.support.live_bot import MIRA, OWNER, LiveBot, offline_model_environment, prepare, running_bot

GENERAL, MEMES, STAFF = 1000, 1001, 1002
MODS = 777
VIEW, READ = 1 << 10, 1 << 10 | 1 << 16


def hidden(server: DiscordServer, *roles: int) -> list[dict[str, Any]]:
    """Overwrites that hide a channel from all but these roles."""
    everyone = {"id": str(server.world.guild_id), "type": 0, "allow": "0", "deny": str(VIEW)}
    return [everyone, *({"id": str(role), "type": 0, "allow": str(READ), "deny": "0"} for role in roles)]


def give(server: DiscordServer, channel_id: int, overwrites: list[dict[str, Any]], *, is_told: bool = True) -> None:
    """Discord changes a channel's permissions."""
    server.do(lambda world: world.channels[channel_id].update(permission_overwrites=overwrites))
    if is_told:
        server.tell("CHANNEL_UPDATE", copy.deepcopy(server.world.channels[channel_id]))


def role(server: DiscordServer, role_id: int, permissions: int) -> dict[str, Any]:
    return {
        "id": str(role_id),
        "name": f"role {role_id}",
        "color": 0,
        "hoist": False,
        "position": 1,
        "permissions": str(permissions),
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }


def tell_role(server: DiscordServer, role_id: int, permissions: int, *, event: str = "GUILD_ROLE_UPDATE") -> None:
    guild_id = str(server.world.guild_id)
    server.tell(event, {"guild_id": guild_id, "role": role(server, role_id, permissions), "role_id": str(role_id)})


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    for name, number in (("general", GENERAL), ("memes", MEMES)):
        world.add_channel(name, channel_id=number)
    world.add_channel("staff", channel_id=STAFF, is_private=True)
    for user_id, name in ((MIRA, "Mira"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def bot(workspace: Workspace, server: DiscordServer) -> Iterator[LiveBot]:
    prepare(workspace, server)
    with Store.open(workspace) as store:
        store.channels.switch(STAFF, recall=True)
    with running_bot(workspace, server, environment=offline_model_environment()) as running:
        running.wait_until_ready()
        wait(lambda: all(c.audience for c in running.store.channels.all()), "the first look at the permissions")
        yield running


def wait(condition: Callable[[], Any], what: str, *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def sources(store: Store, channel_id: int) -> list[int]:
    return sorted(recall_sources(store.channels.all(), channel_id))


def asked(store: Store) -> list[str]:
    return [channel.name for channel in opened_channels(store.channels.all())]


def command(bot: LiveBot, server: DiscordServer, text: str) -> str:
    before = len(server.world.sent)
    server.say(GENERAL, OWNER, text)
    return str(server.wait_for_sent(before + 1)[before].content)


def test_discord_closing_a_channel_applies_to_the_running_bot_and_opening_it_again_asks(
    bot: LiveBot, server: DiscordServer
) -> None:
    """Fault 72: through the gateway, `!channels` and a restart."""
    assert sources(bot.store, GENERAL) == [GENERAL, MEMES]
    assert sources(bot.store, STAFF) == [GENERAL, MEMES, STAFF]
    give(server, MEMES, hidden(server, MODS))
    wait(lambda: sources(bot.store, GENERAL) == [GENERAL], "the channel to be closed")
    wait(lambda: "is dropped" in bot.log(), "what was prepared to be dropped")
    give(server, MEMES, [])
    wait(lambda: asked(bot.store) == ["memes"], "the question")
    assert sources(bot.store, GENERAL) == [GENERAL]
    assert "Discord opened <#1001>" in command(bot, server, "!channels")
    assert "on" in command(bot, server, "!channels enable #memes recall")
    assert sources(bot.store, GENERAL) == [GENERAL], "switching recall on is no answer"
    assert "is open" in command(bot, server, "!channels open #memes")
    assert sources(bot.store, GENERAL) == [GENERAL, MEMES]
    assert asked(bot.store) == []


def test_the_owners_private_outlives_events_commands_and_restarts(
    bot: LiveBot, workspace: Workspace, server: DiscordServer
) -> None:
    """Fault 72."""
    assert "is private" in command(bot, server, "!channels close #memes")
    give(server, MEMES, hidden(server))
    give(server, MEMES, [])
    tell_role(server, server.world.guild_id, READ | 1 << 11)
    command(bot, server, "!channels enable #memes recall")
    command(bot, server, "!channels remove #memes")
    command(bot, server, "!channels enable #memes recall")
    assert sources(bot.store, GENERAL) == [GENERAL]
    assert sources(bot.store, MEMES) == [GENERAL, MEMES]
    assert "private by your choice" in command(bot, server, "!channels")
    assert bot.stop() == 0
    with running_bot(workspace, server, environment=offline_model_environment()) as again:
        again.wait_until_ready()
        assert "private by your choice" in command(again, server, "!channels")
        assert sources(again.store, GENERAL) == [GENERAL]


def test_learning_from_a_private_channel_leaves_recall_and_speak_alone(bot: LiveBot, server: DiscordServer) -> None:
    """Fault 74."""
    bot.store.channels.switch(STAFF, recall=False)
    assert "learn yes" in command(bot, server, "!channels enable #staff learn")
    command(bot, server, "!channels enable #staff learn yes")
    staff = bot.store.channels.get(STAFF)
    assert (staff.learn, staff.recall, staff.speak, staff.include_private) == (True, False, False, True)


def test_a_role_that_goes_and_a_role_that_opens_everything_are_followed(bot: LiveBot, server: DiscordServer) -> None:
    """Fault 73: as the running bot hears it."""
    guild_id = server.world.guild_id
    tell_role(server, MODS, READ, event="GUILD_ROLE_CREATE")
    give(server, STAFF, hidden(server, MODS))
    give(server, MEMES, hidden(server, MODS))
    wait(lambda: sources(bot.store, STAFF) == [GENERAL, MEMES, STAFF], "two channels of the same people")
    tell_role(server, guild_id, 0)
    wait(lambda: sources(bot.store, GENERAL) == [GENERAL, MEMES], "a server that shows strangers nothing")
    assert bot.store.channels.get(GENERAL).is_private is False
    tell_role(server, 888, READ, event="GUILD_ROLE_CREATE")
    wait(lambda: sources(bot.store, GENERAL) == [GENERAL], "others who see #general too")
    tell_role(server, 888, READ, event="GUILD_ROLE_DELETE")
    wait(lambda: sources(bot.store, GENERAL) == [GENERAL, MEMES], "their role to go")
    assert "is closed" not in command(bot, server, "!channels open #staff"), "the moderators were let in"
    assert sources(bot.store, GENERAL) == [GENERAL, MEMES, STAFF]


def test_a_deleted_channel_or_thread_is_neither_recalled_nor_spoken_in(bot: LiveBot, server: DiscordServer) -> None:
    """Fault 75."""
    bot.store.channels.add([Channel(1500, "thread", kind=11, parent_id=GENERAL, guild_id=server.world.guild_id)])
    assert sources(bot.store, GENERAL) == [GENERAL, MEMES, 1500]
    place = {"guild_id": str(server.world.guild_id), "parent_id": str(GENERAL), "type": 11}
    server.tell("THREAD_DELETE", place | {"id": "1500"})
    wait(lambda: sources(bot.store, GENERAL) == [GENERAL, MEMES], "the thread to go")
    server.tell("CHANNEL_DELETE", copy.deepcopy(server.world.channels[MEMES]))
    wait(lambda: sources(bot.store, GENERAL) == [GENERAL], "the channel to go")
    assert bot.store.channels.get(MEMES).is_access_lost
    assert not bot.store.channels.get(GENERAL).is_access_lost


def test_a_thread_that_stands_elsewhere_now_follows_its_new_parent(bot: LiveBot, server: DiscordServer) -> None:
    """Fault 75."""
    guild_id = server.world.guild_id
    bot.store.channels.add([Channel(1500, "thread", kind=11, parent_id=GENERAL, guild_id=guild_id)])
    moved = {"id": "1500", "guild_id": str(guild_id), "parent_id": str(STAFF), "type": 11, "name": "moved"}
    server.tell("THREAD_UPDATE", moved | {"thread_metadata": {"archived": True, "auto_archive_duration": 60}})
    wait(lambda: bot.store.channels.get(1500).parent_id == STAFF, "the thread to move")
    assert sources(bot.store, GENERAL) == [GENERAL, MEMES]


def test_what_changed_while_the_bot_was_away_counts_before_its_first_answer(
    bot: LiveBot, workspace: Workspace, server: DiscordServer
) -> None:
    """Faults 72 and 75: closed, opened and deleted meanwhile."""
    assert bot.stop() == 0
    give(server, MEMES, hidden(server), is_told=False)
    give(server, STAFF, [], is_told=False)
    with running_bot(workspace, server, environment=offline_model_environment()) as again:
        again.wait_until_ready()
        assert "Discord opened <#1002>" in command(again, server, "!channels")
        assert sources(again.store, GENERAL) == [GENERAL]
        assert asked(again.store) == ["staff"]
        assert again.stop() == 0
    server.do(lambda world: world.channels.pop(STAFF))
    with running_bot(workspace, server, environment=offline_model_environment()) as third:
        third.wait_until_ready()
        wait(lambda: third.store.channels.get(STAFF).is_access_lost, "the channel that is gone")


def test_the_owners_switch_reaches_what_the_running_bot_has_prepared_within_two_seconds(
    bot: LiveBot, server: DiscordServer
) -> None:
    """Fault 72: the panel writes a row and tells nobody."""
    said = server.say(GENERAL, MIRA, "hello")
    wait(lambda: bot.store.activity.about(said), "the bot to have heard it")
    command(bot, server, "!channels")
    assert "is dropped" not in bot.log()
    bot.store.channels.switch(MEMES, is_private=True)
    wait(lambda: f"Channel {GENERAL}: what was prepared" in bot.log(), "the talk to be dropped", seconds=5.0)


def test_until_the_permissions_are_looked_at_a_channel_gets_its_own_lines_only(store: Store) -> None:
    """Fault 75: a message may come before the first look is done."""

    def never() -> Any:
        raise AssertionError("not needed")

    store.channels.add([Channel(n, f"c{n}", recall=True, is_private=False) for n in (1, 2)])
    recall = Recall(store, open_index=never, open_embedder=never)
    assert sorted(recall.sources(1)) == [1, 2]
    recall.is_checked = False
    assert recall.sources(1) == [1]
    assert recall.sources(99) == []
    assert sorted(recall.sources(PLAYGROUND_CHANNEL)) == [1, 2], "the owner's own screen"
    recall.close()
