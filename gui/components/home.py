"""Home: how the bot is, what was said last, what waits for the owner, and what happened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

from data.chat.audience import opened_channels
from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.behaviour_card import BehaviourCard
from gui.components.button import Button
from gui.components.charts import BarChart
from gui.components.chat_parts import Link
from gui.components.feed import Feed
from gui.components.job_list import JobList
from gui.components.live_reading import read_live
from gui.components.model_list import ModelPanel, NewModelCard, read_question
from gui.components.notices import Banner, ProgressBar
from gui.components.quick_actions import QuickActions
from gui.components.room import M, Panel, PollingPace, Room, S
from gui.components.status_card import StatusCard
from gui.components.theme import XS
from gui.presenters.dashboard import DAY, WEEK, JobView
from gui.presenters.format import clock, percentile
from gui.presenters.home import HOUR, HOURS, Event, FriendsView, HomeData, HomeView, NextItem, home_view
from gui.presenters.live import feed_lines
from gui.presenters.models import ModelQuestion
from gui.presenters.snapshot import Pulse
from gui.presenters.status import StatusView
from storage.evaluations import all_evaluations
from storage.jobs.kinds import JobKind
from storage.jobs.results import ScoreResult
from storage.store import Store
from storage.trained_models import all_models

READ_SECONDS, FEED_LINES = 2.0, 5
PUT_OFF_FACT, PUT_OFF_SECONDS = "home_put_off", DAY


def read_home(store: Store) -> HomeData:
    """Everything Home shows; runs on the worker."""
    now = time.time()
    channels = {channel.id: channel for channel in store.channels.all()}
    live = read_live(store, channel_id=None, only_spoken=False, unless=(), limit=FEED_LINES)
    entries = live.reading.entries if live.reading is not None else ()
    names = {number: channel.name for number, channel in channels.items()}
    feed = feed_lines(live.reading, names, live.marks, live.members) if live.reading is not None else ()
    models, evaluations = all_models(store), all_evaluations(store.workspace)
    in_use = next((model for model in models if model.is_in_use), None)
    evaluation = evaluations.get(in_use.key) if in_use is not None else None
    prepared = store.jobs.latest(JobKind.PREPARE)
    since = prepared.started_at if prepared is not None else 0.0
    score = ScoreResult.of(store.jobs.latest(JobKind.BLIND_TEST))
    answers = score.detected.count + score.false_alarms.count
    return HomeData(
        now,
        store.activity.uptime_by_hour(now - HOURS * HOUR),
        store.incidents.since(now - WEEK),
        channels,
        store.activity.totals_since(_midnight(now)),
        tuple(store.activity.replies_per_hour(hours=24)),
        percentile(store.activity.latencies_since(now - DAY), 0.5),
        evaluation.match_percent if evaluation is not None else None,
        store.messages.count_since(since) if prepared is not None else 0,
        store.teaching.counts_since(since),
        tuple(opened_channels(tuple(channels.values()))),
        tuple(store.withheld.questions()),
        tuple(entry.decision for entry in entries if entry.is_own and entry.decision is not None),
        (score.detected.value, answers) if score.reading else None,
        in_use is not None,
        store.facts.get(PUT_OFF_FACT, {}),
        feed[-FEED_LINES:],
    )


def _midnight(now: float) -> float:
    local = time.localtime(now)
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1))


class HomeRoom(Room):
    """Status, what asks for an answer, right now, behaviour, next, said, verdict, what happened."""

    key, title = "home", texts.HOME

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(READ_SECONDS)
        self._columns = 0

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, gap = self.page, self.theme.px(M)
        self.hero = StatusCard(page, self.panel)
        self.hero.grid(row=0, column=0, columnspan=6, sticky="ew", pady=(0, gap))
        yield
        self.problem, self.todo = Banner(page, "bad"), Banner(page, "busy")
        self.jobs = JobList(page, self.panel)
        self.new_model = NewModelCard(page, cast(ModelPanel, self.panel))
        for row, part in ((1, self.problem), (1, self.todo), (2, self.jobs), (3, self.new_model)):
            part.grid(row=row, column=0, columnspan=6, sticky="ew", pady=(0, gap))
            part.grid_remove()
        yield
        self.right_now = Card(page, texts.RIGHT_NOW, pad=14)
        assert self.right_now.header is not None
        Link(self.right_now.header, texts.OPEN_LIVE, lambda: self.panel.go("live")).grid(row=0, column=2)
        self.right_now.body.grid_columnconfigure(0, weight=1)
        self.right_now.body.grid_rowconfigure(0, weight=1)
        self.feed = Feed(self.right_now.body, self._picked, scrolls=False, height=14)
        self.feed.grid(row=0, column=0, sticky="nsew")
        self.feed_empty = Text(self.right_now.body, texts.RIGHT_NOW_EMPTY, colour="muted", wrap=True, width=1)
        self.feed_empty.grid(row=0, column=0, sticky="new")
        yield
        self.behaviour = BehaviourCard(page, self.panel)
        yield
        self.next = NextCard(page, self.panel, self._put_off)
        yield
        self.said = SaidCard(page)
        self.friends = FriendsCard(page, self.panel)
        yield
        self.happened = HappenedCard(page, self.panel)
        yield
        self.quick = QuickActions(page, self.panel)
        self._arrange(2)
        page.bind("<Configure>", lambda event: self._arrange(2 if event.width >= self.theme.px(720) else 1), add="+")
        yield

    def _arrange(self, columns: int) -> None:
        """Two thirds beside one third where there is room, three thirds below; else one under the other."""
        if columns == self._columns:
            return
        self._columns = columns
        gap, below = self.theme.px(M), (0, self.theme.px(M))
        for column in range(6):
            self.page.grid_columnconfigure(column, weight=1, uniform="sixth")
        places = {
            2: (
                (self.right_now, 4, 0, 4),
                (self.behaviour, 4, 4, 2),
                (self.next, 5, 0, 2),
                (self.said, 5, 2, 2),
                (self.friends, 5, 4, 2),
            ),
            1: (
                (self.right_now, 4, 0, 6),
                (self.behaviour, 5, 0, 6),
                (self.next, 6, 0, 6),
                (self.said, 7, 0, 3),
                (self.friends, 7, 3, 3),
            ),
        }[columns]
        for card, row, column, span in places:
            left = gap if column else 0
            card.grid(row=row, column=column, columnspan=span, sticky="nsew", padx=(left, 0), pady=below)
        self.happened.grid(row=8, column=0, columnspan=6, sticky="ew", pady=below)
        self.quick.grid(row=9, column=0, columnspan=6, sticky="ew", pady=(0, self.theme.px(24)))

    def shown(self) -> None:
        """Called when the room comes to the front."""
        self._pace.soon()

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        self.behaviour.show_settings(pulse)
        self.quick.show(pulse.jobs, pulse.settings)
        if self._pace.is_due():
            store = self.panel.store
            self.panel.ask(
                lambda: (home_view(read_home(store), pulse), read_question(store)),
                lambda found: self._show_readings(*found),
                failed=lambda _: self._pace.done(),
                slow=True,
            )

    def show_status(self, view: StatusView) -> None:
        """Called by the app on every beat and at once after a click."""
        self.hero.show(view)
        # What the owner has still to enter is no alarm.
        banner, other = (self.todo, self.problem) if view.tone == "busy" else (self.problem, self.todo)
        other.grid_remove()
        if view.problem:
            banner.show(view.problem, view.cure, action=view.action, command=lambda: self.panel.go(view.place))
            banner.grid()
        else:
            banner.grid_remove()

    def show_jobs(self, views: tuple[JobView, ...]) -> None:
        """Show what is at work; the card is hidden while nothing is."""
        self.jobs.show(views)
        (self.jobs.grid if views else self.jobs.grid_remove)()

    def _show_readings(self, view: HomeView, question: ModelQuestion | None) -> None:
        self._pace.done()
        self.new_model.show(question)
        self.hero.show_home(view.sentence, view.strip)
        self.feed.show(view.feed)
        (self.feed.grid if view.feed else self.feed.grid_remove)()
        (self.feed_empty.grid_remove if view.feed else self.feed_empty.grid)()
        self.next.show(view.waiting)
        self.said.show(view)
        self.friends.show(view.friends)
        self.happened.show(view.events)

    def _picked(self, ids: tuple[int, ...]) -> None:
        """A line of the feed: Live, with that line chosen."""
        if ids:
            line_id = ids[0]
            self.feed.pick(line_id, more=True)  # chosen there, not here
            self.panel.go(f"live/{line_id}")

    def _put_off(self, item: NextItem) -> None:
        store = self.panel.store

        def later() -> None:
            known = {key: until for key, until in store.facts.get(PUT_OFF_FACT, {}).items() if until > time.time()}
            store.facts.set(PUT_OFF_FACT, known | {item.key: time.time() + PUT_OFF_SECONDS})

        self.panel.ask(later, lambda _: self._pace.soon())


class NextCard(Card):
    """What waits for the owner, two things at most; the rest comes up as these are answered."""

    MOST = 2

    def __init__(self, master: Any, panel: Panel, put_off: Any) -> None:
        super().__init__(master, texts.NEXT, pad=14)
        self._panel, self._put_off = panel, put_off
        self.body.grid_columnconfigure(0, weight=1)
        self.nothing = Text(self.body, texts.NEXT_NOTHING, colour="muted", wrap=True, width=1)
        self.nothing.grid(row=0, column=0, sticky="ew")
        self.items: tuple[NextItem, ...] | None = None
        self.buttons: dict[str, Button] = {}
        self._parts: list[RowFrame] = []

    def show(self, items: tuple[NextItem, ...]) -> None:
        items = items[: self.MOST]
        if items == self.items:
            return
        self.items = items
        for part in self._parts:
            part.destroy()
        self._parts, self.buttons = [], {}
        (self.nothing.grid_remove if items else self.nothing.grid)()
        for number, item in enumerate(items):
            part = RowFrame(self.body)
            part.grid(row=number + 1, column=0, sticky="ew", pady=(S if number else 0, 0))
            part.grid_columnconfigure(0, weight=1)
            Text(part, item.title, role="strong", wrap=True, width=1).grid(row=0, column=0, sticky="ew")
            Text(part, item.text, role="small", colour="muted", wrap=True, width=1).grid(row=1, column=0, sticky="ew")
            tools = RowFrame(part)
            tools.grid(row=2, column=0, sticky="w", pady=(XS, 0))
            go = Button(tools, texts.NEXT_GO[item.place], partial(self._panel.go, item.place), kind="primary")
            later = Button(tools, texts.NEXT_LATER, partial(self._put_off, item), kind="quiet")
            go.grid(row=0, column=0)
            later.grid(row=0, column=1, padx=(S, 0))
            self.buttons |= {item.key: go, f"{item.key} later": later}
            self._parts.append(part)


class SaidCard(Card):
    """How much it said today, and when."""

    def __init__(self, master: Any) -> None:
        super().__init__(master, texts.SAID_TODAY, pad=14)
        self.body.grid_columnconfigure(1, weight=1)
        self.body.grid_rowconfigure(1, weight=1)
        self.count = Text(self.body, "", role="figure")
        self.count.grid(row=0, column=0, sticky="w")
        self.note = Text(self.body, "", role="small", colour="muted", wrap=True, width=1)
        self.note.grid(row=0, column=1, sticky="ew", padx=(S, 0))
        self.chart = BarChart(self.body, height=84)
        self.chart.grid(row=1, column=0, columnspan=2, sticky="sew", pady=(XS, 0))

    def show(self, view: HomeView) -> None:
        self.count.show(view.said)
        self.note.show(view.said_note)
        self.chart.show(view.hours)


class FriendsCard(Card):
    """Whether friends can tell it from a person."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.FRIENDS, pad=14)
        self.body.grid_columnconfigure(0, weight=1)
        self.figure = Text(self.body, "", role="figure")
        self.figure.grid(row=0, column=0, sticky="w")
        self.text = Text(self.body, "", role="small", colour="muted", wrap=True, width=1)
        self.text.grid(row=1, column=0, sticky="ew")
        self.bar = ProgressBar(self.body)
        self.bar.grid(row=2, column=0, sticky="ew", pady=(S, 2))
        self.scale = Text(self.body, texts.FRIENDS_SCALE, role="caption", colour="muted", anchor="center")
        self.scale.grid(row=3, column=0, sticky="ew")
        Link(self.body, texts.FRIENDS_NEW, lambda: panel.go("blind_test")).grid(
            row=4, column=0, sticky="w", pady=(S, 0)
        )

    def show(self, view: FriendsView) -> None:
        self.figure.show(view.figure)
        self.text.show(view.text)
        for part in (self.figure, self.bar, self.scale):
            (part.grid if view.share is not None else part.grid_remove)()
        if view.share is not None:
            self.bar.show(view.share)


