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

    most: the content is no wider than this, 0 for as wide as there is room. keeps_end: where the end is in view it
    stays in view, whatever changes its size. CTkScrollableFrame is not used: each one leaves a bind_all behind.
    """

    def __init__(self, master: Any, *, pad: int = 0, most: int = 0, keeps_end: bool = False) -> None:
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
        self._right, self._most = right, theme.px(most)
        self._keeps_end, self._is_at_end = keeps_end, True
        self.canvas.bind("<Configure>", self._resized)
        self.inner.bind("<Configure>", self._grown)
        theme.follow(self, self._paint)

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        room = event.width - self._pad - self._right
        self.canvas.itemconfigure(self._item, width=min(room, self._most) if self._most else room)
        self._stay()

    def _grown(self, event: tk.Event[tk.Misc]) -> None:
        self.canvas.configure(scrollregion=(0, 0, event.width + self._pad, event.height))
        self._stay()

    def _stay(self) -> None:
        if self._keeps_end and self._is_at_end:
            self.canvas.yview_moveto(1.0)

    def to_end(self) -> None:
        """Go to the end and, with keeps_end, stay there."""
        self._is_at_end = True
        self.inner.update_idletasks()
        self.canvas.configure(scrollregion=(0, 0, 1, self.inner.winfo_reqheight()))
        self.canvas.yview_moveto(1.0)

    def _moved_by_hand(self) -> None:
        self._is_at_end = self.canvas.yview()[1] > 0.98

    def scroll_by(self, pixels: int) -> bool:
        """Move; False when it is already at that end."""
        before = self.canvas.canvasy(0)
        if self.inner.winfo_height() > self.canvas.winfo_height():
            self.canvas.yview_scroll(pixels, "units")
            self._moved_by_hand()
        return bool(self.canvas.canvasy(0) != before)

    def to_top(self) -> None:
        """Scroll to the beginning."""
        self.canvas.yview_moveto(0)
        self._moved_by_hand()

    def reveal(self, widget: tk.Misc) -> None:
        """Bring a widget that got the focus into view."""
        top = widget.winfo_rooty() - self.inner.winfo_rooty()
        bottom, seen = top + widget.winfo_height(), self.canvas.canvasy(0)
        height = self.canvas.winfo_height()
        if top < seen:
            self.canvas.yview_scroll(int(top - seen) - 20, "units")
        elif bottom > seen + height:
            self.canvas.yview_scroll(int(bottom - seen - height) + 20, "units")
        self._moved_by_hand()

    def _bar_moved(self, *arguments: Any) -> None:
        self.canvas.yview(*arguments)
        self._moved_by_hand()

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


def install_focus_reveal(root: Any) -> None:
    """What Tab reaches is scrolled into view. A click moves nothing: what was clicked is in view, and a page that jumps
    under the pointer sends the next click elsewhere. Tk tells every ancestor of a focus too; only its holder counts."""

    def reveal(holder: tk.Misc) -> None:
        # Asked when the event's other bindings have run: only then is it known whether a key or a click brought it.
        if not root.theme.is_by_keyboard or not holder.winfo_exists() or focus_of(root) is not holder:
            return
        widget: Any = holder
        while widget is not None and not isinstance(widget, str):
            if isinstance(widget, ScrollArea):
                if holder is not widget.canvas:
                    widget.reveal(holder)
                return
            widget = getattr(widget, "master", None)

    def focused(event: tk.Event[tk.Misc]) -> None:
        holder = event.widget
        if isinstance(holder, tk.Misc) and focus_of(root) is holder:
            root.after_idle(lambda: reveal(holder))

    root.bind_all("<FocusIn>", focused, add="+")


def focus_of(root: Any) -> Any:
    """The widget with the keyboard's focus; None while it is elsewhere. Tk's own menus have no widget here."""
    try:
        return root.focus_get()
    except KeyError:
        return None
