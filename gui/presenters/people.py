"""Who talks how much, before and after balancing, and what each channel may be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.chat.quotas import CEILING
from gui import texts
from gui.presenters import format as words
from gui.presenters.table import Cell, Column, TableRow
from storage.people import THREAD_KINDS
from storage.records import Channel, Job, Member

PEOPLE_COLUMNS = (
    Column("name", texts.PEOPLE_COLUMNS[0], stretch=1.5, kind="strong"),
    Column("count", texts.PEOPLE_COLUMNS[1], 86, align="right", tone="muted"),
    Column("raw", texts.PEOPLE_COLUMNS[2], stretch=1.6, kind="bar"),
    Column("balanced", texts.PEOPLE_COLUMNS[3], stretch=1.6, kind="bar"),
    Column("included", texts.PEOPLE_COLUMNS[4], 76, kind="switch", align="centre"),
    Column("note", texts.PEOPLE_COLUMNS[5], 76, kind="small", tone="busy"),
)
CHANNEL_COLUMNS = (
    Column("name", texts.CHANNEL_COLUMNS[0], stretch=2, kind="strong"),
    Column("count", texts.CHANNEL_COLUMNS[1], 92, align="right", tone="muted"),
    Column("learn", texts.CHANNEL_COLUMNS[2], 70, kind="switch", align="centre"),
    Column("recall", texts.CHANNEL_COLUMNS[3], 70, kind="switch", align="centre"),
    Column("speak", texts.CHANNEL_COLUMNS[4], 70, kind="switch", align="centre"),
    Column("is_private", texts.CHANNEL_COLUMNS[5], 70, kind="switch", align="centre"),
    Column("rate", texts.CHANNEL_COLUMNS[6], 96, kind="menu", align="right", tone="muted"),
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


@dataclass(frozen=True, slots=True)
class PeopleView:
    """Both lists with a sentence each."""

    people: tuple[TableRow, ...]
    channels: tuple[TableRow, ...]
    summary: str
    shares_note: str
    is_empty: bool


def balanced_shares(job: Job | None) -> tuple[dict[int, float], float | None]:
    """Shares in the training data by member id, and the ceiling in force, from a prepare or shares job."""
    if job is None:
        return {}, None
    found: dict[int, float] = {}
    for entry in job.result.get("shares", ()):
        if isinstance(entry, dict) and "author_id" in entry:
            found[int(entry["author_id"])] = float(entry.get("after") or 0.0)
    ceiling = job.result.get("ceiling")
    return found, float(ceiling) if isinstance(ceiling, int | float) else None


def people_view(census: Census, *, search: str = "") -> PeopleView:
    """Members by number of messages; channels by name with their threads left out (they follow their parent)."""
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
        _channel(c, census) for c in census.channels if c.kind not in THREAD_KINDS and wanted in c.name.lower()
    )
    return PeopleView(people, channels, summary, note, not total and not census.channels)


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
        ),
    )


def _channel(channel: Channel, census: Census) -> TableRow:
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
            Cell(name, "bad" if channel.is_access_lost else ""),
            Cell(words.whole(count)),
            Cell(value=channel.learn and (not channel.is_private or channel.include_private), is_enabled=on),
            Cell(value=channel.recall, is_enabled=on),
            Cell(value=channel.speak, is_enabled=on),
            Cell(value=channel.is_private),
            Cell(f"{rate}  ▾", "accent_text" if channel.rate is not None else ""),
        ),
    )


def import_arguments(paths: Sequence[str], channels_file: str | None) -> list[str]:
    """The script's arguments for chosen exports; a channels.json beside them gives the channels their names."""
    return ["--import", *paths, *(["--channels", channels_file] if channels_file else [])]
