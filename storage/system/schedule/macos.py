"""The schedule on macOS: a launchd agent."""

from __future__ import annotations

import plistlib
from pathlib import Path

from storage.system.commands import RunCommand, user_id
from storage.system.files import remove_file
from storage.system.schedule.task import Schedule, Task, require


def launchd_plist(task: Task, schedule: Schedule) -> bytes:
    """A launchd agent; launchd runs a missed time when the computer wakes."""
    when: dict[str, int] = {"Hour": schedule.hour, "Minute": schedule.minute}
    if schedule.day is not None:
        when["Weekday"] = schedule.day
    return plistlib.dumps(
        {
            "Label": task.name,
            "ProgramArguments": list(task.command),
            "StartCalendarInterval": when,
            "WorkingDirectory": str(task.folder),
            "ProcessType": "Background",
            "RunAtLoad": False,
        }
    )


class Launchd:
    """Keeps one agent of this user."""

    def __init__(self, task: Task, *, home: Path, run: RunCommand) -> None:
        self._task, self._run = task, run
        self._plist = home / "Library" / "LaunchAgents" / f"{task.name}.plist"

    def install(self, schedule: Schedule) -> str:
        """Hand the schedule to launchd in place of an older one; where it lies, in words."""
        self.remove()
        self._plist.parent.mkdir(parents=True, exist_ok=True)
        self._plist.write_bytes(launchd_plist(self._task, schedule))
        command = ["launchctl", "bootstrap", f"gui/{user_id()}", str(self._plist)]
        require(self._run(command), command, self._task)
        return f"launchd ({self._plist})"

    def remove(self) -> None:
        """Take it away; harmless where there is none."""
        self._run(["launchctl", "bootout", f"gui/{user_id()}/{self._task.name}"])
        remove_file(self._plist)

    def status(self) -> str:
        """Where its definition lies; empty where there is none."""
        return f"launchd agent {self._plist}" if self._plist.exists() else ""
