"""The window: a sidebar that names the rooms and the bot's state, and the room in front."""
from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import customtkinter as ctk

from gui import texts
from gui.components import icons
from gui.components.room import Room
from gui.components.theme import XS, M, S, Theme, pair, theme_of
from gui.components.widgets import Button, Row, Text, Tooltip, make_focusable
from gui.presenters.status import StatusView

SIDEBAR_WIDTH = 196
# (room, words, icon); the first run takes the first place until it is done.
ROOMS = (("dashboard", texts.DASHBOARD, "dashboard"), ("playground", texts.PLAYGROUND, "chat"),
         ("people", texts.PEOPLE, "people"), ("training", texts.TRAINING, "training"), ("logs", texts.LOGS, "logs"),
         ("settings", texts.SETTINGS, "settings"))
FIRST_RUN = ("first_run", texts.FIRST_RUN, "flag")


class NavItem(ctk.CTkFrame):
    """A line of the sidebar: picture, words, and a small note at its end."""

    def __init__(self, master: Any, text: str, icon: str, command: Callable[[], Any]) -> None:
        theme = theme_of(master)
        super().__init__(master, height=36, corner_radius=8, fg_color=pair("sidebar"), bg_color=pair("sidebar"),
                         border_width=1, border_color=pair("sidebar"))
        self.surface, self._rest_border = "sidebar", "sidebar"
        self._icon_name, self._is_active, self._command = icon, False, command
        self.grid_columnconfigure(1, weight=1)
        self.grid_rowconfigure(0, weight=1)
        self.grid_propagate(False)
        self._picture = tk.Label(self, bd=0)
        self._picture.grid(row=0, column=0, padx=(10, S))
        self._words = Text(self, text, colour="muted")
        self._words.grid(row=0, column=1, sticky="w")
        self._note = Text(self, "", role="caption", colour="accent_text")
        self._note.grid(row=0, column=2, padx=(0, 10))
        for part in (self._picture, self._words, self._note, self._canvas):
            part.bind("<ButtonRelease-1>", lambda _: command(), add="+")
            part.bind("<Enter>", lambda _: self._tint("hover"), add="+")
            part.bind("<Leave>", lambda _: self._tint("sidebar"), add="+")
        make_focusable(self, self._canvas, press=command)
        theme.follow(self._picture, self._paint)

    def invoke(self) -> None:
        self._command()

    def set_active(self, is_active: bool) -> None:
        if is_active != self._is_active:
            self._is_active = is_active
            self._rest_border = "accent_soft" if is_active else "sidebar"
            self._words.show(self._words.cget("text"), colour="accent_text" if is_active else "muted")
            self._words.configure(font=theme_of(self).fonts["strong" if is_active else "body"])
            self._tint("sidebar")
            self.configure(border_color=pair(self._rest_border))

    def set_note(self, text: str) -> None:
        self._note.show(text)

    def cget(self, attribute_name: str) -> Any:
        return "normal" if attribute_name == "state" else super().cget(attribute_name)

    def _tint(self, surface: str) -> None:
        if self._is_active:
            surface = "accent_soft"
        if surface != self.surface:
            self.surface = surface
            self.configure(fg_color=pair(surface))
            for part in (self._words, self._note):
                part.set_surface(surface)
        self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        colour = theme.now("accent_text" if self._is_active else "muted")
        self._picture.configure(bg=theme.now(self.surface),
                                image=icons.photo(self, self._icon_name, colour, theme.px(18)))


class Sidebar(Row):
    """Logo, rooms, and at its foot the bot's state and the appearance."""

    def __init__(self, master: Any, theme: Theme, *, title: str, subtitle: str, go: Callable[[str], Any],
                 change_appearance: Callable[[], Any], leave: Callable[[], Any]) -> None:
        super().__init__(master, "sidebar")
        self.configure(width=theme.px(SIDEBAR_WIDTH))
        self.grid_propagate(False)
        self.grid_columnconfigure(0, weight=1)
        self._head(theme, title, subtitle)
        self.items: dict[str, NavItem] = {}
        self._notes: dict[str, str] = {}
        for row, (key, words, icon) in enumerate((FIRST_RUN, *ROOMS), start=1):
            item = NavItem(self, words, icon, partial(go, key))
            item.grid(row=row, column=0, sticky="ew", padx=10, pady=1)
            self.items[key] = item
        self.grid_rowconfigure(20, weight=1)
        self._foot(theme, change_appearance, leave)

    def _head(self, theme: Theme, title: str, subtitle: str) -> None:
        head = Row(self, "sidebar")
        head.grid(row=0, column=0, sticky="ew", padx=theme.px(M), pady=(theme.px(20), theme.px(16)))
        picture = tk.Label(head, bd=0, image=icons.logo(self, theme.px(32)))
        theme.follow(picture, lambda: picture.configure(bg=theme.now("sidebar")))
        picture.grid(row=0, column=0, rowspan=2, padx=(theme.px(XS), theme.px(10)))
        Text(head, title, role="strong").grid(row=0, column=1, sticky="sw")
        Text(head, subtitle, role="caption", colour="faint").grid(row=1, column=1, sticky="nw")

    def _foot(self, theme: Theme, change_appearance: Callable[[], Any], leave: Callable[[], Any]) -> None:
        foot = Row(self, "sidebar")
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
        self._dot.show("●", colour=view.tone)
        self._state.show(view.title if len(view.title) < 26 else view.title[:24] + "…")

    def show_appearance(self, setting: str) -> None:
        icon = {"light": "sun", "dark": "moon"}.get(setting, "system")
        self.appearance.configure(image=icons.image(icon, "muted", 16))
        self.appearance_tip.text = texts.APPEARANCE_TIP.format(mode=texts.APPEARANCE_NAMES[setting])

    def show_active(self, room: str) -> None:
        for key, item in self.items.items():
            item.set_active(key == room)

    def show_first_run(self, is_needed: bool) -> None:
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
        self.sidebar.grid(row=0, column=0, sticky="ns")
        self.stage = Row(root, "window")
        self.stage.grid(row=0, column=1, sticky="nsew")
        self.stage.grid_columnconfigure(0, weight=1)
        self.stage.grid_rowconfigure(0, weight=1)
        self.rooms: dict[str, Room] = {}
        self.front: Room | None = None
        self._wanted = ""
        self._in_work: set[str] = set()

    def show(self, key: str, make: Callable[[Any], Room], ready: Callable[[Room], Any]) -> None:
        """Bring a room to the front, building it first if need be; `ready` is called when it is there."""
        self.sidebar.show_active(key)
        self._wanted = key
        room = self.rooms.get(key)
        if room is not None:
            self._raise(room, ready)
        elif key not in self._in_work:
            self._in_work.add(key)
            room = make(self.stage)
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

    def _raise(self, room: Room, ready: Callable[[Room], Any]) -> None:
        if self.front is not room:
            if self.front is not None:
                self.front.grid_remove()
                self.front.is_visible = False
                self.front.hidden()
            self.front = room
            room.grid(row=0, column=0, sticky="nsew")
            room.is_visible = True
            room.shown()
        ready(room)
