"""Jobs and places within one click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gui import texts
from gui.components.basics import Card
from gui.components.button import Button
from gui.components.restore import RestoringPanel, choose_backup
from gui.components.room import Panel, S, spread
from storage.jobs.kinds import JobKind
from storage.records import Job


class QuickActions(Card):
    """Jobs and places within one click."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master, texts.QUICK)
        self._panel = panel
        spread(self.body, 3)
        actions: list[tuple[str, str, str, Callable[[], Any]]] = [
            ("fetch", texts.ACTION_FETCH, "download", lambda: panel.start_job(JobKind.FETCH)),
            ("train", texts.ACTION_TRAIN, "training", lambda: panel.go("training")),
            ("evaluate", texts.ACTION_EVALUATE, "gauge", lambda: panel.start_job(JobKind.EVALUATE)),
            ("", texts.ACTION_FOLDER, "folder", lambda: panel.open_folder()),  # type: ignore[attr-defined]
            ("backup", texts.ACTION_BACKUP, "archive", lambda: panel.start_job(JobKind.BACKUP)),
            ("restore", texts.ACTION_RESTORE, "restart", self._restore),
        ]
        self.buttons: dict[str, Button] = {}
        for index, (kind, words, icon, action) in enumerate(actions):
            button = Button(self.body, words, action, icon=icon, anchor="w")
            row, column = divmod(index, 3)
            button.grid(
                row=row,
                column=column,
                sticky="ew",
                padx=(0 if column == 0 else 4, 0 if column == 2 else 4),
                pady=(0 if row == 0 else S, 0),
            )
            if kind:
                self.buttons[kind] = button

    def _restore(self) -> None:
        choose_backup(cast(RestoringPanel, self._panel), self.buttons["restore"])

    def show(self, jobs: tuple[Job, ...], _settings: Any) -> None:
        """Enable what is not at work already."""
        running = {job.kind for job in jobs}
        for kind, button in self.buttons.items():
            button.set_enabled(kind == JobKind.TRAIN or kind not in running)
