"""Starting before login on Windows: a task with a boot trigger, which an administrator has to register."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from storage.paths import PROJECT_ROOT, Workspace
from storage.system.boot_service.status import BootStatus, needs_administrator, on_or_off, write_definition
from storage.system.commands import RunCommand
from storage.system.task_scheduler import TaskXml

TERMINAL = 'a terminal opened with "Run as administrator"'


def boot_task_xml(command: Sequence[str], user: str) -> bytes:
    """A Task Scheduler definition with a boot trigger. S4U: as this user, logged on or not; no stored password."""
    xml = TaskXml()
    trigger = xml.path("Triggers", "BootTrigger")
    xml.text(trigger, "Enabled", "true")
    xml.text(trigger, "Delay", "PT30S")
    principal = xml.path("Principals", "Principal")
    principal.set("id", "Author")
    xml.text(principal, "UserId", user)
    xml.text(principal, "LogonType", "S4U")
    xml.text(principal, "RunLevel", "LeastPrivilege")
    # PT0S: no time limit; a task is otherwise ended after three days.
    xml.settings(ExecutionTimeLimit="PT0S")
    xml.action(command, PROJECT_ROOT)
    return xml.encoded()


class BootTaskOnWindows:
    """One task, by its name."""

    def __init__(self, name: str, workspace: Workspace, command: Sequence[str], user: str, *, run: RunCommand) -> None:
        self._name, self._workspace, self._command, self._user, self._run = name, workspace, command, user, run

    def status(self) -> BootStatus:
        """Whether the bot starts at boot."""
        return on_or_off(self._run(["schtasks", "/Query", "/TN", self._name]).code == 0)

    def set_up(self) -> BootStatus:
        """Create the task, or say which command the owner must run as administrator."""
        file = self._workspace.database_folder / "boot_task.xml"
        write_definition(file, boot_task_xml(self._command, self._user))
        command = ["schtasks", "/Create", "/TN", self._name, "/XML", str(file), "/F"]
        if self._run(command).code:
            return needs_administrator(subprocess.list2cmdline(command), TERMINAL, is_on=False)
        return self.status()

    def remove(self) -> BootStatus:
        """Delete the task, or say which command does; harmless where there is none."""
        if not self.status().is_on:
            return on_or_off(False)
        command = ["schtasks", "/Delete", "/TN", self._name, "/F"]
        if self._run(command).code:
            return needs_administrator(subprocess.list2cmdline(command), TERMINAL, is_on=True)
        return self.status()
