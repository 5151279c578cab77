"""The settings: groups on the left, one row a setting, saved as one types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.room import M, Panel, Room
from gui.components.scroll import ScrollArea
from gui.components.settings_form import SettingsForm
from gui.components.theme import L
from gui.presenters import settings as view
from gui.presenters.snapshot import Pulse


class SettingsRoom(Room):
    """Group list and form; a group's rows are made when it is first opened."""

    key, title, scrolls = "settings", texts.SETTINGS, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self.group = ""
        self.forms: dict[str, SettingsForm] = {}

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, theme = self.page, self.theme
        page.grid_columnconfigure(0, weight=0)
        page.grid_columnconfigure(1, weight=1)
        page.grid_rowconfigure(0, weight=1)
        Text(self.tools, texts.SETTINGS_HINT, role="small", colour="faint").grid(row=0, column=0)
        names = RowFrame(page)
        names.grid(row=0, column=0, sticky="ns", padx=(0, theme.px(M)))
        self.names: dict[str, GroupName] = {}
        for row, group in enumerate(view.GROUPS):
            self.names[group] = GroupName(names, texts.SETTINGS_GROUPS[group], partial(self.open, group))
            self.names[group].grid(row=row, column=0, sticky="ew", pady=1)
            if row % 4 == 3:
                yield
        self.area = ScrollArea(page)
        self.area.grid(row=0, column=1, sticky="nsew")
        self.area.inner.grid_columnconfigure(0, weight=1)
        yield
        yield from self._make("Startup")
        self._front("Startup")

    def open(self, group: str) -> None:
        """Show a group, making it first if need be."""
        for name, item in self.names.items():
            item.set_active(name == group)
        if group in self.forms:
            self._front(group)
            return
        self.panel.in_slices(self._make(group), lambda: self._front(group))  # type: ignore[attr-defined]

    def beat(self, pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        if self.group in self.forms:
            self.forms[self.group].show(pulse.settings)

    def shown(self) -> None:
        """Called each time the owner comes here."""
        if self.group in self.forms:
            self.forms[self.group].shown()

    def _make(self, group: str) -> Iterator[None]:
        form = SettingsForm(self.area.inner, self.panel, texts.SETTINGS_GROUPS[group])
        yield from form.build(group)
        self.forms[group] = form

    def _front(self, group: str) -> None:
        for name, item in self.names.items():
            item.set_active(name == group)
        if self.group in self.forms:
            self.forms[self.group].grid_remove()
        self.group = group
        form = self.forms[group]
        form.grid(row=0, column=0, sticky="ew", pady=(0, self.theme.px(L)))
        self.area.to_top()
        pulse = self.panel.pulse
        if pulse is not None:
            form.show(pulse.settings)
        form.shown()


class GroupName(Button):
    """A line of the group list."""

    def __init__(self, master: Any, text: str, command: Callable[[], Any]) -> None:
        super().__init__(master, text, command, kind="quiet", width=142, anchor="w", height=32)

    def set_active(self, is_active: bool) -> None:
        """Paint it as the group that is in front, or as one that is not."""
        self.set_kind("active" if is_active else "quiet")
