"""Short messages in the corner: they come, say one thing, and go; at most three at a time."""

from __future__ import annotations

import tkinter as tk
from typing import Any

from gui.components import icons
from gui.components.basics import Text
from gui.components.shapes import Sheet
from gui.components.theme import RADIUS, L, M, S, theme_of

SHOWN_MS = 6_000
SHOWN_BAD_MS = 12_000
WIDTH = 320
_ICONS = {"good": "check", "bad": "alert", "busy": "alert", "idle": "info", "accent": "info"}


class Toast(Sheet):
    """One message."""

    def __init__(self, root: Any, title: str) -> None:
        super().__init__(root, radius=RADIUS)
        self.words = title


class Toasts:
    """The stack in the lower right corner of one window."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._stack: list[Toast] = []

    def show(self, title: str, body: str = "", *, tone: str = "idle") -> None:
        """Put a message up; the oldest makes room for a fourth."""
        while len(self._stack) >= 3:
            self._drop(self._stack[0])
        frame = self._frame(title, body, tone)
        self._stack.append(frame)
        self._arrange()
        frame.after(SHOWN_BAD_MS if tone == "bad" else SHOWN_MS, lambda: self._drop(frame))

    @property
    def titles(self) -> list[str]:
        """What is up now, oldest first."""
        return [frame.words for frame in self._stack]

    def _frame(self, title: str, body: str, tone: str) -> Toast:
        theme = theme_of(self._root)
        frame = Toast(self._root, title)
        frame.grid_columnconfigure(1, weight=1)
        mark = tk.Label(frame, bd=0)
        theme.follow(
            mark,
            lambda: mark.configure(
                bg=theme.now("card"), image=icons.photo(frame, _ICONS.get(tone, "info"), theme.now(tone), theme.px(18))
            ),
        )
        mark.grid(row=0, column=0, padx=(M, S), pady=(M, M if not body else 2), sticky="n")
        heading = Text(frame, title, role="strong")
        heading.configure(wraplength=theme.px(WIDTH - 70))
        heading.grid(row=0, column=1, sticky="w", padx=(0, M), pady=(M, M if not body else 2))
        parts: list[tk.Misc] = [frame, mark, heading]
        if body:
            text = Text(frame, body, role="small", colour="muted")
            text.configure(wraplength=theme.px(WIDTH - 70))
            text.grid(row=1, column=1, sticky="w", padx=(0, M), pady=(0, M))
            parts.append(text)
        for part in parts:
            part.bind("<Button-1>", lambda _: self._drop(frame))
        return frame

    def _arrange(self) -> None:
        theme = theme_of(self._root)
        bottom = -theme.px(L)
        for frame in reversed(self._stack):
            frame.update_idletasks()
            height = frame.winfo_reqheight()
            frame.place(relx=1.0, rely=1.0, x=-theme.px(L), y=bottom, anchor="se")
            tk.Misc.lift(frame)
            bottom -= height + theme.px(S)

    def _drop(self, frame: Toast) -> None:
        if frame in self._stack:
            self._stack.remove(frame)
            frame.destroy()
            self._arrange()
