"""What is heard, decided, written and said, as lines of a feed; and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.status import Fact
from gui.presenters.table import Cell, Column, TableRow
from storage.live import SAID_BY_OWNER, Draft, LiveEntry, LiveReading
from storage.records import Activity
from storage.teaching import Opinion, Taught, TaughtCounts

AVATARS = 8
# A longer line is a wall; the whole of it is on Discord.
LONGEST = 600


@dataclass(frozen=True, slots=True)
class FeedLine:
    """One thing that was said. avatar: a number below AVATARS for the colour; tone: of the pill."""

    id: int
    channel_id: int
    avatar: int
    name: str
    meta: str
    text: str
    is_own: bool
    is_gone: bool = False
    pill: str = ""
    tone: str = "idle"
    can_teach: bool = False


@dataclass(frozen=True, slots=True)
class DraftView:
    """The reply being written: what stands above its words, and they themselves."""

    channel_id: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class WhyView:
    """What explains a line: a heading, facts, and the lines that were recalled (None: not asked for)."""

    title: str
    facts: tuple[Fact, ...]
    recalled: tuple[str, ...] | None = None
    note: str = ""


def feed_lines(
    reading: LiveReading,
    channels: Mapping[int, str],
    marks: Mapping[int, Taught],
    members: Mapping[int, tuple[int, int]],
) -> tuple[FeedLine, ...]:
    """The feed, oldest first. channels: names by id; marks: the owner's, members: (liked, disliked), by the reply."""
    return tuple(_line(entry, channels, marks.get(entry.id), members.get(entry.id)) for entry in reading.entries)


def _line(
    entry: LiveEntry, channels: Mapping[int, str], mark: Taught | None, members: tuple[int, int] | None
) -> FeedLine:
    place = f"{words.clock(entry.at)} · {channel_name(entry.channel_id, channels)}"
    text = (entry.text or texts.LIVE_WORDS_GONE)[:LONGEST]
    if entry.note is None:
        assert entry.decision is not None  # what was heard was decided about
        pill, tone = verdict_of(entry.decision)
        avatar = entry.decision.author_id % AVATARS
        return FeedLine(
            entry.id, entry.channel_id, avatar, entry.name, place, text, False, entry.text is None, pill, tone
        )
    is_owners = entry.note.answered_id == SAID_BY_OWNER
    parts = [place]
    if entry.seconds is not None:
        parts.append(words.seconds_of(entry.seconds * 1000))
    if entry.note.recalled_ids:
        parts.append(f"used {words.plural(len(entry.note.recalled_ids), 'earlier line')}")
    pill, tone = _opinion(mark, members)
    return FeedLine(
        entry.id,
        entry.channel_id,
        -1,
        texts.LIVE_YOU if is_owners else texts.LIVE_OWN,
        " · ".join(parts),
        text,
        True,
        False,
        pill,
        tone,
        can_teach=not is_owners and bool(entry.note.context_ids),
    )


def _opinion(mark: Taught | None, members: tuple[int, int] | None) -> tuple[str, str]:
    if mark is not None:
        if mark.better:
            return f"better: {mark.better[:80]}", "busy"
        return (texts.TEACH_GOOD, "good") if mark.verdict is Opinion.GOOD else (texts.TEACH_BAD, "bad")
    if members is not None:
        good, bad = members
        return f"👍 {good}  👎 {bad}", "good" if good > bad else "bad" if bad > good else "idle"
    return "", "idle"


def channel_name(channel_id: int, channels: Mapping[int, str]) -> str:
    """'#lounge', or what it is where it has no name."""
    name = channels.get(channel_id)
    return texts.LIVE_CHANNEL.format(name=name) if name else texts.LIVE_ELSEWHERE


def verdict_of(decision: Activity) -> tuple[str, str]:
    """What was made of a message and why, in a few words, with its tone."""
    reason = reason_in_words(decision.reason, spoke=decision.spoke or decision.is_due)
    if decision.is_due:
        return f"{texts.REASON_ANSWERS} · {reason}", "good"
    if decision.spoke:
        return f"{texts.REASON_SPOKE} · {reason}", "good"
    if decision.error:
        return f"{texts.REASON_FAILED} · {decision.error}", "bad"
    return f"{texts.REASON_SILENT} · {reason}", "idle"


def reason_in_words(reason: str, *, spoke: bool) -> str:
    """A stored reason as people say it; one nobody has words for reads as it was stored."""
    luck = texts.LUCK_YES if spoke else texts.LUCK_NO
    if (chosen := re.fullmatch(texts.REASON_CHOSEN, reason)) is not None:
        return f"{reason_in_words(chosen[1], spoke=spoke)}; {chosen[2]}"
    for pattern, form in texts.REASONS:
        if (found := re.search(pattern, reason)) is not None:
            return form.format(*found.groups(), luck=luck)
    return reason


