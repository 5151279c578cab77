"""A page that scrolls when it is taller than the window. One wheel binding serves all pages."""

from __future__ import annotations

import tkinter as tk
from typing import Any

from gui.components.basics import RowFrame
from gui.components.shapes import ThinBar
from gui.components.theme import surface_of, theme_of

WHEEL_PIXELS = 60
BAR_WIDTH = 12


class ScrollArea(tk.Frame):
    """Put children into `inner`; its width follows the area, its height may exceed it.

    CTkScrollableFrame is not used: each one leaves a bind_all behind.
    """

    def __init__(self, master: Any, *, pad: int = 0) -> None:
        super().__init__(master, bd=0, highlightthickness=0)
        self.surface = surface_of(master)
        theme = theme_of(self)
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(0, weight=1)
        self.canvas = tk.Canvas(self, bd=0, highlightthickness=0, yscrollincrement=1, takefocus=0)
        self.canvas.grid(row=0, column=0, sticky="nsew")
        self.bar = ThinBar(self, self._bar_moved)
        # The bar's place is always kept: content that changes its width when the bar comes may never settle.
        self.grid_columnconfigure(1, minsize=theme.px(BAR_WIDTH))
        self.canvas.configure(yscrollcommand=self._scrolled)
        self.inner = RowFrame(self.canvas, self.surface)
        self._item = self.canvas.create_window(theme.px(pad), 0, window=self.inner, anchor="nw")
        self._pad = theme.px(pad)
        self._bar_shown = False
        right = max(self._pad - theme.px(BAR_WIDTH), 0)
        self.canvas.bind(
            "<Configure>", lambda event: self.canvas.itemconfigure(self._item, width=event.width - self._pad - right)
        )
        self.inner.bind(
            "<Configure>",
            lambda event: self.canvas.configure(scrollregion=(0, 0, event.width + self._pad, event.height)),
        )
        theme.follow(self, self._paint)

    def scroll_by(self, pixels: int) -> bool:
        """Move; False when it is already at that end."""
        before = self.canvas.canvasy(0)
        if self.inner.winfo_height() > self.canvas.winfo_height():
            self.canvas.yview_scroll(pixels, "units")
        return bool(self.canvas.canvasy(0) != before)

    def to_top(self) -> None:
        self.canvas.yview_moveto(0)

    def reveal(self, widget: tk.Misc) -> None:
        """Bring a widget that got the focus into view."""
        top = widget.winfo_rooty() - self.inner.winfo_rooty()
        bottom, seen = top + widget.winfo_height(), self.canvas.canvasy(0)
        height = self.canvas.winfo_height()
        if top < seen:
            self.canvas.yview_scroll(int(top - seen) - 20, "units")
        elif bottom > seen + height:
            self.canvas.yview_scroll(int(bottom - seen - height) + 20, "units")

    def _bar_moved(self, *arguments: Any) -> None:
        self.canvas.yview(*arguments)

    def _scrolled(self, first: float, last: float) -> None:
        self.bar.set(first, last)
        is_needed = self.bar.is_needed
        if is_needed != self._bar_shown:
            self._bar_shown = is_needed
            if is_needed:
                self.bar.grid(row=0, column=1, sticky="ns")
            else:
                self.bar.grid_remove()

    def _paint(self) -> None:
        colour = theme_of(self).now(self.surface)
        self.configure(bg=colour)
        self.canvas.configure(bg=colour)


def install_wheel(root: tk.Tk) -> None:
    """Send the wheel to the innermost scrolling thing under the pointer that can still move."""

    def turned(event: tk.Event[tk.Misc]) -> None:
        if event.num in (4, 5):
            pixels = -WHEEL_PIXELS if event.num == 4 else WHEEL_PIXELS
        else:
            pixels = round(-event.delta / 120 * WHEEL_PIXELS) or (-1 if event.delta > 0 else 1) * WHEEL_PIXELS
        widget: Any = event.widget
        while widget is not None and not isinstance(widget, str):
            if isinstance(widget, tk.Text):
                return  # scrolls by itself
            scroll = getattr(widget, "scroll_by", None)
            if scroll is not None and scroll(pixels):
                return
            widget = getattr(widget, "master", None)

    for sequence in ("<MouseWheel>", "<Button-4>", "<Button-5>"):
        root.bind_all(sequence, turned, add="+")


def install_focus_reveal(root: tk.Tk) -> None:
    """Whatever Tab reaches is scrolled into view."""

    def focused(event: tk.Event[tk.Misc]) -> None:
        widget: Any = event.widget
        while widget is not None and not isinstance(widget, str):
            if isinstance(widget, ScrollArea) and isinstance(event.widget, tk.Misc):
                if event.widget is not widget.canvas:
                    widget.reveal(event.widget)
                return
            widget = getattr(widget, "master", None)

    root.bind_all("<FocusIn>", focused, add="+")
