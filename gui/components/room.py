"""What a room of the window is, and what it may ask of the panel around it."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from gui.components.basics import RowFrame, Text
from gui.components.scroll import ScrollArea
from gui.components.theme import XL, L, M, S, Theme
from gui.presenters.dashboard import JobView
from gui.presenters.pipeline import PipelineView
from gui.presenters.snapshot import Pulse
from gui.presenters.status import StatusView
from storage.paths import Workspace
from storage.settings import Setting
from storage.store import Store


class Panel(Protocol):
    """The app as rooms see it. Everything here returns at once; work happens on the worker's threads."""

    store: Store
    theme: Theme
    root: Any
    is_demo: bool

    @property
    def workspace(self) -> Workspace:
        """The workspace this panel looks after."""

    @property
    def pulse(self) -> Pulse | None:
        """The newest reading of the databases; None before the first."""

    def ask(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], Any] | None = None,
        *,
        failed: Callable[[Exception], Any] | None = None,
        slow: bool = False,
    ) -> None:
        """Do `work` on a worker, then hand its result to `then`, or its exception to `failed`, on the window's thread.
        `slow` work waits in a lane of its own."""

    def set_setting(self, setting: Setting[Any], value: Any) -> None:
        """Store a setting and show it; a refused value is told."""

    def bot(self, action: str) -> None:
        """Ask the controller: start, stop, restart."""

    def start_job(self, kind: str, args: list[str] | None = None) -> None:
        """Start a job, shown as starting at once."""

    def cancel_job(self, job_id: int, kind: str) -> None:
        """Ask a job to stop, shown as stopping at once."""

    def go(self, room: str) -> None:
        """Put a room in front."""

    def toast(self, title: str, body: str = "", *, tone: str = "idle", undo: Callable[[], Any] | None = None) -> None:
        """Show a short note in the corner."""

    def confirm(self, title: str, text: str, answers: list[tuple[str, str, Callable[[], Any] | None]]) -> None:
        """Ask something; each answer is its words, its look and what it does."""

    def refresh_soon(self) -> None:
        """Read the databases at the next turn instead of the next beat."""


# A line of text or a slider longer than this is hard to follow.
WIDEST = 1100


class Room(RowFrame):
    """One page of the window. `build` yields between parts, so that no single step holds up the window."""

    key = ""
    title = ""
    scrolls = True

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self.panel = panel
        self.theme = panel.theme
        self.is_visible = False
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        self.header = RowFrame(self)
        self.header.grid(
            row=0, column=0, sticky="ew", padx=self.theme.px(XL), pady=(self.theme.px(20), self.theme.px(M))
        )
        self.header.grid_columnconfigure(1, weight=1)
        Text(self.header, self.title, role="title").grid(row=0, column=0, sticky="w")
        self.tools = RowFrame(self.header)
        self.tools.grid(row=0, column=2, sticky="e")
        self.page: Any
        if self.scrolls:
            self.area = ScrollArea(self, pad=XL, most=WIDEST)
            self.area.grid(row=1, column=0, sticky="nsew")
            self.page = self.area.inner
        else:
            self.page = RowFrame(self)
            self.page.grid(row=1, column=0, sticky="nsew", padx=self.theme.px(XL), pady=(0, self.theme.px(L)))
        self.page.grid_columnconfigure(0, weight=1)

    def build(self) -> Iterator[None]:
        """Make the widgets, yielding every few milliseconds' worth."""
        yield

    def shown(self) -> None:
        """The room came to the front."""

    def hidden(self) -> None:
        """Another room came to the front."""

    def beat(self, pulse: Pulse) -> None:
        """A new reading, while visible."""

    def show_status(self, view: StatusView) -> None:
        """The bot's state: with every reading, and at once after a click."""

    def show_jobs(self, views: tuple[JobView, ...]) -> None:
        """Running jobs, and those just asked for."""

    def show_round(self, view: PipelineView) -> None:
        """The round from messages to a model, with every reading."""

    def frame(self) -> None:
        """Every turn of the loop, while visible; for what must look live."""

    def find(self) -> str | None:
        """Ctrl+F: put the focus where one searches, if the room has such a place."""
        return None


class PollingPace:
    """When to read again: not before `seconds`, and so seldom that reading takes a fortieth of the time at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next, self._began, self.is_reading = seconds, 0.0, 0.0, False

    def is_due(self) -> bool:
        """True once; the caller starts reading and calls `done`."""
        now = time.monotonic()
        if self.is_reading or now < self._next:
            return False
        self.is_reading, self._began = True, now
        return True

    def done(self) -> None:
        """The answer is there; the next look is due after a pause that grows with how long this one took."""
        now = time.monotonic()
        self.is_reading, self._next = False, now + max(self._seconds, 40 * (now - self._began))

    def soon(self) -> None:
        """Something changed: read with the next beat."""
        self._next = 0.0


def spread(container: tk.Misc, count: int, *, group: str = "even") -> None:
    """Give `count` columns of a grid the same width."""
    for column in range(count):
        container.grid_columnconfigure(column, weight=1, uniform=group)


__all__ = ["WIDEST", "XL", "L", "M", "Panel", "PollingPace", "Room", "S", "spread"]
