"""What is looked up for a conversation, how a found line reads, how much is read: the rules of standing recall. Pure.

Recall is standing (docs/ENGINE.md): lines are looked up for what stands before the newest line. Training rows, the live
bot and an evaluation follow these same rules, so that what is learnt and measured is what speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from data.chat.lines import line_text, split_newest
from data.chat.markup import to_model_text
from storage.records import Message, Turn

# Turns that make up the query of recall.
TOPIC_TURNS = 3


class SpokenLine(Protocol):
    """Anything somebody said: a turn, a recalled message."""

    @property
    def name(self) -> str:
        """Whose line it is."""
        ...

    @property
    def text(self) -> str:
        """What they said."""
        ...


AnyLine = TypeVar("AnyLine", bound=SpokenLine)


def topic(turns: Sequence[Turn]) -> str:
    """What is being talked about: the last lines of people, since the bot's own words may be off the point."""
    said = [turn.text for turn in turns[-TOPIC_TURNS - 1 :] if not turn.is_self]
    return "\n".join(said[-TOPIC_TURNS:])


def recall_query(turns: Sequence[Turn]) -> str:
    """What recall is asked for a reply to the last turn: the topic when the newest line was still to come, that of the
    newest line itself where nothing came before."""
    earlier, newest = split_newest(turns)
    return topic(earlier) or topic(newest)


def recalled_text(message: Message, channel_names: Mapping[int, str]) -> str:
    """How a message reads when it is recalled, and what the search index holds of it: its words, without files."""
    return to_model_text(message.content, message.mentions, channel_names).strip()


def cap_recalled(
    recalled: Sequence[AnyLine],
    *,
    budget: int,
    count_tokens: Callable[[str], int],
) -> tuple[AnyLine, ...]:
    """The best recalled lines that fit into `budget` tokens; a line that does not fit is skipped whole."""
    kept: list[AnyLine] = []
    for line in recalled:
        cost = count_tokens(line_text(line.name, line.text) + "\n")
        if cost <= budget:
            kept.append(line)
            budget -= cost
    return tuple(kept)
