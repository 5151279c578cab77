"""How the bot is, in one sentence, with its hands; the rarer ones behind More. Below it the last seven days."""

from __future__ import annotations

import time
from typing import Any

from gui import texts
from gui.components.basics import Card, RowFrame, Text
from gui.components.button import Button
from gui.components.health_strip import HealthStrip
from gui.components.room import M, Panel, S
from gui.presenters.home import StripView
from gui.presenters.plain import plain
from gui.presenters.status import StatusView, clock_is_ahead
from storage.settings import QUIET_UNTIL

QUIET_SECONDS = 3600


class StatusCard(Card):
    """The bot's state, large, a sentence about it, and the strip."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self._panel = panel
        theme, bot = panel.theme, panel.bot
        self.body.grid_columnconfigure(0, weight=1)
        head = RowFrame(self.body)
        head.grid(row=0, column=0, sticky="ew")
        head.grid_columnconfigure(1, weight=1)
        self._dot = Text(head, "●", role="heading", colour="idle")
        self._dot.grid(row=0, column=0, padx=(0, theme.px(S)))
        self.state = Text(head, "", role="title")
        self.state.grid(row=0, column=1, sticky="w")
        tools = RowFrame(head)
        tools.grid(row=0, column=2, rowspan=2, sticky="ne")
        self.more = Button(tools, "", self._flip_more, icon="more", tip=texts.MORE_TIP)
        self.quiet = Button(tools, texts.BUTTON_QUIET, self._flip_quiet, icon="moon")
        self.start = Button(tools, texts.BUTTON_START, lambda: bot("start"), kind="primary", icon="start")
        self.stop = Button(tools, texts.BUTTON_STOP, lambda: bot("stop"), icon="stop", tip=texts.TIP_STOP)
        for column, button in enumerate((self.more, self.quiet, self.start, self.stop)):
            button.grid(row=0, column=column, padx=(theme.px(S), 0))
        self.detail = Text(head, "", colour="muted", wrap=True)
        self.detail.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(2, 0))
        self._is_quiet = False
        self._sentence = self._told = ""
        self._rarer()
        self.strip = HealthStrip(self.body)
        self.strip.grid(row=2, column=0, sticky="ew", pady=(theme.px(M), 0))

    def _rarer(self) -> None:
        """What is seldom wanted, or should not be pressed by accident."""
        self.row = row = RowFrame(self.body)
        row.grid(row=1, column=0, sticky="w", pady=(self._panel.theme.px(M), 0))
        bot, go = self._panel.bot, self._panel.go
        self.restart = Button(row, texts.BUTTON_RESTART, lambda: bot("restart"), icon="restart", tip=texts.TIP_RESTART)
        self.force = Button(row, texts.BUTTON_FORCE, self._ask_force, kind="danger", icon="bolt", tip=texts.TIP_FORCE)
        self.free = Button(row, texts.BUTTON_FREE, lambda: bot("free"), icon="memory", tip=texts.TIP_FREE)
        self.figures = Button(row, texts.FIGURES, lambda: go("figures"), icon="gauge")
        self.logs = Button(row, texts.BUTTON_LOGS, lambda: go("logs"), icon="logs")
        for column, button in enumerate((self.restart, self.free, self.figures, self.logs, self.force)):
            button.grid(row=0, column=column, padx=(0, self._panel.theme.px(S)))
        row.grid_remove()

    def show(self, view: StatusView) -> None:
        """Show the bot's state, and which of the buttons make sense in it."""
        self._dot.show("●", colour=view.tone)
        self.state.show(view.title)
        self._told = plain(view.detail) or view.title
        self._is_well = view.tone == "good"
        self._show_detail()
        self.start.set_enabled(view.can_start)
        self.start.set_shown(view.can_start or not view.can_stop)
        self.stop.set_enabled(view.can_stop)
        self.stop.set_shown(view.can_stop)
        self.restart.set_enabled(view.can_restart)
        self.force.set_enabled(view.can_force)
        self.free.set_enabled(view.can_free)
        self._is_quiet = view.is_quiet
        self.quiet.show(texts.BUTTON_UNQUIET if view.is_quiet else texts.BUTTON_QUIET)

    def show_home(self, sentence: str, strip: StripView) -> None:
        """What takes longer to read. sentence: instead of the state's own detail while all is well."""
        self._sentence = sentence
        self._show_detail()
        self.strip.show(strip)

    _is_well = False

    def _show_detail(self) -> None:
        self.detail.show(self._sentence if self._sentence and self._is_well else self._told)

    def _flip_more(self) -> None:
        (self.row.grid_remove if self.row.winfo_ismapped() else self.row.grid)()

    def _flip_quiet(self) -> None:
        until = 0.0 if self._is_quiet else time.time() - clock_is_ahead(self._panel.pulse) + QUIET_SECONDS
        self._panel.set_setting(QUIET_UNTIL, until)

    def _ask_force(self) -> None:
        self._panel.confirm(
            texts.ASK_FORCE_TITLE,
            texts.ASK_FORCE_TEXT,
            [(texts.CANCEL, "secondary", None), (texts.BUTTON_FORCE, "danger", lambda: self._panel.bot("force"))],
        )
