"""Switch, slider and field. All of them can be reached and used by keyboard."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from typing import Any

import customtkinter as ctk

from gui.components import icons
from gui.components.basics import RowFrame, Text
from gui.components.theme import CONTROL_HEIGHT, S, pair, surface_of, theme_of


class Switch(RowFrame):
    """On or off, with words beside it. `command` gets the new value; `set_value` changes it without calling."""

    WIDTH, HEIGHT = 38, 22

    def __init__(
        self, master: Any, text: str = "", command: Callable[[bool], Any] | None = None, *, value: bool = False
    ) -> None:
        super().__init__(master)
        self._tell, self.value, self._is_enabled, self._has_focus = command, value, True, False
        self._picture = tk.Label(self, bd=0, takefocus=1, highlightthickness=0, padx=0, pady=0)
        self._picture.grid(row=0, column=0)
        parts: list[tk.Misc] = [self._picture]
        if text:
            self._words = Text(self, text)
            self._words.grid(row=0, column=1, padx=(S, 0))
            parts.append(self._words)
        for part in parts:
            part.bind("<ButtonRelease-1>", lambda _: self.toggle(), add="+")
        for key in ("<space>", "<Return>", "<KP_Enter>"):
            self._picture.bind(key, lambda _: self.toggle())
        self._picture.bind("<FocusIn>", lambda _: self._ring(True), add="+")
        self._picture.bind("<FocusOut>", lambda _: self._ring(False), add="+")
        theme_of(self).follow(self._picture, self._paint)

    def toggle(self) -> str:
        """Called by a click, Return or the space bar; tells whoever asked to know."""
        if self._is_enabled:
            self.value = not self.value
            self._paint()
            if self._tell is not None:
                self._tell(self.value)
        return "break"

    def set_value(self, value: bool) -> None:
        """Show a value without telling anybody."""
        if self.value != value:
            self.value = value
            self._paint()

    def set_enabled(self, is_enabled: bool) -> None:
        """Make it usable or not; a disabled switch is also left out by the Tab key."""
        if self._is_enabled != is_enabled:
            self._is_enabled = is_enabled
            self._picture.configure(takefocus=is_enabled)
            self._paint()

    def _ring(self, has_focus: bool) -> None:
        self._has_focus = has_focus and theme_of(self).is_by_keyboard
        self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self._picture.configure(
            bg=theme.now(self.surface),
            image=icons.switch(
                self,
                is_on=self.value,
                is_enabled=self._is_enabled,
                track=theme.now("accent" if self.value else "track"),
                knob=theme.now("switch_knob"),
                ground=theme.now(self.surface),
                width=theme.px(self.WIDTH),
                height=theme.px(self.HEIGHT),
                ring=theme.now("accent") if self._has_focus else "",
            ),
        )


class Slider(ctk.CTkSlider):
    """A value on a line. Arrow keys move it; the wheel does not (it would steal scrolling)."""

    def __init__(self, master: Any, *, low: float, high: float, steps: int, command: Callable[[float], Any]) -> None:
        super().__init__(
            master,
            from_=low,
            to=high,
            number_of_steps=steps,
            command=command,
            height=18,
            width=120,
            border_width=6,
            fg_color=pair("track"),
            progress_color=pair("accent"),
            button_color=pair("accent"),
            button_hover_color=pair("accent_hover"),
            bg_color=pair(surface_of(master)),
            scroll_step=0,
        )
        self._step = (high - low) / steps
        canvas = self._canvas
        for sequence in ("<Button-4>", "<Button-5>", "<MouseWheel>"):
            canvas.unbind(sequence)
        canvas.configure(takefocus=1)
        for keys, direction in (("<Left>", -1), ("<Down>", -1), ("<Right>", 1), ("<Up>", 1)):
            canvas.bind(keys, partial(self._nudge, direction))
        for keys, direction in (("<Prior>", 10), ("<Next>", -10)):
            canvas.bind(keys, partial(self._nudge, direction))
        canvas.bind("<FocusIn>", lambda _: self.configure(button_color=pair("accent_hover"), border_width=5), add="+")
        canvas.bind("<FocusOut>", lambda _: self.configure(button_color=pair("accent"), border_width=6), add="+")
        canvas.bind("<Button-1>", lambda _: canvas.focus_set(), add="+")

    def _nudge(self, steps: int, _: object) -> str:
        value = min(max(self.get() + steps * self._step, self.cget("from_")), self.cget("to"))
        self.set(value)
        if self._command is not None:
            self._command(self.get())
        return "break"


class Field(ctk.CTkEntry):
    """One line of input; the border says whether it has the focus or holds something that cannot be."""

    def __init__(
        self,
        master: Any,
        *,
        placeholder: str = "",
        width: int = 180,
        secret: bool = False,
        mono: bool = False,
        height: int = CONTROL_HEIGHT,
    ) -> None:
        theme = theme_of(master)
        super().__init__(
            master,
            width=width,
            height=height,
            corner_radius=8,
            border_width=1,
            fg_color=pair("field"),
            border_color=pair("border"),
            text_color=pair("text"),
            placeholder_text=placeholder or None,
            placeholder_text_color=pair("faint"),
            font=theme.ctk_font("mono" if mono else "body"),
            show="•" if secret else "",
            bg_color=pair(surface_of(master)),
        )
        self._is_wrong = False
        self._entry.bind("<FocusIn>", lambda _: self._border("accent"), add="+")
        self._entry.bind("<FocusOut>", lambda _: self._border("border"), add="+")
        self._entry.bind("<Control-a>", self._select_all)

    def set_text(self, text: str) -> None:
        """Replace the content, unless it is the same."""
        if self.get() != text:
            self.delete(0, "end")
            if text:
                self.insert(0, text)

    def set_wrong(self, is_wrong: bool) -> None:
        """Mark what was typed as refused, or take the mark away."""
        self._is_wrong = is_wrong
        self._border("accent" if self._entry.focus_get() is self._entry else "border")

    def _border(self, name: str) -> None:
        self.configure(border_color=pair("bad" if self._is_wrong else name))

    def select_all(self) -> None:
        """Mark all of the text, for the next key to replace."""
        self._entry.select_range(0, "end")

    def _select_all(self, _: object) -> str:
        self.select_all()
        return "break"
