"""Short messages below the rooms: they come, say one thing, and go; at most three at a time."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import Any

from gui import texts
from gui.components import icons
from gui.components.basics import RowFrame, Text
from gui.components.button import Button
from gui.components.shapes import Sheet
from gui.components.theme import RADIUS, XL, M, S, theme_of
from gui.presenters.plain import plain

SHOWN_MS = 6_000
SHOWN_BAD_MS = 12_000
SHOWN_UNDO_MS = 10_000
# How long a message waits for the pointer to leave its place, at most ten times.
WAIT_MS, MOST_WAITS = 300, 10
_ICONS = {"good": "check", "bad": "alert", "busy": "alert", "idle": "info", "accent": "info"}


class Toast(Sheet):
    """One message."""

    def __init__(self, root: Any, title: str) -> None:
        super().__init__(root, radius=RADIUS)
        self.words = title
        self.undo: Button | None = None


class Toasts:
    """The stack below the rooms. It has a lane of its own there, so that it never lies on top of a button; while the
    pointer is where the lane will be, it waits a little, so that no click meant for a button lands on it."""

    def __init__(self, root: Any, lane: RowFrame) -> None:
        self._root, self._lane = root, lane
        self._stack: list[Toast] = []
        self._waits = 0
        lane.grid_columnconfigure(0, weight=1)
        lane.grid_remove()

    def show(self, title: str, body: str = "", *, tone: str = "idle", undo: Callable[[], Any] | None = None) -> None:
        """Put a message up; the oldest makes room for a fourth. undo: what its button does, for ten seconds."""
        while len(self._stack) >= 3:
            self._drop(self._stack[0])
        frame = self._frame(plain(title) or title, plain(body), tone)
        if undo is not None:
            self._offer_undo(frame, undo)
        self._stack.append(frame)
        self._waits = 0
        self._arrange()
        stays = SHOWN_BAD_MS if tone == "bad" else SHOWN_UNDO_MS if undo is not None else SHOWN_MS
        frame.after(stays, lambda: self._drop(frame))

    def undo_newest(self) -> bool:
        """Press the newest Undo that is up; False where there is none."""
        button = next((frame.undo for frame in reversed(self._stack) if frame.undo is not None), None)
        if button is not None:
            button.invoke()
        return button is not None

    def _offer_undo(self, frame: Toast, undo: Callable[[], Any]) -> None:
        def press() -> None:
            self._drop(frame)
            undo()

        theme = theme_of(self._root)
        frame.undo = Button(frame, texts.UNDO, press, height=28, tip=texts.UNDO_TIP)
        frame.undo.grid(row=0, column=2, rowspan=2, padx=(0, theme.px(M)), pady=theme.px(S))

    @property
    def titles(self) -> list[str]:
        """What is up now, oldest first."""
        return [frame.words for frame in self._stack]

    def _frame(self, title: str, body: str, tone: str) -> Toast:
        theme = theme_of(self._root)
        frame = Toast(self._lane, title)
        frame.grid_columnconfigure(1, weight=1)
        mark = tk.Label(frame, bd=0)
        theme.follow(
            mark,
            lambda: mark.configure(
                bg=theme.now("card"), image=icons.photo(frame, _ICONS.get(tone, "info"), theme.now(tone), theme.px(18))
            ),
        )
        pad = theme.px(S)
        mark.grid(row=0, column=0, padx=(theme.px(M), pad), pady=pad, sticky="n")
        heading = Text(frame, title, role="strong", wrap=True)
        heading.grid(row=0, column=1, sticky="ew", padx=(0, theme.px(M)), pady=(pad, pad if not body else 0))
        parts: list[tk.Misc] = [frame, frame.back, mark, heading]
        if body:
            text = Text(frame, body, role="small", colour="muted", wrap=True)
            text.grid(row=1, column=1, sticky="ew", padx=(0, theme.px(M)), pady=(0, pad))
            parts.append(text)
        for part in parts:
            part.bind("<Button-1>", lambda _: self._drop(frame))
        return frame

    def _arrange(self) -> None:
        theme = theme_of(self._root)
        if not self._stack:
            self._lane.grid_remove()
            return
        if self._is_pointer_in_the_way() and self._waits < MOST_WAITS:
            self._waits += 1
            self._root.after(WAIT_MS, self._arrange)
            return
        for row, frame in enumerate(self._stack):
            frame.grid(row=row, column=0, sticky="ew", padx=theme.px(XL), pady=(0, theme.px(S)))
        self._lane.grid()

    def _is_pointer_in_the_way(self) -> bool:
        if self._lane.winfo_ismapped():
            return False
        root = self._root
        x, y = root.winfo_pointerx() - root.winfo_rootx(), root.winfo_pointery() - root.winfo_rooty()
        root.update_idletasks()  # a message just made knows its height only now
        height = sum(frame.winfo_reqheight() + theme_of(root).px(S) for frame in self._stack)
        return bool(0 <= x < root.winfo_width() and root.winfo_height() - height <= y < root.winfo_height())

    def _drop(self, frame: Toast) -> None:
        if frame in self._stack:
            self._stack.remove(frame)
            frame.destroy()
            self._arrange()
