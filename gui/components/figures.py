"""Figures behind Home: what the bot uses, the last day and week, every decision, and the targets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.charts import BarChart, CurveChart
from gui.components.room import M, Panel, PollingPace, Room, S, spread
from gui.components.table import Table
from gui.presenters.dashboard import (
    DAY,
    DECISION_COLUMNS,
    TARGET_COLUMNS,
    WEEK,
    Figures,
    FiguresView,
    FigureView,
    figures_view,
)
from gui.presenters.snapshot import Pulse
from gui.presenters.status import Fact, StatusView
from storage.store import Store

FIGURES_EVERY_SECONDS = 4.0
# Uptime, memory, model, Discord, last reply, waiting: a model's name is long.
FACT_WEIGHTS = (4, 3, 8, 4, 6, 2)


def read_figures(store: Store) -> Figures:
    """Everything this room counts; runs on the worker."""
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


class FiguresRoom(Room):
    """Facts, figures, charts, decisions, targets."""

    key, title = "figures", texts.FIGURES

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(FIGURES_EVERY_SECONDS)

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, gap = self.page, self.theme.px(M)
        spread(page, 2, group="half")
        Button(self.tools, texts.FIGURES_BACK, lambda: self.panel.go("home"), kind="quiet").grid(row=0, column=0)
        self.facts = BotFactsCard(page, self.panel)
        self.facts.grid(row=0, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        yield
        self.day = FiguresCard(page, texts.LAST_DAY, (texts.REPLIES_PER_HOUR,))
        self.day.grid(row=1, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        yield
        self.week = FiguresCard(page, texts.LAST_WEEK, (texts.RESPONSE_TIMES,))
        self.week.grid(row=1, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        yield
        memory = Card(page, texts.MEMORY_CHART)
        memory.grid(row=2, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        memory.body.grid_columnconfigure(0, weight=1)
        memory.body.grid_rowconfigure(0, weight=1)
        self.memory = CurveChart(memory.body, height=150)
        self.memory.grid(row=0, column=0, sticky="nsew")
        yield
        targets = Card(page, texts.TARGETS, hint=texts.TARGETS_HINT)
        targets.grid(row=2, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        targets.body.grid_columnconfigure(0, weight=1)
        self.targets = Table(targets.body, TARGET_COLUMNS)
        self.targets.grid(row=0, column=0, sticky="ew")
        yield
        decisions = Card(page, texts.DECISIONS, hint=texts.DECISIONS_HINT)
        decisions.grid(row=3, column=0, columnspan=2, sticky="ew", pady=(0, self.theme.px(24)))
        decisions.body.grid_columnconfigure(0, weight=1)
        self.decisions = Table(decisions.body, DECISION_COLUMNS, rows_shown=8, empty_text=texts.NO_DECISIONS)
        self.decisions.grid(row=0, column=0, sticky="ew")
        yield

    def shown(self) -> None:
        """Called when the room comes to the front."""
        self._pace.soon()

    def beat(self, _pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        if self._pace.is_due():
            self.panel.ask(
                lambda: figures_view(read_figures(self.panel.store)),
                self._show_readings,
                failed=lambda _: self._pace.done(),
                slow=True,
            )

    def show_status(self, view: StatusView) -> None:
        """Called by the app on every beat."""
        self.facts.show(view.facts)

    def _show_readings(self, view: FiguresView) -> None:
        self._pace.done()
        self.day.show(view.day, view.hours)
        self.week.show(view.week, view.times)
        self.memory.show(view.memory)
        self.decisions.show(view.decisions)
        self.targets.show(view.targets)


class BotFactsCard(Card):
    """What the bot is using right now: six facts, six or three to a row."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self._panel = panel
        self._columns = 0
        self.facts = [
            (Text(self.body, role="caption", colour="faint"), Text(self.body, role="strong")) for _ in range(6)
        ]
        self.body.bind("<Configure>", self._arrange)

    def show(self, facts: tuple[Fact, ...]) -> None:
        for (label, value), fact in zip(self.facts, facts, strict=True):
            label.show(fact.label)
            value.show(fact.value, colour=fact.tone)

    def _arrange(self, event: Any) -> None:
        columns = 6 if event.width >= self._panel.theme.px(820) else 3
        if columns == self._columns:
            return
        self._columns = columns
        gap = self._panel.theme.px(M)
        for column in range(6):
            weight = (FACT_WEIGHTS[column] if columns == 6 else 1) if column < columns else 0
            self.body.grid_columnconfigure(column, weight=weight, uniform="fact" if weight else "")
        for index, (label, value) in enumerate(self.facts):
            row, column = divmod(index, columns)
            label.grid(row=row * 2, column=column, sticky="ew", pady=(gap if row else 0, 0))
            value.grid(row=row * 2 + 1, column=column, sticky="ew", padx=(0, S))


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


__all__ = ["FiguresRoom", "read_figures"]
