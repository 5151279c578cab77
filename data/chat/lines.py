"""How a person's line stands in a prompt, and which line of a conversation is its newest. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from storage.records import Turn
from storage.text import prompt_name


def line_text(name: str, text: str) -> str:
    """How one line of a person stands in a prompt."""
    return f"{prompt_name(name)}: {text}"


def split_newest(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """Turns before the recall block, and the newest line after it.

    When one person writes several messages in a row they are one turn, joined by line breaks. The recall
    block was computed before the last of them was written, so the turn is split there.
    """
    if not turns:
        return (), ()
    last = turns[-1]
    if not last.is_self and "\n" in last.text.strip("\n"):
        before, _, after = last.text.rpartition("\n")
        return (*turns[:-1], Turn(last.name, before)), (Turn(last.name, after),)
    return tuple(turns[:-1]), tuple(turns[-1:])
