"""The scheduled fetch and backup: the operating system's own job, so that nothing of ours has to run for it.

Windows: Task Scheduler (XML). macOS: launchd. Linux: a systemd user timer, or cron. The texts are made by pure
functions, one module a system; `Scheduler` chooses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from storage.paths import Workspace
from storage.system.commands import RunCommand, run_command
from storage.system.schedule.linux import SystemdOrCron
from storage.system.schedule.macos import Launchd
from storage.system.schedule.task import Schedule, ScheduleError, Task, parse_schedule
from storage.system.schedule.windows import TaskScheduler

__all__ = ["Schedule", "ScheduleError", "Scheduler", "Task", "apply_schedule", "parse_schedule"]


class Keeper(Protocol):
    """What runs a task at its times on one system."""

    def install(self, schedule: Schedule) -> str: ...
    def remove(self) -> None: ...
    def status(self) -> str: ...


class Scheduler:
    """Installs, removes and shows one scheduled task of one workspace."""

    def __init__(
        self,
        task: Task,
        *,
        platform: str = sys.platform,
        home: Path | None = None,
        run: RunCommand = run_command,
        config_home: Path | None = None,
    ) -> None:
        home = home or Path.home()
        self._keeper: Keeper
        if platform == "win32":
            self._keeper = TaskScheduler(task, run=run)
        elif platform == "darwin":
            self._keeper = Launchd(task, home=home, run=run)
        else:
            # systemd reads $XDG_CONFIG_HOME; its default is ~/.config
            config = config_home or Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
            self._keeper = SystemdOrCron(task, config_home=config, run=run)

    def install(self, schedule: Schedule) -> str:
        """Make the system run the task; replaces an earlier schedule. Returns what keeps it now."""
        return self._keeper.install(schedule)

    def remove(self) -> None:
        """Take it out again; harmless when there is none."""
        self._keeper.remove()

    def status(self) -> str:
        """What the system itself knows about it, or that there is none."""
        return self._keeper.status() or "Not scheduled."


def apply_schedule(
    text: str, workspace: Workspace, remember: Callable[[str], object], *, scheduler: Scheduler | None = None
) -> str:
    """What `--schedule TEXT` does; `remember` stores the choice. Returns a sentence for the owner."""
    scheduler = scheduler or Scheduler(Task.for_workspace(workspace))
    if text.strip().lower() == "status":
        return scheduler.status()
    schedule = parse_schedule(text)
    if schedule is None:
        scheduler.remove()
        remember("off")
        return "The scheduled fetch is off."
    keeper = scheduler.install(schedule)
    remember(schedule.text)
    return f"New messages will be fetched {schedule.words} by {keeper}."
