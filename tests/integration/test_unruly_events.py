"""Events that come in an order nobody promised, and fifty questions at once behind a flood."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from bot import reply_scheduler
from storage.paths import Workspace
from storage.records import JobState
from storage.settings import REGISTRY
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, OWNER, TAM, prepare
from tests.support.wire_bot import WireBot, play

ASKERS = [7_100_000_000_000_000 + number for number in range(50)]


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    for channel_id, name in ((1000, "general"), (1001, "noise")):
        world.add_channel(name, channel_id=channel_id)
    for user_id, name in (
        (MIRA, "Mira"),
        (TAM, "Tam"),
        (OWNER, "Olga"),
        *((each, f"p{each % 1000}") for each in ASKERS),
    ):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def ready_store(workspace: Workspace, server: DiscordServer) -> Iterator[Store]:
    prepare(workspace, server, conversation_seconds=0)
    with Store.open(workspace) as store:
        yield store


def test_events_out_of_order_leave_the_messages_as_they_are_on_discord(
    ready_store: Store, server: DiscordServer
) -> None:
    """Fault 134: as two connections would deliver them; each event is sound, and its own past comes after it."""
    place = {"guild_id": str(server.world.guild_id), "channel_id": "1000"}

    def unruly() -> tuple[int, int, int, int]:
        ids = []
        for text in (f"<@{BOT_ID}> gone before it was here", "first words", f"<@{BOT_ID}> liked", "purged"):
            message = server.do(lambda world, text=text: dict(world.write(1000, MIRA, text)))
            ids.append(message)
        gone, edited, liked, purged = ids
        server.tell("MESSAGE_DELETE", place | {"id": gone["id"]})
        server.tell(
            "MESSAGE_UPDATE", edited | place | {"content": "last words", "edited_timestamp": "2030-01-01T00:00:00Z"}
        )
        server.tell(
            "MESSAGE_REACTION_ADD",
            place | {"user_id": str(TAM), "message_id": liked["id"], "emoji": {"id": None, "name": "👍"}, "type": 0},
        )
        server.tell("MESSAGE_DELETE_BULK", place | {"ids": [purged["id"]]})
        for message in (purged, liked, edited, gone):
            server.tell("MESSAGE_CREATE", message | place)
        return tuple(int(message["id"]) for message in ids)  # type: ignore[return-value]

    async def scene(bot: WireBot) -> None:
        await bot.online()
        gone, edited, liked, purged = await asyncio.to_thread(unruly)
        await bot.until(lambda: server.world.sent, what="the answer to the one that stayed")
        await bot.until(lambda: len(ready_store.activity.recent()) == 4, what="all decisions")
        await bot.until(lambda: not ready_store.activity.due(), what="their end")
        kept = ready_store.messages.get([gone, edited, liked, purged])
        assert set(kept) == {edited, liked}
        assert kept[edited].content == "last words"
        assert [int(sent.message["id"]) for sent in server.world.sent] == [ready_store.activity.about(liked).reply_id]
        assert "deleted" in ready_store.activity.about(gone).reason

    play(ready_store, server, scene)


def test_fifty_questions_at_once_behind_a_flood_are_answered_in_bounds_or_refused_with_a_reason(
    ready_store: Store, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 22 and 135: four hundred lines as fast as they go, then everybody asks."""
    monkeypatch.setattr(reply_scheduler, "SETTLE_SECONDS", 0.01)
    for key in ("replies_per_channel_hour", "replies_per_member_hour", "replies_per_hour"):
        ready_store.settings.set(REGISTRY[key], 1000, changed_by="test")
    ready_store.settings.set(REGISTRY["cooldown_seconds"], 0, changed_by="test")

    def flood() -> list[int]:
        for number in range(400):
            server.say(1001, TAM if number % 2 else MIRA, f"noise {number}")
        return [server.say(1000, asker, f"<@{BOT_ID}> me too?") for asker in ASKERS]

    async def scene(bot: WireBot) -> None:
        await bot.online()
        bot.services.responder.may_answer.clear()
        asked = await asyncio.to_thread(flood)
        await bot.until(lambda: len(ready_store.activity.recent(limit=600)) == 450, timeout=90, what="all decisions")
        bot.services.responder.may_answer.set()
        await bot.until(lambda: not ready_store.activity.due(), timeout=90, what="the answers")
        rows = [ready_store.activity.about(number) for number in asked]
        answered = [row for row in rows if row.spoke]
        assert reply_scheduler.WAITING_LIMIT - 1 <= len(answered) <= reply_scheduler.WAITING_LIMIT + 1
        assert all(row.reason.startswith("queue full") for row in rows if not row.spoke)
        assert [sent.reply_to for sent in server.world.sent] == [row.message_id for row in answered], "in their order"
        assert ready_store.messages.count() == 450
        last = await asyncio.to_thread(server.say, 1000, MIRA, f"<@{BOT_ID}> still there?")
        await bot.until(lambda: (row := ready_store.activity.about(last)) and row.reply_id, what="an answer afterwards")

    play(ready_store, server, scene)


def test_train_asked_for_by_an_admin_runs_and_tells_how_it_ended(ready_store: Store, server: DiscordServer) -> None:
    """Fault 136: the real job, which has too little to learn from; a member's wish starts nothing."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        await asyncio.to_thread(server.say, 1000, MIRA, "!train")
        await bot.until(lambda: server.world.sent, what="the refusal")
        assert "admins" in server.world.sent[0].content
        await asyncio.to_thread(server.say, 1000, OWNER, "!train")
        await bot.until(lambda: len(server.world.sent) >= 3, timeout=120, what="the end of the job")
        said = [sent.content for sent in server.world.sent[1:]]
        assert said[0].startswith("Started: ")
        assert "failed" in said[1]
        job = ready_store.jobs.latest("retrain")
        assert job is not None
        assert job.state is JobState.FAILED
        assert job.error.split(".")[0] in said[1]

    play(ready_store, server, scene)
