"""The first room: how the bot is, what it does, and the levers one reaches for."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from gui import texts
from gui.components.charts import BarChart, CurveChart
from gui.components.room import M, Pace, Panel, Room, S, spread
from gui.components.table import Table
from gui.components.widgets import Banner, Button, Card, Line, Progress, Row, Slider, Switch, Text
from gui.presenters.dashboard import (
    DAY,
    DECISION_COLUMNS,
    TARGET_COLUMNS,
    WEEK,
    Figure,
    Figures,
    FiguresView,
    JobView,
    SliderView,
    behaviour_view,
    figures_view,
    job_views,
    rate_view,
    temperature_view,
    tokens_view,
)
from gui.presenters.pulse import Pulse
from gui.presenters.status import Fact, StatusView
from storage.records import Job
from storage.settings import MAX_TOKENS, MENTIONS_ONLY, QUIET_UNTIL, RESPONSE_RATE, TEMPERATURE, Setting
from storage.store import Store

FIGURES_EVERY_SECONDS = 4.0
QUIET_SECONDS = 3600
# A dragged slider is written at most this often; the last value always is.
WRITE_DELAY_MS = 150
# Uptime, memory, model, Discord, last reply, waiting: a model's name is long.
FACT_WEIGHTS = (4, 3, 8, 4, 6, 2)


def read_figures(store: Store) -> Figures:
    """Everything the dashboard counts; runs on the worker."""
    now = time.time()
    return Figures(now, store.activity.totals_since(now - DAY), store.activity.totals_since(now - WEEK),
                   tuple(store.activity.latencies_since(now - WEEK)), tuple(store.activity.replies_per_hour(hours=24)),
                   tuple(store.activity.samples_since(now - WEEK)), tuple(store.activity.recent(limit=60)))


class DashboardRoom(Room):
    """Status, jobs, behaviour, quick actions, figures, decisions, targets."""

    key, title = "dashboard", texts.DASHBOARD

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = Pace(FIGURES_EVERY_SECONDS)

    def build(self) -> Iterator[None]:
        page, gap = self.page, self.theme.px(M)
        spread(page, 2, group="half")
        self.hero = StatusCard(page, self.panel)
        self.hero.grid(row=0, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        yield
        self.problem = Banner(page, "bad")
        self.problem.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.problem.grid_remove()
        self.jobs = JobList(page, self.panel)
        self.jobs.grid(row=2, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        self.jobs.grid_remove()
        yield
        self.behaviour = BehaviourCard(page, self.panel)
        self.behaviour.grid(row=3, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        yield
        self.day = FiguresCard(page, texts.LAST_DAY, (texts.REPLIES_PER_HOUR,))
        self.day.grid(row=3, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        yield
        self.quick = QuickActions(page, self.panel)
        self.quick.grid(row=4, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        yield
        self.week = FiguresCard(page, texts.LAST_WEEK, (texts.RESPONSE_TIMES,))
        self.week.grid(row=5, column=0, sticky="nsew", padx=(0, gap // 2), pady=(0, gap))
        memory = Card(page, texts.MEMORY_CHART)
        memory.grid(row=5, column=1, sticky="nsew", padx=(gap // 2, 0), pady=(0, gap))
        memory.body.grid_columnconfigure(0, weight=1)
        memory.body.grid_rowconfigure(0, weight=1)
        self.memory = CurveChart(memory.body, height=150)
        self.memory.grid(row=0, column=0, sticky="nsew")
        yield
        decisions = Card(page, texts.DECISIONS, hint=texts.DECISIONS_HINT)
        decisions.grid(row=6, column=0, columnspan=2, sticky="ew", pady=(0, gap))
        decisions.body.grid_columnconfigure(0, weight=1)
        self.decisions = Table(decisions.body, DECISION_COLUMNS, rows_shown=8, empty_text=texts.NO_DECISIONS)
        self.decisions.grid(row=0, column=0, sticky="ew")
        yield
        targets = Card(page, texts.TARGETS, hint=texts.TARGETS_HINT)
        targets.grid(row=7, column=0, columnspan=2, sticky="ew", pady=(0, self.theme.px(24)))
        targets.body.grid_columnconfigure(0, weight=1)
        self.targets = Table(targets.body, TARGET_COLUMNS)
        self.targets.grid(row=0, column=0, sticky="ew")
        yield

    def beat(self, pulse: Pulse) -> None:
        self.behaviour.show_settings(pulse)
        self.quick.show(pulse.jobs, pulse.settings)
        if self._pace.is_due():
            self.panel.ask(lambda: figures_view(read_figures(self.panel.store)), self._show_figures,
                           failed=lambda _: self._show_figures(None), slow=True)

    def show_status(self, view: StatusView) -> None:
        """Called by the app on every beat and at once after a click."""
        self.hero.show(view)
        if view.problem:
            self.problem.show(view.problem, view.cure, action=texts.BUTTON_LOGS, command=lambda: self.panel.go("logs"))
            self.problem.grid()
        else:
            self.problem.grid_remove()

    def show_jobs(self, views: tuple[JobView, ...]) -> None:
        self.jobs.show(views)
        if views:
            self.jobs.grid()
        else:
            self.jobs.grid_remove()

    def _show_figures(self, view: FiguresView | None) -> None:
        self._pace.done()
        if view is None:
            return
        self.day.show(view.day, view.hours)
        self.week.show(view.week, view.times)
        self.memory.show(view.memory)
        self.decisions.show(view.decisions)
        self.targets.show(view.targets)


class StatusCard(Card):
    """The bot's state, large; below it the buttons and six facts."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self._panel = panel
        theme = panel.theme
        self.body.grid_columnconfigure(0, weight=1)
        head = Row(self.body)
        head.grid(row=0, column=0, sticky="ew")
        head.grid_columnconfigure(1, weight=1)
        self._dot = Text(head, "●", role="heading", colour="idle")
        self._dot.grid(row=0, column=0, padx=(0, theme.px(S)))
        self.state = Text(head, "", role="title")
        self.state.grid(row=0, column=1, sticky="w")
        self.quiet = Button(head, texts.BUTTON_QUIET, self._flip_quiet, kind="quiet", icon="moon")
        self.quiet.grid(row=0, column=2, rowspan=2, sticky="ne")
        self.detail = Text(head, "", colour="muted", wrap=True)
        self.detail.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(2, 0))
        self._is_quiet = False
        self._buttons()
        Line(self.body).grid(row=2, column=0, sticky="ew", pady=theme.px(M))
        self._facts = Row(self.body)
        self._facts.grid(row=3, column=0, sticky="ew")
        self.facts: list[tuple[Text, Text]] = []
        self._columns = 0
        for _ in range(6):
            self.facts.append((Text(self._facts, role="caption", colour="faint"), Text(self._facts, role="strong")))
        self._facts.bind("<Configure>", self._arrange)

    def _buttons(self) -> None:
        row = Row(self.body)
        row.grid(row=1, column=0, sticky="w", pady=(self._panel.theme.px(M), 0))
        bot = self._panel.bot
        self.start = Button(row, texts.BUTTON_START, lambda: bot("start"), kind="primary", icon="start")
        self.stop = Button(row, texts.BUTTON_STOP, lambda: bot("stop"), icon="stop", tip=texts.TIP_STOP)
        self.restart = Button(row, texts.BUTTON_RESTART, lambda: bot("restart"), icon="restart", tip=texts.TIP_RESTART)
        self.force = Button(row, texts.BUTTON_FORCE, self._ask_force, kind="danger", icon="bolt", tip=texts.TIP_FORCE)
        self.logs = Button(row, texts.BUTTON_LOGS, lambda: self._panel.go("logs"), icon="logs")
        for column, button in enumerate((self.start, self.stop, self.restart, self.force, self.logs)):
            button.grid(row=0, column=column, padx=(0, S))

    def show(self, view: StatusView) -> None:
        self._dot.show("●", colour=view.tone)
        self.state.show(view.title)
        self.detail.show(view.detail)
        self.start.set_enabled(view.can_start)
        self.stop.set_enabled(view.can_stop)
        self.restart.set_enabled(view.can_restart)
        self.force.set_enabled(view.can_force)
        self._is_quiet = view.is_quiet
        self.quiet.show(texts.BUTTON_UNQUIET if view.is_quiet else texts.BUTTON_QUIET)
        for (label, value), fact in zip(self.facts, view.facts, strict=True):
            _show_fact(label, value, fact)

    def _arrange(self, event: Any) -> None:
        columns = 6 if event.width >= self._panel.theme.px(820) else 3
        if columns == self._columns:
            return
        self._columns = columns
        gap = self._panel.theme.px(M)
        for column in range(6):
            weight = (FACT_WEIGHTS[column] if columns == 6 else 1) if column < columns else 0
            self._facts.grid_columnconfigure(column, weight=weight, uniform="fact" if weight else "")
        for index, (label, value) in enumerate(self.facts):
            row, column = divmod(index, columns)
            label.grid(row=row * 2, column=column, sticky="ew", pady=(gap if row else 0, 0))
            value.grid(row=row * 2 + 1, column=column, sticky="ew", padx=(0, S))

    def _flip_quiet(self) -> None:
        until = 0.0 if self._is_quiet else time.time() + QUIET_SECONDS
        self._panel.set_setting(QUIET_UNTIL, until)

    def _ask_force(self) -> None:
        self._panel.confirm(texts.ASK_FORCE_TITLE, texts.ASK_FORCE_TEXT, [
            (texts.CANCEL, "secondary", None), (texts.BUTTON_FORCE, "danger", lambda: self._panel.bot("force"))])