def draft_view(
    drafts: Collection[Draft], channels: Mapping[int, str], *, channel_id: int | None, pid: int | None, now: float
) -> DraftView | None:
    """The newest reply that the running bot is writing in the channels that are shown."""
    fitting = [draft for draft in drafts if draft.pid == pid and channel_id in (None, draft.channel_id)]
    if not fitting:
        return None
    draft = max(fitting, key=lambda each: each.begun_at)
    name = channels.get(draft.channel_id, "?")
    seconds = f"{max(now - draft.begun_at, 0.0):.1f}"
    return DraftView(draft.channel_id, texts.LIVE_WRITING.format(name=name, seconds=seconds), draft.text)


def why_view(
    entry: LiveEntry,
    channels: Mapping[int, str],
    *,
    recalled: tuple[tuple[str, str], ...] = (),
    members: tuple[int, int] | None = None,
    learns: bool = True,
) -> WhyView:
    """What explains one line. recalled: (name, words) of the lines that were looked up and may still be shown."""
    place = channel_name(entry.channel_id, channels)
    decision = entry.decision
    if entry.note is None:
        assert decision is not None
        spoke = decision.spoke or decision.is_due
        title = texts.WHY_DECIDED if spoke else texts.WHY_SILENT
        reason = reason_in_words(decision.reason, spoke=spoke)
        return WhyView(title, (Fact(texts.WHY_BECAUSE, reason), Fact(texts.WHY_CHANNEL, place)))
    facts = []
    if decision is not None:
        facts.append(Fact(texts.WHY_BECAUSE, reason_in_words(decision.reason, spoke=True)))
    facts.append(Fact(texts.WHY_CHANNEL, place))
    if entry.seconds is not None:
        took = words.seconds_of(entry.seconds * 1000)
        if decision is not None and decision.first_token_ms is not None:
            took = texts.WHY_TOOK_FIRST.format(total=took, first=words.seconds_of(decision.first_token_ms))
        facts.append(Fact(texts.WHY_TOOK, took))
    if entry.note.model:
        facts.append(Fact(texts.WHY_MODEL, words.middle(entry.note.model, 26)))
    if members is not None:
        facts.append(Fact(texts.WHY_MEMBERS, texts.WHY_MEMBERS_COUNT.format(good=members[0], bad=members[1])))
    is_owners = entry.note.answered_id == SAID_BY_OWNER
    note = ""
    if not is_owners and not entry.note.context_ids:
        note = texts.TEACH_NOT_YET
    elif not is_owners and not learns:
        note = texts.TEACH_NO_LEARN.format(name=channels.get(entry.channel_id, "?"))
    lines = tuple(texts.WHY_LINE.format(name=name, text=text[:160]) for name, text in recalled)
    return WhyView(texts.WHY_REPLY, tuple(facts), None if is_owners else lines, note)


def taught_line(counts: TaughtCounts) -> str:
    """'4 good · 1 bad · 1 rewritten', '' for nothing."""
    shown = ((key, getattr(counts, key)) for key in texts.TAUGHT_PARTS)
    return " · ".join(texts.TAUGHT_PARTS[key].format(count=count) for key, count in shown if count)


TAUGHT_COLUMNS = (
    Column("when", texts.TAUGHT_COLUMNS[0], 104, kind="small", tone="muted"),
    Column("said", texts.TAUGHT_COLUMNS[1], stretch=2.2),
    Column("verdict", texts.TAUGHT_COLUMNS[2], 84, kind="strong"),
    Column("better", texts.TAUGHT_COLUMNS[3], stretch=1.6, tone="muted"),
    Column("by", texts.TAUGHT_COLUMNS[4], 84, kind="small", tone="muted", min_total=620),
    Column("menu", "", 40, kind="menu"),
)


def taught_rows(taught: Sequence[Taught]) -> tuple[TableRow, ...]:
    """The list of judgements; a row's key is the reply and whose word it is."""
    return tuple(
        TableRow(
            (each.reply_id, each.judge_id),
            (
                Cell(words.stamp(each.at)),
                Cell(" ".join(each.reply.split())),
                Cell(
                    texts.TEACH_GOOD if each.verdict is Opinion.GOOD else texts.TEACH_BAD,
                    "good" if each.verdict is Opinion.GOOD else "bad",
                ),
                Cell(" ".join(each.better.split())),
                Cell(texts.TAUGHT_YOU if each.is_owners else texts.TAUGHT_MEMBER),
                Cell(texts.MORE),
            ),
        )
        for each in taught
    )
