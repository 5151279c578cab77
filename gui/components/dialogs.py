"""Questions: one small window made once, shown when needed. Escape is the first (safe) answer, Enter the primary one,
or the first where none is primary. What cannot be taken back is never primary: it needs a pointer, or a Tab.

One at a time: a question that comes while another is open, or while the window is in the tray, waits. Nothing here
blocks the window's loop: on Windows a question of a hidden window is never drawn, so waiting for it would be for ever.
"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.screens import place_within
from gui.components.theme import XL, L, S, theme_of
from storage.system.desktop import colour_title_bar

Answer = tuple[str, str, Callable[[], Any] | None]


GRAB_MS = 20


@dataclass(frozen=True)
class Question:
    """What is asked, and its answers."""

    title: str
    text: str
    answers: tuple[Answer, ...]


class Dialog:
    """`ask(title, text, answers)`; an answer is (words, kind of button, what to do)."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._window: tk.Toplevel | None = None
        self._buttons: list[Button] = []
        self._asked: Question | None = None
        self._waiting: list[Question] = []
        root.bind("<Map>", self._root_came_back, add="+")

    def ask(self, title: str, text: str, answers: Sequence[Answer]) -> None:
        """Show the question, now or when it can be; the first answer is what closing the window means."""
        question = Question(title, text, tuple(answers))
        if any((other.title, other.text) == (title, text) for other in (self._asked, *self._waiting) if other):
            return  # asked twice, say from the tray's menu
        if self._asked is not None or self._root.state() in ("withdrawn", "iconic"):
            self._waiting.append(question)
        else:
            self._show(question)

    def _root_came_back(self, event: Any) -> None:
        if event.widget is self._root:
            self._root.after(1, self._show_next)

    def _show_next(self) -> None:
        if self._asked is None and self._waiting and self._root.state() not in ("withdrawn", "iconic"):
            self._show(self._waiting.pop(0))

    def _show(self, question: Question) -> None:
        self._asked = question
        title, text, answers = question.title, question.text, question.answers
        window = self._window or self._make()
        theme = theme_of(self._root)
        window.title(title)
        # An edge of its own: a system without title bars would show it as part of the page.
        edge = theme.now("border")
        window.configure(bg=theme.now("card"), highlightthickness=1, highlightbackground=edge, highlightcolor=edge)
        self._title.show(title)
        self._text.show(text)
        self._text.configure(wraplength=theme.px(380))
        for button in self._buttons:
            button.destroy()
        self._buttons = []
        for column, (words, kind, action) in enumerate(answers):
            button = Button(self._row, words, partial(self._close, action), kind=kind)
            button.grid(row=0, column=column + 1, padx=(S, 0))
            self._buttons.append(button)
        window.update_idletasks()
        x = self._root.winfo_rootx() + (self._root.winfo_width() - window.winfo_reqwidth()) // 2
        y = self._root.winfo_rooty() + (self._root.winfo_height() - window.winfo_reqheight()) // 3
        place_within(window, x, y)
        colour_title_bar(window.winfo_id(), is_dark=theme.is_dark)
        window.deiconify()
        window.lift()
        self._take_focus(question)

    def _take_focus(self, question: Question) -> None:
        """As soon as the window is drawn; before, the system refuses it."""
        if self._window is None or self._asked is not question:
            return
        if not self._window.winfo_viewable():
            self._root.after(GRAB_MS, lambda: self._take_focus(question))
            return
        self._window.grab_set()
        ready = next((button for button in self._buttons if button.kind == "primary"), self._buttons[0])
        ready.focus_set()

    @property
    def is_open(self) -> bool:
        """Whether a question is on the screen."""
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
        self._row = RowFrame(window, "card")
        self._row.grid(row=2, column=0, sticky="ew", padx=theme.px(L), pady=theme.px(20))
        self._row.grid_columnconfigure(0, weight=1, minsize=theme.px(120))
        self._window = window
        return window

    def _first(self) -> None:
        self._close(self._asked.answers[0][2] if self._asked and self._asked.answers else None)

    def _close(self, action: Callable[[], Any] | None) -> None:
        assert self._window is not None
        self._window.grab_release()
        self._window.withdraw()
        self._asked = None
        self._root.after(1, partial(self._act, action))

    def _act(self, action: Callable[[], Any] | None) -> None:
        try:
            if action is not None:
                action()
        finally:
            with suppress(tk.TclError):  # the answer may have been to leave: there is no window any more
                self._show_next()
