"""What was said in each channel and is not computed yet: newest state of each, replies about to be asked for first,
then where somebody is writing, then the channel that waits longest."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from data.chat.conversation import Typist
from storage.records import Conversation

_MOST_CHANNELS = 64


@dataclass(frozen=True)
class PrefillRequest:
    """A channel's conversation as of its last message, with the lines looked up for it.

    reply_tokens: the longest reply that is about to be asked for; None where nobody is going to be answered. typist:
    who is writing the next message, as far as anybody knows.
    """

    channel_id: int
    conversation: Conversation
    system_prompt: str
    keep_turns: int
    reply_tokens: int | None = None
    typist: Typist | None = None

    @property
    def is_due(self) -> bool:
        """True where a reply is certain to need it."""
        return self.reply_tokens is not None


class PrefillQueue:
    """Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, PrefillRequest] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_due(self) -> bool:
        """True while a reply about to be asked for is among what waits."""
        return any(heard.is_due for heard in self._waiting.values())

    def hear(self, heard: PrefillRequest) -> None:
        """Remember a channel's newest state; an older one of it is not worth computing any more."""
        self._waiting[heard.channel_id] = heard
        while len(self._waiting) > _MOST_CHANNELS:
            self._waiting.popitem(last=False)

    def take(self) -> PrefillRequest | None:
        """What is to be computed next, or None."""
        if not self._waiting:
            return None
        first = min(self._waiting.values(), key=lambda heard: (not heard.is_due, heard.typist is None))
        return self._waiting.pop(first.channel_id)

    def put_back(self, heard: PrefillRequest) -> None:
        """It was interrupted: next time first, unless there is something newer."""
        if heard.channel_id not in self._waiting:
            self._waiting[heard.channel_id] = heard
            self._waiting.move_to_end(heard.channel_id, last=False)

    def answered(self, channel_id: int) -> None:
        """A reply computed this channel's prompt itself."""
        self._waiting.pop(channel_id, None)

    def forget(self, channel_id: int) -> None:
        """Drop what waits for this channel."""
        self._waiting.pop(channel_id, None)

    def clear(self) -> None:
        """Drop everything that waits."""
        self._waiting.clear()
