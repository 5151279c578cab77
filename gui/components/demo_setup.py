"""The room of the demo's first start: what is being set up, a way to stop it, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.job_list import JobLine
from gui.components.notices import Banner
from gui.components.room import M, Panel, Room, S
from gui.demo_start import newest_set_up
from gui.presenters.dashboard import JobView
from gui.presenters.demo_setup import demo_setup_view
from gui.presenters.snapshot import Pulse
from storage.jobs.kinds import JobKind
from storage.records import Job


class DemoSetupRoom(Room):
    """Stands in the Playground's place until there is a server to talk about."""

    key, title = "demo_setup", texts.DEMO_SETUP

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._ended: Job | None = None
        self._views: tuple[JobView, ...] = ()

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        theme = self.theme
        card = Card(self.page, texts.DEMO_SETUP_TITLE)
        card.grid(row=0, column=0, sticky="ew")
        card.body.grid_columnconfigure(0, weight=1)
        Text(card.body, texts.DEMO_SETUP_TEXT, colour="muted", wrap=True).grid(row=0, column=0, sticky="ew")
        self.line = JobLine(card.body, self.panel)
        self.line.grid(row=1, column=0, sticky="ew", pady=(theme.px(M), 0))
        yield
        self.trouble = Banner(card.body, "busy")
        self.trouble.grid(row=2, column=0, sticky="ew", pady=(theme.px(M), 0))
        self.trouble.grid_remove()
        self.cures = RowFrame(card.body)
        self.cures.grid(row=3, column=0, sticky="w", pady=(theme.px(M), 0))
        self.again = Button(self.cures, texts.DEMO_SETUP_AGAIN, self._try_again, kind="primary")
        self.again.grid(row=0, column=0)
        logs = Button(self.cures, texts.DEMO_SETUP_LOGS, lambda: self.panel.go("logs"), kind="quiet")
        logs.grid(row=0, column=1, padx=(theme.px(S), 0))
        self.cures.grid_remove()
        yield

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        self._ended = newest_set_up(pulse)
        self._render()

    def show_jobs(self, views: tuple[JobView, ...]) -> None:
        """Running jobs, and those just asked for."""
        self._views = views
        if self.panel.pulse is not None:
            self._ended = newest_set_up(self.panel.pulse)
            self._render()

    def _try_again(self) -> None:
        self.panel.start_job(JobKind.DEMO, [])

    def _render(self) -> None:
        view = demo_setup_view(self._views, self._ended)
        if view.job is not None:
            self.line.show(view.job)
            self.line.grid()
            self.trouble.grid_remove()
            self.cures.grid_remove()
            return
        self.line.grid_remove()
        self.trouble.show(view.what, view.cure)
        self.trouble.grid()
        self.cures.grid()
