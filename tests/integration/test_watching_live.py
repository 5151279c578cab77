"""What the owner sees of a running bot and does through it, all by way of the databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bot.owner_hands import DONE
from bot.reply_scheduler import STOPPED_BY_OWNER
from storage.live import WATCHED_FACT
from storage.paths import Workspace
from storage.records import CommandKind
from storage.teaching import Opinion
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import (
    MIRA,
    OWNER,
    TAM,
    LiveBot,
    offline_model_environment,
    prepare,
    running_bot,
)


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=1000)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


def ask(bot: LiveBot, server: DiscordServer, kind: CommandKind, **details: Any) -> str:
    """Have the bot do something, as the panel does; how it ended."""
    command = bot.store.commands.ask(kind, asked_by="panel", details=details)
    return server.wait_for(lambda: bot.store.commands.outcome(command), what=f"{kind}", timeout=30)


def test_a_reply_is_watched_explained_judged_and_deleted(workspace: Workspace, server: DiscordServer) -> None:
    """Fault 172: what is being written is told while somebody watches, and never outlives the reply."""
    prepare(workspace, server, max_tokens=60)
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        store = bot.store
        store.facts.set(WATCHED_FACT, time.time() + 600)
        server.say(1000, TAM, "who is hosting tonight?")
        asked = server.say(1000, MIRA, f"<@{BOT_ID}> tell me a long story about it")
        drafts = server.wait_for(lambda: [d for d in store.notes.drafts() if d.text], what="the draft", timeout=90)
        assert (drafts[0].channel_id, drafts[0].answered_id, drafts[0].pid) == (1000, asked, bot.process.pid)
        server.wait_for_sent(1)
        server.wait_for(lambda: not store.activity.due() and not store.notes.drafts(), what="the end", timeout=60)
        entry = server.wait_for(
            lambda: next((e for e in store.live.read(limit=10).entries if e.is_own and e.note.model), None),
            what="the reply's note",
        )
        assert entry.note.answered_id == asked
        assert ("Tam", "who is hosting tonight?") in store.live.lines(entry.note.context_ids)
        # A member's reaction is an opinion, and taken back with it.
        server.react(1000, entry.id, TAM, "👎")
        server.wait_for(lambda: store.teaching.members_balance([entry.id]) == {entry.id: (0, 1)}, what="the opinion")
        server.react(1000, entry.id, TAM, "👍")
        server.wait_for(lambda: store.teaching.members_balance([entry.id]) == {entry.id: (1, 0)}, what="the newer one")
        server.react(1000, entry.id, TAM, "👍", add=False)
        server.wait_for(lambda: not store.teaching.members_balance([entry.id]), what="no opinion")
        reply = store.live.judged(entry.note)
        assert reply is not None
        store.teaching.judge(reply, Opinion.BAD)
        assert ask(bot, server, CommandKind.DELETE_REPLY, channel_id=1000, reply_id=entry.id) == DONE
        server.wait_for(lambda: not any(e.is_own for e in store.live.read(limit=10).entries), what="no reply")
        assert [judgement.is_owners for judgement in store.teaching.all()] == [True]
        # What a member deletes is out of sight with the next reading.
        server.delete(1000, asked)
        server.wait_for(
            lambda: next(e for e in store.live.read(limit=10).entries if e.id == asked).text is None, what="no words"
        )


def test_the_owner_says_something_stops_a_reply_and_nothing_of_it_lingers(
    workspace: Workspace, server: DiscordServer
) -> None:
    """Faults 172 and 173: pings nobody, holds nothing the outbox refuses, and leaves no words in the commands."""
    prepare(workspace, server, max_tokens=400, blocked_words="swordfish")
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        store = bot.store
        words = "game at nine, @everyone"
        assert ask(bot, server, CommandKind.SAY, channel_id=1000, text=words) == DONE
        (said,) = server.wait_for_sent(1)
        assert said.content == words
        assert not said.pings
        entry = server.wait_for(lambda: next((e for e in store.live.read().entries if e.is_own), None), what="it")
        assert entry.text == words
        assert store.live.judged(entry.note) is None, "the owner's own words are nobody's example"
        assert "swordfish" in ask(bot, server, CommandKind.SAY, channel_id=1000, text="the swordfish word")
        assert ask(bot, server, CommandKind.SAY, channel_id=4711, text="hello") != DONE
        assert not store.control_db.rows("SELECT 1 FROM bot_commands WHERE details <> '{}'")
        asked = server.say(1000, MIRA, f"<@{BOT_ID}> write down everything you know")
        server.wait_for(lambda: store.activity.due(), what="the answer being due", timeout=60)

        def stopped() -> bool:
            return ask(bot, server, CommandKind.STOP_REPLY, channel_id=1000) == DONE

        server.wait_for(stopped, what="something to stop", timeout=60)
        server.wait_for(lambda: not store.activity.due(), what="the end", timeout=60)
        about = store.activity.about(asked)
        assert about is not None
        assert not about.spoke
        assert STOPPED_BY_OWNER in about.reason
        assert len(server.world.sent) == 1
        assert not store.notes.drafts()
