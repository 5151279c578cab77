"""Which turns of a conversation stand in the prompt.

The window never slides one turn at a time: its head stays where it is until it is three times as long as wanted (twice,
when nobody waits), and is then cut back at once. Cells behind an unchanged head stay valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from storage.records import Conversation, Turn

_WAITING_FACTOR, _IDLE_FACTOR = 3, 2


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
    conversation: Conversation, *, budget: int, cost: Callable[[Conversation], int], shorten: Callable[[str, int], str]
) -> Conversation:
    """The conversation within `budget` tokens: oldest turns go first (down to 70 % of the budget, so that it does not
    happen again at once), then recalled lines, and at last the newest turn is shortened to what is left.

    cost: tokens of a prompt. shorten(text, tokens): the end of a text, that many tokens long.
    """
    total = cost(conversation)
    if total <= budget:
        return conversation
    wanted = int(budget * 0.7)
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
    return conversation
