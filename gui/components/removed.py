"""What is hidden and can be brought back, and the questions about messages that a fetch did not find."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gui import texts
from gui.components.choices import popup_menu
from gui.components.notices import Banner
from gui.components.room import Panel
from gui.components.table import Table
from gui.presenters import format as words
from gui.presenters.people import REMOVED_COLUMNS, Census, Removed, absence_text, removed_rows
from storage.deletions import Deletions
from storage.store import Store
from storage.withheld import AbsenceQuestion


def read_removed(store: Store) -> Removed:
    """What is hidden and what is asked; runs on the worker."""
    return Removed(tuple(Deletions(store).all()), tuple(store.withheld.missing()), tuple(store.withheld.questions()))


class RemovedList(Table):
    """A row for everything that can be undone; `changed` is called after something was."""

    def __init__(self, master: Any, panel: Panel, changed: Callable[[], Any]) -> None:
        super().__init__(master, REMOVED_COLUMNS, rows_shown=4, on_open=self._menu, empty_text=texts.REMOVED_EMPTY)
        self._panel, self._changed = panel, changed
        self._questions: dict[int, AbsenceQuestion] = {}

    def show_census(self, census: Census) -> None:
        """Another reading."""
        self._questions = {question.channel_id: question for question in census.removed.questions}
        self.show(removed_rows(census, now=time.time()))

    def ask(self, question: AbsenceQuestion) -> None:
        """Were they deleted, or did the bot lose something?"""
        withheld = self._panel.store.withheld
        self._panel.confirm(
            texts.ABSENT_TITLE,
            absence_text(question, texts.ABSENT_TEXT),
            [
                (texts.ABSENT_LATER, "secondary", None),
                (texts.ABSENT_DELETED, "danger", lambda: self._do(lambda: withheld.confirm(question.channel_id))),
                # Last, so that Enter changes nothing.
                (texts.ABSENT_KEEP, "primary", lambda: self._do(lambda: withheld.dismiss(question.channel_id))),
            ],
        )

    def undo(self, key: tuple[str, int]) -> None:
        """Bring back what a row stands for."""
        kind, number = key
        store = self._panel.store
        if kind == "deletion":
            self._do(lambda: Deletions(store).undo(number), self._told)
        elif kind == "missing":
            self._do(lambda: store.withheld.restore_missing(number), self._told)
        elif kind == "member":
            self._do(lambda: store.members.set_excluded(number, False))

    def _menu(self, key: tuple[str, int], x: int, y: int) -> None:
        if key[0] == "question":
            self.ask(self._questions[key[1]])
            return
        menu = popup_menu(self, self._panel.theme)
        menu.add_command(label=texts.UNDO, command=lambda: self.undo(key))
        menu.tk_popup(x, y)

    def _told(self, count: int) -> None:
        self._panel.toast(texts.BROUGHT_BACK.format(count=words.plural(count, "message")), tone="good")

    def _do(self, work: Callable[[], Any], told: Callable[[Any], Any] = lambda _: None) -> None:
        self._panel.ask(work, lambda done: (told(done), self._changed()), slow=True)


class AbsenceBanner(Banner):
    """Names the first channel with an open question, and asks."""

    def __init__(self, master: Any, ask: Callable[[AbsenceQuestion], Any]) -> None:
        super().__init__(master, "busy")
        self._ask = ask

    def show_questions(self, questions: tuple[AbsenceQuestion, ...]) -> None:
        """Up while there is one, away otherwise."""
        if not questions:
            self.grid_remove()
            return
        self.show(
            absence_text(questions[0], texts.ABSENT_BANNER),
            texts.ABSENT_BANNER_CURE,
            action=texts.ABSENT_SHOW,
            command=lambda: self._ask(questions[0]),
        )
        self.grid()
