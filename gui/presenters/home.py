"""Home in values: the health strip, incidents by cause, what waits for the owner, what happened. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gui import texts
from gui.presenters import format as words
from gui.presenters.charts import Bars
from gui.presenters.dashboard import finished_text
from gui.presenters.incidents import incident_text
from gui.presenters.live import FeedLine, channel_name, taught_line
from gui.presenters.snapshot import Pulse
from storage.activity import Totals
from storage.blind_test import LEAST_ANSWERS
from storage.incidents import Incident, IncidentKind
from storage.records import Activity, Channel, Job
from storage.settings import RETRAIN_REMINDER
from storage.teaching import TaughtCounts
from storage.withheld import AbsenceQuestion

HOUR, HOURS = 3600.0, 168
SHOWN_INCIDENTS, SHOWN_EVENTS = 3, 5
_TONES = {
    IncidentKind.CRASH: "bad",
    IncidentKind.HUNG: "bad",
    IncidentKind.SLEEP: "busy",
    IncidentKind.DISCONNECT: "busy",
    IncidentKind.UPDATE: "accent",
}
# What ends a name in a status sentence.
_NAME_LENGTH = 28


@dataclass(frozen=True)
class HomeData:
    """Everything Home reads in one go. uptime: by hour (0 the oldest of HOURS) how many samples there are and in how
    many of them the bot was up. today: since midnight. found: (share found out, answers) of the newest blind test."""

    now: float
    uptime: Mapping[int, tuple[int, int]]
    incidents: tuple[Incident, ...]
    channels: Mapping[int, Channel]
    today: Totals
    replies_by_hour: tuple[int, ...]
    median_ms: float | None
    match_percent: float | None
    new_messages: int
    taught: TaughtCounts
    opened: tuple[Channel, ...] = ()
    absences: tuple[AbsenceQuestion, ...] = ()
    answered: tuple[Activity, ...] = ()
    found: tuple[float, int] | None = None
    has_model: bool = False
    put_off: Mapping[str, float] = field(default_factory=dict)
    feed: tuple[FeedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class StripView:
    """tones: a palette name for each hour, '' where nobody watched; share in words; captions with their tone."""

    tones: tuple[str, ...]
    share: str
    captions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NextItem:
    """One thing that waits. place: the room that holds its answer. key: by which it is put off."""

    key: str
    title: str
    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    at: float
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class FriendsView:
    """The blind test's outcome. share: None while there are too few answers."""

    figure: str
    text: str
    share: float | None


@dataclass(frozen=True, slots=True)
class HomeView:
    """All cards of Home."""

    sentence: str
    strip: StripView
    feed: tuple[FeedLine, ...]
    waiting: tuple[NextItem, ...]
    said: str
    said_note: str
    hours: Bars
    friends: FriendsView
    events: tuple[Event, ...]


def home_view(data: HomeData, pulse: Pulse | None) -> HomeView:
    """Pure; `pulse` for what is running and which jobs have ended."""
    return HomeView(
        status_sentence(data, pulse),
        strip_view(data),
        data.feed,
        next_items(data, pulse),
        words.whole(data.today.spoken),
        _said_note(data.today),
        _hours(data),
        friends_view(data.found),
        events(data, pulse.finished if pulse is not None else ()),
    )


def status_sentence(data: HomeData, pulse: Pulse | None) -> str:
    """'On Discord in 3 channels · answers in 1.8 s · model “server-voice 3”, 85 % like you all'; '' where the bot is
    not on Discord and its state says it all."""
    status = pulse.status if pulse is not None and pulse.is_alive else None
    if status is None or not status.is_connected:
        return ""
    speaking = sum(channel.speak and not channel.is_access_lost for channel in data.channels.values())
    where = texts.SENTENCE_CHANNELS.format(count=words.plural(speaking, "channel"))
    parts = [where if speaking else texts.SENTENCE_MUTED]
    if data.median_ms is not None:
        parts.append(texts.SENTENCE_SPEED.format(time=words.seconds_of(data.median_ms)))
    if status.model_name:
        model = texts.SENTENCE_MODEL.format(name=words.middle(status.model_name, _NAME_LENGTH))
        if data.match_percent is not None:
            model += ", " + texts.SENTENCE_MATCH.format(match=words.percent(data.match_percent / 100))
        parts.append(model)
    return " · ".join(parts)


