"""One answer in the making, how it ended, and what of it goes on record."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import discord

from bot.decisions import Decision, IncomingMessage
from bot.responder import Response
from storage.records import Activity
from storage.settings import Settings

STOPPED, STOPPED_MIDWAY = "the bot stopped before it was sent", "the bot stopped before all of it was sent"


@dataclass(frozen=True, slots=True)
class AnsweredLine:
    """One message that is part of an answer, and why. `at`: when it was decided, seconds since 1970."""

    message: discord.Message
    incoming: IncomingMessage
    decision: Decision
    at: float

    @property
    def reason(self) -> str:
        """Why the line is answered, as the activity list shows it."""
        return self.decision.reason if self.decision.speak else "part of the same answer"


@dataclass(eq=False)
class Pending:
    """One answer in the making.

    `heard` are the lines it answers, `withdrawn` those deleted meanwhile, `sent` what of it is out. `stopped`: why
    nobody wants it any more; `context_ids`: the messages it is written from.
    """

    newest: AnsweredLine
    settings: Settings
    asked_at: float
    heard: OrderedDict[int, AnsweredLine] = field(default_factory=OrderedDict)
    withdrawn: list[AnsweredLine] = field(default_factory=list)
    sent: list[discord.Message] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_begun: bool = False
    is_sending: bool = False
    is_outdated: bool = False
    stopped: str = ""
    context_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.heard[self.newest.incoming.id] = self.newest

    @property
    def target(self) -> discord.Message:
        """The message the reply is sent to: the newest line."""
        return self.newest.message

    @property
    def incoming(self) -> IncomingMessage:
        """The newest line as the decisions see it."""
        return self.newest.incoming

    def join(self, line: AnsweredLine) -> None:
        """One more line by the same person: the answer is to all of them."""
        self.newest = line
        self.heard[line.incoming.id] = line
        self.changed.set()

    def withdraw(self, message_id: int) -> None:
        """One of the lines was deleted."""
        line = self.heard.pop(message_id, None)
        if line is None:
            return
        self.withdrawn.append(line)
        if self.heard:
            self.newest = next(reversed(self.heard.values()))
        self.reread()

    def reread(self) -> None:
        """What it is written from is not there any more, or reads otherwise now."""
        self.is_outdated = True
        self.changed.set()

    def stop(self, reason: str) -> None:
        """Nobody wants it any more: what is not out yet stays unsaid."""
        self.stopped = reason
        self.reread()

    @property
    def is_due(self) -> bool:
        """False once every line that called for an answer is deleted, or it was stopped."""
        return not self.stopped and any(line.decision.speak for line in self.heard.values())

    @property
    def is_asked(self) -> bool:
        """Whether any of the lines was addressed to the bot."""
        return any(line.decision.is_asked for line in self.heard.values())


@dataclass(frozen=True, slots=True)
class Finished:
    """How an answer ended, for the record."""

    response: Response | None = None
    problem: str = ""
    latency_ms: float | None = None


def outcome(pending: Pending, finished: Finished) -> list[Activity]:
    """One row per message that was part of this answer, in the order they were said."""
    if not pending.heard:  # all of them deleted: the answer, if part of it was out by then, was to the last one
        pending.heard[pending.incoming.id] = pending.newest
    if pending.sent and finished.problem == STOPPED:
        finished = replace(finished, problem=STOPPED_MIDWAY)
    rows = [_completed(line, finished, pending.sent, is_main=line is pending.newest) for line in pending.heard.values()]
    rows += [
        activity_row(line, reason=f"{line.reason}; deleted before it was answered")
        for line in pending.withdrawn
        if line.incoming.id not in pending.heard
    ]
    return sorted(rows, key=lambda row: row.message_id)


def _completed(line: AnsweredLine, finished: Finished, sent: list[discord.Message], *, is_main: bool) -> Activity:
    """How it ended for one line; the cost of the answer is in the row of the line it answers."""
    reply_id = sent[0].id if sent else None
    reason = line.reason if reply_id is not None else f"{line.reason}; nothing was sent: {finished.problem}"
    row = replace(
        activity_row(line, reason=reason), spoke=reply_id is not None, reply_id=reply_id, error=finished.problem
    )
    if not is_main:
        return row
    row = replace(row, latency_ms=finished.latency_ms)
    generation = finished.response.generation if finished.response else None
    return (
        row
        if generation is None
        else replace(
            row,
            reason=f"{reason}; {generation.chosen}" if generation.chosen else reason,
            first_token_ms=generation.first_token_ms,
            prompt_tokens=generation.prompt_tokens,
            prefilled_tokens=generation.prefilled_tokens,
            reply_tokens=generation.reply_tokens,
        )
    )


def activity_row(line: AnsweredLine, *, reason: str = "", is_due: bool = False) -> Activity:
    """A line's row of the record: not spoken yet."""
    said = line.incoming
    return Activity(
        at=line.at,
        message_id=said.id,
        channel_id=said.channel_id,
        author_id=said.author_id,
        author_name=said.author_name,
        spoke=False,
        reason=reason or line.reason,
        is_due=is_due,
    )
