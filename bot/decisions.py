"""Speak or stay silent, and why: one pure function of what is known, the clock and one random number.

Nothing here knows Discord, a database or a model. Every answer carries a reason a person can read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from storage.quiet_hours import is_quiet_time
from storage.records import Channel
from storage.settings import (
    ANSWER_DIRECT_MESSAGES,
    CONVERSATION_SECONDS,
    COOLDOWN_SECONDS,
    MENTIONS_ONLY,
    QUIET_HOURS,
    QUIET_UNTIL,
    REPLIES_PER_CHANNEL_HOUR,
    REPLIES_PER_HOUR,
    REPLIES_PER_MEMBER_HOUR,
    RESPONSE_RATE,
    Settings,
)

# Where it spoke a moment ago it is part of the talk: it joins in again more easily.
RECENT_FACTOR = 2.0
# Who asked longer ago has moved on: an answer would come out of nowhere.
ANSWER_AFTER_ABSENCE_SECONDS = 300.0
AWAY = "the bot was away when this was said"
# A conversation is over once this many others have written since its last reply.
OTHERS_UNTIL_OVER = 3


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A member's message as the decision sees it. `at` is seconds since 1970."""

    id: int
    channel_id: int
    author_id: int
    author_name: str
    content: str
    at: float
    is_mention: bool = False
    is_reply_to_bot: bool = False
    is_named: bool = False
    is_direct: bool = False
    is_to_somebody_else: bool = False

    @property
    def is_asked(self) -> bool:
        """True when it is addressed to the bot."""
        return self.is_mention or self.is_reply_to_bot or self.is_named or self.is_direct


@dataclass(frozen=True, slots=True)
class ChannelActivity:
    """What has happened lately. Times are seconds since 1970, None for never. `waiting`: answers that are due.

    waiting_unasked: those of them that nobody asked for and that are not begun; they give way to newer ones.
    """

    last_reply_at: float | None = None
    last_unasked_at: float | None = None
    last_answered_id: int | None = None
    others_since: int = 0
    replies_this_hour: int = 0
    channel_replies_this_hour: int = 0
    member_replies_this_hour: int = 0
    waiting: int = 0
    waiting_limit: int = 32
    waiting_unasked: int = 0
    paused_reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to speak; `is_asked` tells an answer from joining in."""

    speak: bool
    reason: str
    is_asked: bool = False


def decide(
    message: IncomingMessage,
    settings: Settings,
    channel: Channel | None,
    activity: ChannelActivity,
    *,
    minute_of_day: int,
    roll: float,
) -> Decision:
    """The first rule that applies decides. roll: 0 <= roll < 1. minute_of_day: local, for the quiet hours."""
    for rule in (_place, _silence, _ceilings):
        reason = rule(message, settings, channel, activity, minute_of_day)
        if reason:
            return Decision(False, reason, message.is_asked)
    if message.is_asked:
        return Decision(True, _address(message), True)
    return _unasked(message, settings, channel, activity, roll)


def may_react(
    message: IncomingMessage, settings: Settings, channel: Channel | None, activity: ChannelActivity, minute_of_day: int
) -> bool:
    """Whether a reaction is allowed at all: the same places, quiet hours and ceilings as for words. activity: of
    reactions."""
    rules = (_place, _silence, _ceilings)
    return not message.is_direct and not any(
        rule(message, settings, channel, activity, minute_of_day) for rule in rules
    )


def after_absence(message: IncomingMessage, decision: Decision, *, now: float) -> Decision:
    """What becomes of a decision about a message that was said while the bot was away. now: seconds since 1970."""
    if not decision.speak:
        return replace(decision, reason=f"{decision.reason}; {AWAY}")
    if not decision.is_asked:
        return Decision(False, AWAY)
    age = max(0.0, now - message.at)
    if age > ANSWER_AFTER_ABSENCE_SECONDS:
        return Decision(False, f"{AWAY}, {age / 60:.0f} minutes ago", True)
    return replace(decision, reason=f"{decision.reason}; {AWAY}")


def _place(
    message: IncomingMessage, settings: Settings, channel: Channel | None, activity: ChannelActivity, _minute: int
) -> str:
    if message.is_direct:
        return "" if settings[ANSWER_DIRECT_MESSAGES] else "direct messages are ignored"
    if channel is None:
        return "channel is not on the list"
    if channel.is_access_lost:
        return "the bot has lost access to this channel"
    if not channel.speak:
        return "speaking is off in this channel"
    return activity.paused_reason


def _silence(
    message: IncomingMessage, settings: Settings, _channel: Channel | None, _activity: ChannelActivity, minute: int
) -> str:
    if settings[QUIET_UNTIL] > message.at:
        return "quiet for now"
    if is_quiet_time(settings[QUIET_HOURS], minute):
        return f"quiet hours ({settings[QUIET_HOURS]})"
    return ""


def _ceilings(
    _message: IncomingMessage, settings: Settings, _channel: Channel | None, activity: ChannelActivity, _minute: int
) -> str:
    for count, ceiling, whose in (
        (activity.member_replies_this_hour, settings[REPLIES_PER_MEMBER_HOUR], "this member"),
        (activity.channel_replies_this_hour, settings[REPLIES_PER_CHANNEL_HOUR], "this channel"),
        (activity.replies_this_hour, settings[REPLIES_PER_HOUR], "the server"),
    ):
        if count >= ceiling:
            return f"ceiling reached: {count} replies an hour for {whose}"
    if activity.waiting >= activity.waiting_limit and not activity.waiting_unasked:
        return f"queue full ({activity.waiting} replies waiting)"
    return ""


def _address(message: IncomingMessage) -> str:
    if message.is_reply_to_bot:
        return "replied to"
    if message.is_mention:
        return "mentioned"
    return "direct message" if message.is_direct else "named"


def _unasked(
    message: IncomingMessage, settings: Settings, channel: Channel | None, activity: ChannelActivity, roll: float
) -> Decision:
    if settings[MENTIONS_ONLY]:
        return Decision(False, "answers mentions only")
    if not message.content.strip():
        return Decision(False, "no text to answer")
    if _is_in_conversation(message, settings, activity):
        return Decision(True, "in conversation")
    since_unasked = _since(activity.last_unasked_at, message.at)
    if since_unasked is not None and since_unasked < settings[COOLDOWN_SECONDS]:
        return Decision(False, f"cooldown ({since_unasked:.0f} of {settings[COOLDOWN_SECONDS]} s)")
    rate = settings[RESPONSE_RATE] if channel is None or channel.rate is None else channel.rate
    since_reply = _since(activity.last_reply_at, message.at)
    is_recent = since_reply is not None and since_reply < settings[CONVERSATION_SECONDS]
    chance = min(rate * RECENT_FACTOR, 1.0) if is_recent else rate
    note = ", spoke here a moment ago" if is_recent else ""
    return Decision(roll < chance, f"rolled {roll:.2f} against {chance:.0%}{note}")


def _is_in_conversation(message: IncomingMessage, settings: Settings, activity: ChannelActivity) -> bool:
    since = _since(activity.last_reply_at, message.at)
    return (
        since is not None
        and since < settings[CONVERSATION_SECONDS]
        and not message.is_to_somebody_else
        and activity.last_answered_id == message.author_id
        and activity.others_since < OTHERS_UNTIL_OVER
    )


def _since(then: float | None, now: float) -> float | None:
    return None if then is None else max(now - then, 0.0)


def steady_clock(
    wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Seconds since 1970 as the computer had them at the start, going on evenly whatever is done to its clock."""
    offset = wall() - monotonic()
    return lambda: offset + monotonic()


