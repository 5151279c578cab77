"""Who talks how much, before and after balancing, and what each channel may be used for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from data.chat.audience import opened_channels
from data.chat.quotas import CEILING
from gui import texts
from gui.presenters import format as words
from gui.presenters.table import Cell, Column, TableRow
from storage.deletions import Deletion, DeletionKind
from storage.jobs.kinds import JobKind
from storage.jobs.results import FetchResult, PrepareResult
from storage.people import THREAD_KINDS
from storage.records import Channel, Job, Member
from storage.withheld import AbsenceQuestion, MissingMessages

PEOPLE_COLUMNS = (
    Column("name", texts.PEOPLE_COLUMNS[0], stretch=1.5, kind="strong"),
    Column("count", texts.PEOPLE_COLUMNS[1], 86, align="right", tone="muted"),
    Column("raw", texts.PEOPLE_COLUMNS[2], stretch=1.6, kind="bar"),
    Column("balanced", texts.PEOPLE_COLUMNS[3], stretch=1.6, kind="bar"),
    Column("included", texts.PEOPLE_COLUMNS[4], 76, kind="switch", align="centre"),
    Column("note", texts.PEOPLE_COLUMNS[5], 76, kind="small", tone="busy"),
    Column("more", "", 34, kind="menu", align="centre", tone="muted"),
)
CHANNEL_COLUMNS = (
    Column("chosen", texts.CHANNEL_COLUMNS[0], 30, kind="tick", align="centre"),
    Column("name", texts.CHANNEL_COLUMNS[1], stretch=2, kind="strong"),
    Column("count", texts.CHANNEL_COLUMNS[2], 84, align="right", tone="muted"),
    Column("learn", texts.CHANNEL_COLUMNS[3], 58, kind="switch", align="centre"),
    Column("recall", texts.CHANNEL_COLUMNS[4], 58, kind="switch", align="centre"),
    Column("speak", texts.CHANNEL_COLUMNS[5], 58, kind="switch", align="centre"),
    Column("is_private", texts.CHANNEL_COLUMNS[6], 60, kind="switch", align="centre"),
    Column("discord", texts.CHANNEL_COLUMNS[7], 84, kind="small", align="centre", tone="muted"),
    Column("rate", texts.CHANNEL_COLUMNS[8], 88, kind="menu", align="right", tone="muted"),
)
# What several channels can be switched to at once; privacy is a word about each.
BULK_SWITCHES = ("learn", "recall", "speak")
REMOVED_COLUMNS = (
    Column("what", texts.REMOVED_COLUMNS[0], stretch=1.6, kind="strong"),
    Column("count", texts.REMOVED_COLUMNS[1], 92, align="right", tone="muted"),
    Column("why", texts.REMOVED_COLUMNS[2], stretch=2),
    Column("action", texts.REMOVED_COLUMNS[3], 96, kind="menu", align="right", tone="accent_text"),
)
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True)
class Census:
    """What the room reads: members and channels with their counts, and shares of the newest data set, if any."""

    members: tuple[Member, ...]
    counts: Mapping[int, int]
    channels: tuple[Channel, ...]
    channel_counts: Mapping[int, int]
    balanced: Mapping[int, float]
    ceiling: float | None
    removed: Removed = field(default_factory=lambda: Removed())


@dataclass(frozen=True)
class Removed:
    """What is hidden and can be brought back, and what a fetch asks about."""

    deletions: tuple[Deletion, ...] = ()
    missing: tuple[MissingMessages, ...] = ()
    questions: tuple[AbsenceQuestion, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleView:
    """Both lists with a sentence each."""

    people: tuple[TableRow, ...]
    channels: tuple[TableRow, ...]
    summary: str
    shares_note: str
    is_empty: bool
    opened: tuple[Channel, ...] = ()


def balanced_shares(job: Job | None) -> tuple[dict[int, float], float | None]:
    """Shares in the training data by member id, and the ceiling in force, from a preparation."""
    if job is None:
        return {}, None
    prepared = PrepareResult.of(job)
    return {share.author_id: share.after for share in prepared.shares}, prepared.ceiling


def people_view(census: Census, *, search: str = "", chosen: Collection[int] = ()) -> PeopleView:
    """Members by number of messages; channels by name with their threads left out (they follow their parent).
    chosen: ids of the channels with a tick."""
    total = sum(census.counts.values())
    top = max((census.counts.get(m.id, 0) / total for m in census.members), default=0.0) if total else 0.0
    scale = max(top, (census.ceiling or CEILING) * 1.25)
    wanted = search.strip().lower()
    ordered = sorted(census.members, key=lambda m: (-census.counts.get(m.id, 0), m.display_name.lower()))
    people = tuple(
        _person(member, census, total, scale)
        for member in ordered
        if (census.counts.get(member.id, 0) or member.is_absent)
        and (wanted in member.display_name.lower() or wanted in member.username.lower())
    )
    note = (
        texts.SHARES_NONE
        if not census.balanced
        else texts.SHARES_CEILING.format(ceiling=words.percent(census.ceiling or CEILING))
    )
    summary = texts.PEOPLE_SUMMARY.format(
        people=words.plural(sum(1 for m in census.members if census.counts.get(m.id)), "person", "people"),
        messages=words.plural(total, "message"),
    )
    channels = tuple(
        _channel(c, census, c.id in chosen)
        for c in census.channels
        if c.kind not in THREAD_KINDS and wanted in c.name.lower()
    )
    opened = tuple(opened_channels(census.channels))
    return PeopleView(people, channels, summary, note, not total and not census.channels, opened)


def _person(member: Member, census: Census, total: int, scale: float) -> TableRow:
    count = census.counts.get(member.id, 0)
    share = count / total if total else 0.0
    mark = (census.ceiling or CEILING) / scale
    after = census.balanced.get(member.id)
    note = texts.OPTED_OUT if member.is_opted_out else texts.EXCLUDED if member.is_excluded else ""
    return TableRow(
        member.id,
        (
            Cell(member.display_name or member.username, "faint" if member.is_absent else ""),
            Cell(words.whole(count)),
            Cell(
                words.percent(share, digits=1),
                "idle" if member.is_absent else "accent",
                min(share / scale, 1.0),
                mark=mark,
            ),
            Cell(
                texts.NONE if after is None else words.percent(after, digits=1),
                "good",
                0.0 if after is None else min(after / scale, 1.0),
                mark=mark if census.balanced else None,
            ),
            Cell(value=not member.is_absent, is_enabled=not member.is_opted_out),
            Cell(note),
            Cell(texts.MORE),
        ),
    )


def _channel(channel: Channel, census: Census, is_chosen: bool) -> TableRow:
    rate = texts.RATE_GENERAL if channel.rate is None else words.percent(channel.rate)
    name = f"#{channel.name}" + (f"  · {texts.ACCESS_LOST}" if channel.is_access_lost else "")
    count = sum(
        census.channel_counts.get(c.id, 0)
        for c in census.channels
        if c.id == channel.id or (c.parent_id == channel.id and c.kind in THREAD_KINDS)
    )
    on = not channel.is_access_lost
    return TableRow(
        channel.id,
        (
            Cell(value=is_chosen, is_enabled=on),
            Cell(name, "bad" if channel.is_access_lost else ""),
            Cell(words.whole(count)),
            Cell(value=is_learned(channel), is_enabled=on),
            Cell(value=channel.recall, is_enabled=on),
            Cell(value=channel.speak, is_enabled=on),
            Cell(value=is_kept_private(channel)),
            on_discord(channel),
            Cell(f"{rate}  ▾", "accent_text" if channel.rate is not None else ""),
        ),
    )


def removed_rows(census: Census, *, now: float) -> tuple[TableRow, ...]:
    """What can be undone, open questions first. Keys: (kind, id), the kinds being the presenter's own words."""
    removed = census.removed
    rows = [
        _removed(
            ("question", q.channel_id),
            texts.REMOVED_UNCLEAR.format(name=q.channel_name),
            q.missing,
            texts.WHY_UNCLEAR,
            tone="busy",
        )
        for q in removed.questions
    ]
    rows += [
        _removed(("deletion", d.id), _deleted_name(d), d.messages, texts.WHY_DELETED.format(time=_left(d.due_at - now)))
        for d in removed.deletions
    ]
    rows += [
        _removed(
            ("missing", m.channel_id),
            texts.REMOVED_MISSING.format(name=m.channel_name),
            m.count,
            texts.WHY_MISSING.format(ago=words.ago(now - m.since)),
        )
        for m in removed.missing
    ]
    rows += [
        _removed(
            ("member", member.id),
            member.display_name or member.username,
            census.counts.get(member.id, 0),
            texts.WHY_LEFT_OUT,
        )
        for member in census.members
        if member.is_excluded
    ]
    return tuple(rows)


