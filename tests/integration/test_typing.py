"""Somebody is writing: what the bot does before their message is there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from bot.channel_log import WRITING_MS, ChannelLog, Talk, Writer, readable_by
from data.chat.conversation import Typist
from storage.records import DISCORD_EPOCH_MS, Channel, Message
from storage.settings import SESSION_GAP_MINUTES, Settings
from storage.store import Store
from tests.support.sim_bot import SimBot, play

NOW = 1_700_000_000_000
SETTINGS = Settings()
READ = readable_by(99, "Echo", channel_names={}, role_names={})
GAP_MS = SETTINGS[SESSION_GAP_MINUTES] * 60_000


def message(author_id: int, at_ms: int, text: str = "hm", channel_id: int = 1) -> Message:
    return Message((at_ms - DISCORD_EPOCH_MS) << 22, channel_id, author_id, f"member {author_id}", text, at_ms)


def writing(bot: SimBot, who: str, *, after_ms: int = 0) -> Writer:
    member = getattr(bot, who)
    return Writer(member.id, who, round(bot.env.now().timestamp() * 1000) + after_ms)


async def begin_to_write(bot: SimBot, writer: Writer, place: int | None = None) -> None:
    await bot.client.handlers.on_typing(bot.client.get_channel(place or bot.general.id), writer)
    await asyncio.sleep(0.01)  # the model is asked by a task of its own


def test_a_writer_is_done_with_their_message_or_after_ten_seconds_and_not_by_earlier_lines() -> None:
    log = ChannelLog()
    log.add(message(7, NOW - 100))
    log.writer = Writer(7, "ann", NOW)
    log.load([message(7, NOW - 5000)])
    log.add(message(8, NOW + WRITING_MS - 1))
    assert log.writer is not None
    log.add(message(9, NOW + WRITING_MS))
    assert log.writer is None
    log.writer = Writer(7, "ann", NOW + 20_000)
    log.add(message(7, NOW + 20_001))
    assert log.writer is None


def test_what_a_writer_will_be_answered_from_ends_at_a_long_silence() -> None:
    log = ChannelLog()
    log.add(message(7, NOW))
    log.writer = Writer(8, "bob", NOW + GAP_MS)
    assert len(log.talk(SETTINGS, READ).turns) == 1
    log.writer = Writer(8, "bob", NOW + GAP_MS + 1)
    assert log.talk(SETTINGS, READ) == Talk(typist=Typist("bob"))
    assert len(log.talk(SETTINGS, READ, until_id=log.newest_id).turns) == 1


def test_the_model_reads_up_to_the_name_of_whoever_begins_to_write(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, "anyone here")
        assert bot.responder.writers == [""]
        await begin_to_write(bot, writing(bot, "tam"))
        assert bot.responder.writers == ["", "tam"]
        assert [turn.text for turn in bot.responder.observed[-1]] == ["anyone here"]
        await bot.tam.send(bot.general, "me")
        assert bot.responder.writers[-1] == ""

    play(store, scene)


def test_a_channel_nothing_is_kept_of_is_read_when_somebody_begins_to_write(store: Store) -> None:
    """After a restart, or when it was quiet for longer than the model keeps what it read."""

    async def scene(bot: SimBot) -> None:
        now_ms = round(bot.env.now().timestamp() * 1000)
        store.messages.save(
            [
                message(7, now_ms - 60_000, "the old talk", bot.general.id),
                message(8, now_ms - 50_000, "of somebody who left", bot.general.id),
            ]
        )
        store.members.set_opted_out(8, True)
        await begin_to_write(bot, writing(bot, "tam"))
        assert [turn.text for turn in bot.responder.observed[-1]] == ["the old talk"]
        await bot.env.advance_time(GAP_MS / 1000 + 60)
        await begin_to_write(bot, writing(bot, "mira"))
        assert bot.responder.observed[-1] == []
        assert bot.responder.writers == ["tam", "mira"]

    play(store, scene)


def test_nothing_is_read_where_the_bot_may_not_speak(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        store.channels.add([Channel(bot.staff.id, "staff", guild_id=bot.guild.id, learn=True)])
        await begin_to_write(bot, writing(bot, "tam"), bot.staff.id)
        store.channels.switch(bot.general.id, speak=False)
        await begin_to_write(bot, writing(bot, "tam"))
        assert bot.responder.writers == []

    play(store, scene)


def test_an_answer_waits_while_its_author_is_at_the_next_line_but_not_for_somebody_who_gave_up(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        bot.desk._sleep = lambda seconds: asyncio.sleep(0)
        for who, heard_ago, pauses in (("mira", 0, 5), ("tam", 0, 1), ("mira", 11, 1)):
            bot.responder.prepared.clear()
            writer = replace(writing(bot, who, after_ms=2000), heard_at=time.monotonic() - heard_ago)
            bot.client.handlers._logs[bot.general.id].writer = writer
            await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> wait")
            assert bot.own[-1] == "ok"
            assert len(bot.responder.prepared) == pauses

    play(store, scene, "ok")
