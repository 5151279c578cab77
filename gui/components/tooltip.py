"""A few words beside the pointer."""

from __future__ import annotations

import tkinter as tk
from typing import Any

from gui.components.screens import place_within
from gui.components.theme import S, theme_of


class Tooltip:
    """A few words beside the pointer after a short rest; one window for all of them."""

    _window: tk.Toplevel | None = None
    _label: tk.Label | None = None

    def __init__(self, widget: Any, text: str) -> None:
        self._widget, self.text = widget, text
        self._waiting: str | None = None
        widget.bind("<Enter>", self._wait, add="+")
        for sequence in ("<Leave>", "<Button-1>"):
            widget.bind(sequence, self._hide, add="+")

    def _wait(self, _: object) -> None:
        self._hide(None)
        if self.text:
            self._waiting = self._widget.after(450, self._show)

    def _show(self) -> None:
        theme = theme_of(self._widget)
        if Tooltip._window is None or not Tooltip._window.winfo_exists():
            Tooltip._window = tk.Toplevel(theme.root)
            Tooltip._window.withdraw()
            Tooltip._window.overrideredirect(True)
            Tooltip._label = tk.Label(Tooltip._window, bd=0, padx=S, pady=5, justify="left", wraplength=theme.px(300))
            Tooltip._label.pack(padx=1, pady=1)
        assert Tooltip._label is not None
        Tooltip._window.configure(bg=theme.now("border"))
        Tooltip._label.configure(text=self.text, font=theme.fonts["small"], bg=theme.now("card"), fg=theme.now("text"))
        Tooltip._window.update_idletasks()
        below = self._widget.winfo_rooty() + self._widget.winfo_height() + 6
        place_within(Tooltip._window, self._widget.winfo_rootx(), below)
        Tooltip._window.deiconify()
        Tooltip._window.lift()

    def _hide(self, _: object) -> None:
        if self._waiting is not None:
            self._widget.after_cancel(self._waiting)
            self._waiting = None
        if Tooltip._window is not None and Tooltip._window.winfo_exists():
            Tooltip._window.withdraw()
