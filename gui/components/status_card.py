"""The bot's state, large, with its buttons and facts."""

from __future__ import annotations

import time
from typing import Any

from gui import texts
from gui.components.basics import Card, Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.room import M, Panel, S
from gui.presenters.plain import plain
from gui.presenters.status import Fact, StatusView, clock_is_ahead
from storage.settings import QUIET_UNTIL

QUIET_SECONDS = 3600
# Uptime, memory, model, Discord, last reply, waiting: a model's name is long.
FACT_WEIGHTS = (4, 3, 8, 4, 6, 2)


class StatusCard(Card):
    """The bot's state, large; below it the buttons and six facts."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self._panel = panel
        theme = panel.theme
        self.body.grid_columnconfigure(0, weight=1)
        head = RowFrame(self.body)
        head.grid(row=0, column=0, sticky="ew")
        head.grid_columnconfigure(1, weight=1)
        self._dot = Text(head, "●", role="heading", colour="idle")
        self._dot.grid(row=0, column=0, padx=(0, theme.px(S)))
        self.state = Text(head, "", role="title")
        self.state.grid(row=0, column=1, sticky="w")
        self.quiet = Button(head, texts.BUTTON_QUIET, self._flip_quiet, kind="quiet", icon="moon")
        self.quiet.grid(row=0, column=3, rowspan=2, sticky="ne")
        self.free = Button(
            head, texts.BUTTON_FREE, lambda: panel.bot("free"), kind="quiet", icon="memory", tip=texts.TIP_FREE
        )
        self.free.grid(row=0, column=2, rowspan=2, sticky="ne")
        self.detail = Text(head, "", colour="muted", wrap=True)
        self.detail.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(2, 0))
        self._is_quiet = False
        self._buttons()
        Hairline(self.body).grid(row=2, column=0, sticky="ew", pady=theme.px(M))
        self._facts = RowFrame(self.body)
        self._facts.grid(row=3, column=0, sticky="ew")
        self.facts: list[tuple[Text, Text]] = []
        self._columns = 0
        for _ in range(6):
            self.facts.append((Text(self._facts, role="caption", colour="faint"), Text(self._facts, role="strong")))
        self._facts.bind("<Configure>", self._arrange)

    def _buttons(self) -> None:
        row = RowFrame(self.body)
        row.grid(row=1, column=0, sticky="w", pady=(self._panel.theme.px(M), 0))
        bot = self._panel.bot
        self.start = Button(row, texts.BUTTON_START, lambda: bot("start"), kind="primary", icon="start")
        self.stop = Button(row, texts.BUTTON_STOP, lambda: bot("stop"), icon="stop", tip=texts.TIP_STOP)
        self.restart = Button(row, texts.BUTTON_RESTART, lambda: bot("restart"), icon="restart", tip=texts.TIP_RESTART)
        self.force = Button(row, texts.BUTTON_FORCE, self._ask_force, kind="danger", icon="bolt", tip=texts.TIP_FORCE)
        self.logs = Button(row, texts.BUTTON_LOGS, lambda: self._panel.go("logs"), icon="logs")
        for column, button in enumerate((self.start, self.stop, self.restart, self.force, self.logs)):
            button.grid(row=0, column=column, padx=(0, S))

    def show(self, view: StatusView) -> None:
        """Show the bot's state, and which of the buttons make sense in it."""
        self._dot.show("●", colour=view.tone)
        self.state.show(view.title)
        self.detail.show(plain(view.detail) or view.title)
        self.start.set_enabled(view.can_start)
        self.stop.set_enabled(view.can_stop)
        self.restart.set_enabled(view.can_restart)
        self.force.set_enabled(view.can_force)
        self.free.set_enabled(view.can_free)
        self._is_quiet = view.is_quiet
        self.quiet.show(texts.BUTTON_UNQUIET if view.is_quiet else texts.BUTTON_QUIET)
        for (label, value), fact in zip(self.facts, view.facts, strict=True):
            _show_fact(label, value, fact)

    def _arrange(self, event: Any) -> None:
        columns = 6 if event.width >= self._panel.theme.px(820) else 3
        if columns == self._columns:
            return
        self._columns = columns
        gap = self._panel.theme.px(M)
        for column in range(6):
            weight = (FACT_WEIGHTS[column] if columns == 6 else 1) if column < columns else 0
            self._facts.grid_columnconfigure(column, weight=weight, uniform="fact" if weight else "")
        for index, (label, value) in enumerate(self.facts):
            row, column = divmod(index, columns)
            label.grid(row=row * 2, column=column, sticky="ew", pady=(gap if row else 0, 0))
            value.grid(row=row * 2 + 1, column=column, sticky="ew", padx=(0, S))

    def _flip_quiet(self) -> None:
        until = 0.0 if self._is_quiet else time.time() - clock_is_ahead(self._panel.pulse) + QUIET_SECONDS
        self._panel.set_setting(QUIET_UNTIL, until)

    def _ask_force(self) -> None:
        self._panel.confirm(
            texts.ASK_FORCE_TITLE,
            texts.ASK_FORCE_TEXT,
            [(texts.CANCEL, "secondary", None), (texts.BUTTON_FORCE, "danger", lambda: self._panel.bot("force"))],
        )


def _show_fact(label: Text, value: Text, fact: Fact) -> None:
    label.show(fact.label)
    value.show(fact.value, colour=fact.tone)
