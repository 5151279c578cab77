"""!missed, !onthisday and !quote on a simulated Discord: what is quoted, to whom, and what never is."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from storage.records import Channel, Message, Reaction, first_snowflake
from storage.settings import BLOCKED_WORDS, LOOKING_BACK
from storage.store import Store
from tests.support.sim_bot import SimBot, play

HOUR = 3_600_000


def earlier(bot: SimBot, channel: Any, ago_ms: int, who: Any, text: str, **more: Any) -> Message:
    """A stored message as it was written some time ago."""
    at = int(bot.env.now().timestamp() * 1000) - ago_ms
    message = Message(first_snowflake(at), channel.id, who.id, who.name, text, at, **more)
    bot.store.messages.save([message])
    return message


async def told(bot: SimBot, who: Any, text: str) -> str:
    before = len(bot.own)
    await who.send(bot.general, text)
    assert len(bot.own) == before + 1, bot.own[before:]
    return bot.own[-1]


def test_missed_tells_what_was_said_since_one_was_here_by_quotation_with_a_link(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        earlier(bot, bot.general, 6 * HOUR, bot.tam, "said before mira left")
        earlier(bot, bot.general, 5 * HOUR, bot.mira, "good night everybody")
        first = earlier(bot, bot.general, 3 * HOUR, bot.tam, "who ate <@1> the whole cake")
        earlier(bot, bot.general, 3 * HOUR - 5_000, bot.admin, "it was me", reactions=(Reaction("😂", 2),))
        text = await told(bot, bot.mira, "!missed")
        assert "2 messages of 2 people" in text
        assert "**tam:** who ate @someone the whole cake" in text
        assert "**olga:** it was me" in text
        assert f"/{bot.general.id}/{first.id}>" in text
        assert "before mira left" not in text
        assert "good night" not in text

    play(store, scene)


def test_nobody_is_told_what_they_may_not_read_nor_what_an_absent_member_said(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        store.channels.add([Channel(bot.staff.id, "staff", guild_id=bot.guild.id, recall=True, is_private=True)])
        for n, who in enumerate((bot.admin, bot.tam)):
            earlier(bot, bot.staff, 2 * HOUR - n, who, "the secret plan of the staff")
            earlier(bot, bot.general, 2 * HOUR - n, who, f"an open word of {who.name}")
        assert "secret plan" not in await told(bot, bot.mira, "!missed 6h")
        store.members.set_opted_out(bot.tam.id, True)
        text = await told(bot, bot.admin, "!missed 6h")
        assert "tam" not in text
        assert "Nothing was talked about" in text, "one person alone is no talk"
        assert "left their messages out" in await told(bot, bot.admin, f"!quote <@{bot.tam.id}>")

    play(store, scene)


def test_a_quoted_message_that_is_deleted_takes_the_answer_along(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        sent = await bot.tam.send(bot.general, "my number is on the fridge door")
        await bot.env.advance_time(5)
        await bot.admin.send(bot.general, "thanks, I will look at it")
        assert "fridge door" in await told(bot, bot.mira, "!missed 1h")
        await bot.tam.delete(sent)
        await bot.env.settle()
        assert not any("fridge door" in text for text in bot.own)

    play(store, scene)


def test_on_this_day_quotes_earlier_years_only(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        now = datetime.fromtimestamp(bot.env.now().timestamp())
        if (now.month, now.day) == (2, 29):
            pytest.skip("the day exists every four years")
        noon = now.replace(year=now.year - 2, hour=12, minute=0, second=0)
        ago = int((now - noon).total_seconds() * 1000)
        earlier(bot, bot.general, ago, bot.tam, "the snow is two metres high")
        earlier(bot, bot.general, ago - 1000, bot.admin, "and the door is shut")
        earlier(bot, bot.general, ago + 3 * 24 * HOUR, bot.tam, "three days too early for that")
        earlier(bot, bot.general, ago + 3 * 24 * HOUR - 9, bot.admin, "so it is not told")
        text = await told(bot, bot.mira, "!onthisday")
        assert "two metres" in text
        assert "too early" not in text

    play(store, scene)


def test_a_quotation_passes_the_rules_for_everything_that_is_sent(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        earlier(bot, bot.general, HOUR, bot.tam, "the wombat is on <|im_start|> the table @everyone")
        text = await told(bot, bot.mira, f"!quote <@{bot.tam.id}>")
        assert "wombat" in text
        assert "im_start" not in text
        store.settings.set(BLOCKED_WORDS, "wombat", changed_by="test")
        assert "Nothing of theirs" in await told(bot, bot.mira, f"!quote <@{bot.tam.id}>")

    play(store, scene)


def test_nothing_is_quoted_to_somebody_who_was_here_or_asks_nonsense_or_is_switched_off(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, "here I am")
        assert "You have been here" in await told(bot, bot.mira, "!missed")
        assert "not a valid duration" in await told(bot, bot.admin, "!missed a while")
        assert "Nothing was talked about" in await told(bot, bot.tam, "!missed")
        assert "in earlier years" in await told(bot, bot.tam, "!onthisday")
        store.settings.set(LOOKING_BACK, False, changed_by="test")
        assert "switched these commands off" in await told(bot, bot.tam, "!quote")

    play(store, scene)


def test_a_look_back_over_a_large_channel_reads_by_the_index(store: Store) -> None:
    seen = list[str]()
    store.messages_db.connection().set_trace_callback(seen.append)
    now = int(time.time() * 1000)
    store.messages.between([1, 2], start_ms=now - HOUR, end_ms=now, limit=10)
    store.messages.times_of(7, since_ms=now - HOUR, limit=10)
    store.messages.quotable_by(7, [1, 2], limit=10)
    store.messages_db.connection().set_trace_callback(None)
    asked = [statement for statement in seen if "messages" in statement]
    assert len(asked) == 4
    for statement in asked:
        plan = " ".join(row["detail"] for row in store.messages_db.rows(f"EXPLAIN QUERY PLAN {statement}"))
        assert "SCAN m" not in plan, plan
        assert "SCAN messages" not in plan, plan
