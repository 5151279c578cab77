"""Questions: one small window made once, shown when needed. Escape is the first (safe) answer, Enter the last."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gui.components.basics import Row, Text
from gui.components.button import Button
from gui.components.theme import XL, L, S, theme_of

Answer = tuple[str, str, Callable[[], Any] | None]


class Dialog:
    """`ask(title, text, answers)`; an answer is (words, kind of button, what to do)."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._window: tk.Toplevel | None = None
        self._buttons: list[Button] = []
        self._answers: list[Answer] = []

    def ask(self, title: str, text: str, answers: Sequence[Answer]) -> None:
        """Show the question; the first answer is what closing the window means."""
        window = self._window or self._make()
        theme = theme_of(self._root)
        window.title(title)
        window.configure(bg=theme.now("card"))
        self._title.show(title)
        self._text.show(text)
        self._text.configure(wraplength=theme.px(380))
        for button in self._buttons:
            button.destroy()
        self._answers = list(answers)
        self._buttons = []
        for column, (words, kind, action) in enumerate(answers):
            button = Button(self._row, words, partial(self._close, action), kind=kind)
            button.grid(row=0, column=column + 1, padx=(S, 0))
            self._buttons.append(button)
        window.update_idletasks()
        x = self._root.winfo_rootx() + (self._root.winfo_width() - window.winfo_reqwidth()) // 2
        y = self._root.winfo_rooty() + (self._root.winfo_height() - window.winfo_reqheight()) // 3
        window.geometry(f"+{max(x, 0)}+{max(y, 0)}")
        window.deiconify()
        window.lift()
        window.wait_visibility()
        window.grab_set()
        self._buttons[-1].focus_set()

    @property
    def is_open(self) -> bool:
        return self._window is not None and bool(self._window.winfo_viewable())

    def _make(self) -> tk.Toplevel:
        theme = theme_of(self._root)
        window = tk.Toplevel(self._root)
        window.withdraw()
        window.transient(self._root)
        window.resizable(False, False)
        window.surface = "card"  # type: ignore[attr-defined]
        window.protocol("WM_DELETE_WINDOW", self._first)
        window.bind("<Escape>", lambda _: self._first())
        window.grid_columnconfigure(0, weight=1)
        self._title = Text(window, role="heading")
        self._title.grid(row=0, column=0, sticky="w", padx=theme.px(XL), pady=(theme.px(20), theme.px(S)))
        self._text = Text(window, colour="muted")
        self._text.grid(row=1, column=0, sticky="w", padx=theme.px(XL))
        self._row = Row(window, "card")
        self._row.grid(row=2, column=0, sticky="ew", padx=theme.px(L), pady=theme.px(20))
        self._row.grid_columnconfigure(0, weight=1, minsize=theme.px(120))
        self._window = window
        return window

    def _first(self) -> None:
        self._close(self._answers[0][2] if self._answers else None)

    def _close(self, action: Callable[[], Any] | None) -> None:
        assert self._window is not None
        self._window.grab_release()
        self._window.withdraw()
        if action is not None:
            self._root.after(1, action)
