"""Running jobs, each with its bar, its step, the time left and a way to stop it."""

from __future__ import annotations

from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.notices import ProgressBar
from gui.components.room import Panel, S
from gui.presenters.dashboard import (
    JobView,
)


class JobList(Card):
    """Running jobs, each with its bar, its step, the time left and a way to stop it."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, pad=14)
        self._panel = panel
        self.body.grid_columnconfigure(0, weight=1)
        self.lines: list[JobLine] = []

    def show(self, views: tuple[JobView, ...]) -> None:
        """Show the jobs, in their order; lines are reused."""
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


class JobLine(RowFrame):
    """One running job."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self.grid_columnconfigure(1, weight=1)
        self._panel, self._view = panel, JobView(0, "", "", 0, "", False)
        self.name = Text(self, "", role="strong")
        self.name.grid(row=0, column=0, sticky="w")
        self.step = Text(self, "", role="small", colour="muted", anchor="e")
        self.step.grid(row=0, column=1, sticky="e", padx=S)
        self.bar = ProgressBar(self)
        self.bar.grid(row=1, column=0, columnspan=2, sticky="ew", padx=(0, S), pady=(4, 0))
        self.cancel = Button(self, texts.JOB_CANCEL, self._cancel, height=28)
        self.cancel.grid(row=0, column=2, rowspan=2)

    def show(self, view: JobView) -> None:
        """Show one job: its name, what it is doing, how far it is."""
        self._view = view
        self.name.show(view.name)
        self.step.show(view.text)
        self.bar.show(view.progress)
        self.cancel.set_enabled(view.can_cancel and not view.is_cancelling)

    def _cancel(self) -> None:
        self._panel.cancel_job(self._view.job_id, self._view.kind)
