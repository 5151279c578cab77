"""A span of the day in two fields: typed as people write it, or stepped by keyboard and wheel."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import RowFrame, Text
from gui.components.inputs import Field
from gui.components.theme import S, theme_of
from gui.components.tooltip import Tooltip
from storage.errors import SettingError
from storage.quiet_hours import is_span, read_quiet_hours, step_time

STEP_MINUTES, LONG_STEP_MINUTES = 15, 60
# Where stepping begins in empty fields: the usual night.
NIGHT = ("23:00", "07:00")


class TimeSpan(RowFrame):
    """From, and to. Up and Down go a quarter of an hour, Page Up and Page Down an hour, the wheel as Up and Down
    while a field has the focus. A whole span typed into one field counts as it stands there."""

    def __init__(self, master: Any) -> None:
        super().__init__(master)
        theme = theme_of(self)
        self.start = Field(self, placeholder=texts.TIME_FROM, width=104)
        self.end = Field(self, placeholder=texts.TIME_TO, width=104)
        self.start.grid(row=0, column=0)
        Text(self, "\u2013", colour="muted").grid(row=0, column=1, padx=theme.px(S))
        self.end.grid(row=0, column=2)
        self._typed: Callable[[], Any] = lambda: None
        for field in (self.start, self.end):
            Tooltip(field, texts.TIME_TIP)
            for keys, minutes in (
                ("<Up>", STEP_MINUTES),
                ("<Down>", -STEP_MINUTES),
                ("<Prior>", LONG_STEP_MINUTES),
                ("<Next>", -LONG_STEP_MINUTES),
            ):
                field.bind(keys, partial(self._step, field, minutes))
            for turn in ("<MouseWheel>", "<Button-4>", "<Button-5>"):
                field.bind(turn, partial(self._turned, field))

    def get(self) -> str:
        """The span as it was typed, '' for none."""
        start, end = str(self.start.get()).strip(), str(self.end.get()).strip()
        whole = next((text for text in (start, end) if is_span(text)), None)
        if whole is not None:
            return whole
        return f"{start}-{end}" if start and end else start or end

    @property
    def is_half(self) -> bool:
        """Whether one field waits for the other."""
        start, end = self.start.get().strip(), self.end.get().strip()
        return bool(start) != bool(end) and not is_span(start or end)

    def set_text(self, text: str) -> None:
        """Show a span; what cannot be read as one stands in the first field."""
        try:
            span = read_quiet_hours(text)
        except SettingError:
            start, end = text, ""
        else:
            start, end = span.text.split("-") if span is not None else ("", "")
        self.start.set_text(start)
        self.end.set_text(end)

    def set_wrong(self, is_wrong: bool) -> None:
        """Mark what was typed as refused, or take the mark away."""
        self.start.set_wrong(is_wrong)
        self.end.set_wrong(is_wrong)

    def when_typed(self, typed: Callable[[], Any], left: Callable[[], Any], give_up: Callable[[], Any]) -> None:
        """What is called after a key or a step, when both fields were left or Return was pressed, and on Escape."""
        self._typed = typed
        for field, other in ((self.start, self.end), (self.end, self.start)):
            field.bind("<KeyRelease>", lambda _: typed())
            field.bind("<Return>", lambda _: left())
            field.bind("<Escape>", lambda _: give_up())
            field.bind("<FocusOut>", partial(self._left, other, left))

    def _left(self, other: Field, left: Callable[[], Any], _: object) -> None:
        if str(self.focus_get()).startswith(f"{other}.") and self.winfo_viewable():
            return  # the other half is still to come
        left()

    def _turned(self, field: Field, event: tk.Event[tk.Misc]) -> str | None:
        if not str(self.focus_get()).startswith(f"{field}."):
            return None  # the page scrolls, as over everything else
        is_up = event.num == 4 or (event.num != 5 and event.delta > 0)
        return self._step(field, STEP_MINUTES if is_up else -STEP_MINUTES, event)

    def _step(self, field: Field, minutes: int, _: object) -> str:
        for each, usual in zip((self.start, self.end), NIGHT, strict=True):
            if not each.get().strip():
                each.set_text(usual)
            elif each is field:
                each.set_text(step_time(each.get(), minutes))
        self._typed()
        return "break"
