"""The settings: groups on the left, one row a setting, saved as one types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.inputs import Field
from gui.components.notices import EmptyState
from gui.components.room import M, Panel, Room
from gui.components.scroll import ScrollArea
from gui.components.settings_form import SettingsForm
from gui.components.theme import L
from gui.presenters import settings as view
from gui.presenters.snapshot import Pulse

# What was found is a form like a group's, under this name.
FOUND = "found"
SEARCH_MS = 200


class SettingsRoom(Room):
    """Group list and form; a group's rows are made when it is first opened."""

    key, title, scrolls = "settings", texts.SETTINGS, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self.group = ""
        self.forms: dict[str, SettingsForm] = {}
        self._query = self._before = ""
        self._waiting: str | None = None

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        page, theme = self.page, self.theme
        page.grid_columnconfigure(0, weight=0)
        page.grid_columnconfigure(1, weight=1)
        page.grid_rowconfigure(0, weight=1)
        Text(self.tools, texts.SETTINGS_HINT, role="small", colour="faint").grid(row=0, column=0, padx=(0, theme.px(M)))
        self.search = Field(self.tools, placeholder=texts.SETTINGS_SEARCH, width=220)
        self.search.grid(row=0, column=1)
        self.search.bind("<KeyRelease>", lambda _: self._typed())
        self.search.bind("<Escape>", lambda _: self._end_search())
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
        self.nothing = EmptyState(
            self.area.inner, icon="search", title=texts.SETTINGS_NOT_FOUND, text=texts.SETTINGS_NOT_FOUND_HINT
        )
        yield
        yield from self._make("Startup")
        self._front("Startup")

    def find(self) -> str | None:
        """Ctrl+F: search all settings."""
        self.search.focus()
        return "break"

    def _typed(self) -> None:
        if self._waiting is not None:
            self.after_cancel(self._waiting)
        self._waiting = self.after(SEARCH_MS, self._search)

    def _search(self) -> None:
        """Show every setting that has the words, whatever its group."""
        self._waiting = None
        query = self.search.get().strip()
        if query == self._query:
            return
        self._query = query
        if not query:
            self.open(self._before or "Startup")
            return
        if self.group != FOUND:
            self._before = self.group
        rows = view.find_rows(query)
        if not rows:
            self._take_away()
            self.nothing.grid(row=0, column=0, pady=self.theme.px(L))
            return
        form = SettingsForm(self.area.inner, self.panel, texts.SETTINGS_FOUND.format(count=len(rows)))

        def made() -> None:
            if self._query != query:  # typed on meanwhile
                form.destroy()
                return
            old = self.forms.get(FOUND)
            self._take_away()
            if old is not None:
                old.destroy()
            self.forms[FOUND] = form
            self._front(FOUND)

        self.panel.in_slices(form.build_rows(rows), made)  # type: ignore[attr-defined]

    def _end_search(self) -> None:
        self.search.set_text("")
        self._search()

    def _take_away(self) -> None:
        self.nothing.grid_remove()
        if self.group in self.forms:
            self.forms[self.group].grid_remove()
        self.group = ""

    def open(self, group: str) -> None:
        """Show a group, making it first if need be."""
        self._query = ""
        self.search.set_text("")
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
        self._take_away()
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
