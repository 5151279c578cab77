"""What the owner and the members taught, as places that training learns from.

A judgement becomes a place only where all of its conversation may be learnt from now: the channel may be, and nobody in
it has left. Words are read where they are kept, so what was hidden or deleted since is not in it (storage/teaching.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data.chat.conversation import Line, current_session, turns_of
from data.chat.markup import to_model_text
from data.chat.rows import Origin, TrainingRow
from data.privacy import mask
from storage.reactions import MAX_STRENGTH
from storage.records import Conversation, Mention, Message
from storage.store import Store
from storage.teaching import Opinion, Taught

# The owner's word weighs as much as two members'.
OWNER_WEIGHT = 2
# The lines of one reply belong together, whatever lies between them.
_ANY_GAP_MS = 10**15


@dataclass(frozen=True, slots=True)
class TaughtPlace:
    """A place with what the bot said there (`row.reply`), what was thought of it, and how much that weighs.

    better: what should have been said, '' for no word. model: which one said it.
    """

    row: TrainingRow
    is_liked: bool
    better: str
    weight: int
    model: str


@dataclass
class TaughtRead:
    """The places, and why other judgements are none."""

    places: list[TaughtPlace] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_taught(store: Store, *, layout: int) -> TaughtRead:
    """Every reply that somebody judged, oldest first."""
    read, by_reply = TaughtRead(), dict[int, list[Taught]]()
    for judgement in reversed(store.teaching.all()):
        by_reply.setdefault(judgement.reply_id, []).append(judgement)
    absent = store.members.absent_ids()
    trainable = {channel.id for channel in store.channels.trainable()}
    names = {member.id: member.display_name or member.username or "someone" for member in store.members.all()}
    for judgements in by_reply.values():
        newest = judgements[-1]
        verdict, better, weight = _opinion([j for j in judgements if j.judge_id not in absent])
        if not verdict:
            read.left_out["opinions that cancel out, or of members who left"] += 1
            continue
        if newest.is_of_test_chat:
            row = _chat_row(newest, layout)
        elif newest.channel_id not in trainable:
            read.left_out["replies in channels not learnt from"] += 1
            continue
        else:
            row = _channel_row(store, newest, absent, names, layout)
        if row is None:
            read.left_out["replies whose conversation is not all there any more"] += 1
            continue
        read.places.append(TaughtPlace(row, verdict > 0, mask(better)[0], weight, newest.model))
    return read


def _opinion(judgements: Sequence[Taught]) -> tuple[int, str, int]:
    """(verdict, better words, weight): the owner's where there is one, else what most members think; 0 for nothing."""
    owners = next((judgement for judgement in judgements if judgement.is_owners), None)
    if owners is not None:
        return int(owners.verdict), owners.better, OWNER_WEIGHT
    balance = sum(int(judgement.verdict) for judgement in judgements)
    verdict = Opinion.GOOD if balance > 0 else Opinion.BAD
    return (int(verdict), "", min(abs(balance), MAX_STRENGTH)) if balance else (0, "", 0)


def _chat_row(judgement: Taught, layout: int) -> TrainingRow | None:
    if not judgement.chat:
        return None
    number = f"chat-{-judgement.reply_id}"
    return TrainingRow(
        id=number,
        channel_id=judgement.channel_id,
        author_id=0,
        timestamp=round(judgement.at * 1000),
        session=number,
        conversation=Conversation(judgement.chat),
        reply=mask(judgement.reply)[0],
        layout=layout,
    )


def _channel_row(
    store: Store, judgement: Taught, absent: frozenset[int], names: Mapping[int, str], layout: int
) -> TrainingRow | None:
    kept = store.messages.get(judgement.context_ids)
    if any(number not in kept or kept[number].author_id in absent for number in judgement.context_ids):
        return None
    channel_names = store.channels.names()
    said = [kept[number] for number in judgement.context_ids]
    lines = [line for message in said if (line := _line(message, absent, names, channel_names)) is not None]
    session = current_session(lines, gap_ms=_ANY_GAP_MS)
    if session is None or session.turns[-1].is_own:
        return None
    turns = turns_of(
        session.all_turns,
        name_of=lambda author: names.get(author, "someone"),
        is_self=lambda turn: turn.is_own,
    )
    sources = tuple((message.author_id, message.id) for message in said)
    mentions = tuple(sorted({number for line in lines for number in line.mentions}))
    return TrainingRow(
        id=str(judgement.reply_id),
        channel_id=judgement.channel_id,
        author_id=0,
        timestamp=round(judgement.at * 1000),
        session=f"taught-{judgement.reply_id}",
        conversation=Conversation(turns),
        reply=mask(judgement.reply)[0],
        layout=layout,
        origin=Origin(sources, mentions),
    )


def _line(
    message: Message, absent: frozenset[int], names: Mapping[int, str], channel_names: Mapping[int, str]
) -> Line | None:
    named = tuple(Mention(m.id, "someone" if m.id in absent else names.get(m.id, m.name)) for m in message.mentions)
    text = to_model_text(
        message.content, named, channel_names, attachments=message.attachments, stickers=message.stickers
    )
    if not text:
        return None
    masked = mask(text)[0]
    return Line(
        message.id,
        message.author_id,
        message.created_ms,
        masked,
        masked,
        message.reply_to_id,
        is_own=message.is_own,
        mentions=tuple(mention.id for mention in named),
    )