def has_open_question(job: Job) -> bool:
    """Whether a fetch that ended did not find so much that only the owner can say what it means."""
    return job.kind == JobKind.FETCH and any(channel.unclear for channel in FetchResult.of(job).channels)


def absence_text(question: AbsenceQuestion, form: str) -> str:
    """A sentence about an open question."""
    return form.format(
        missing=words.whole(question.missing),
        kept=words.plural(question.kept, "message"),
        name=question.channel_name,
    )


def _removed(key: tuple[str, int], what: str, count: int, why: str, *, tone: str = "") -> TableRow:
    action = texts.ANSWER if key[0] == "question" else texts.UNDO
    return TableRow(key, (Cell(what, tone), Cell(words.whole(count)), Cell(why), Cell(f"{action}  ▾")))


def _deleted_name(deletion: Deletion) -> str:
    forms = {
        DeletionKind.MEMBER: texts.REMOVED_MEMBER,
        DeletionKind.CHANNEL: texts.REMOVED_CHANNEL,
        DeletionKind.MESSAGE: texts.REMOVED_MESSAGE,
    }
    return forms[deletion.kind].format(name=deletion.name)


def _left(seconds: float) -> str:
    return words.duration(max(seconds, 0.0))


def is_learned(channel: Channel) -> bool:
    """Whether its messages may become training data: a private one needs the owner's second yes, too."""
    return channel.learn and (not channel.is_private or channel.include_private)


def switched_text(channels: Sequence[Channel], form: str) -> str:
    """'Learn is on in #general', or '... in 4 channels'."""
    few = len(channels) == 1
    return form.format(where=f"#{channels[0].name}" if few else words.plural(len(channels), "channel"))


def is_kept_private(channel: Channel) -> bool:
    """The owner's own word; where neither the owner nor Discord said anything, private is what is in force."""
    if channel.owner_private is None and channel.discord_private is None:
        return channel.is_private
    return bool(channel.owner_private)


def on_discord(channel: Channel) -> Cell:
    """Who can see a channel on Discord."""
    if channel.discord_private is None:
        return Cell(texts.ON_DISCORD_UNKNOWN, "faint")
    if channel.discord_private:
        return Cell(texts.ON_DISCORD_SOME)
    is_waiting = channel.is_private and not channel.owner_private
    return Cell(texts.ON_DISCORD_OPENED, "busy") if is_waiting else Cell(texts.ON_DISCORD_EVERYONE)


def import_arguments(paths: Sequence[str], channels_file: str | None) -> list[str]:
    """The script's arguments for chosen exports; a channels.json beside them gives the channels their names."""
    return ["--import", *paths, *(["--channels", channels_file] if channels_file else [])]
