"""The window: a sidebar that names the rooms and the bot's state, and the room in front."""

from __future__ import annotations

import importlib
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import customtkinter as ctk

from gui import texts
from gui.components import icons
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.room import Panel, Room
from gui.components.scroll import focus_of
from gui.components.theme import XS, M, S, Theme
from gui.components.tooltip import Tooltip
from gui.presenters.status import StatusView

SIDEBAR_WIDTH = 196
# (room, words, icon); the first run takes the first place until it is done.
ROOMS = (
    ("home", texts.HOME, "home"),
    ("live", texts.LIVE, "live"),
    ("playground", texts.PLAYGROUND, "chat"),
    ("people", texts.PEOPLE, "people"),
    ("training", texts.TRAINING, "training"),
    ("logs", texts.LOGS, "logs"),
    ("settings", texts.SETTINGS, "settings"),
)
# Rooms that are reached from another one, whose line stays marked.
BEHIND = {"figures": "home", "taught": "live", "blind_test": "training", "demo_setup": "playground"}
FIRST_RUN = ("first_run", texts.FIRST_RUN, "flag")
# Module and class of each room: imported when first visited, which keeps the start short and the memory small.
CLASSES = {
    "home": ("home", "HomeRoom"),
    "figures": ("figures", "FiguresRoom"),
    "live": ("live", "LiveRoom"),
    "taught": ("taught", "TaughtRoom"),
    "logs": ("logs_window", "LogsRoom"),
    "settings": ("settings_window", "SettingsRoom"),
    "playground": ("playground", "PlaygroundRoom"),
    "people": ("people", "PeopleRoom"),
    "training": ("training", "TrainingRoom"),
    "first_run": ("first_run", "FirstRunRoom"),
    "blind_test": ("blind_test", "BlindTestRoom"),
    "demo_setup": ("demo_setup", "DemoSetupRoom"),
}


class NavItem(Button):
    """A line of the sidebar: picture, words, and whether it is the room in front."""

    ICON = 18

    def __init__(self, master: Any, text: str, icon: str, command: Callable[[], Any]) -> None:
        super().__init__(master, text, command, kind="quiet", icon=icon, height=36, anchor="w")

    def set_active(self, is_active: bool) -> None:
        """Paint it as the room that is in front, or as one that is not."""
        self._role = "strong" if is_active else "body"
        self.set_kind("active" if is_active else "quiet")


class Sidebar(RowFrame):
    """Logo, rooms, and at its foot the bot's state and the appearance."""

    def __init__(
        self,
        master: Any,
        theme: Theme,
        *,
        title: str,
        subtitle: str,
        go: Callable[[str], Any],
        change_appearance: Callable[[], Any],
        leave: Callable[[], Any],
    ) -> None:
        super().__init__(master, "sidebar")
        self.configure(width=theme.px(SIDEBAR_WIDTH))
        self.grid_propagate(False)
        self.grid_columnconfigure(0, weight=1)
        self._head(theme, title, subtitle)
        self.items: dict[str, NavItem] = {}
        for row, (key, words, icon) in enumerate((FIRST_RUN, *ROOMS), start=1):
            item = NavItem(self, words, icon, partial(go, key))
            item.grid(row=row, column=0, sticky="ew", padx=10, pady=1)
            self.items[key] = item
        self.grid_rowconfigure(20, weight=1)
        self._foot(theme, change_appearance, leave)

    def _head(self, theme: Theme, title: str, subtitle: str) -> None:
        head = RowFrame(self, "sidebar")
        head.grid(row=0, column=0, sticky="ew", padx=theme.px(M), pady=(theme.px(20), theme.px(16)))
        picture = tk.Label(head, bd=0, image=icons.logo(self, theme.px(32)))
        theme.follow(picture, lambda: picture.configure(bg=theme.now("sidebar")))
        picture.grid(row=0, column=0, rowspan=2, padx=(theme.px(XS), theme.px(10)))
        Text(head, title, role="strong").grid(row=0, column=1, sticky="sw")
        Text(head, subtitle, role="caption", colour="faint").grid(row=1, column=1, sticky="nw")

    def _foot(self, theme: Theme, change_appearance: Callable[[], Any], leave: Callable[[], Any]) -> None:
        foot = RowFrame(self, "sidebar")
        foot.grid(row=21, column=0, sticky="ew", padx=theme.px(M), pady=(0, theme.px(M)))
        foot.grid_columnconfigure(3, weight=1)
        self._dot = Text(foot, "●", role="small", colour="idle")
        self._dot.grid(row=0, column=0, padx=(theme.px(XS), theme.px(S)), pady=(0, theme.px(XS)))
        self._state = Text(foot, "", role="small", colour="muted")
        self._state.grid(row=0, column=1, columnspan=3, sticky="w", pady=(0, theme.px(XS)))
        self.appearance = Button(foot, "", change_appearance, kind="quiet", icon="moon", height=30)
        self.appearance.grid(row=1, column=0, columnspan=2, sticky="w")
        self.appearance_tip = Tooltip(self.appearance, "")
        self.leave = Button(foot, "", leave, kind="quiet", icon="power", height=30, tip=texts.EXIT_TIP)
        self.leave.grid(row=1, column=2, sticky="w")

    def show_status(self, view: StatusView) -> None:
        """Show the bot's state in one word or two."""
        self._dot.show("●", colour=view.tone)
        self._state.show(view.title if len(view.title) < 26 else view.title[:24] + "…")

    def show_appearance(self, setting: str) -> None:
        """Show which appearance is set: light, dark or the computer's own."""
        icon = {"light": "sun", "dark": "moon"}.get(setting, "system")
        self.appearance.set_icon(icon)
        self.appearance_tip.text = texts.APPEARANCE_TIP.format(mode=texts.APPEARANCE_NAMES[setting])

    def show_active(self, room: str) -> None:
        """Mark the room that is in front, or the one it is reached from."""
        shown = BEHIND.get(room, room)
        for key, item in self.items.items():
            item.set_active(key == shown)

    def show_first_run(self, is_needed: bool) -> None:
        """Show the way to the first steps, or hide it."""
        item = self.items["first_run"]
        if is_needed:
            item.grid()
        else:
            item.grid_remove()


