"""Choosing a backup to bring back, and the question before it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gui import texts
from gui.components.choices import popup_menu
from gui.components.room import Panel
from gui.presenters.restore import SHOWN_BACKUPS, backup_line, restore_question
from storage.backup import Backup, list_backups, settings_in
from storage.backup_checks import TakenSettings


class RestoringPanel(Panel, Protocol):
    """The panel as bringing a backup back needs it."""

    def restore(self, backup: Path) -> None:
        """Close for it, and come back."""


def choose_backup(panel: RestoringPanel, button: Any) -> None:
    """A menu of the newest backups below a button."""

    def show(found: list[Backup]) -> None:
        if not found:
            panel.toast(texts.RESTORE_NONE, texts.RESTORE_NONE_TEXT)
            return
        menu = popup_menu(button, panel.theme)
        for backup in reversed(found[-SHOWN_BACKUPS:]):
            menu.add_command(label=backup_line(backup), command=partial(ask_restore, panel, backup))
        menu.tk_popup(button.winfo_rootx(), button.winfo_rooty() + button.winfo_height())

    panel.ask(lambda: list_backups(panel.workspace.backups), show, slow=True)


def ask_restore(panel: RestoringPanel, backup: Backup) -> None:
    """The question; Enter and Escape change nothing. While a job runs, nothing is asked."""
    if panel.pulse is not None and (panel.pulse.jobs or panel.pulse.setting_up):
        panel.toast(texts.RESTORE_BUSY, texts.RESTORE_BUSY_TEXT)
        return

    def ask(taken: TakenSettings) -> None:
        title, text = restore_question(backup, taken)
        go = partial(panel.restore, backup.folder)
        panel.confirm(title, text, [(texts.CANCEL, "secondary", None), (texts.RESTORE_GO, "danger", go)])

    panel.ask(lambda: settings_in(backup), ask)
