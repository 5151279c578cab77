"""What it means that a fetch did not find a message, or found it without its words. Pure.

Discord answers 200 with an empty list to a bot that lost Read Message History, sends messages without words when the
message content intent is off, and may give a short page. So absence proves little, and much absence proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from data.chat.keeping import MessageKind

# More than this missing at once, in share or in number, is not believed without asking.
BELIEVED_SHARE = 0.2
BELIEVED_COUNT = 50
# So few messages without words may be odd ones; from here on half of a page is a pattern.
_HOLLOW_PATTERN = 3
# A person's message holds at least one of these (Discord API reference, "Message Object").
_CONTENTS = (
    "attachments",
    "embeds",
    "sticker_items",
    "stickers",
    "poll",
    "message_snapshots",
    "components",
    "activity",
    "call",
)
_WRITTEN_KINDS = frozenset({MessageKind.DEFAULT, MessageKind.REPLY})


@dataclass(frozen=True, slots=True)
class Absence:
    """What follows from one reading of a channel.

    hide: not found between two that were. again: hidden before and still not found there. ask: too many to believe;
    then nothing is hidden.
    """

    hide: tuple[int, ...] = ()
    again: tuple[int, ...] = ()
    ask: tuple[int, ...] = ()


def judge_absence(kept: Collection[int], hidden: Iterable[int], found: Collection[int]) -> Absence:
    """Compare ids that are kept in the range that was read, ids hidden earlier, and ids that the reading found."""
    present = set(found)
    absent = sorted(set(kept) - present)
    if len(absent) > BELIEVED_COUNT or len(absent) > BELIEVED_SHARE * len(kept):
        return Absence(ask=tuple(absent))
    if not present:
        return Absence()
    first, last = min(present), max(present)
    return Absence(
        tuple(i for i in absent if first < i < last),
        tuple(i for i in sorted(set(hidden) - present) if first < i < last),
    )


def is_hollow(raw: Mapping[str, Any]) -> bool:
    """Whether a person's message came with nothing in it, which nobody can write: its content was withheld."""
    if not _is_written(raw):
        return False
    return not str(raw.get("content") or "").strip() and not any(raw.get(name) for name in _CONTENTS)


def are_words_withheld(page: Iterable[Mapping[str, Any]], with_words: Collection[int]) -> bool:
    """Whether a page came without its words, not just one odd message. with_words: ids that are kept with words."""
    written = [raw for raw in page if _is_written(raw)]
    hollow = [raw for raw in written if is_hollow(raw)]
    if 2 * len(hollow) <= len(written):
        return False
    return len(hollow) >= _HOLLOW_PATTERN or any(int(raw["id"]) in with_words for raw in hollow)


def _is_written(raw: Mapping[str, Any]) -> bool:
    author = raw.get("author") or {}
    is_by_a_person = not (author.get("bot") or author.get("system") or raw.get("webhook_id"))
    return is_by_a_person and int(raw.get("type") or 0) in _WRITTEN_KINDS
