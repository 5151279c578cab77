"""One of a few: a menu behind a button, or words side by side."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gui.components.basics import RowFrame
from gui.components.button import Button
from gui.components.theme import XS, theme_of


class Choice(Button):
    """One of a few words: a button with a chevron that opens a menu; arrow keys step through."""

    def __init__(
        self,
        master: Any,
        values: Sequence[str],
        command: Callable[[str], Any],
        *,
        value: str = "",
        width: int = 140,
        labels: dict[str, str] | None = None,
    ) -> None:
        self._values, self._labels, self._tell = list(values), labels or {}, command
        self.value = value or (self._values[0] if self._values else "")
        super().__init__(master, self._label(self.value), self._open, trailing="chevron", width=width, anchor="w")
        self.menu: tk.Menu | None = None
        for key, step in (("<Down>", 1), ("<Up>", -1)):
            self.bind(key, partial(self._key_moved, step))

    def set_values(self, values: Sequence[str], labels: dict[str, str] | None = None) -> None:
        """Change what can be chosen, and the words each value is shown with."""
        self._values, self._labels = list(values), labels or self._labels
        self.show(self._label(self.value))

    def set_value(self, value: str) -> None:
        """Show another value without calling the command."""
        if value != self.value:
            self.value = value
            self.show(self._label(value))

    def _label(self, value: str) -> str:
        return self._labels.get(value, value)

    def _open(self) -> None:
        theme = theme_of(self)
        if self.menu is not None:
            self.menu.destroy()
        self.menu = popup_menu(self, theme)
        for value in self._values:
            mark = "✓  " if value == self.value else "     "
            self.menu.add_command(label=mark + self._label(value), command=partial(self._pick, value))
        self.menu.tk_popup(self.winfo_rootx(), self.winfo_rooty() + self.winfo_height() + 2)

    def _key_moved(self, step: int, _: object) -> str:
        if self.value in self._values:
            at = min(max(self._values.index(self.value) + step, 0), len(self._values) - 1)
            self._pick(self._values[at])
        return "break"

    def _pick(self, value: str) -> None:
        if value != self.value:
            self.set_value(value)
            self._tell(value)


class Segments(RowFrame):
    """A few words side by side, one of them chosen; arrow keys move the choice."""

    def __init__(self, master: Any, labels: dict[str, str], command: Callable[[str], Any], *, width: int = 84) -> None:
        super().__init__(master)
        self._tell = command
        self.value = next(iter(labels))
        self.parts: dict[str, Button] = {}
        for column, (value, words) in enumerate(labels.items()):
            part = Button(self, words, partial(self.pick, value), kind="quiet", width=width, height=32)
            part.grid(row=0, column=column, padx=(0, XS))
            for key, step in (("<Left>", -1), ("<Right>", 1)):
                part.bind(key, partial(self._move, step))
            self.parts[value] = part
        self._paint()

    def set_value(self, value: str) -> None:
        """Show another one as chosen without telling."""
        if value != self.value:
            self.value = value
            self._paint()

    def pick(self, value: str) -> None:
        """Choose one and tell."""
        if value != self.value:
            self.value = value
            self._paint()
            self._tell(value)

    def _move(self, step: int, _: object) -> str:
        values = list(self.parts)
        self.pick(values[(values.index(self.value) + step) % len(values)])
        self.parts[self.value].focus_set()
        return "break"

    def _paint(self) -> None:
        for value, part in self.parts.items():
            part.set_kind("active" if value == self.value else "quiet")


def popup_menu(master: Any, theme: Any) -> tk.Menu:
    """An empty menu in the colours of the window."""
    return tk.Menu(
        master,
        tearoff=False,
        font=theme.fonts["body"],
        bg=theme.now("card"),
        fg=theme.now("text"),
        activebackground=theme.now("accent_soft"),
        activeforeground=theme.now("text"),
        bd=1,
        activeborderwidth=5,
        relief="flat",
        disabledforeground=theme.now("disabled"),
    )
