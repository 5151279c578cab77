"""How everything looks: one palette in two modes, one accent, five type sizes, one spacing scale.

Text is plain tk.Label (thirty times cheaper than CTkLabel, measured); what people operate is CustomTkinter.
"""

from __future__ import annotations

import os
import sys
import tkinter as tk
import tkinter.font as tkfont
from collections.abc import Callable, Mapping
from typing import Any

import customtkinter as ctk
from customtkinter.windows.widgets.appearance_mode import AppearanceModeTracker
from customtkinter.windows.widgets.scaling import ScalingTracker

from gui.components import icons
from gui.components.palette import PALETTE

# Every distance between two things is one of these.
XS, S, M, L, XL = 4, 8, 12, 16, 24
RADIUS = 10
CONTROL_HEIGHT = 34

# role: (size in pixels at 100 %, weight)
TYPE: dict[str, tuple[int, str]] = {
    "title": (22, "bold"),
    "figure": (22, "bold"),
    "heading": (15, "bold"),
    "body": (13, "normal"),
    "strong": (13, "bold"),
    "small": (12, "normal"),
    "caption": (11, "normal"),
    "caption_strong": (11, "bold"),
    "mono": (12, "normal"),
}
_FAMILIES = {"win32": ("Segoe UI Variable Text", "Segoe UI"), "darwin": ("SF Pro Text", "Helvetica Neue")}
_MONO = {"win32": ("Cascadia Mono", "Consolas"), "darwin": ("SF Mono", "Menlo")}


def pair(name: str) -> tuple[str, str]:
    """(light, dark) for CustomTkinter's options."""
    return PALETTE[name]


class Theme:
    """The look of one window: named fonts, the current mode, and the plain widgets that follow it."""

    def __init__(self, root: ctk.CTk) -> None:
        self.root = root
        self._followers: dict[str, Callable[[], Any]] = {}
        self.fonts: dict[str, tkfont.Font] = {}
        families = set(tkfont.families(root))
        self.family = _first(
            families,
            (*_FAMILIES.get(sys.platform, ()), "Inter", "Noto Sans", "Cantarell", "Ubuntu", "Roboto", "DejaVu Sans"),
        )
        self.mono = _first(
            families, (*_MONO.get(sys.platform, ()), "JetBrains Mono", "Noto Sans Mono", "DejaVu Sans Mono")
        )
        for role, (size, weight) in TYPE.items():
            self.fonts[role] = tkfont.Font(
                root,
                name=f"panel_{role}",
                size=-size,
                weight=weight,  # type: ignore[arg-type]
                family=self.mono if role == "mono" else self.family,
            )
        # A focus ring is for those who move by keyboard; a click needs none.
        self.is_by_keyboard = False
        # Tab has bindings of its own, and Tk runs only the most particular one of a tag.
        for sequence in ("<KeyPress>", "<<NextWindow>>", "<<PrevWindow>>"):
            root.bind_all(sequence, lambda _: self._input(True), add="+")
        root.bind_all("<ButtonPress>", lambda _: self._input(False), add="+")
        AppearanceModeTracker.add(self._mode_changed)
        ScalingTracker.add_widget(self._scale_changed, root)
        self._scale_changed(ScalingTracker.get_widget_scaling(root), 1.0)

    @property
    def is_dark(self) -> bool:
        """Whether the dark colours are in use."""
        return bool(AppearanceModeTracker.get_mode() == 1)

    @property
    def scale(self) -> float:
        """Device pixels per design pixel."""
        return float(ScalingTracker.get_widget_scaling(self.root))

    def px(self, value: float) -> int:
        """Pixels of this screen for a length of the design (1 at 96 dots per inch)."""
        return round(value * self.scale)

    def now(self, name: str) -> str:
        """The colour in the current mode, for plain Tk."""
        return PALETTE[name][1 if self.is_dark else 0]

    def ctk_font(self, role: str) -> tuple[str, int, str]:
        """The same face for CustomTkinter, which scales by itself."""
        size, weight = TYPE[role]
        return (self.mono if role == "mono" else self.family, size, weight)

    def follow(self, widget: tk.Misc, repaint: Callable[[], Any]) -> None:
        """Call `repaint` now and on every change of mode, until the widget is destroyed."""
        key = str(widget) + f"#{len(self._followers)}"
        self._followers[key] = repaint
        widget.bind(
            "<Destroy>", lambda event: self._followers.pop(key, None) if event.widget is widget else None, add="+"
        )
        repaint()

    def _input(self, is_by_keyboard: bool) -> None:
        self.is_by_keyboard = is_by_keyboard

    def _mode_changed(self, _mode: str) -> None:
        for repaint in list(self._followers.values()):
            repaint()

    def _scale_changed(self, widget_scale: float, _window_scale: float) -> None:
        for role, (size, _) in TYPE.items():
            self.fonts[role].configure(size=-round(size * widget_scale))


def _first(known: set[str], wanted: tuple[str, ...]) -> str:
    return next((name for name in wanted if name in known), "TkDefaultFont")


def prepare_toolkit(mode: str) -> None:
    """Before the first window: the mode, and CustomTkinter's polling turned down (it asks every 30 ms)."""
    icons.image.cache_clear()  # pictures of an earlier window cannot be shown in this one
    scale = desktop_scale(sys.platform, os.environ)
    if scale != 1.0:
        ctk.set_widget_scaling(scale)
        ctk.set_window_scaling(scale)
    ctk.set_appearance_mode(mode)
    AppearanceModeTracker.update_loop_interval = 3_600_000
    ScalingTracker.update_loop_interval = 2_000
    theme = ctk.ThemeManager.theme
    theme["CTk"]["fg_color"] = list(pair("window"))
    theme["CTkToplevel"]["fg_color"] = list(pair("window"))
    theme["CTkScrollbar"]["button_color"] = list(pair("track"))
    theme["CTkScrollbar"]["button_hover_color"] = list(pair("faint"))
    theme["DropdownMenu"].update(
        fg_color=list(pair("card")), hover_color=list(pair("hover")), text_color=list(pair("text"))
    )


def desktop_scale(platform: str, environment: Mapping[str, str]) -> float:
    """How much larger the desktop wants things. Windows and macOS tell CustomTkinter themselves; on Linux the
    variables other toolkits obey are taken."""
    if not platform.startswith("linux"):
        return 1.0
    for name in ("GDK_SCALE", "QT_SCALE_FACTOR"):
        try:
            scale = float(environment.get(name, ""))
        except ValueError:
            continue
        if 1.0 <= scale <= 4.0:
            return scale
    return 1.0


def surface_of(widget: Any) -> str:
    """The palette name of what lies behind a widget: the nearest ancestor that says so."""
    current = widget
    while current is not None:
        name = getattr(current, "surface", None)
        if name:
            return str(name)
        current = getattr(current, "master", None)
    return "window"


def theme_of(widget: tk.Misc) -> Theme:
    """The theme of the window a widget is in (set on the root once, by the app)."""
    theme: Theme = widget.nametowidget(".").theme
    return theme
