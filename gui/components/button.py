"""The button, and how each kind of it looks."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gui.components import icons
from gui.components.shapes import draw_box
from gui.components.theme import CONTROL_HEIGHT, S, Theme, surface_of, theme_of
from gui.components.tooltip import Tooltip


@dataclass(frozen=True, slots=True)
class Look:
    """Palette names of a button's parts; '' is the ground it stands on."""

    fill: str
    hover: str
    ink: str
    border: str


LOOKS = {
    "primary": Look("accent", "accent_hover", "on_accent", "accent"),
    "secondary": Look("card", "hover", "text", "border"),
    "quiet": Look("", "hover", "muted", ""),
    "danger": Look("card", "bad_soft", "bad", "border"),
    "active": Look("accent_soft", "accent_soft", "accent_text", "accent_soft"),
}


class Button(tk.Canvas):
    """A button that takes part in the tab order, with a focus ring; Enter and Space press it."""

    RADIUS, INSET, ICON = 8, 10, 16

    def __init__(
        self,
        master: Any,
        text: str,
        command: Callable[[], Any] | None = None,
        *,
        kind: str = "secondary",
        icon: str = "",
        trailing: str = "",
        width: int = 0,
        height: int = CONTROL_HEIGHT,
        anchor: str = "center",
        tip: str = "",
        role: str = "body",
    ) -> None:
        self.surface = surface_of(master)
        theme = theme_of(master)
        super().__init__(master, bd=0, highlightthickness=0, takefocus=1, height=theme.px(height), width=10)
        self.text, self.kind, self._icon, self._trailing, self._anchor = text, kind, icon, trailing, anchor
        self._command, self._role, self._least = command, role, width or (0 if text else height)
        self._is_hot = self._is_down = self._has_focus = self._is_emphasised = False
        # Whether the last press was a pointer's.
        self.is_by_pointer = False
        self._size = (0, 0)
        for sequence, call in (
            ("<Enter>", lambda _: self._set(hot=True)),
            ("<Leave>", lambda _: self._set(hot=False)),
            ("<Button-1>", lambda _: self._set(down=True)),
            ("<ButtonRelease-1>", self._released),
            ("<FocusIn>", lambda _: self._set(focus=theme.is_by_keyboard)),
            ("<FocusOut>", lambda _: self._set(focus=False)),
            ("<Configure>", self._resized),
        ):
            self.bind(sequence, call, add="+")
        for key in ("<Return>", "<KP_Enter>", "<space>"):
            self.bind(key, self._key_pressed, add="+")
        self._fit()
        theme.follow(self, self._paint)
        if tip:
            Tooltip(self, tip)

    # ---- what others may change --------------------------------------------------------------------

    @property
    def is_enabled(self) -> bool:
        """Whether it can be pressed."""
        return str(super().cget("state")) != "disabled"

    def set_enabled(self, is_enabled: bool) -> None:
        """Make it pressable or not; a disabled button is also left out by the Tab key."""
        if is_enabled != self.is_enabled:
            self.configure(state="normal" if is_enabled else "disabled", takefocus=is_enabled)
            self._paint()

    def set_shown(self, is_shown: bool) -> None:
        """Take it out of its grid, or put it back in its place."""
        (self.grid if is_shown else self.grid_remove)()

    def show(self, text: str) -> None:
        """Change its words; the width follows."""
        if text != self.text:
            self.text = text
            self._fit()
            self._paint()

    def set_icon(self, icon: str) -> None:
        """Change its picture, by its name in the assets."""
        if icon != self._icon:
            self._icon = icon
            self._paint()

    def set_kind(self, kind: str) -> None:
        """Another look: primary, secondary, quiet, danger or active."""
        if kind != self.kind:
            self.kind = kind
            self._paint()

    def set_emphasis(self, is_on: bool) -> None:
        """A border in the accent: this one is next."""
        if is_on != self._is_emphasised:
            self._is_emphasised = is_on
            self._paint()

    def set_command(self, command: Callable[[], Any] | None) -> None:
        """Change what a press does; None: nothing."""
        self._command = command

    def invoke(self) -> None:
        """What a press, Return and the space bar do; nothing while it is disabled."""
        if self.is_enabled and self._command is not None:
            self._command()

    def cget(self, key: str) -> Any:
        """Tk asks by this name; the words are painted by the button itself, so Tk would not know them."""
        return self.text if key == "text" else super().cget(key)

    # ---- hands and drawing -------------------------------------------------------------------------

    def _set(self, *, hot: bool | None = None, down: bool | None = None, focus: bool | None = None) -> None:
        self._is_hot = self._is_hot if hot is None else hot
        self._is_down = self._is_down if down is None else down
        self._has_focus = self._has_focus if focus is None else focus
        self._paint()

    def _released(self, event: tk.Event[tk.Misc]) -> None:
        was_down, self._is_down = self._is_down, False
        self.is_by_pointer = True
        if was_down and 0 <= event.x < self.winfo_width() and 0 <= event.y < self.winfo_height():
            self.invoke()
        if self.winfo_exists():
            self._paint()

    def _key_pressed(self, _: object) -> str:
        self.is_by_pointer = False
        self.invoke()
        return "break"

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if (event.width, event.height) != self._size:
            self._size = (event.width, event.height)
            self._paint()

    def _fit(self) -> None:
        """Ask for as much width as the words and pictures need."""
        theme = theme_of(self)
        wide = theme.fonts[self._role].measure(self.text) if self.text else 0
        wide += theme.px(self.ICON) * (bool(self._icon) + bool(self._trailing))
        wide += theme.px(S) * max(bool(self._icon) + bool(self._trailing) + bool(self.text) - 1, 0)
        wanted = max(wide + 2 * theme.px(self.INSET if self.text else 6), theme.px(self._least))
        if wanted != int(str(super().cget("width"))):
            self.configure(width=wanted)

    def _colours(self) -> tuple[str, str, str]:
        theme, look = theme_of(self), LOOKS[self.kind]
        ground = theme.now(self.surface)
        if not self.is_enabled:
            solid = self.kind == "primary"
            return (
                theme.now("hover") if solid else ground if not look.fill else theme.now(look.fill),
                theme.now("disabled"),
                theme.now(look.border if not solid else "border") if look.border else "",
            )
        fill = look.hover if self._is_hot else look.fill
        border = "accent" if self._has_focus or self._is_emphasised else look.border
        return theme.now(fill) if fill else ground, theme.now(look.ink), theme.now(border) if border else ""

    def _paint(self) -> None:
        theme, (width, height) = theme_of(self), self._size
        fill, ink, border = self._colours()
        self.configure(bg=theme.now(self.surface))
        self.delete("ink")
        if width < 8:
            return
        line = 2 if self._has_focus and self.is_enabled else 1
        draw_box(
            self,
            width,
            height,
            radius=theme.px(self.RADIUS),
            fill=fill,
            ground=theme.now(self.surface),
            border=border,
            line=theme.px(line),
        )
        self._draw_content(theme, ink, width, height)

    def _draw_content(self, theme: Theme, ink: str, width: int, height: int) -> None:
        font, icon, gap = theme.fonts[self._role], theme.px(self.ICON), theme.px(S)
        shift = 1 if self._is_down and self.is_enabled else 0
        y, words = height // 2 + shift, font.measure(self.text) if self.text else 0
        total = words + (icon if self._icon else 0) + (gap if self._icon and self.text else 0)
        x = theme.px(self.INSET) if self._anchor == "w" else (width - total) // 2
        if self._icon:
            picture = icons.photo(self, self._icon, ink, icon)
            self.create_image(x + icon // 2, y, image=picture, tags="ink")
            x += icon + gap
        if self.text:
            self.create_text(x, y, text=self.text, anchor="w", fill=ink, font=font, tags="ink")
        if self._trailing:
            picture = icons.photo(self, self._trailing, theme.now("muted" if self.is_enabled else "disabled"), icon)
            self.create_image(width - theme.px(self.INSET) - icon // 2 + 2, y, image=picture, tags="ink")
