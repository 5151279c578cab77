"""A backup is brought back from the panel: the question first, the panel closed for it, nothing lost."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

import launcher
from bot_controller import ControllerState
from gui import texts
from gui.components.restore import ask_restore
from storage.backup import create_backup, list_backups
from storage.control import RESTORED
from storage.jobs.kinds import JobKind
from storage.paths import Workspace
from storage.records import JobState
from storage.settings import COOLDOWN_SECONDS
from storage.store import Store
from tests.support.panel import PanelDriver, StillController, open_panel

pytestmark = pytest.mark.usefixtures("display")


def question(driver: PanelDriver, backup: Any) -> None:
    """Open Home, look at the button, and choose the backup; menus grab the pointer, so its line is called."""
    button = driver.go("home").quick.buttons["restore"]
    driver.reveal(button)
    assert button.winfo_ismapped()
    ask_restore(driver.app, backup)


def test_restoring_asks_first_stops_the_bot_and_closes_the_panel(store: Store) -> None:
    """Fault 178: Enter changes nothing, and nothing is asked while a job is at work."""
    backup = create_backup(store)
    controller = StillController(store)
    with open_panel(store, controller, size=(900, 600)) as driver:
        running = store.jobs.start(JobKind.FETCH)
        driver.wait(lambda: driver.app.pulse.jobs, "the job")
        question(driver, backup)
        driver.wait(lambda: texts.RESTORE_BUSY in driver.app.toasts.titles, "the refusal")
        store.jobs.finish(running.job_id, JobState.DONE)
        driver.wait(lambda: not driver.app.pulse.jobs, "its end")
        question(driver, backup)
        driver.wait(lambda: driver.app.dialog.is_open, "the question")
        if folder := os.environ.get("PANEL_PICTURES"):  # for the eye
            driver.turn(0.3)
            subprocess.run(["import", "-window", "root", f"{folder}/restore.png"], check=True)
        driver.key("Return")
        driver.wait(lambda: not driver.app.dialog.is_open, "the safe answer")
        assert driver.app.backup_wanted is None
        controller.become(ControllerState.STOPPED)
        question(driver, backup)
        driver.wait(lambda: driver.app.dialog.is_open, "the question again")
        driver.key("Tab", "Return")
        driver.wait(lambda: driver.app._is_closing, "the panel to close")
        assert driver.app.backup_wanted == backup.folder


def test_the_launcher_brings_it_back_in_a_window_and_the_panel_tells(workspace: Workspace) -> None:
    """Fault 178: real databases; what was there is set aside."""
    with Store.open(workspace) as store:
        store.settings.set(COOLDOWN_SECONDS, 21, changed_by="test")
        create_backup(store)
        store.settings.set(COOLDOWN_SECONDS, 99, changed_by="test")
    (backup,) = list_backups(workspace.backups)
    assert launcher.bring_back(workspace, backup.folder) is not None
    with Store.open(workspace) as store:
        assert store.settings.get(COOLDOWN_SECONDS) == 21
        with open_panel(store) as driver:
            driver.wait(lambda: texts.RESTORED in driver.app.toasts.titles, "the word that it is back")
        assert store.facts.get(RESTORED) is None
