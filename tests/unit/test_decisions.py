"""When the bot speaks, and the reason it gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.config import Identity, is_named, parse_duration
from bot.decisions import ChannelActivity, Decision, IncomingMessage, ReplyCounts, decide, steady_clock
from storage.errors import SettingError
from storage.records import Channel
from storage.settings import Settings

NOW = 1_800_000_000.0
SPEAKING = Channel(1, "general", learn=True, recall=True, speak=True, is_private=False)
PLAIN = IncomingMessage(10, 1, 7, "Mira", "hello", NOW)
CALM = ChannelActivity()


def ask(
    message: IncomingMessage = PLAIN,
    *,
    channel: Channel | None = SPEAKING,
    activity: ChannelActivity = CALM,
    roll: float = 0.5,
    minute: int = 720,
    **settings: Any,
) -> Decision:
    return decide(message, Settings().with_values(settings), channel, activity, minute_of_day=minute, roll=roll)


MENTION = replace(PLAIN, is_mention=True)


@pytest.mark.parametrize(
    ("case", "speaks", "reason"),
    [
        (lambda: ask(), False, "rolled 0.50 against 5%"),
        (lambda: ask(roll=0.04), True, "rolled 0.04 against 5%"),
        (lambda: ask(response_rate=0.0, roll=0.0), False, "against 0%"),
        (lambda: ask(response_rate=1.0, roll=0.999), True, "against 100%"),
        (lambda: ask(channel=replace(SPEAKING, rate=0.9)), True, "against 90%"),
        (lambda: ask(MENTION), True, "mentioned"),
        (lambda: ask(replace(PLAIN, is_reply_to_bot=True)), True, "replied to"),
        (lambda: ask(replace(PLAIN, is_named=True)), True, "named"),
        (lambda: ask(channel=None), False, "not on the list"),
        (lambda: ask(MENTION, channel=None), False, "not on the list"),
        (lambda: ask(MENTION, channel=replace(SPEAKING, speak=False)), False, "speaking is off"),
        (lambda: ask(mentions_only=True, roll=0.0), False, "mentions only"),
        (lambda: ask(MENTION, mentions_only=True), True, "mentioned"),
        (lambda: ask(replace(PLAIN, content="  "), roll=0.0), False, "no text"),
        (lambda: ask(MENTION, quiet_until=NOW + 60), False, "quiet for now"),
        (lambda: ask(MENTION, quiet_until=NOW - 60), True, "mentioned"),
        (lambda: ask(MENTION, quiet_hours="23:00-07:30", minute=60), False, "quiet hours (23:00-07:30)"),
        (lambda: ask(MENTION, quiet_hours="23:00-07:30", minute=720), True, "mentioned"),
        (lambda: ask(MENTION, activity=ChannelActivity(replies_this_hour=120)), False, "the server"),
        (lambda: ask(MENTION, activity=ChannelActivity(channel_replies_this_hour=60)), False, "this channel"),
        (lambda: ask(MENTION, activity=ChannelActivity(member_replies_this_hour=30)), False, "this member"),
        (lambda: ask(MENTION, activity=ChannelActivity(waiting=32)), False, "queue full (32"),
        (lambda: ask(MENTION, activity=ChannelActivity(waiting=32, waiting_unasked=1)), True, "mentioned"),
        (lambda: ask(MENTION, activity=ChannelActivity(paused_reason="paused: x")), False, "paused: x"),
        (lambda: ask(replace(PLAIN, is_direct=True), channel=None), False, "direct messages are ignored"),
        (
            lambda: ask(replace(PLAIN, is_direct=True), channel=None, answer_direct_messages=True),
            True,
            "direct message",
        ),
        (
            lambda: ask(activity=ChannelActivity(last_unasked_at=NOW - 4, last_reply_at=NOW - 4)),
            False,
            "cooldown (4 of 10",
        ),
        (lambda: ask(activity=ChannelActivity(last_reply_at=NOW - 60, last_answered_id=7)), True, "in conversation"),
        (lambda: ask(activity=ChannelActivity(last_reply_at=NOW - 121, last_answered_id=7)), False, "against 5%"),
        (
            lambda: ask(activity=ChannelActivity(last_reply_at=NOW - 60, last_answered_id=8)),
            False,
            "against 10%, spoke here a moment ago",
        ),
        (
            lambda: ask(activity=ChannelActivity(last_reply_at=NOW - 60, last_answered_id=7, others_since=3)),
            False,
            "against 10%",
        ),
        (
            lambda: ask(
                replace(PLAIN, is_to_somebody_else=True),
                activity=ChannelActivity(last_reply_at=NOW - 60, last_answered_id=7),
            ),
            False,
            "against 10%",
        ),
    ],
)
def test_the_first_rule_that_applies_decides_and_says_so(case: Any, speaks: bool, reason: str) -> None:
    decision = case()
    assert decision.speak is speaks
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("robin what do you think", True),
        ("ROBIN!", True),
        ("hey Robin,", True),
        ("robinson crusoe", False),
        ("der rotkehlchenrobin", False),
        ("chirp, are you there", True),
        ("nothing", False),
    ],
)
def test_a_name_counts_only_as_a_word_of_its_own(text: str, named: bool) -> None:
    names = Identity(1, "Robin", "robin").names(Settings().with_values({"bot_names": "chirp, x"}))
    assert names == ("robin", "chirp")
    assert is_named(text, names) is named


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("1h30m", 5400), ("45 min", 2700), ("1d", 86_400), ("90", 5400)]
)
def test_lengths_of_time_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "9999d", "1e9"])
def test_other_lengths_are_answered_with_the_forms(text: str) -> None:
    with pytest.raises(SettingError, match="2h"):
        parse_duration(text)


def test_counts_are_of_the_last_hour_and_know_who_was_answered() -> None:
    now = [NOW]
    counts = ReplyCounts(lambda: now[0])
    counts.load([(NOW - 3000, 1, 7), (NOW - 100, 2, 8)])
    counts.replied(1, 9, is_asked=False)
    activity = counts.activity(1, 9, waiting=0, waiting_limit=5)
    assert (activity.replies_this_hour, activity.channel_replies_this_hour, activity.member_replies_this_hour) == (
        3,
        2,
        1,
    )
    assert (activity.last_answered_id, activity.last_unasked_at) == (9, NOW)
    counts.heard(1, 7)
    assert counts.activity(1, 9, waiting=0, waiting_limit=5).others_since == 1
    now[0] += 1000
    assert counts.activity(1, 9, waiting=0, waiting_limit=5).replies_this_hour == 2


def test_a_clock_that_is_set_back_or_ahead_neither_holds_a_ceiling_nor_lifts_it() -> None:
    """Fault 114: intervals go by a clock that nobody sets; a stored reply from the future counts for an hour."""
    wall, ticks = [NOW], [500.0]
    counts = ReplyCounts(steady_clock(lambda: wall[0], lambda: ticks[0]))
    counts.replied(1, 9, is_asked=False)
    for jump in (-3 * 3600, 10 * 3600):
        wall[0] += jump
        assert counts.activity(1, 9, waiting=0, waiting_limit=5).replies_this_hour == 1
    ticks[0] += 3601
    assert counts.activity(1, 9, waiting=0, waiting_limit=5).replies_this_hour == 0
    counts.load([(NOW + 86_400, 1, 9)])
    assert counts.activity(1, 9, waiting=0, waiting_limit=5).replies_this_hour == 1
    ticks[0] += 3601
    assert counts.activity(1, 9, waiting=0, waiting_limit=5).replies_this_hour == 0


@pytest.mark.parametrize("wrong_by", [-86_400.0, -600.0, 0.0, 600.0, 86_400.0])
def test_cooldowns_and_conversations_last_as_long_as_set_whatever_the_computers_clock_says(wrong_by: float) -> None:
    """Fault 114: times of messages are Discord's, those of replies the computer's; only differences count."""
    ticks = [0.0]
    counts = ReplyCounts(lambda: NOW + wrong_by + ticks[0])
    counts.replied(1, 9, is_asked=False)
    ticks[0] = 40.0
    activity = counts.activity(1, 9, waiting=0, waiting_limit=5, as_of=NOW + 40.0)
    assert activity.last_reply_at == activity.last_unasked_at == pytest.approx(NOW)
