"""The schedule on Windows: a task of Task Scheduler."""

from __future__ import annotations

from storage.system.commands import RunCommand, windows_user
from storage.system.files import temporary_folder
from storage.system.schedule.task import DAY_NAMES, Schedule, Task, require
from storage.system.task_scheduler import TaskXml


def task_xml(task: Task, schedule: Schedule, *, user: str = "") -> bytes:
    """A Task Scheduler definition (schema 1.2): caught up after sleep, only with a network, never twice at once."""
    xml = TaskXml()
    trigger = xml.path("Triggers", "CalendarTrigger")
    xml.text(trigger, "Enabled", "true")
    xml.text(trigger, "StartBoundary", f"2026-01-01T{schedule.hour:02d}:{schedule.minute:02d}:00")
    if schedule.day is None:
        xml.text(xml.path("ScheduleByDay", under=trigger), "DaysInterval", "1")
    else:
        weekly = xml.path("ScheduleByWeek", under=trigger)
        xml.path("DaysOfWeek", DAY_NAMES[schedule.day], under=weekly)
        xml.text(weekly, "WeeksInterval", "1")
    principal = xml.path("Principals", "Principal")
    principal.set("id", "Author")
    if user:
        xml.text(principal, "UserId", user)
    xml.text(principal, "LogonType", "InteractiveToken")
    xml.text(principal, "RunLevel", "LeastPrivilege")
    xml.settings(StartWhenAvailable="true", RunOnlyIfNetworkAvailable="true", ExecutionTimeLimit="PT6H")
    xml.action(task.command, task.folder)
    return xml.encoded()


class TaskScheduler:
    """Keeps one task through schtasks."""

    def __init__(self, task: Task, *, run: RunCommand) -> None:
        self._task, self._run = task, run

    def install(self, schedule: Schedule) -> str:
        """Create the task in place of an older one; its name, in words. KnownError where Windows refuses."""
        with temporary_folder(prefix="task-") as folder:
            file = folder / "task.xml"
            file.write_bytes(task_xml(self._task, schedule, user=windows_user()))
            command = ["schtasks", "/Create", "/TN", self._task.name, "/XML", str(file), "/F"]
            require(self._run(command), command, self._task)
        return f"Task Scheduler ({self._task.name})"

    def remove(self) -> None:
        """Delete the task; harmless where there is none."""
        self._run(["schtasks", "/Delete", "/TN", self._task.name, "/F"])

    def status(self) -> str:
        """What Windows says about it; empty where there is none."""
        outcome = self._run(["schtasks", "/Query", "/TN", self._task.name, "/V", "/FO", "LIST"])
        return outcome.output.strip() if outcome.code == 0 else ""
