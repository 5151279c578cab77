"""What every room is made of: a ground, a card, words, a hairline."""

from __future__ import annotations

import tkinter as tk
from typing import Any

from gui.components.shapes import Sheet
from gui.components.theme import S, surface_of, theme_of


class RowFrame(tk.Frame):
    """A plain, cheap container in the colour of what lies behind it."""

    def __init__(self, master: Any, surface: str | None = None) -> None:
        super().__init__(master, bd=0, highlightthickness=0)
        self.surface = surface or surface_of(master)
        theme = theme_of(self)
        theme.follow(self, lambda: self.configure(bg=theme.now(self.surface)))


class Card(Sheet):
    """A rounded sheet with a thin border; children are placed in `body`, below an optional heading."""

    def __init__(self, master: Any, title: str = "", *, hint: str = "", surface: str = "card", pad: int = 16) -> None:
        super().__init__(master, fill=surface)
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        theme = theme_of(self)
        pad, edge, gap = theme.px(pad), theme.px(pad - 2), theme.px(S)
        self.header: RowFrame | None = None
        if title:
            self.header = RowFrame(self)
            self.header.grid(row=0, column=0, sticky="ew", padx=pad, pady=(edge, 0))
            self.header.grid_columnconfigure(1, weight=1)
            self.title = Text(self.header, title, role="heading")
            self.title.grid(row=0, column=0, sticky="w")
            self.hint = Text(self.header, hint, role="small", colour="faint", anchor="e")
            self.hint.grid(row=0, column=2, sticky="e", padx=(gap, 0))
        self.body = RowFrame(self)
        self.body.grid(row=1, column=0, sticky="nsew", padx=pad, pady=(gap if title else edge, edge))


class Text(tk.Label):
    """Words: a role of the type scale and a colour of the palette. `wrap` follows the width it gets."""

    def __init__(
        self,
        master: Any,
        text: str = "",
        *,
        role: str = "body",
        colour: str = "text",
        wrap: bool = False,
        anchor: Any = "w",
        justify: Any = "left",
        surface: str | None = None,
        **options: Any,
    ) -> None:
        theme = theme_of(master)
        super().__init__(
            master, text=text, font=theme.fonts[role], anchor=anchor, justify=justify, bd=0, padx=0, pady=0, **options
        )
        self._colour = colour
        self._surface = surface or surface_of(master)
        theme.follow(self, self._paint)
        if wrap:
            self.bind("<Configure>", self._wrap, add="+")

    def show(self, text: str, *, colour: str | None = None) -> None:
        """New words and colour; does nothing when both are the same."""
        if self.cget("text") != text:
            self.configure(text=text)
        if colour is not None and colour != self._colour:
            self._colour = colour
            self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self.configure(fg=theme.now(self._colour), bg=theme.now(self._surface))

    def _wrap(self, event: tk.Event[tk.Misc]) -> None:
        if event.width > 40 and abs(int(str(self.cget("wraplength"))) - event.width) > 2:
            self.configure(wraplength=event.width)


class Hairline(tk.Frame):
    """A hairline between two things."""

    def __init__(self, master: Any) -> None:
        super().__init__(master, height=1, bd=0, highlightthickness=0)
        theme = theme_of(master)
        theme.follow(self, lambda: self.configure(bg=theme.now("border")))