class ReplyCounts:
    """Replies of the last hour: what the ceilings and the conversation rule look at. Not thread-safe.

    clock: one that is never set back or ahead (`steady_clock`). What it says may differ from Discord's time by any
    amount; only differences count.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._replies: list[tuple[float, int, int, bool]] = []
        self._others: dict[int, int] = {}

    def load(self, replies: Iterable[tuple[float, int, int]]) -> None:
        """Replies sent before a restart, as (at, channel, member): the ceilings hold across it.

        One from the future was stored before the clock was set back: it counts as sent now, for an hour at most.
        """
        now = self._clock()
        before = ((min(at, now), channel, member, True) for at, channel, member in replies)
        self._replies = sorted([*self._replies, *before])

    def replied(self, channel_id: int, member_id: int, *, is_asked: bool) -> None:
        """A reply went out (or is about to)."""
        self._replies.append((self._clock(), channel_id, member_id, is_asked))
        self._others[channel_id] = 0

    def heard(self, channel_id: int, member_id: int) -> None:
        """Somebody wrote; counts against the conversation with somebody else."""
        last = self._last(channel_id)
        if last is not None and last[2] != member_id:
            self._others[channel_id] = self._others.get(channel_id, 0) + 1

    def activity(
        self,
        channel_id: int,
        member_id: int,
        *,
        waiting: int,
        waiting_limit: int,
        paused_reason: str = "",
        as_of: float | None = None,
    ) -> ChannelActivity:
        """The view for one decision. as_of: now in Discord's time, which the times in the view are then given in."""
        self._forget_old()
        ahead = 0.0 if as_of is None else as_of - self._clock()
        last = self._last(channel_id)
        unasked = [at for at, channel, _, is_asked in self._replies if channel == channel_id and not is_asked]
        return ChannelActivity(
            last_reply_at=last[0] + ahead if last else None,
            last_unasked_at=unasked[-1] + ahead if unasked else None,
            last_answered_id=last[2] if last else None,
            others_since=self._others.get(channel_id, 0),
            replies_this_hour=len(self._replies),
            channel_replies_this_hour=sum(channel == channel_id for _, channel, _, _ in self._replies),
            member_replies_this_hour=sum(member == member_id for _, _, member, _ in self._replies),
            waiting=waiting,
            waiting_limit=waiting_limit,
            paused_reason=paused_reason,
        )

    def _last(self, channel_id: int) -> tuple[float, int, int, bool] | None:
        return next((reply for reply in reversed(self._replies) if reply[1] == channel_id), None)

    def _forget_old(self) -> None:
        cutoff = self._clock() - 3600
        self._replies = [reply for reply in self._replies if reply[0] > cutoff]
