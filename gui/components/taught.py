"""Everything that was taught, newest first; each of it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from gui import texts
from gui.components.basics import Card
from gui.components.button import Button
from gui.components.choices import popup_menu
from gui.components.notices import EmptyState
from gui.components.room import Panel, PollingPace, Room
from gui.components.table import Table
from gui.presenters.live import TAUGHT_COLUMNS, taught_rows
from gui.presenters.snapshot import Pulse
from gui.presenters.table import TableRow
from storage.store import Store

READ_SECONDS = 2.0
MOST = 2000


def read_taught(store: Store) -> tuple[TableRow, ...]:
    """Runs on the worker."""
    return taught_rows(store.teaching.all(limit=MOST))


class TaughtRoom(Room):
    """A list with a menu for each row."""

    key, title, scrolls = "taught", texts.TAUGHT, False

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, panel)
        self._pace = PollingPace(READ_SECONDS)

    def build(self) -> Iterator[None]:
        """Called once, before the room is first shown; each `yield` lets the window breathe."""
        self.page.grid_rowconfigure(0, weight=1)
        self.back = Button(self.tools, texts.TAUGHT_BACK, lambda: self.panel.go("live"), kind="quiet")
        self.back.grid(row=0, column=0)
        card = Card(self.page, pad=10)
        card.grid(row=0, column=0, sticky="nsew")
        card.body.grid_columnconfigure(0, weight=1)
        card.body.grid_rowconfigure(0, weight=1)
        self.table = Table(card.body, TAUGHT_COLUMNS, rows_shown=10, on_open=self._menu)
        self.table.grid(row=0, column=0, sticky="nsew")
        self.empty = EmptyState(card.body, icon="check", title=texts.TAUGHT, text=texts.TAUGHT_EMPTY)
        yield

    def shown(self) -> None:
        """Called when the room comes to the front."""
        self._pace.soon()

    def beat(self, _pulse: Pulse) -> None:
        """Called with each new reading of the databases while the room is in front."""
        if self._pace.is_due():
            store = self.panel.store
            self.panel.ask(lambda: read_taught(store), self._arrived, failed=lambda _: self._pace.done(), slow=True)

    def _arrived(self, rows: tuple[TableRow, ...]) -> None:
        self._pace.done()
        self.table.show(rows)
        if rows:
            self.empty.grid_remove()
            self.table.grid()
        else:
            self.table.grid_remove()
            self.empty.grid(row=0, column=0)

    def _menu(self, key: tuple[int, int], x: int, y: int) -> None:
        menu = popup_menu(self, self.theme)
        menu.add_command(label=texts.TAUGHT_REMOVE, command=partial(self.remove, key))
        menu.tk_popup(x, y)

    def remove(self, key: tuple[int, int]) -> None:
        """Take one judgement back. key: the reply and whose word it is."""
        reply_id, judge_id = key
        self.panel.ask(
            lambda: self.panel.store.teaching.withdraw(reply_id, judge_id=judge_id),
            lambda _: (self._pace.soon(), self.panel.refresh_soon()),
        )