def strip_view(data: HomeData) -> StripView:
    """An hour a bar, the newest last."""
    tones = ["" if (found := data.uptime.get(hour)) is None else _tone(*found) for hour in range(HOURS)]
    first = data.now - HOURS * HOUR
    for incident in data.incidents:
        if incident.kind is IncidentKind.UPDATE:
            continue
        end = data.now if incident.ended_at is None else incident.ended_at
        for hour in range(max(int((incident.at - first) // HOUR), 0), min(int((end - first) // HOUR) + 1, HOURS)):
            if tones[hour] != "bad":
                tones[hour] = _TONES[incident.kind]
    samples = sum(count for count, _ in data.uptime.values())
    up = sum(count for _, count in data.uptime.values())
    share = words.percent(up / samples, digits=1) if samples else ""
    newest = sorted(data.incidents, key=lambda incident: -incident.at)[:SHOWN_INCIDENTS]
    captions = tuple((incident_text(incident), _TONES[incident.kind]) for incident in reversed(newest))
    if not captions:
        captions = ((texts.STRIP_QUIET if samples else texts.STRIP_EMPTY, "faint"),)
    return StripView(tuple(tones), share, captions)


def _tone(count: int, up: int) -> str:
    return "good" if up == count else "busy" if up else ""


def next_items(data: HomeData, pulse: Pulse | None) -> tuple[NextItem, ...]:
    """What waits for the owner, the most pressing first."""
    items = [
        NextItem(
            f"absent-{q.channel_id}", texts.NEXT_ABSENT.format(name=q.channel_name), texts.NEXT_ABSENT_TEXT, "people"
        )
        for q in data.absences
    ]
    if data.opened:
        names = ", ".join(f"#{channel.name}" for channel in data.opened[:3])
        items.append(NextItem("opened", texts.NEXT_OPENED.format(names=names), texts.NEXT_OPENED_TEXT, "people"))
    reminder = pulse.settings[RETRAIN_REMINDER] if pulse is not None else 0
    is_training = pulse is not None and any(job.kind in ("train", "retrain") for job in pulse.jobs)
    if reminder and data.new_messages >= reminder and not is_training:
        title = texts.NEXT_RETRAIN.format(count=words.plural(data.new_messages, "new message"))
        taught = taught_line(data.taught)
        text = texts.NEXT_RETRAIN_TEXT.format(taught=taught) if taught else texts.NEXT_RETRAIN_PLAIN
        items.append(NextItem("retrain", title, text, "training"))
    if data.has_model and data.found is None:
        items.append(NextItem("blind", texts.NEXT_BLIND, texts.NEXT_BLIND_TEXT, "blind_test"))
    return tuple(item for item in items if data.put_off.get(item.key, 0.0) < data.now)


def _said_note(today: Totals) -> str:
    if not today.seen:
        return texts.SAID_NOTHING_READ
    share = words.percent(today.spoken / today.seen, digits=1)
    return texts.SAID_OF.format(seen=words.whole(today.seen), share=share)


def _hours(data: HomeData) -> Bars:
    counts = data.replies_by_hour
    labels = tuple(
        (index, words.clock(data.now - (len(counts) - 1 - index) * HOUR)[:2] + "h")
        for index in range(0, len(counts) - 3, 6)
    ) + ((len(counts) - 1, texts.NOW),)
    return Bars(counts, labels, str(max(counts, default=0)), empty_text=texts.NO_REPLIES_DAY)


def friends_view(found: tuple[float, int] | None) -> FriendsView:
    """No verdict below LEAST_ANSWERS."""
    if found is None:
        return FriendsView("", texts.FRIENDS_NONE, None)
    share, answers = found
    if answers < LEAST_ANSWERS:
        few = texts.FRIENDS_FEW.format(answers=words.plural(answers, "answer"), least=LEAST_ANSWERS)
        return FriendsView("", few, None)
    return FriendsView(words.percent(share), texts.FRIENDS_TEXT, share)


def events(data: HomeData, finished: Sequence[Job]) -> tuple[Event, ...]:
    """The newest things that happened: incidents, jobs that ended, replies."""
    names = {number: channel.name for number, channel in data.channels.items()}
    found = [Event(incident.at, incident_text(incident), _TONES[incident.kind]) for incident in data.incidents]
    for job in finished:
        tone, title, body = finished_text(job)
        shown = f"{title}: {body}" if body and tone != "good" else title
        found.append(Event(job.finished_at or job.started_at, shown, tone))
    for row in data.answered:
        place = channel_name(row.channel_id, names)
        found.append(Event(row.at, texts.HAPPENED_ANSWERED.format(name=row.author_name, place=place), "good"))
    return tuple(sorted(found, key=lambda event: -event.at)[:SHOWN_EVENTS])