def _show_fact(label: Text, value: Text, fact: Fact) -> None:
    label.show(fact.label)
    value.show(fact.value, colour=fact.tone)


class BehaviourCard(Card):
    """Three sliders and a switch that the bot obeys from its next message on."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.BEHAVIOUR, hint=texts.BEHAVIOUR_HINT)
        self._panel = panel
        self.body.grid_columnconfigure(0, weight=1)
        self.rate = SettingSlider(self.body, panel, RESPONSE_RATE, 99, self._rate_words)
        self.temperature = SettingSlider(self.body, panel, TEMPERATURE, 50, temperature_view)
        self.tokens = SettingSlider(self.body, panel, MAX_TOKENS, 45, lambda v: tokens_view(round(v)), whole=True)
        for row, slider in enumerate((self.rate, self.temperature, self.tokens)):
            slider.grid(row=row, column=0, sticky="ew", pady=(0, panel.theme.px(M)))
        self.mentions = Switch(self.body, MENTIONS_ONLY.label, self._flip_mentions)
        self.mentions.grid(row=3, column=0, sticky="w", pady=(2, 0))

    def show_settings(self, pulse: Pulse) -> None:
        view = behaviour_view(pulse.settings)
        self.mentions.set_value(view.mentions_only)
        self.rate.show(view.rate)
        self.temperature.show(view.temperature)
        self.tokens.show(view.tokens)

    def _rate_words(self, value: float) -> SliderView:
        return rate_view(value, mentions_only=self.mentions.value)

    def _flip_mentions(self, value: bool) -> None:
        self._panel.set_setting(MENTIONS_ONLY, value)


class SettingSlider(Row):
    """Name, value, line and meaning of one number; written while it moves."""

    def __init__(self, master: Any, panel: Panel, setting: Setting[Any], steps: int,
                 describe: Callable[[float], SliderView], *, whole: bool = False) -> None:
        super().__init__(master)
        assert setting.slider is not None
        self._panel, self._setting, self._describe, self._whole = panel, setting, describe, whole
        self._held_until = 0.0
        self._pending: str | None = None
        self._view: SliderView | None = None
        self.grid_columnconfigure(0, weight=1)
        Text(self, setting.label).grid(row=0, column=0, sticky="w")
        self.value = Text(self, "", role="strong", colour="accent_text")
        self.value.grid(row=0, column=1, sticky="e")
        self.slider = Slider(self, low=setting.slider[0], high=setting.slider[1], steps=steps, command=self._moved)
        self.slider.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(4, 2))
        self.hint = Text(self, "", role="small", colour="faint")
        self.hint.grid(row=2, column=0, columnspan=2, sticky="w")

    def show(self, view: SliderView) -> None:
        """What is stored, unless the owner is moving the slider right now."""
        if view != self._view and time.monotonic() > self._held_until:
            self._view = view
            self.slider.set(view.value)
            self._words(view)

    def _words(self, view: SliderView) -> None:
        self.value.show(view.text)
        self.hint.show(view.hint)

    def _moved(self, value: float) -> None:
        self._held_until = time.monotonic() + 1.5
        self._view = None
        self._words(self._describe(value))
        if self._pending is None:
            self._pending = self.after(WRITE_DELAY_MS, self._write)

    def _write(self) -> None:
        self._pending = None
        value = self.slider.get()
        self._panel.set_setting(self._setting, round(value) if self._whole else round(value, 4))


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
            holder = Row(body)
            holder.grid(row=row * 2 + 1, column=column, sticky="w")
            value.grid(in_=holder, row=0, column=0, sticky="w")
            note.grid(in_=holder, row=0, column=1, sticky="sw", padx=(S, 0), pady=(0, 4))
            value.lift()
            note.lift()
            self._figures.append((label, value, note))
        Text(body, chart_titles[0], role="caption", colour="faint").grid(row=4, column=0, columnspan=2, sticky="w",
                                                                         pady=(M, 2))
        self.chart = BarChart(body, height=92)
        self.chart.grid(row=5, column=0, columnspan=2, sticky="ew")

    def show(self, figures: tuple[Figure, ...], chart: Any) -> None:
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
            ("fetch", texts.ACTION_FETCH, "download", lambda: panel.start_job("fetch")),
            ("train", texts.ACTION_TRAIN, "training", lambda: panel.go("training")),
            ("evaluate", texts.ACTION_EVALUATE, "gauge", lambda: panel.start_job("evaluate")),
            ("", texts.ACTION_FOLDER, "folder", lambda: panel.open_folder()),  # type: ignore[attr-defined]
            ("backup", texts.ACTION_BACKUP, "archive", lambda: panel.start_job("backup")),
            ("", texts.ACTION_SETTINGS, "settings", lambda: panel.go("settings"))]
        self.buttons: dict[str, Button] = {}
        for index, (kind, words, icon, action) in enumerate(actions):
            button = Button(self.body, words, action, icon=icon, anchor="w")
            row, column = divmod(index, 3)
            button.grid(row=row, column=column, sticky="ew", padx=(0 if column == 0 else 4, 0 if column == 2 else 4),
                        pady=(0 if row == 0 else S, 0))
            if kind:
                self.buttons[kind] = button

    def show(self, jobs: tuple[Job, ...], _settings: Any) -> None:
        running = {job.kind for job in jobs}
        for kind, button in self.buttons.items():
            button.set_enabled(kind == "train" or kind not in running)


class JobList(Card):
    """Running jobs, each with its bar, its step, the time left and a way to stop it."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, pad=14)
        self._panel = panel
        self.body.grid_columnconfigure(0, weight=1)
        self.lines: list[JobLine] = []

    def show(self, views: tuple[JobView, ...]) -> None:
        while len(self.lines) < len(views):
            line = JobLine(self.body, self._panel)
            line.grid(row=len(self.lines), column=0, sticky="ew", pady=(S if self.lines else 0, 0))
            self.lines.append(line)
        for index, line in enumerate(self.lines):
            if index < len(views):
                line.show(views[index])
                line.grid()
            else:
                line.grid_remove()


class JobLine(Row):
    """One running job."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self.grid_columnconfigure(1, weight=1)
        self._panel, self._view = panel, JobView(0, "", "", 0, "", False)
        self.name = Text(self, "", role="strong")
        self.name.grid(row=0, column=0, sticky="w")
        self.step = Text(self, "", role="small", colour="muted", anchor="e")
        self.step.grid(row=0, column=1, sticky="e", padx=S)
        self.bar = Progress(self)
        self.bar.grid(row=1, column=0, columnspan=2, sticky="ew", padx=(0, S), pady=(4, 0))
        self.cancel = Button(self, texts.JOB_CANCEL, self._cancel, height=28)
        self.cancel.grid(row=0, column=2, rowspan=2)

    def show(self, view: JobView) -> None:
        self._view = view
        self.name.show(view.name)
        self.step.show(view.text)
        self.bar.show(view.progress)
        self.cancel.set_enabled(not view.is_cancelling and view.job_id > 0)

    def _cancel(self) -> None:
        self._panel.cancel_job(self._view.job_id, self._view.kind)


__all__ = ["DashboardRoom", "job_views", "read_figures"]
