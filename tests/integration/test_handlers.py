"""The bot's behaviour on a simulated Discord: the real client, handlers and outbox."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot import reply_scheduler
from data.chat.audience import recall_sources
from storage.records import Channel, Message
from storage.store import Store
from tests.support.sim_bot import SimBot, play


def at(bot: SimBot) -> str:
    return f"<@{bot.client.identity.id}>"


def test_a_mention_a_reply_and_a_name_are_answered(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        first = bot.general.last_message
        await bot.env.advance_time(300)
        await bot.tam.send(bot.general, "and you?", reply_to=first)
        await bot.env.advance_time(300)
        await bot.tam.send(bot.general, f"what does {bot.client.identity.name} say")
        assert bot.own == ["one", "two", "three"]
        reasons = [a.reason for a in reversed(store.activity.recent())]
        assert reasons == ["mentioned", "replied to", "named"]

    play(store, scene, "one", "two", "three")


def test_a_question_is_read_before_the_pause_for_further_lines_is_over(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        read_by_then: list[int] = []
        bot.desk._sleep = lambda seconds: note(seconds)

        async def note(seconds: float) -> None:
            await asyncio.sleep(0)  # the pause lets everything else run
            read_by_then.append(len(bot.responder.prepared))

        await bot.mira.send(bot.general, f"{at(bot)} quick question")
        assert bot.own == ["meow"]
        assert read_by_then[-1] == 1
        assert bot.responder.prepared == bot.responder.asked

    play(store, scene, "meow")


def test_the_model_reads_along_but_not_over_the_prompt_of_an_answer_that_is_due(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        observed_by_then: list[int] = []
        answer = bot.responder.reply

        async def reply(*arguments: Any, **options: Any) -> Any:
            bot.desk.listen(bot.client.get_channel(bot.general.id), store.settings.read())
            await asyncio.sleep(0)
            observed_by_then.append(len(bot.responder.observed))
            return await answer(*arguments, **options)

        await bot.mira.send(bot.general, "morning")
        assert len(bot.responder.observed) == 1
        bot.responder.reply = reply
        await bot.mira.send(bot.general, f"{at(bot)} quick question")
        assert observed_by_then == [1]
        assert len(bot.responder.observed) == 2
        assert bot.responder.observed[-1][-1].text == "meow"

    play(store, scene, "meow")


def test_an_answer_is_begun_again_when_something_it_was_written_from_is_deleted(store: Store) -> None:
    """Faults 40 and 45: deleted words are not sent in other words."""

    async def scene(bot: SimBot) -> None:
        secret = await bot.tam.send(bot.general, "my locker code is 4711")
        answer, shown = bot.responder.reply, list[list[str]]()

        async def reply(channel_id: int, turns: Any, settings: Any, **options: Any) -> Any:
            shown.append([turn.text for turn in turns])
            if len(shown) == 1:
                await bot.client.handlers.on_delete(bot.general.id, {secret.id})
                await asyncio.sleep(3600)  # still being written
            return await answer(channel_id, turns, settings, **options)

        bot.responder.reply = reply
        await bot.mira.send(bot.general, f"{at(bot)} what did tam say")
        assert "4711" in shown[0][0]
        assert not any("4711" in text for text in shown[1])
        assert len(shown) == 2
        assert bot.own == ["no idea"]

    play(store, scene, "no idea")


@pytest.mark.parametrize(("changes", "words"), [(5, ["no idea"]), (99, [])])
def test_however_often_the_talk_changes_nothing_is_said_that_was_written_from_deleted_words(
    store: Store, monkeypatch: pytest.MonkeyPatch, changes: int, words: list[str]
) -> None:
    """Faults 40 and 45: after several beginnings too; where there is no end to it, nothing is said."""

    async def scene(bot: SimBot) -> None:
        secrets = [await bot.tam.send(bot.general, f"secret {n}") for n in range(9)]
        monkeypatch.setattr(reply_scheduler, "SETTLE_SECONDS", 0.01)
        answer, begun = bot.responder.reply, list[int]()

        async def reply(channel_id: int, turns: Any, settings: Any, **options: Any) -> Any:
            begun.append(len(begun))
            if len(begun) <= changes:
                await bot.client.handlers.on_delete(bot.general.id, {secrets[len(begun) - 1].id})
                await asyncio.sleep(3600)  # still being written
            return await answer(channel_id, turns, settings, **options)

        bot.responder.reply = reply
        asked = await bot.mira.send(bot.general, f"{at(bot)} what did tam say")
        while bot.desk.waiting:
            await asyncio.sleep(0.01)
        assert bot.own == words
        if not words:
            assert "kept being deleted" in bot.reason(asked)
            assert len(begun) == 7

    play(store, scene, "no idea")


@pytest.mark.parametrize("place", ["the talk", "a recalled line"])
def test_the_rest_of_a_reply_stays_unsaid_when_something_it_was_written_from_is_deleted(
    store: Store, place: str
) -> None:
    """Faults 40 and 45: seconds pass between the messages of one reply."""

    async def scene(bot: SimBot) -> None:
        out = bot.desk._is_out

        def is_out(pending: Any, message: Any) -> None:
            out(pending, message)
            if place == "the talk":
                bot.desk.reread(bot.general.id)
            else:
                bot.responder.are_lines_current = False

        bot.desk._is_out = is_out  # type: ignore[method-assign]
        asked = await bot.mira.send(bot.general, f"{at(bot)} what did tam say")
        while bot.desk.waiting:
            await asyncio.sleep(0.01)
        assert bot.own == ["he said"]
        assert "deleted or edited" in store.activity.about(asked.id).error

    play(store, scene, "he said\nhis locker code\nis 4711")


def test_lines_of_a_member_who_left_do_not_come_back_from_the_store(store: Store) -> None:
    """Fault 45: neither as what was said before a restart, nor by an edit."""

    async def scene(bot: SimBot) -> None:
        said = await bot.tam.send(bot.general, "old words")
        store.members.set_opted_out(bot.tam.id, True)
        await bot.tam.edit(said, "new words")
        assert store.messages.get([said.id])[said.id].content == "old words"
        bot.client.handlers._logs[bot.general.id].is_loaded = False
        bot.client.handlers._logs[bot.general.id].messages.clear()
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        assert len(bot.responder.asked) == 1
        assert not any("words" in turn.text for turn in bot.responder.asked[0])

    play(store, scene, "hey")


def test_every_message_has_its_decision_and_is_stored_once(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        said = [await bot.mira.send(bot.general, f"line {n}") for n in range(3)]
        assert all(bot.reason(m).startswith("rolled 0.99 against 0%") for m in said)
        assert [m.content for m in store.messages.recent(bot.general.id, limit=9)] == ["line 0", "line 1", "line 2"]
        assert bot.own == []

    play(store, scene)


def test_a_roll_below_the_rate_joins_in(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        bot.roll[0] = 0.04
        await bot.mira.send(bot.general, "what a day")
        assert bot.own == ["same"]

    play(store, scene, "same", response_rate=0.05)


def test_bots_webhooks_and_system_messages_are_ignored(store: Store) -> None:
    """FAULTS 46: two of these bots in one channel fall silent."""

    async def scene(bot: SimBot) -> None:
        other = bot.guild.add_member(bot.env.create_user("beep", bot=True))
        await other.send(bot.general, f"{at(bot)} hi")
        await bot.guild.create_webhook(bot.general, "hook").send(f"{at(bot)} hi")
        assert bot.own == []
        assert store.activity.recent() == []
        assert store.messages.count() == 0

    play(store, scene, response_rate=1.0)


def test_a_direct_message_is_ignored_by_default(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        message = await bot.mira.send_dm("hello?")
        assert bot.reason(message) == "direct messages are ignored"
        assert store.messages.count() == 0

    play(store, scene)


def test_nothing_pings_but_the_person_answered(store: Store) -> None:
    """FAULTS 42."""

    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        sent = bot.general.last_message
        assert not sent.mention_everyone
        assert [user.id for user in sent.mentions] in ([], [bot.mira.id])
        assert sent.role_mentions == []
        assert "@everyone" in sent.content

    play(store, scene, "@everyone @here <@&5> @tam <@1> @mira")


def test_an_invented_mention_loses_its_at_sign_and_a_real_name_keeps_it(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        store.messages.save([Message(5, 777, 55, "Old Timer", "hi", 1, username="timer")])
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        assert bot.own == [f"@Old Timer knows, ghost does not, <@{bot.mira.id}> might"]

    play(store, scene, "@Old Timer knows, @ghost does not, @mira might")


def test_edits_and_deletions_on_discord_follow_in_talk_and_store(store: Store) -> None:
    """FAULTS 40, with the bot on."""

    async def scene(bot: SimBot) -> None:
        first = await bot.mira.send(bot.general, "helo")
        second = await bot.mira.send(bot.general, "gone soon")
        await bot.mira.edit(first, "hello")
        await bot.mira.delete(second)
        assert [m.content for m in store.messages.recent(bot.general.id, limit=9)] == ["hello"]
        assert bot.responder.forgotten == [bot.general.id] * 2
        await bot.tam.send(bot.general, f"{at(bot)} what did mira say")
        assert next(turn.text for turn in bot.responder.asked[0]) == "hello"

    play(store, scene)


def test_late_reactions_are_stored_with_discords_own_counts(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        message = await bot.mira.send(bot.general, "funny")
        await bot.tam.react(message, "😂")
        await bot.env.advance_time(10)
        assert [(r.emoji, r.count) for r in store.messages.get([message.id])[message.id].reactions] == [("😂", 1)]

    play(store, scene)


def test_an_admins_cross_takes_a_reply_back_in_all_its_parts(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        await bot.env.advance_time(20)
        assert bot.own == ["one", "two"]
        await bot.tam.react(bot.general.last_message, "❌")
        assert bot.own == ["one", "two"]
        await bot.admin.react(bot.general.last_message, "❌")
        await bot.env.advance_time(5)
        assert bot.own == []
        assert not any(m.is_own for m in store.messages.recent(bot.general.id, limit=9))

    play(store, scene, "one\ntwo")


def test_a_stop_between_two_parts_of_a_reply_records_the_part_that_is_out(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        message = await bot.mira.send(bot.general, f"{at(bot)} hi")
        while not bot.own:
            await bot.env.advance_time(0.1)
        await bot.desk.close(timeout_seconds=0.0)
        assert bot.own == ["one"]
        about = store.activity.about(message.id)
        assert about.spoke
        assert about.reply_id == bot.general.last_message.id
        assert about.error == "the bot stopped before all of it was sent"
        assert [m.content for m in store.messages.recent(bot.general.id, limit=9) if m.is_own] == ["one"]

    play(store, scene, "one\n" + "two " * 50)


def test_own_replies_are_context_and_nothing_else(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        await bot.mira.send(bot.general, f"{at(bot)} and now?")
        assert bot.responder.asked[1][1].is_self
        assert store.messages.count() == 2
        assert len(store.messages.queued_changes(limit=99)) == 2

    play(store, scene)


@pytest.mark.parametrize("switches", [{"learn": False, "recall": False}, {"is_private": True}])
def test_messages_are_kept_only_where_the_owner_said_yes(store: Store, switches: dict[str, bool]) -> None:
    async def scene(bot: SimBot) -> None:
        store.channels.switch(bot.general.id, **switches)
        await bot.mira.send(bot.general, f"{at(bot)} hi")
        assert bot.own == ["sure"]
        assert store.messages.count() == 0

    play(store, scene)


def test_a_bare_link_is_neither_kept_nor_read_as_in_training(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, "https://example.org/x")
        await bot.tam.send(bot.general, f"{at(bot)} seen that?")
        assert [m.content for m in store.messages.recent(bot.general.id, limit=9) if not m.is_own] == [
            f"{at(bot)} seen that?"
        ]
        assert [turn.text for turn in bot.responder.asked[0]] == ["@TestBot seen that?"]

    play(store, scene)


def test_an_empty_or_forbidden_reply_is_not_sent_and_says_why(store: Store) -> None:
    """FAULTS 21."""

    async def scene(bot: SimBot) -> None:
        asked = await bot.mira.send(bot.general, f"{at(bot)} hi")
        assert bot.own == []
        assert bot.reason(asked) == "mentioned; nothing was sent: empty reply"

    play(store, scene, " \n ")


def test_a_channel_that_refuses_is_left_alone_for_a_while(store: Store) -> None:
    """FAULTS 20."""

    async def scene(bot: SimBot) -> None:
        outbox = bot.client.handlers._outbox
        outbox._paused[bot.general.id] = outbox._clock() + 60
        asked = await bot.mira.send(bot.general, f"{at(bot)} hi")
        assert bot.own == []
        assert "paused" in bot.reason(asked)

    play(store, scene)


def test_a_thread_follows_its_parents_switches(store: Store) -> None:
    store.channels.add(
        [
            Channel(5, "parent", learn=True, recall=True, speak=True, is_private=False),
            Channel(6, "thread", kind=11, parent_id=5),
        ]
    )
    thread = store.channels.get(6)
    assert thread.speak
    assert thread.learn
    assert not thread.is_private


def test_a_private_thread_is_private_though_its_parent_is_not(store: Store) -> None:
    """FAULTS 45: what was said in it is neither kept nor recalled elsewhere."""
    store.channels.add(
        [
            Channel(5, "parent", learn=True, recall=True, speak=True, is_private=False),
            Channel(6, "whispers", kind=12, parent_id=5),
        ]
    )
    assert store.channels.get(6).is_private
    assert 6 not in recall_sources(store.channels.all(), 5)


def test_a_full_disk_keeps_nobody_from_an_answer(store: Store) -> None:
    """Fault 28: the message is not stored, the log says so, the reply goes out all the same."""

    async def scene(bot: SimBot) -> None:
        pages = store.messages_db.value("PRAGMA page_count")
        store.messages_db.connection().execute(f"PRAGMA max_page_count = {pages}")
        said = [await bot.mira.send(bot.general, f"{at(bot)} {'long ' * 380}") for _ in range(3)]
        await bot.env.advance_time(300)
        assert bot.own
        assert len(store.messages.get([message.id for message in said])) < 3

    play(store, scene, "one", "two", "three")
