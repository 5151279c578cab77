"""Which of two versions of one message is kept. Pure; every way in (live, fetch, import) is stored by this rule.

A message is read more than once: live, by a fetch, from exports of different days and programs. The words edited last
are kept, whatever comes in in which order, and no words at all replace none. Where both are of the same edit, the form
nearer to what was written wins: Discord's own over a data package's over an export's with the markdown written out.
Both are an order, so that running anything again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from storage.records import Message, MessageForm, Reaction

# Programs cut an edit's time to milliseconds or whole seconds: closer than this is the same edit.
_SAME_EDIT_MS = 1000


def replaces(incoming: Message, stored: Message) -> bool:
    """True when the words of `incoming` are kept instead of those of `stored`."""
    first, second = stored.edited_ms or 0, incoming.edited_ms or 0
    is_same_edit = first == second or (incoming.form != stored.form and abs(first - second) < _SAME_EDIT_MS)
    if not is_same_edit:
        return second > first
    if incoming.form != stored.form:
        return incoming.form > stored.form
    # Discord's answer of now is right. Two exports of one edit differ in names of the day only.
    return incoming.form is MessageForm.API


def is_blank_reading(stored: Message, incoming: Message) -> bool:
    """True where words were read as none. Discord sends none where the bot may not see them; somebody who takes their
    words out of a message leaves an attachment and a time of the edit."""
    if incoming.content.strip() or not stored.content.strip():
        return False
    return not (incoming.attachments and (incoming.edited_ms or 0) > (stored.edited_ms or 0))


def kept_of(stored: Message, incoming: Message) -> Message:
    """What is kept of two versions: the winner, with what its source does not know taken from the other."""
    if is_blank_reading(stored, incoming):
        if incoming.form is not MessageForm.API:
            return stored
        return replace(stored, reactions=incoming.reactions, is_pinned=incoming.is_pinned)
    if replaces(incoming, stored):
        return _completed(incoming, stored)
    return _completed(stored, incoming)


def is_edit(stored: Message, kept: Message) -> bool:
    """True when the member changed the message; a better form of the same words is none."""
    is_changed = kept.content != stored.content or kept.attachments != stored.attachments
    return is_changed and (kept.form == stored.form or (kept.edited_ms or 0) - (stored.edited_ms or 0) >= _SAME_EDIT_MS)


def unrepeated(messages: Iterable[Message]) -> list[Message]:
    """One of each id, by the same rule: overlapping exports hold a message twice."""
    found: dict[int, Message] = {}
    for message in messages:
        known = found.get(message.id)
        found[message.id] = message if known is None else kept_of(known, message)
    return list(found.values())


def _completed(winner: Message, other: Message) -> Message:
    """A data package knows no mentions, replies, stickers or reactions, and old exports no stickers.

    Of two counts of reactions the larger is taken: neither source says when it counted.
    """
    if winner.form is MessageForm.API:
        return winner
    return replace(
        winner,
        kind=winner.kind or other.kind,
        reply_to_id=winner.reply_to_id or other.reply_to_id,
        stickers=winner.stickers or other.stickers,
        mentions=winner.mentions or other.mentions,
        reactions=max(winner.reactions, other.reactions, key=_count),
        is_pinned=winner.is_pinned or other.is_pinned,
    )


def _count(reactions: tuple[Reaction, ...]) -> int:
    return sum(reaction.count for reaction in reactions)
