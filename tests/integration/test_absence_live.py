"""Absence is not deletion, while the bot runs: blank events, purges, gaps, and what another process hides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot import late_reactions
from storage.deletions import Deletions
from storage.paths import Workspace
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World, without_words
from tests.support.live_bot import MIRA, OWNER, TAM, prepare
from tests.support.wire_bot import WireBot, play

GENERAL = 1000


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=GENERAL)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def store(workspace: Workspace, server: DiscordServer) -> Iterator[Store]:
    prepare(workspace, server, conversation_seconds=0)
    with Store.open(workspace) as opened:
        yield opened


def words(store: Store) -> dict[int, str]:
    return {m.id: m.content for page in store.messages.in_channel(GENERAL) for m in page if not m.is_own}


async def hear(bot: WireBot, store: Store, *lines: str) -> list[int]:
    """Members say something and the bot has stored it."""
    ids = [bot.server.say(GENERAL, (MIRA, TAM)[number % 2], line) for number, line in enumerate(lines)]
    await bot.until(lambda: set(ids) <= set(words(store)), what="the messages to be stored")
    return ids


async def shown(bot: WireBot) -> list[str]:
    """Ask, and return the talk the answer was written from."""
    before = len(bot.services.responder.asked)
    bot.server.say(GENERAL, MIRA, f"<@{BOT_ID}> well?")
    await bot.until(lambda: len(bot.services.responder.asked) > before, what="the question to be answered")
    return [turn.text for turn in bot.services.responder.asked[-1]]


def test_a_late_reaction_or_an_edit_without_words_replaces_none(
    store: Store, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 62: Discord withholds the words at every way in."""
    monkeypatch.setattr(late_reactions, "REFRESH_REACTIONS_SECONDS", 0.05)

    async def scene(bot: WireBot) -> None:
        await bot.online()
        first, second = await hear(bot, store, "the boat leaves at nine", "bring rope")
        server.do(lambda world: world.wordless.add(GENERAL))
        server.react(GENERAL, first, TAM, "😂")
        await bot.until(lambda: store.messages.get([first])[first].reactions, what="the reaction")
        assert words(store)[first] == "the boat leaves at nine"
        edited = without_words(server.world.require(GENERAL, second))
        server.tell(
            "MESSAGE_UPDATE",
            edited | {"guild_id": str(server.world.guild_id), "edited_timestamp": "2030-01-01T00:00:00+00:00"},
        )
        server.edit(GENERAL, first, "the boat leaves at ten")
        await bot.until(lambda: words(store)[first] == "the boat leaves at ten", what="the real edit")
        assert words(store)[second] == "bring rope"
        assert "bring rope" in "\n".join(await shown(bot))

    play(store, server, scene)


def test_a_moderators_purge_and_a_members_deletion_are_immediate(store: Store, server: DiscordServer) -> None:
    """Fault 66: a gateway event is a fact; also about what a fetch or the owner has hidden."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        ids = await hear(bot, store, *(f"line {number}" for number in range(8)))
        store.withheld.mark_missing([ids[0]])
        Deletions(store).delete_message(ids[1], by="owner")
        server.delete(GENERAL, ids[0])
        server.delete_many(GENERAL, ids[1:6])
        await bot.until(lambda: set(words(store)) == set(ids[6:]), what="the purge")
        await bot.until(lambda: not store.withheld.count(), what="the hidden ones to go")
        erased = {row[0] for row in store.messages_db.rows("SELECT id FROM erasures WHERE kind = 'message'")}
        assert erased == set(ids[:6])

    play(store, server, scene)


def test_what_was_deleted_in_a_gap_is_neither_seen_nor_erased(store: Store, server: DiscordServer) -> None:
    """Fault 65: a session that cannot be resumed tells nothing of the meantime."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        ids = await hear(bot, store, "one", "two", "three")
        server.can_resume = False
        server.do(lambda world: world.delete(GENERAL, ids[1]))
        server.close_gateway()
        await bot.offline()
        await bot.online()
        await hear(bot, store, "four")
        assert set(ids) <= set(words(store))

    play(store, server, scene)


def test_what_another_process_hides_leaves_the_live_talk(store: Store, server: DiscordServer) -> None:
    """Fault 64: a fetch marks it, or the owner deletes a member in the panel, while the bot runs."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        ids = await hear(bot, store, "the boat leaves at nine", "my locker code is 4711", "see you there")
        assert "4711" in "\n".join(await shown(bot))
        forgotten = len(bot.services.responder.forgotten)
        store.withheld.mark_missing([ids[0]])
        Deletions(store).delete_member(TAM, by="owner (panel)")
        await bot.until(lambda: len(bot.services.responder.forgotten) > forgotten, what="the talk to be dropped")
        talk = "\n".join(await shown(bot))
        assert "4711" not in talk
        assert "boat" not in talk
        assert "see you there" in talk

    play(store, server, scene)
