"""Which turns of a conversation stand in the prompt, and what gives way when they are too long. Pure.

The live window never slides one turn at a time: its head stays where it is until it is three times as long as wanted
(twice, when nobody waits), and is then cut back at once. Cells behind an unchanged head stay valid. Training rows have
any of the lengths that this gives while nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from storage.records import Conversation, Turn

# The live bot's default setting, and what training is for.
WANTED_TURNS = 5
_WAITING_FACTOR, _IDLE_FACTOR = 3, 2
MIN_CONTEXT, MAX_CONTEXT = WANTED_TURNS, WANTED_TURNS * _IDLE_FACTOR
# What the live bot trims to once a prompt is too long, so that it does not happen again with the next line.
LIVE_TRIM_SHARE = 0.7


def choose_window(turns: Sequence[Turn], previous: Sequence[Turn], *, keep: int, is_idle: bool) -> tuple[Turn, ...]:
    """The newest turns, at least `keep`, starting where the previous window started if that is still allowed."""
    turns = tuple(turns)
    keep = max(keep, 1)
    start = _aligned_start(turns, previous)
    limit = keep * (_IDLE_FACTOR if is_idle else _WAITING_FACTOR)
    if start is None or len(turns) - start > limit or len(turns) - start < min(keep, len(turns)):
        return turns[-keep:]
    return turns[start:]


def _aligned_start(turns: Sequence[Turn], previous: Sequence[Turn]) -> int | None:
    """Where the previous window begins in `turns`; None when it is nowhere."""
    if not previous:
        return None
    best, best_length = None, 0
    for start, turn in enumerate(turns):
        if not _continues(previous[0], turn):
            continue
        length = 0
        for old, new in zip(previous, turns[start:], strict=False):
            if not _continues(old, new):
                break
            length += 1
        if length > best_length:
            best, best_length = start, length
    return best


def _continues(old: Turn, new: Turn) -> bool:
    """The same turn, or the same with more lines added by its author."""
    return (old.name, old.is_self) == (new.name, new.is_self) and (
        new.text == old.text or new.text.startswith(old.text + "\n")
    )


def fit(
    conversation: Conversation,
    *,
    budget: int,
    cost: Callable[[Conversation], int],
    shorten: Callable[[str, int], str],
    share: float = 1.0,
) -> Conversation:
    """The conversation within `budget` tokens: oldest turns go first, then recalled lines from the least similar on,
    and at last the newest turn is shortened to its end, or left out where not even a name fits.

    cost: tokens of a prompt. shorten(text, tokens): the end of a text, that many tokens long. share: of the budget, to
    which turns are cut once they exceed it.
    """
    total = cost(conversation)
    if total <= budget:
        return conversation
    wanted = int(budget * share)
    while len(conversation.turns) > 1 and total > wanted:
        conversation = replace(conversation, turns=conversation.turns[1:])
        total = cost(conversation)
    while conversation.recalled and total > budget:
        conversation = replace(conversation, recalled=conversation.recalled[:-1])
        total = cost(conversation)
    if total > budget and conversation.turns:
        newest = conversation.turns[-1]
        empty = replace(conversation, turns=(*conversation.turns[:-1], replace(newest, text="")))
        room = max(budget - cost(empty) - 2, 0)
        conversation = replace(empty, turns=(*empty.turns[:-1], replace(newest, text=shorten(newest.text, room))))
        if cost(conversation) > budget:  # not even its name fits
            conversation = replace(conversation, turns=conversation.turns[:-1])
    return conversation


def end_of_text(text: str, tokens: int, *, count_tokens: Callable[[str], int]) -> str:
    """The longest end of a text that is at most so many tokens."""
    start, end = 0, len(text)
    while start < end:
        middle = (start + end) // 2
        if count_tokens(text[middle:]) <= tokens:
            end = middle
        else:
            start = middle + 1
    return text[start:]
