"""The live talk of each channel in memory: what a reply is based on. Follows edits and deletions at once."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from model.markup import to_model_text
from storage.records import Message, Turn
from storage.settings import HISTORY_MESSAGES, SESSION_GAP_MINUTES, Settings

KEPT_MESSAGES = 80
# The model keeps up to three times the wanted turns, so that its cache survives; one turn may hold several messages.
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
        return frozenset(message.id for message in self.messages if message.is_own)

    def has_moved_on(self, target_id: int, author_id: int) -> bool:
        """True when somebody else has written since the message that is answered."""
        return any(m.id > target_id and m.author_id != author_id and not m.is_own for m in self.messages)

    def window(self, settings: Settings, *, until_id: int | None = None) -> list[Message]:
        """The messages a reply may see: the current conversation up to the one answered, cut at a long silence.

        Without one: what a message written now would be answered from; nothing, where it breaks a long silence.
        """
        gap_ms = settings[SESSION_GAP_MINUTES] * 60_000
        shown = [m for m in self.messages if until_id is None or m.id <= until_id]
        shown = shown[-settings[HISTORY_MESSAGES] * PASSED_FACTOR :]
        if shown and until_id is None and self.writer and self.writer.at_ms - shown[-1].created_ms > gap_ms:
            return []
        for at in range(len(shown) - 1, 0, -1):
            if shown[at].created_ms - shown[at - 1].created_ms > gap_ms:
                return shown[at:]
        return shown


class ChannelLogs:
    """One log per channel."""

    def __init__(self) -> None:
        self._logs: dict[int, ChannelLog] = {}

    def __getitem__(self, channel_id: int) -> ChannelLog:
        return self._logs.setdefault(channel_id, ChannelLog())

    def items(self) -> list[tuple[int, ChannelLog]]:
        return list(self._logs.items())


def turns_of(messages: Sequence[Message], readable: Readable) -> list[Turn]:
    """Speaker turns: one person's messages in a row are one turn with line breaks; the bot's own are its own."""
    turns: list[Turn] = []
    last_speaker: int | None = None
    for message in messages:
        text = readable(message)
        if not text:
            continue
        if turns and last_speaker == message.author_id:
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n{text}")
        else:
            turns.append(Turn("" if message.is_own else message.author_name, text, message.is_own))
        last_speaker = message.author_id
    return turns


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
