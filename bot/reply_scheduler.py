"""Replies under way: at most one per person and channel, one at a time per channel, bounded over all.

Several messages by one person in a row get one answer: what they add before it is sent is read too. Each decision is
stored when it is taken, as due, and completed when the answer is out: a bot that is killed in between leaves a record.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping

import discord

from bot.channel_log import WRITING_MS, ChannelLogs, Readable, Talk, talk_of
from bot.decisions import Decision, IncomingMessage, ReplyCounts
from bot.drafts import DraftBoard
from bot.outbox import Outbox, Outgoing, Refused, prepare
from bot.pending import STOPPED, STOPPED_MIDWAY, AnsweredLine, Finished, Pending, activity_row, outcome
from bot.responder import ModelNotReadyError, ReplyCutOffError, Responder, Response
from bot.translate import record_of
from data.chat.spoken import Speakers, spoken
from model.chat.requests import PRIORITY_MENTION, PRIORITY_RANDOM
from model.markup import to_discord_text, without_invented_mentions
from storage.errors import KnownError
from storage.live import ReplyNote
from storage.records import Activity, Message, snowflake_ms
from storage.settings import BOT_NAMES, Settings

log = logging.getLogger(__name__)

WAITING_LIMIT = 24
GAVE_WAY = "gave way to a newer message: too many were waiting"
# Somebody who asked is answered late rather than never; joining in a minute later would be odd.
ASKED_DEADLINE_SECONDS, UNASKED_DEADLINE_SECONDS = 300.0, 60.0
# A person who sends three lines in a row is answered after the third.
SETTLE_SECONDS = 1.2
RESTARTS = 2
# Something the answer is written from was deleted or edited: that text must not come through, so it begins again more
# often; when even that is not enough, nothing is said.
REREADS = 6
# What one message takes to be sent, at most times.
SEND_SECONDS = 0.5
DELETED = "the message it answers was deleted"
STOPPED_BY_OWNER = "the owner stopped it"
TAKEN_BACK = "something it was written from was deleted or edited"
# Lines that one answer is to belong together, whatever lies between them.
_ALONE_MS = 3_600_000
TYPING_EVERY_SECONDS = 8.0  # Discord shows it for ten


class ReplyDesk:
    """Takes decisions to speak and turns them into sent messages."""

    def __init__(
        self,
        *,
        responder: Responder,
        outbox: Outbox,
        logs: ChannelLogs,
        counts: ReplyCounts,
        record: Callable[[list[Activity]], None],
        settle: Callable[[list[Activity]], None],
        keep_own: Callable[[list[Message]], None],
        on_reply: Callable[[float], None],
        readable: Callable[[discord.abc.MessageableChannel], Readable],
        secrets: tuple[str, ...],
        own_name: Callable[[], str] = lambda: "",
        member_names: Callable[[], Awaitable[Collection[str]]] | None = None,
        keep_note: Callable[[ReplyNote], None] = lambda _: None,
        drafts: DraftBoard | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._responder = responder
        self._outbox = outbox
        self._logs = logs
        self._counts = counts
        self._record = record
        self._settle_rows = settle
        self._keep_own, self._keep_note, self._drafts = keep_own, keep_note, drafts
        self._on_reply = on_reply
        self._readable = readable
        self._secrets = secrets
        self._own_name, self._member_names = own_name, member_names
        self._sleep = sleep
        self._clock = clock
        self._wall_clock = wall_clock
        self._queues: dict[int, OrderedDict[int, Pending]] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._listeners: dict[int, asyncio.Task[None]] = {}
        self._is_closing = False
        self._sends_until = float("inf")

    @property
    def waiting(self) -> int:
        """Answers that are due or being written."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def waiting_unasked(self) -> int:
        """Those of them that nobody asked for and that are not begun."""
        return len(self._unasked())

    def unsent(self, channel_id: int, author_id: int) -> tuple[int, int, int]:
        """Answers that are due and not on their way out: all, in a channel, to a member. They count as said."""
        due = [p.incoming for queue in self._queues.values() for p in queue.values() if not p.is_sending]
        return (len(due), sum(m.channel_id == channel_id for m in due), sum(m.author_id == author_id for m in due))

    def join(self, message: discord.Message, incoming: IncomingMessage, decision: Decision) -> bool:
        """Add a line to the answer its author is already getting; False when there is none to join."""
        waiting = reversed(self._queues.get(incoming.channel_id, OrderedDict()).values())
        pending = next(
            (
                each
                for each in waiting
                if each.incoming.author_id == incoming.author_id and not each.is_sending and each.is_due
            ),
            None,
        )
        if pending is None:
            return False
        pending.join(self._heard(message, incoming, decision))
        return True

    def ask(self, message: discord.Message, incoming: IncomingMessage, decision: Decision, settings: Settings) -> None:
        """Answer this message in its turn; where too many wait, the oldest that nobody asked for gives way."""
        if self.waiting >= WAITING_LIMIT and (unasked := self._unasked()):
            self._drop(min(unasked, key=lambda pending: pending.asked_at), GAVE_WAY)
        pending = Pending(self._heard(message, incoming, decision), settings, self._clock())
        self._stop_listening(incoming.channel_id)
        queue = self._queues.setdefault(incoming.channel_id, OrderedDict())
        if incoming.author_id in queue:  # its answer is on its way out: this is the next one
            queue[-incoming.id] = pending
        else:
            queue[incoming.author_id] = pending
        worker = self._workers.get(incoming.channel_id)
        if worker is None or worker.done():
            self._workers[incoming.channel_id] = asyncio.create_task(self._work(incoming.channel_id))

    def withdraw(self, channel_id: int, message_id: int) -> None:
        """A message was deleted: it is not answered any more."""
        for pending in self._queues.get(channel_id, {}).values():
            pending.withdraw(message_id)

    def reread(self, channel_id: int) -> None:
        """Something said in a channel was changed or deleted: answers being written to the talk there begin again, and
        of one that is going out no further message is sent."""
        for pending in self._queues.get(channel_id, {}).values():
            if pending.is_begun:
                pending.reread()

    def withdraw_author(self, author_id: int) -> None:
        """Somebody left or wants to be forgotten."""
        for queue in self._queues.values():
            for pending in queue.values():
                for message_id in [i for i, line in pending.heard.items() if line.incoming.author_id == author_id]:
                    pending.withdraw(message_id)

    def stop(self, channel_id: int) -> bool:
        """The owner does not want the reply being written in a channel; False when none is."""
        for pending in self._queues.get(channel_id, {}).values():
            if pending.is_begun:
                pending.stop(STOPPED_BY_OWNER)
                return True
        return False

    def listen(self, channel: discord.abc.MessageableChannel, settings: Settings) -> None:
        """Nobody is answered, or somebody is writing: let the model read along. One look per channel at a time; the
        newest state counts.

        While an answer is due its prompt is what the model should have read; it reads on when the answer is out.
        """
        task = self._listeners.get(channel.id)
        if self._is_closing or self._queues.get(channel.id) or (task is not None and not task.done()):
            return
        self._listeners[channel.id] = asyncio.create_task(self._listen(channel, settings))

    def _stop_listening(self, channel_id: int) -> None:
        task = self._listeners.get(channel_id)
        if task is not None:
            task.cancel()

    async def close(self, *, timeout_seconds: float) -> None:
        """Let what is being sent go out, drop the rest."""
        self._is_closing = True
        # No further part is begun that might be cut off on its way: it would be out and not on record.
        self._sends_until = self._clock() + timeout_seconds - SEND_SECONDS
        for task in self._listeners.values():
            task.cancel()
        sending = [
            self._workers[channel]
            for channel, queue in self._queues.items()
            if any(pending.is_sending for pending in queue.values())
        ]
        if sending:
            await asyncio.wait(sending, timeout=timeout_seconds)
        tasks = [*self._workers.values(), *self._listeners.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stopped = Finished(problem=STOPPED)
        for queue in self._queues.values():
            while queue:
                self._settle_rows(outcome(queue.popitem(last=False)[1], stopped))

    def _unasked(self) -> list[Pending]:
        return [
            pending
            for queue in self._queues.values()
            for pending in queue.values()
            if not pending.is_asked and not pending.is_begun
        ]

    def _drop(self, dropped: Pending, problem: str) -> None:
        queue = self._queues[dropped.incoming.channel_id]
        for key in [key for key, pending in queue.items() if pending is dropped]:
            del queue[key]
        self._settle_rows(outcome(dropped, Finished(problem=problem)))

    def _heard(self, message: discord.Message, incoming: IncomingMessage, decision: Decision) -> AnsweredLine:
        """Store the decision at once, in the order it was taken."""
        line = AnsweredLine(message, incoming, decision, self._wall_clock())
        self._record([activity_row(line, is_due=True)])
        return line

    # ---- one channel ------------------------------------------------------------------------------------

    async def _work(self, channel_id: int) -> None:
        queue = self._queues[channel_id]
        while queue and not self._is_closing:
            key, pending = next(iter(queue.items()))
            pending.is_begun = True
            finished = Finished(problem=STOPPED)
            try:
                finished = await self._answer(pending)
            except KnownError as error:
                finished = Finished(problem=error.what)
            except discord.DiscordException as error:
                log.warning("No reply: %s", error)
                finished = Finished(problem=type(error).__name__)
            except Exception as error:
                # One reply that fails must not silence the channel; the traceback is in the log.
                log.exception("A reply failed")
                finished = Finished(problem=f"unexpected error: {type(error).__name__}")
            finally:
                queue.pop(key, None)
                self._settle_rows(outcome(pending, finished))
            self.listen(pending.target.channel, pending.settings)

    async def _answer(self, pending: Pending) -> Finished:
        typing = asyncio.create_task(self._typing(pending.target.channel))
        try:
            response = await self._write(pending)
        finally:
            typing.cancel()
        if response is None:
            return Finished(problem=pending.stopped or DELETED)
        # Other people's lines go first: a name in front of one must not become a mention.
        text = spoken(response.text, self._speakers(pending, response))
        outgoing = prepare(await self._marked_up(text, pending), pending.settings, secrets=self._secrets)
        if isinstance(outgoing, Refused):
            return Finished(response=response, problem=outgoing.reason)
        return await self._send(pending, response, outgoing)

    async def _write(self, pending: Pending) -> Response | None:
        """The model's reply, begun again (a bounded number of times) when more is said or something is taken back."""
        for attempt in range(REREADS + 1):
            await self._settle(pending)
            if not pending.is_due:
                return None
            pending.is_outdated = False
            writing = asyncio.create_task(self._generate(pending))
            try:
                if await self._is_written(writing, pending, may_begin_again=attempt < RESTARTS):
                    response = await writing
                    return response if pending.is_due else None
            finally:
                if not writing.done():
                    writing.cancel()
                    await asyncio.gather(writing, return_exceptions=True)
                if self._drafts is not None:
                    self._drafts.end(pending.incoming.channel_id)
        raise ReplyCutOffError("What it was written from kept being deleted or edited, so nothing was said.")

    async def _is_written(self, writing: asyncio.Task[Response], pending: Pending, *, may_begin_again: bool) -> bool:
        """Wait for the model; False when the answer has to begin again."""
        while True:
            pending.changed.clear()
            changed = asyncio.create_task(pending.changed.wait())
            try:
                await asyncio.wait({writing, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            if pending.is_outdated:
                return False
            if writing.done():
                return True
            if may_begin_again or not pending.is_due:
                return False

    async def _settle(self, pending: Pending) -> None:
        """Wait until the author has been silent for a moment, and is not at the next line either (then for six seconds
        at most); the model reads what was said meanwhile."""
        for _ in range(5):
            pending.changed.clear()
            await asyncio.gather(self._prepare(pending), self._sleep(SETTLE_SECONDS))
            if not pending.changed.is_set() and not self._is_writing_more(pending.incoming):
                return

    def _is_writing_more(self, incoming: IncomingMessage) -> bool:
        writer = self._logs[incoming.channel_id].writer
        if writer is None or writer.id != incoming.author_id or self._clock() - writer.heard_at > WRITING_MS / 1000:
            return False
        # An event about the very line that is answered may come after it, in the same second.
        return writer.at_ms > snowflake_ms(incoming.id)

    async def _prepare(self, pending: Pending) -> None:
        if not pending.is_due:
            return
        talk = self._said(pending)
        try:
            await self._responder.prepare(
                pending.incoming.channel_id,
                talk.turns,
                pending.settings,
                exclude_ids=talk.message_ids,
                own_name=self._own_name(),
            )
        except KnownError as error:  # a courtesy: the model may just be being replaced, and the reply will say so
            log.debug("Not prepared: %s", error.what)

    def _said(self, pending: Pending) -> Talk:
        """The conversation up to the newest line that is answered."""
        newest_id, channel_log = pending.incoming.id, self._logs[pending.incoming.channel_id]
        readable = self._readable(pending.target.channel)
        if channel_log.find(newest_id) is not None:
            return channel_log.talk(pending.settings, readable, until_id=newest_id)
        # In a flood the talk has moved on so far that the question is no longer in the log: it stands alone.
        alone = [record_of(line.message) for line in pending.heard.values()]
        return talk_of(alone, readable, gap_ms=_ALONE_MS, most_turns=len(alone), answered_id=newest_id)

    async def _generate(self, pending: Pending) -> Response:
        talk = self._said(pending)
        if not talk.turns:
            raise ModelNotReadyError("Nothing readable to answer.")
        deadline = ASKED_DEADLINE_SECONDS if pending.is_asked else UNASKED_DEADLINE_SECONDS
        left = deadline - (self._clock() - pending.asked_at)
        pending.context_ids = talk.message_ids
        drafts, channel_id = self._drafts, pending.incoming.channel_id
        return await self._responder.reply(
            pending.incoming.channel_id,
            talk.turns,
            pending.settings,
            exclude_ids=talk.message_ids,
            own_name=self._own_name(),
            priority=PRIORITY_MENTION if pending.is_asked else PRIORITY_RANDOM,
            deadline_seconds=max(left, 1.0),
            on_text=drafts.begin(channel_id, pending.incoming.id) if drafts is not None else None,
            is_sayable=lambda text: isinstance(prepare(text, pending.settings, secrets=self._secrets), Outgoing),
        )

    async def _send(self, pending: Pending, response: Response, outgoing: Outgoing) -> Finished:
        incoming = pending.incoming
        channel_log = self._logs[incoming.channel_id]
        pending.is_sending = True
        self._counts.replied(incoming.channel_id, incoming.author_id, is_asked=pending.is_asked)
        problem = await self._outbox.reply(
            pending.target,
            outgoing,
            answered_id=incoming.author_id,
            is_reference=lambda: channel_log.has_moved_on(incoming.id, incoming.author_id),
            ended_by=lambda: self._ended_by(pending, response),
            on_sent=lambda message: self._is_out(pending, message),
        )
        latency = (self._clock() - pending.asked_at) * 1000
        if pending.sent:
            self._on_reply(latency / 1000)
            self._keep_note(self._note_of(pending, response))
        return Finished(response, problem, latency)

    def _note_of(self, pending: Pending, response: Response) -> ReplyNote:
        ids = tuple(message.id for message in pending.sent)
        recalled = tuple(line.message_id for line in response.recalled)
        channel_id, now = pending.incoming.channel_id, self._wall_clock()
        return ReplyNote(
            ids[0], channel_id, pending.incoming.id, now, response.model, ids, pending.context_ids, recalled
        )

    async def _ended_by(self, pending: Pending, response: Response) -> str:
        """Why the next message of a reply is not sent, '' when it is: seconds pass between two of them."""
        channel_id = pending.incoming.channel_id
        if pending.sent and not await self._responder.may_be_said(channel_id, response):
            return TAKEN_BACK
        if self._clock() > self._sends_until and pending.sent:
            return STOPPED_MIDWAY
        if not pending.is_due:
            return pending.stopped or DELETED
        return TAKEN_BACK if pending.is_outdated else ""

    def _is_out(self, pending: Pending, message: discord.Message) -> None:
        pending.sent.append(message)
        record = record_of(message, is_own=True)
        self._logs[pending.incoming.channel_id].add(record)
        self._keep_own([record])

    async def _typing(self, channel: discord.abc.MessageableChannel) -> None:
        """The typing indicator, for as long as it thinks."""
        while True:
            await self._sleep(SETTLE_SECONDS)
            try:
                await channel.typing()
            except (discord.HTTPException, OSError):
                return  # not being allowed to is no reason not to answer
            await self._sleep(TYPING_EVERY_SECONDS - SETTLE_SECONDS)

    async def _listen(self, channel: discord.abc.MessageableChannel, settings: Settings) -> None:
        try:
            await self._read_along(channel, settings)
        except KnownError as error:  # reading along is a courtesy: the model may just be being replaced
            log.debug("Not read along: %s", error.what)

    async def _read_along(self, channel: discord.abc.MessageableChannel, settings: Settings) -> None:
        channel_log = self._logs[channel.id]
        read = None
        while (state := (channel_log.newest_id, channel_log.writer)) != read:
            read = state
            talk = channel_log.talk(settings, self._readable(channel))
            await self._responder.observe(
                channel.id,
                talk.turns,
                settings,
                exclude_ids=talk.message_ids,
                own_name=self._own_name(),
                typist=talk.typist,
            )

    def _speakers(self, pending: Pending, response: Response) -> Speakers:
        """Everybody a reply could speak for, of the talk and of the server, and what the bot itself is called."""
        guild = pending.target.guild
        channel_log = self._logs[pending.incoming.channel_id]
        people = [message.author_name for message in channel_log.messages if not message.is_own]
        people += [turn.name for turn in (*response.conversation.turns, *response.conversation.recalled)]
        own = [self._own_name(), *pending.settings[BOT_NAMES].split(",")]
        if guild is not None:
            people += [name for member in guild.members for name in (member.display_name, member.name)]
            own += [guild.me.display_name, guild.me.name]
        return Speakers.named(people, own)

    async def _marked_up(self, text: str, pending: Pending) -> str:
        """Names become mentions (shown, not pinged) and :shortcodes: the server's emoji; people who do not exist lose
        the @ in front of their name."""
        guild = pending.target.guild
        members = {m.author_name: m.author_id for m in self._logs[pending.incoming.channel_id].messages if not m.is_own}
        emoji: Mapping[str, str] = {e.name: str(e) for e in guild.emojis if e.available} if guild else {}
        marked = to_discord_text(text, members, emoji)
        if "@" not in marked:
            return marked
        # Discord tells the bot of few members before they speak; the database knows everybody who ever did.
        stored = await self._member_names() if self._member_names else ()
        return without_invented_mentions(marked, [*members, *stored, *_mentionable(guild)])


def _mentionable(guild: discord.Guild | None) -> list[str]:
    """Names that an @ may stand in front of on a server: members', roles', and everybody (which pings nobody here)."""
    if guild is None:
        return []
    people = [name for member in guild.members for name in (member.display_name, member.global_name, member.name)]
    return [*filter(None, people), *(role.name for role in guild.roles), "everyone", "here"]
