"""The first room: how the bot is, what it does, and the levers one reaches for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.behaviour_card import BehaviourCard
from gui.components.button import Button
from gui.components.charts import BarChart, CurveChart
from gui.components.job_list import JobList
from gui.components.model_list import ModelPanel, NewModelCard, read_question
from gui.components.notices import Banner
from gui.components.room import M, Panel, PollingPace, Room, S, spread
from gui.components.status_card import StatusCard
from gui.components.table import Table
from gui.presenters.dashboard import (
    DAY,
    DECISION_COLUMNS,
    TARGET_COLUMNS,
    WEEK,
    Figures,
    FiguresView,
    FigureView,
    JobView,
    figures_view,
)
from gui.presenters.models import ModelQuestion
from gui.presenters.snapshot import Pulse
from gui.presenters.status import StatusView
from storage.jobs.kinds import JobKind
from storage.records import Job
from storage.store import Store

FIGURES_EVERY_SECONDS = 4.0


def read_figures(store: Store) -> Figures:
    """Everything the dashboard counts; runs on the worker."""
    now = time.time()
    return Figures(
        now,
        store.activity.totals_since(now - DAY),
        store.activity.totals_since(now - WEEK),
        tuple(store.activity.latencies_since(now - WEEK)),
        tuple(store.activity.replies_per_hour(hours=24)),
        tuple(store.activity.samples_since(now - WEEK)),
        tuple(store.activity.recent(limit=60)),
        sum(1 for line in store.playground.history(limit=200) if line.answers_id and line.at > now - DAY),
    )


class DashboardRoom(Room):
    """Status, jobs, behaviour, quick actions, figures, decisions, targets."""

    key, title = "dashboard", texts.DASHBOARD

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(FIGURES_EVERY_SECONDS)

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, gap = self.page, self.theme.px(M)
        spread(page, 2, group="half")
        self.hero = StatusCard(page, self.panel)
        self.hero.grid(row=0, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        yield
        self.problem = Banner(page, "bad")
        self.problem.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.problem.grid_remove()
        self.todo = Banner(page, "busy")
        self.todo.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.todo.grid_remove()
        self.jobs = JobList(page, self.panel)
        self.jobs.grid(row=2, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.jobs.grid_remove()
        self.new_model = NewModelCard(page, cast(ModelPanel, self.panel))
        self.new_model.grid(row=3, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.new_model.grid_remove()
        yield
        self.behaviour = BehaviourCard(page, self.panel)
        self.behaviour.grid(row=4, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        yield
        self.day = FiguresCard(page, texts.LAST_DAY, (texts.REPLIES_PER_HOUR,))
        self.day.grid(row=4, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        yield
        self.quick = QuickActions(page, self.panel)
        self.quick.grid(row=5, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        yield
        self.week = FiguresCard(page, texts.LAST_WEEK, (texts.RESPONSE_TIMES,))
        self.week.grid(row=6, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        memory = Card(page, texts.MEMORY_CHART)
        memory.grid(row=6, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        memory.body.grid_columnconfigure(0, weight=1)
        memory.body.grid_rowconfigure(0, weight=1)
        self.memory = CurveChart(memory.body, height=150)
        self.memory.grid(row=0, column=0, sticky="nsew")
        yield
        decisions = Card(page, texts.DECISIONS, hint=texts.DECISIONS_HINT)
        decisions.grid(row=7, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        decisions.body.grid_columnconfigure(0, weight=1)
        self.decisions = Table(decisions.body, DECISION_COLUMNS, rows_shown=8, empty_text=texts.NO_DECISIONS)
        self.decisions.grid(row=0, column=0, sticky="ew")
        yield
        targets = Card(page, texts.TARGETS, hint=texts.TARGETS_HINT)
        targets.grid(row=8, column=0, columnspan=2, sticky="ew", pady=(0, self.theme.px(24)))
        targets.body.grid_columnconfigure(0, weight=1)
        self.targets = Table(targets.body, TARGET_COLUMNS)
        self.targets.grid(row=0, column=0, sticky="ew")
        yield

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        self.behaviour.show_settings(pulse)
        self.quick.show(pulse.jobs, pulse.settings)
        if self._pace.is_due():
            self.panel.ask(
                lambda: (figures_view(read_figures(self.panel.store)), read_question(self.panel.store)),
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
        if views:
            self.jobs.grid()
        else:
            self.jobs.grid_remove()

    def _show_readings(self, view: FiguresView, question: ModelQuestion | None) -> None:
        self._pace.done()
        self.new_model.show(question)
        self.day.show(view.day, view.hours)
        self.week.show(view.week, view.times)
        self.memory.show(view.memory)
        self.decisions.show(view.decisions)
        self.targets.show(view.targets)


class FiguresCard(Card):
    """Four figures in two rows, and a small chart below them."""

    def __init__(self, master: Any, title: str, chart_titles: tuple[str]) -> None:
        super().__init__(master, title)
        body = self.body
        spread(body, 2)
        self._figures = []
        for index in range(4):
            row, column = divmod(index, 2)
            label, value = Text(body, role="caption", colour="faint"), Text(body, role="figure")
            note = Text(body, role="small", colour="muted")
            label.grid(row=row * 2, column=column, sticky="w", pady=(S if row else 0, 0))
            holder = RowFrame(body)
            holder.grid(row=row * 2 + 1, column=column, sticky="w")
            value.grid(in_=holder, row=0, column=0, sticky="w")
            note.grid(in_=holder, row=0, column=1, sticky="sw", padx=(S, 0), pady=(0, 4))
            value.lift()
            note.lift()
            self._figures.append((label, value, note))
        Text(body, chart_titles[0], role="caption", colour="faint").grid(
            row=4, column=0, columnspan=2, sticky="w", pady=(M, 2)
        )
        self.chart = BarChart(body, height=92)
        self.chart.grid(row=5, column=0, columnspan=2, sticky="ew")

    def show(self, figures: tuple[FigureView, ...], chart: Any) -> None:
        for (label, value, note), figure in zip(self._figures, figures, strict=True):
            label.show(figure.label)
            value.show(figure.value, colour=figure.tone)
            note.show(figure.note)
        self.chart.show(chart)


class QuickActions(Card):
    """Jobs and places within one click."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.QUICK)
        self._panel = panel
        spread(self.body, 3)
        actions: list[tuple[str, str, str, Callable[[], Any]]] = [
            ("fetch", texts.ACTION_FETCH, "download", lambda: panel.start_job(JobKind.FETCH)),
            ("train", texts.ACTION_TRAIN, "training", lambda: panel.go("training")),
            ("evaluate", texts.ACTION_EVALUATE, "gauge", lambda: panel.start_job(JobKind.EVALUATE)),
            ("", texts.ACTION_FOLDER, "folder", lambda: panel.open_folder()),  # type: ignore[attr-defined]
            ("backup", texts.ACTION_BACKUP, "archive", lambda: panel.start_job(JobKind.BACKUP)),
            ("", texts.ACTION_SETTINGS, "settings", lambda: panel.go("settings")),
        ]
        self.buttons: dict[str, Button] = {}
        for index, (kind, words, icon, action) in enumerate(actions):
            button = Button(self.body, words, action, icon=icon, anchor="w")
            row, column = divmod(index, 3)
            button.grid(
                row=row,
                column=column,
                sticky="ew",
                padx=(0 if column == 0 else 4, 0 if column == 2 else 4),
                pady=(0 if row == 0 else S, 0),
            )
            if kind:
                self.buttons[kind] = button

    def show(self, jobs: tuple[Job, ...], _settings: Any) -> None:
        running = {job.kind for job in jobs}
        for kind, button in self.buttons.items():
            button.set_enabled(kind == JobKind.TRAIN or kind not in running)


__all__ = ["DashboardRoom", "read_figures"]
