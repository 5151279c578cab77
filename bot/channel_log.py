"""The live talk of each channel in memory: what a reply is based on. Follows edits and deletions at once."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from data.chat.conversation import Line, Typist, current_session, is_new_session, turns_of
from data.chat.keeping import is_kept
from data.chat.markup import to_model_text
from storage.records import Message, Turn
from storage.settings import HISTORY_MESSAGES, SESSION_GAP_MINUTES, Settings

KEPT_MESSAGES = 80
# The model keeps up to three times the wanted turns, so that its cache survives; a few more are no harm.
PASSED_FACTOR = 6
# Discord shows for ten seconds that somebody is writing, and is told again by those who go on.
WRITING_MS = 10_000
Readable = Callable[[Message], str]


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody who is writing a message: since when by Discord's clock, and when we heard of it (monotonic)."""

    id: int
    name: str
    at_ms: int
    heard_at: float = field(default_factory=time.monotonic)

    def is_done(self, newer: Message) -> bool:
        """Whether a message shows that they are not writing any more: it is theirs, or so late that they gave up."""
        limit_ms = 0 if newer.author_id == self.id else WRITING_MS
        return newer.created_ms - self.at_ms >= limit_ms


@dataclass(frozen=True, slots=True)
class Talk:
    """What a reply may see of a channel: turns, oldest first, the messages they are made of, who writes now."""

    turns: tuple[Turn, ...] = ()
    message_ids: tuple[int, ...] = ()
    typist: Typist | None = None


@dataclass
class ChannelLog:
    """The newest messages of one channel, oldest first."""

    messages: list[Message] = field(default_factory=list)
    is_loaded: bool = False
    writer: Writer | None = None

    def add(self, message: Message) -> bool:
        """Keep a message; False when it is there already (the gateway repeats events)."""
        if self.find(message.id) is not None:
            return False
        insort(self.messages, message, key=_id)
        del self.messages[:-KEPT_MESSAGES]
        if self.writer and self.writer.is_done(message):
            self.writer = None
        return True

    def load(self, earlier: Iterable[Message]) -> None:
        """What was said before this process listened."""
        self.is_loaded = True
        for message in earlier:
            self.add(message)

    def find(self, message_id: int) -> Message | None:
        """The message with this id; None where the log does not hold it."""
        at = bisect_left(self.messages, message_id, key=_id)
        return self.messages[at] if at < len(self.messages) and self.messages[at].id == message_id else None

    def edit(self, message_id: int, content: str) -> bool:
        """True when a kept message reads differently now."""
        at = bisect_left(self.messages, message_id, key=_id)
        if at == len(self.messages) or self.messages[at].id != message_id or self.messages[at].content == content:
            return False
        self.messages[at] = replace(self.messages[at], content=content)
        return True

    def remove(self, message_ids: Iterable[int]) -> bool:
        """True when something kept is gone."""
        gone = set(message_ids)
        before = len(self.messages)
        self.messages = [message for message in self.messages if message.id not in gone]
        return len(self.messages) < before

    def clear(self) -> None:
        """Forget all of it; nothing is read from the database again."""
        self.messages, self.writer, self.is_loaded = [], None, True

    def remove_author(self, author_id: int) -> bool:
        """Forget one person's lines."""
        if self.writer and self.writer.id == author_id:
            self.writer = None
        return self.remove([message.id for message in self.messages if message.author_id == author_id])

    @property
    def newest_id(self) -> int:
        """Of the last message; 0 where nothing was said."""
        return self.messages[-1].id if self.messages else 0

    @property
    def own_ids(self) -> frozenset[int]:
        """Ids of the bot's own messages in the log."""
        return frozenset(message.id for message in self.messages if message.is_own)

    def has_moved_on(self, target_id: int, author_id: int) -> bool:
        """True when somebody else has written since the message that is answered."""
        return any(m.id > target_id and m.author_id != author_id and not m.is_own for m in self.messages)

    def talk(self, settings: Settings, readable: Readable, *, until_id: int | None = None) -> Talk:
        """What a reply may see: the current conversation up to the message answered, whose id is `until_id`.

        Without one: what a message written now would be answered from; nothing, where it breaks a long silence.
        """
        gap_ms = round(settings[SESSION_GAP_MINUTES] * 60_000)
        shown = [m for m in self.messages if until_id is None or m.id <= until_id]
        writer = self.writer if until_id is None else None
        if writer and shown and is_new_session(shown[-1].created_ms, writer.at_ms, gap_ms=gap_ms):
            return Talk(typist=Typist(writer.name))
        return talk_of(
            shown,
            readable,
            gap_ms=gap_ms,
            most_turns=settings[HISTORY_MESSAGES] * PASSED_FACTOR,
            answered_id=until_id,
            writer=writer,
        )


class ChannelLogs:
    """One log per channel."""

    def __init__(self) -> None:
        self._logs: dict[int, ChannelLog] = {}

    def __getitem__(self, channel_id: int) -> ChannelLog:
        return self._logs.setdefault(channel_id, ChannelLog())

    def items(self) -> list[tuple[int, ChannelLog]]:
        """Channel id and log of every channel heard so far, as a copy that outlives changes."""
        return list(self._logs.items())


def talk_of(
    messages: Sequence[Message],
    readable: Readable,
    *,
    gap_ms: int,
    most_turns: int,
    answered_id: int | None = None,
    writer: Writer | None = None,
) -> Talk:
    """The conversation that the last of some messages belongs to, by the rules that training rows are made by.

    What is not kept (bare links) is not shown either, unless it is what is answered.
    """
    lines = [
        Line(m.id, m.author_id, m.created_ms, text, text, m.reply_to_id, is_own=m.is_own)
        for m in messages
        if (m.is_own or m.id == answered_id or is_kept(m)) and (text := readable(m))
    ]
    session = current_session(lines, gap_ms=gap_ms)
    if session is None:
        return Talk(typist=Typist(writer.name) if writer else None)
    spoken = [*session.carried, *session.turns][-most_turns:]
    names = {m.author_id: m.author_name for m in messages}
    return Talk(
        turns_of(spoken, name_of=lambda author: names[author], is_self=lambda turn: turn.is_own),
        tuple(number for turn in spoken for number in turn.ids),
        Typist(writer.name, spoken[-1].goes_on(writer.id, writer.at_ms)) if writer else None,
    )


def readable_by(
    bot_id: int, bot_name: str, *, channel_names: Mapping[int, str], role_names: Mapping[int, str]
) -> Readable:
    """How messages read in a prompt: mentions as names, attachments and stickers as words."""

    def read(message: Message) -> str:
        return to_model_text(
            message.content,
            message.mentions,
            channel_names,
            role_names=role_names,
            bot_id=bot_id,
            bot_name=bot_name,
            attachments=message.attachments,
            stickers=message.stickers,
        )

    return read


def _id(message: Message) -> int:
    return message.id
