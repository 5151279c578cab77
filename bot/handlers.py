"""What happens when something happens on Discord. Thin: translate, ask the pure parts, hand on.

`Handlers` outlives a connection: a fresh client after an outage gets the same one, so nothing is answered twice.
"""

from __future__ import annotations

import logging
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import discord

from bot.channel_access import ChannelAccess
from bot.channel_log import ChannelLogs, Readable, Writer, readable_by
from bot.config import Identity, ServerScope
from bot.decisions import Decision, IncomingMessage, ReplyCounts, after_absence, decide
from bot.late_reactions import LateReactions
from bot.outbox import Outbox
from bot.reacting import Reactor
from bot.reply_scheduler import WAITING_LIMIT, ReplyDesk
from bot.server_clock import ServerClock
from bot.storage_thread import StorageThread
from bot.together import Together
from bot.translate import incoming, is_persons_message, read_of, record_of
from data.chat.keeping import is_kept
from storage import policy
from storage.errors import BusyError, KnownError
from storage.incidents import IncidentKind
from storage.live import SAID_BY_OWNER, ReplyNote
from storage.messages import is_without_words
from storage.reactions import reaction_value
from storage.records import Activity, Channel, Message
from storage.settings import Settings
from storage.store import Store
from storage.withdrawals import Withdrawal, WithdrawalKind

log = logging.getLogger(__name__)

SEEN_IDS = 5_000
EDITS_KEPT = 200
EARLIER_MESSAGES = 40
TAKE_BACK = "❌"
# A shorter gap in the connection is bridged by Discord itself.
NOTICED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A message that is to be looked up and kept. is_first: nothing of its channel is in memory yet."""

    record: Message
    is_direct: bool
    thread: Channel | None
    is_first: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What the databases say about the place of a message, read in one go."""

    settings: Settings
    channel: Channel | None
    may_store: bool
    earlier: list[Message]