class HappenedCard(Card):
    """The newest incidents, jobs and replies."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.HAPPENED, pad=14)
        assert self.header is not None
        Link(self.header, texts.HAPPENED_LOGS, lambda: panel.go("logs")).grid(row=0, column=2)
        self.body.grid_columnconfigure(2, weight=1)
        self.nothing = Text(self.body, texts.HAPPENED_NOTHING, colour="muted")
        self.nothing.grid(row=0, column=0, columnspan=3, sticky="w")
        self.lines: list[tuple[Text, Text, Text]] = []

    def show(self, events: tuple[Event, ...]) -> None:
        (self.nothing.grid_remove if events else self.nothing.grid)()
        while len(self.lines) < len(events):
            row = len(self.lines) + 1
            line = (
                Text(self.body, "", role="small", colour="muted"),
                Text(self.body, "●", role="caption", colour="idle"),
                Text(self.body, "", wrap=True, width=1),
            )
            for column, part in enumerate(line):
                part.grid(row=row, column=column, sticky="ew" if column == 2 else "nw", padx=(0, S), pady=1)
            self.lines.append(line)
        for number, line in enumerate(self.lines):
            for part in line:
                (part.grid if number < len(events) else part.grid_remove)()
            if number < len(events):
                event = events[number]
                line[0].show(clock(event.at))
                line[1].show("●", colour="accent_text" if event.tone == "accent" else event.tone)
                line[2].show(event.text)


__all__ = ["HomeRoom", "read_home"]
