"""The round from messages to a model: five steps with their states, one bar, one button."""

from __future__ import annotations

import importlib.util
import time
import tkinter as tk
from collections.abc import Callable
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.notices import ProgressBar
from gui.components.room import M, Panel, S
from gui.components.theme import surface_of, theme_of
from gui.presenters.pipeline import PipelineView, StepView, retrain_plan
from storage.jobs.kinds import JobKind

CIRCLE, STEPS_HEIGHT = 30, 82
# Without these a training installs first.
_PACKAGES = ("torch", "trl", "peft")


class StepChain(tk.Canvas):
    """Circles in a row with what each step is and how far it came."""

    def __init__(self, master: Any) -> None:
        self.surface = surface_of(master)
        theme = theme_of(master)
        super().__init__(master, bd=0, highlightthickness=0, takefocus=0, width=10, height=theme.px(STEPS_HEIGHT))
        self._steps: tuple[StepView, ...] = ()
        self.bind("<Configure>", lambda _: self._draw())
        theme.follow(self, self._draw)

    def show(self, steps: tuple[StepView, ...]) -> None:
        """Draw these steps; the same ones again cost nothing."""
        if steps != self._steps:
            self._steps = steps
            self._draw()

    def _draw(self) -> None:
        theme, width = theme_of(self), self.winfo_width()
        self.configure(bg=theme.now(self.surface))
        self.delete("all")
        if not self._steps or width < 50:
            return
        span, middle, radius = width / len(self._steps), theme.px(CIRCLE / 2 + 2), theme.px(CIRCLE / 2)
        centres = [span * (number + 0.5) for number in range(len(self._steps))]
        for number in range(len(centres) - 1):
            is_done = self._steps[number].state in ("done", "skipped")
            self.create_line(
                centres[number] + radius + theme.px(4),
                middle,
                centres[number + 1] - radius - theme.px(4),
                middle,
                width=theme.px(3),
                fill=theme.now("good" if is_done else "track"),
            )
        for number, (x, step) in enumerate(zip(centres, self._steps, strict=True), start=1):
            self._step(x, middle, radius, number, step)

    def _step(self, x: float, y: float, radius: int, number: int, step: StepView) -> None:
        theme = theme_of(self)
        fill, ink, border = {
            "done": ("good", "on_accent" if not theme.is_dark else "window", "good"),
            "now": ("accent", "on_accent", "accent"),
            "skipped": ("card", "faint", "track"),
        }.get(step.state, ("card", "muted", "track"))
        self.create_oval(
            x - radius,
            y - radius,
            x + radius,
            y + radius,
            fill=theme.now(fill),
            outline=theme.now(border),
            width=theme.px(2),
        )
        mark = "✓" if step.state == "done" else str(number)
        self.create_text(x, y, text=mark, fill=theme.now(ink), font=theme.fonts["strong"])
        below = y + radius + theme.px(13)
        is_strong = step.state in ("done", "now")
        self.create_text(
            x,
            below,
            text=step.name,
            fill=theme.now("text" if is_strong else "muted"),
            font=theme.fonts["strong" if is_strong else "body"],
        )
        self.create_text(x, below + theme.px(16), text=step.note, fill=theme.now("muted"), font=theme.fonts["caption"])


class PipelineCard(Card):
    """Idle: what is new since the last round, and Retrain. At work: where it is, how long it takes, Cancel."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.RETRAIN_TITLE)
        self._panel = panel
        self.view = PipelineView(())
        body, theme = self.body, panel.theme
        body.grid_columnconfigure(0, weight=1)
        self.text = Text(body, texts.RETRAIN_TEXT, colour="muted", wrap=True)
        self.text.grid(row=0, column=0, sticky="ew")
        self.cancel = Button(body, texts.CANCEL, self._cancel)
        self.cancel.grid(row=0, column=1, sticky="ne", padx=(theme.px(M), 0))
        self.steps = StepChain(body)
        self.steps.grid(row=1, column=0, columnspan=2, sticky="ew", pady=theme.px(M))
        self.bar = ProgressBar(body)
        self.bar.grid(row=2, column=0, columnspan=2, sticky="ew")
        figures = RowFrame(body)
        figures.grid(row=3, column=0, columnspan=2, sticky="ew")
        figures.grid_columnconfigure(1, weight=1)
        self.left = Text(figures, "", role="strong")
        self.left.grid(row=0, column=0, sticky="w")
        self.right = Text(figures, "", role="small", colour="muted", anchor="e")
        self.right.grid(row=0, column=1, sticky="e", padx=(S, 0))
        self._figures = figures
        foot = self.foot = RowFrame(body)
        foot.grid(row=4, column=0, columnspan=2, sticky="ew")
        foot.grid_columnconfigure(0, weight=1)
        self.note = Text(foot, "", role="small", colour="muted", wrap=True)
        self.note.grid(row=0, column=0, sticky="ew")
        self.button = Button(foot, texts.RETRAIN, lambda: ask_retrain(panel), kind="primary", icon="training")
        self.button.grid(row=0, column=1, sticky="e")
        self._show_running(False)

    def show(self, note: str, is_enabled: bool) -> None:
        """What stands there while nothing runs."""
        self.note.show(note)
        self.button.set_enabled(is_enabled and not self.view.is_running)

    def show_round(self, view: PipelineView) -> None:
        """The round as it is now."""
        if view.is_running != self.view.is_running:
            self._show_running(view.is_running)
        self.view = view
        self.steps.show(view.steps)
        if view.is_running:
            self.text.show(view.headline)
            self.bar.show(view.progress)
            self.left.show(view.left)
            self.right.show(view.right)
            self.cancel.set_enabled(not view.is_cancelling)

    def _show_running(self, is_running: bool) -> None:
        self.title.show(texts.PIPELINE_TITLE if is_running else texts.RETRAIN_TITLE)
        if not is_running:
            self.text.show(texts.RETRAIN_TEXT)
        for part in (self.cancel, self.bar, self._figures):
            (part.grid if is_running else part.grid_remove)()
        (self.foot.grid_remove if is_running else self.foot.grid)()

    def _cancel(self) -> None:
        self.cancel.set_enabled(False)
        self._panel.cancel_job(self.view.job_id, JobKind.RETRAIN)


def has_training_packages() -> bool:
    """Whether a training can begin without installing anything. Looks for them without loading them."""
    return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)


def ask_retrain(panel: Panel) -> None:
    """What the round will make, take and bring along; then the question."""

    def looked() -> Any:
        preflight = panel.store.jobs.latest(JobKind.PREFLIGHT)
        return retrain_plan(preflight, panel.pulse, has_packages=has_training_packages(), now=time.time())

    def ask(plan: Any) -> None:
        start: Callable[[], Any] = lambda: panel.start_job(JobKind.RETRAIN, list(plan.arguments))  # noqa: E731
        kind = "secondary" if plan.is_practice else "primary"
        panel.confirm(texts.RETRAIN_ASK_TITLE, plan.text, [(texts.CANCEL, "secondary", None), (plan.go, kind, start)])

    panel.ask(looked, ask)