class MainWindow:
    """Places the sidebar and the rooms; builds a room in slices when it is first asked for."""

    SLICE_SECONDS = 0.020

    def __init__(self, root: ctk.CTk, theme: Theme, sidebar_options: dict[str, Any]) -> None:
        self.root, self.theme = root, theme
        root.grid_columnconfigure(1, weight=1)
        root.grid_rowconfigure(0, weight=1)
        self.sidebar = Sidebar(root, theme, **sidebar_options)
        self.sidebar.grid(row=0, column=0, rowspan=2, sticky="ns")
        self.stage = RowFrame(root, "window")
        self.stage.grid(row=0, column=1, sticky="nsew")
        self.stage.grid_columnconfigure(0, weight=1)
        self.stage.grid_rowconfigure(0, weight=1)
        self.lane = RowFrame(root, "window")
        self.lane.grid(row=1, column=1, sticky="ew")
        self.rooms: dict[str, Room] = {}
        self.front: Room | None = None
        self._wanted = ""
        self._in_work: set[str] = set()

    def show(self, key: str, panel: Panel, ready: Callable[[Room], Any]) -> None:
        """Bring a room to the front, building it first if need be; `ready` is called when it is there."""
        self.sidebar.show_active(key)
        self._wanted = key
        room = self.rooms.get(key)
        if room is not None:
            self._raise(room, ready)
        elif key not in self._in_work:
            self._in_work.add(key)
            room = room_class(key)(self.stage, panel)
            self.in_slices(room.build(), lambda: self._built(key, room, ready))

    def in_slices(self, parts: Iterator[None], then: Callable[[], Any]) -> None:
        """Run a generator that makes widgets, giving the window its turn every few milliseconds."""
        deadline = time.perf_counter() + self.SLICE_SECONDS
        for _ in parts:
            if time.perf_counter() > deadline:
                self.root.after(1, lambda: self.in_slices(parts, then))
                return
        then()

    def _built(self, key: str, room: Room, ready: Callable[[Room], Any]) -> None:
        self._in_work.discard(key)
        self.rooms[key] = room
        if self._wanted == key:
            self._raise(room, ready)

    def leave_fields(self) -> None:
        """A field of the room in front that is being typed into is left, which saves what can be saved."""
        holder = focus_of(self.root)
        if holder is not None and self.front is not None and str(holder).startswith(f"{self.front}."):
            holder.event_generate("<FocusOut>")  # at once: the focus itself moves with the loop's next turn
            self.root.focus_set()

    def _raise(self, room: Room, ready: Callable[[Room], Any]) -> None:
        if self.front is not room:
            if self.front is not None:
                self.leave_fields()
                self.front.grid_remove()
                self.front.is_visible = False
                self.front.hidden()
            self.front = room
            room.grid(row=0, column=0, sticky="nsew")
            room.is_visible = True
            room.shown()
        ready(room)


def room_class(key: str) -> type[Room]:
    """The class of a room, imported when it is first needed."""
    module, name = CLASSES[key]
    found: type[Room] = getattr(importlib.import_module(f"gui.components.{module}"), name)
    return found
