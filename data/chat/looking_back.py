"""What was said in somebody's absence, told by quotation: how talk falls into exchanges and which lines stand for one.
Pure; no model has a part in it, so nothing is said that nobody said."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from storage.records import Message

# People who have been silent for so long had left; what was said from then on is news to them.
AWAY_MS = 3_600_000
# A shorter line ("lol", "same") tells nobody what the talk was about.
SHORTEST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Exchange:
    """Messages of one channel without a long silence between them, oldest first; never empty."""

    messages: tuple[Message, ...]

    @property
    def channel_id(self) -> int:
        """The channel it stands in."""
        return self.messages[0].channel_id

    @property
    def people(self) -> int:
        """How many members took part."""
        return len({message.author_id for message in self.messages})

    @property
    def liveliness(self) -> float:
        """Higher is worth more to somebody who missed it: many people before many lines, and what they reacted to."""
        return self.people * math.sqrt(len(self.messages)) + sum(map(reactions_of, self.messages))


def reactions_of(message: Message) -> int:
    """How many reactions stand under a message."""
    return sum(reaction.count for reaction in message.reactions)


def exchanges(messages: Iterable[Message], *, gap_ms: int) -> list[Exchange]:
    """The exchanges of any number of channels, liveliest first; a monologue is none. gap_ms: silence between two."""
    open_ones: dict[int, list[Message]] = {}
    found: list[list[Message]] = []
    for message in sorted(messages, key=lambda m: m.id):
        current = open_ones.get(message.channel_id)
        if current is None or message.created_ms - current[-1].created_ms > gap_ms:
            current = open_ones[message.channel_id] = []
            found.append(current)
        current.append(message)
    made = [Exchange(tuple(each)) for each in found]
    return sorted((each for each in made if each.people > 1), key=lambda each: -each.liveliness)


def quotations(exchange: Exchange, *, limit: int) -> tuple[Message, ...]:
    """Up to `limit` lines that tell what it was about, in order: how it began, what was reacted to and answered."""
    worded = [message for message in exchange.messages if len(message.content.split()) >= SHORTEST_WORDS]
    if not worded:
        return exchange.messages[:limit]
    answers = Counter(message.reply_to_id for message in exchange.messages if message.reply_to_id)
    best = sorted(worded[1:], key=lambda m: (-reactions_of(m) - answers[m.id], -len(m.content), m.id))
    return tuple(sorted([worded[0], *best[: limit - 1]], key=lambda m: m.id))


def left_at(own_ms: Sequence[int], *, now_ms: int) -> int | None:
    """When a member was last here before now, in ms since 1970: the message after which they said nothing for an hour.

    own_ms: times of their messages, newest first. None: they have been here all along, as far as these reach.
    """
    later = now_ms
    for moment in own_ms:
        if later - moment >= AWAY_MS:
            return moment
        later = moment
    return None