class Handlers:
    """The bot's reactions to events. All methods run on the event loop."""

    def __init__(
        self,
        *,
        store: Store,
        storage: StorageThread,
        place: ServerScope,
        outbox: Outbox,
        logs: ChannelLogs,
        counts: ReplyCounts,
        desk: ReplyDesk,
        forget_channel: Callable[[int], None],
        reactor: Reactor | None = None,
        set_checked: Callable[[bool], None] = lambda _: None,
        is_stopping: Callable[[], bool] = lambda: False,
        roll: Callable[[], float] = random.random,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._storage = storage
        self.place = place
        self._outbox = outbox
        self._logs = logs
        self._counts = counts
        self._desk = desk
        self._forget_channel = forget_channel
        self._reactor = reactor
        self._is_stopping = is_stopping
        self._roll = roll
        self._wall_clock = wall_clock
        self.server_clock = ServerClock(wall_clock, monotonic)
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._deleted: OrderedDict[int, None] = OrderedDict()
        # The newest edits, for messages that still wait to be stored.
        self._edited: OrderedDict[int, Message] = OrderedDict()
        self._late = LateReactions(
            store, storage, save=lambda message: self._save_edit(record_of(message), is_from_server=True)
        )
        self._arrivals = Together(storage, self._look_up)
        # Decisions that are not stored yet; added on the event loop, taken on the storage thread.
        self._notes: deque[Activity] = deque()
        self.access = ChannelAccess(
            store,
            storage,
            server_id=lambda: self.place.server_id,
            live_channels=lambda: [channel_id for channel_id, _ in logs.items()],
            forget_talk=self._forget_talk,
            set_checked=set_checked,
        )

    # ---- messages ---------------------------------------------------------------------------------------

    def is_ours(self, message: discord.Message) -> bool:
        """True for a person's message on the one server (or a direct one) that was not handled before."""
        if not is_persons_message(message):
            return False
        if message.guild is not None and message.guild.id != self.place.server_id:
            return False
        return self._is_new(message.id)

    async def on_message(self, message: discord.Message, me: Identity, *, was_away: bool = False) -> Decision:
        """Keep the message, decide, and answer or read along.

        was_away: it was said while the bot could not hear it; only who asked a moment ago is still answered.
        """
        record = record_of(message)
        channel_log = self._logs[message.channel.id]
        is_first = not channel_log.is_loaded
        channel_log.is_loaded = True  # before the await: the next message must not load again
        channel_log.add(read_of(message))
        known = await self._arrivals.ask(_Arrival(record, message.guild is None, _thread(message), is_first))
        channel_log.load(message for message in known.earlier if message.id not in self._deleted)
        if message.id in self._deleted:  # while the database was asked
            decision = Decision(False, "deleted before it could be answered")
            self._note(incoming(message, me, known.settings, own_ids=frozenset()), decision)
            return decision
        seen = incoming(message, me, known.settings, own_ids=channel_log.own_ids)
        self._counts.heard(seen.channel_id, seen.author_id)
        decision = self._decide(seen, known, was_away=was_away)
        if was_away:
            decision = after_absence(seen, decision, now=self.server_clock.now())
        may_be_said_now = not self._is_stopping() and (decision.speak or self._may_join(known, seen))
        if may_be_said_now and self._desk.join(message, seen, decision):
            return decision
        if decision.speak:
            self._desk.ask(message, seen, decision, known.settings)
        else:
            self._note(seen, decision)
            if known.channel is not None and known.channel.speak:
                self._desk.listen(message.channel, known.settings)
            if self._reactor is not None and not was_away and not self._is_stopping():
                self._reactor.consider(
                    message, seen, known.settings, known.channel, minute_of_day=self._minute_of_day()
                )
        return decision

    async def last_known_ids(self, channel_ids: Sequence[int]) -> dict[int, int]:
        """The newest message of each channel that was stored or decided about; others were never listened to."""
        return await self._storage.run(self._last_known, channel_ids)

    def permissions_changed(self, channel_id: int | None = None) -> None:
        """Discord changed who may do what in a channel (None: by a role): a refusal of before is forgotten."""
        self._outbox.resume(channel_id)
        if self._reactor is not None:
            self._reactor.permissions_changed(channel_id)

    async def on_typing(self, channel: discord.abc.MessageableChannel, writer: Writer) -> None:
        """Somebody begins to write: the model reads up to their name meanwhile. In a channel that was quiet for so
        long that nothing of it is kept, that is the whole conversation, and a question pays for its own words only."""
        channel_log = self._logs[channel.id]
        channel_log.writer = writer
        try:
            known = await self._storage.run(self._look_up_place, channel.id, not channel_log.is_loaded)
        except KnownError as error:  # a courtesy: the message itself will say what is wrong with the database
            log.debug("Not read ahead: %s", error.what)
            return
        if known.channel is None or not known.channel.speak or self._is_stopping():
            return
        channel_log.load(message for message in known.earlier if message.id not in self._deleted)
        self._desk.listen(channel, known.settings)

    async def on_edit(self, message: discord.Message) -> None:
        """Follow an edit in the talk and in the database."""
        if not is_persons_message(message) or message.guild is None or message.guild.id != self.place.server_id:
            return
        record = record_of(message)
        if is_without_words(record):  # withheld by Discord: nobody can edit a message into nothing
            return
        if self._logs[message.channel.id].edit(message.id, message.content):
            self._forget_talk(message.channel.id)
        self._edited[record.id] = record
        if len(self._edited) > EDITS_KEPT:
            self._edited.popitem(last=False)
        await self._storage.run(self._save_edit, record, False)

    async def on_delete(self, channel_id: int, message_ids: set[int]) -> None:
        """Follow a deletion: the answer to it is not sent, nothing prepared from it is used, it is forgotten."""
        self.drop(channel_id, message_ids)
        await self._storage.run(self._delete_known, sorted(message_ids))

    def drop(self, channel_id: int, message_ids: set[int]) -> None:
        """Messages are out of sight: nothing in memory holds them or is made from them any more."""
        for message_id in message_ids:
            self._desk.withdraw(channel_id, message_id)
            _remember(self._deleted, message_id)
            self._edited.pop(message_id, None)
        if self._logs[channel_id].remove(message_ids):
            self._forget_talk(channel_id)

    # ---- reactions ----------------------------------------------------------------------------------------

    async def on_reaction(
        self,
        channel: discord.abc.MessageableChannel | None,
        message_id: int,
        user_id: int,
        emoji: str,
        *,
        is_added: bool,
    ) -> None:
        """An admin's ❌ takes a reply, or the bot's own reaction, back; another one to a reply is an opinion of it,
        to teach from; everything else is a late reaction to keep."""
        if channel is None:
            return
        is_taken_back = is_added and emoji == TAKE_BACK and self.place.is_admin(user_id)
        if is_taken_back and await self.take_back(channel, message_id):
            return
        if is_taken_back and self._reactor is not None and await self._reactor.take_back(message_id):
            return
        if (value := reaction_value(emoji)) and await self._is_own(channel.id, message_id):
            await self._late.judge(message_id, user_id, value, is_added=is_added)
            return
        self._late.refresh_soon(channel, message_id)

    async def take_back(self, channel: discord.abc.MessageableChannel, message_id: int) -> bool:
        """Delete one of the bot's own replies, all parts of it; False when it is not the bot's, or not all of it could
        be deleted."""
        if not await self._is_own(channel.id, message_id):
            return False
        parts = self._outbox.parts_of(message_id)
        if len(parts) == 1 and (note := await self._storage.run(self._store.notes.holding, message_id)) is not None:
            parts = note.message_ids  # said before this process began
        done = await self._outbox.take_back(channel, parts)
        if done:
            await self.on_delete(channel.id, set(parts))
        return done == len(parts)

    def said_for_owner(self, sent: Sequence[discord.Message]) -> None:
        """The owner said something as the bot: part of the talk from now on, and nobody's example."""
        records = [record_of(message, is_own=True) for message in sent]
        for record in records:
            self._logs[record.channel_id].add(record)
        self.keep_own(records)
        first, ids = records[0], tuple(record.id for record in records)
        self.keep_note(ReplyNote(first.id, first.channel_id, SAID_BY_OWNER, self._wall_clock(), parts=ids))

    def last_own_id(self, channel_id: int) -> int | None:
        """The bot's newest message in a channel, as far as it remembers."""
        return max(self._logs[channel_id].own_ids, default=None)

    def was_offline(self, seconds: float) -> None:
        """The connection is back; a gap people notice is written down with its cause."""
        if seconds >= NOTICED_SECONDS:
            now = self._wall_clock()
            begin = partial(self._store.incidents.begin, IncidentKind.DISCONNECT, at=now - seconds, ended_at=now)
            self._storage.post(begin)

    def forget_author(self, author_id: int) -> None:
        """Drop one person's lines from everything in memory."""
        self._desk.withdraw_author(author_id)
        for message_id in [number for number, edit in self._edited.items() if edit.author_id == author_id]:
            del self._edited[message_id]
        for channel_id, channel_log in self._logs.items():
            if channel_log.remove_author(author_id):
                self._forget_talk(channel_id)

    def withdrawn(self, rows: Sequence[Withdrawal]) -> None:
        """Taken back somewhere else: drop it from everything in memory, as if it had been done here."""
        messages: dict[int, set[int]] = {}
        for row in rows:
            if row.kind is WithdrawalKind.MESSAGE:
                messages.setdefault(row.channel_id, set()).add(row.id)
            elif row.kind in (WithdrawalKind.MEMBER, WithdrawalKind.ABSENT):
                self.forget_author(row.id)
            elif row.kind is WithdrawalKind.CHANNEL:
                self._logs[row.id].clear()
                self._forget_talk(row.id)
        for channel_id, message_ids in messages.items():
            self.drop(channel_id, message_ids)
        whole = (WithdrawalKind.MEMBER, WithdrawalKind.CHANNEL, WithdrawalKind.ABSENT, WithdrawalKind.CLOSED)
        if any(row.kind in whole for row in rows):
            # Their lines may have been recalled anywhere.
            for channel_id, _ in self._logs.items():  # noqa: PERF102 - a log book of channels, no dictionary
                self._forget_channel(channel_id)

    async def load_counts(self) -> None:
        """Replies of the last hour before this start: the ceilings hold across a restart."""
        since = self._wall_clock() - 3600
        recent = await self._storage.run(lambda: self._store.activity.recent(limit=500))
        self._counts.load(
            (a.at, a.channel_id, a.author_id) for a in recent if a.spoke and a.at > since and a.latency_ms is not None
        )

    async def remembered(self, key: str) -> object:
        """A fact kept from an earlier run."""
        return await self._storage.run(self._store.facts.get, key)

    async def remember(self, key: str, value: object) -> None:
        """Keep a fact for the next run."""
        await self._storage.run(self._store.facts.set, key, value)

    async def close(self) -> None:
        """Drop what was put off."""
        if self._reactor is not None:
            await self._reactor.close()
        await self._late.close()

    # ---- inner ------------------------------------------------------------------------------------------

    def _forget_talk(self, channel_id: int) -> None:
        """Nothing prepared from what was said before is used, and nothing written from it is sent."""
        self._forget_channel(channel_id)
        self._desk.reread(channel_id)

    def _is_new(self, message_id: int) -> bool:
        if message_id in self._seen:
            return False
        _remember(self._seen, message_id)
        return True

    def _look_up(self, arrivals: Sequence[_Arrival]) -> list[_Known]:
        """On the storage thread: read the places and keep the messages where the owner said yes, all in one write."""
        settings = self._store.settings.read()
        channels: dict[int, Channel | None] = {}
        answers, kept = list[_Known](), list[Message]()
        for arrival in arrivals:
            record, channel_id = arrival.record, arrival.record.channel_id
            if channel_id not in channels:
                channels[channel_id] = None if arrival.is_direct else self._channel(channel_id, arrival.thread)
            channel = channels[channel_id]
            may_store = channel is not None and self._may_store(channel)
            is_read = arrival.is_first and channel is not None
            answers.append(
                _Known(settings, channel, may_store, self._earlier(channel_id, record.id) if is_read else [])
            )
            # Deleted, or edited, while another program held the database and this was tried again.
            record = self._edited.get(record.id, record)
            is_gone = record.id in self._deleted
            if may_store and not is_gone and is_kept(record) and not self._has_opted_out(record.author_id):
                kept.append(record)
        if kept:
            self._keep(kept)
        return answers

    def _look_up_place(self, channel_id: int, is_first: bool) -> _Known:
        """The same before anything is written."""
        channel = self._store.channels.get(channel_id)
        is_read = is_first and channel is not None and channel.speak
        earlier = self._earlier(channel_id, None) if is_read else []
        return _Known(self._store.settings.read(), channel, False, earlier)

    def _earlier(self, channel_id: int, before_id: int | None) -> list[Message]:
        """What was said before this process listened, without the lines of those who left."""
        recent = self._store.messages.recent(channel_id, limit=EARLIER_MESSAGES, before_id=before_id)
        left = self._store.members.absent_ids()
        return [message for message in recent if message.author_id not in left]

    def _last_known(self, channel_ids: Sequence[int]) -> dict[int, int]:
        decided = self._store.activity.newest_ids(channel_ids)
        stored = {channel: self._store.messages.newest_id(channel) for channel in channel_ids}
        newest = {channel: max(decided.get(channel, 0), stored[channel]) for channel in channel_ids}
        return {channel: message_id for channel, message_id in newest.items() if message_id}

    def _keep(self, records: list[Message]) -> None:
        try:
            self._store.messages.save(records)
        except BusyError:
            raise  # the whole look-up is tried again
        except KnownError as error:  # a full disk keeps nobody from an answer; the next fetch brings the message
            log.warning("%d messages were not stored: %s", len(records), error.text())

    def _channel(self, channel_id: int, thread: Channel | None) -> Channel | None:
        """The channel with its switches; a thread nobody has seen before follows its parent."""
        channel = self._store.channels.get(channel_id)
        if channel is None and thread is not None and self._store.channels.get(thread.parent_id or 0) is not None:
            self._store.channels.add([thread])
            channel = self._store.channels.get(channel_id)
        return channel

    def _may_store(self, channel: Channel) -> bool:
        """Members' messages are kept only where the owner agreed to collect."""
        is_chosen = channel.learn or channel.recall
        is_allowed = not channel.is_private or channel.include_private
        return is_chosen and is_allowed and policy.is_accepted(self._store.consents)

    def _has_opted_out(self, author_id: int) -> bool:
        member = self._store.members.get(author_id)
        return member is not None and member.is_opted_out

    def _decide(self, seen: IncomingMessage, known: _Known, *, was_away: bool = False) -> Decision:
        paused = "the bot is stopping" if self._is_stopping() else self._outbox.paused_reason(seen.channel_id)
        activity = self._counts.activity(
            seen.channel_id,
            seen.author_id,
            waiting=self._desk.waiting,
            waiting_limit=WAITING_LIMIT,
            paused_reason=paused,
            as_of=None if was_away else seen.at,
        )
        # What is about to be said counts against the ceilings like what was said: a burst cannot run past them.
        everywhere, here, to_them = self._desk.unsent(seen.channel_id, seen.author_id)
        activity = replace(
            activity,
            waiting_unasked=self._desk.waiting_unasked,
            replies_this_hour=activity.replies_this_hour + everywhere,
            channel_replies_this_hour=activity.channel_replies_this_hour + here,
            member_replies_this_hour=activity.member_replies_this_hour + to_them,
        )
        return decide(
            seen, known.settings, known.channel, activity, minute_of_day=self._minute_of_day(), roll=self._roll()
        )

    def _minute_of_day(self) -> int:
        now = datetime.fromtimestamp(self.server_clock.now())
        return now.hour * 60 + now.minute

    @staticmethod
    def _may_join(known: _Known, seen: IncomingMessage) -> bool:
        """A line after a question belongs to it, though nobody would have answered it alone."""
        return known.channel is not None and known.channel.speak and not seen.is_to_somebody_else

    def _note(self, seen: IncomingMessage, decision: Decision) -> None:
        self.record(
            [
                Activity(
                    at=self._wall_clock(),
                    message_id=seen.id,
                    channel_id=seen.channel_id,
                    author_id=seen.author_id,
                    author_name=seen.author_name,
                    spoke=False,
                    reason=decision.reason,
                )
            ]
        )

    def record(self, rows: list[Activity]) -> None:
        """Store decisions without waiting; those of a flood together."""
        self._notes.extend(rows)
        self._storage.post(self._write_notes)

    def _write_notes(self) -> None:
        rows = [self._notes.popleft() for _ in range(len(self._notes))]
        try:
            if rows:
                self._store.activity.add(rows)
        except BusyError:
            self._notes.extendleft(reversed(rows))
            raise

    def settle(self, rows: list[Activity]) -> None:
        """Complete decisions whose answer is out, or will never be."""
        self._storage.post(self._store.activity.settle, rows)

    def keep_note(self, note: ReplyNote) -> None:
        """What a reply was made of, for whoever wants to know why."""
        self._storage.post(self._store.notes.add, note)

    def keep_own(self, messages: list[Message]) -> None:
        """Own replies are live context: kept, marked, never indexed or learnt from."""
        self._storage.post(self._store.messages.save, messages)

    def _save_edit(self, record: Message, is_from_server: bool) -> None:
        if self._store.messages.holds([record.id]) and not self._has_opted_out(record.author_id):
            self._store.messages.save([record], is_from_server=is_from_server)

    def _delete_known(self, message_ids: list[int]) -> None:
        known = self._store.messages.holds(message_ids)
        if known:
            self._store.messages.delete(sorted(known))

    async def _is_own(self, channel_id: int, message_id: int) -> bool:
        if message_id in self._logs[channel_id].own_ids:
            return True
        kept = await self._storage.run(self._store.messages.get, [message_id])
        return message_id in kept and kept[message_id].is_own


def channel_reader(me: Callable[[], Identity]) -> Callable[[discord.abc.MessageableChannel], Readable]:
    """How messages of a channel read in a prompt, with the names its server has."""

    def reader(channel: discord.abc.MessageableChannel) -> Readable:
        guild = getattr(channel, "guild", None)
        return readable_by(
            me().id,
            me().name,
            channel_names={c.id: c.name for c in guild.channels} if guild else {},
            role_names={role.id: role.name for role in guild.roles} if guild else {},
        )

    return reader


def _remember(ids: OrderedDict[int, None], message_id: int) -> None:
    ids[message_id] = None
    if len(ids) > SEEN_IDS:
        ids.popitem(last=False)


def _thread(message: discord.Message) -> Channel | None:
    """The thread a message stands in, None elsewhere. A private thread stays private whatever its parent is."""
    place = message.channel
    if not isinstance(place, discord.Thread):
        return None
    return Channel(place.id, place.name, kind=place.type.value, parent_id=place.parent_id, guild_id=place.guild.id)
