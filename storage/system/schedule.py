"""The scheduled fetch: the operating system's own job, so that nothing of ours has to run for it.

Windows: Task Scheduler (XML). macOS: launchd. Linux: a systemd user timer, or cron where systemd's user manager
is not running. The texts are made by pure functions; `Scheduler` writes them and calls the system's commands.
"""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace
from storage.system.job_keepers import Run, TaskXml, job_name, run_command, systemd_path, systemd_quote, user_id

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_PATTERN = re.compile(r"(?:daily@|weekly@(?P<day>[a-z]{3})-)(?P<hour>\d{1,2}):(?P<minute>\d\d)")


class ScheduleError(KnownError):
    """The schedule could not be understood, or the system refused it."""


@dataclass(frozen=True)
class Schedule:
    """Every day at a local time, or one day a week (0 is Sunday)."""

    hour: int
    minute: int
    day: int | None = None

    @property
    def text(self) -> str:
        """As typed: daily@04:00 or weekly@sun-04:00."""
        time = f"{self.hour:02d}:{self.minute:02d}"
        return f"daily@{time}" if self.day is None else f"weekly@{DAYS[self.day]}-{time}"

    @property
    def words(self) -> str:
        """For people."""
        when = "every day" if self.day is None else f"every {_DAY_NAMES[self.day]}"
        return f"{when} at {self.hour:02d}:{self.minute:02d}"


def parse_schedule(text: str) -> Schedule | None:
    """'daily@04:00', 'weekly@sun-04:00', or 'off' (None). ScheduleError names the forms."""
    text = text.strip().lower()
    if text == "off":
        return None
    match = _PATTERN.fullmatch(text)
    day = match["day"] if match else None
    if match is None or int(match["hour"]) > 23 or int(match["minute"]) > 59 or (day and day not in DAYS):
        raise ScheduleError(f"'{text[:40]}' is no schedule.", "Use daily@04:00, weekly@sun-04:00 or off.")
    return Schedule(int(match["hour"]), int(match["minute"]), DAYS.index(day) if day else None)


@dataclass(frozen=True)
class Task:
    """What is to run: a name of its own per workspace, so that two servers do not share one job."""

    name: str
    command: tuple[str, ...]
    folder: Path

    @classmethod
    def for_workspace(cls, workspace: Workspace) -> Task:
        script = PROJECT_ROOT / "scripts" / "fetch_and_embed.py"
        return cls(
            job_name("fetch", workspace),
            (sys.executable, str(script), "--workspace", str(workspace.root)),
            PROJECT_ROOT,
        )


# ---- texts ----------------------------------------------------------------------------------------------


def task_xml(task: Task, schedule: Schedule) -> bytes:
    """A Task Scheduler definition (schema 1.2): caught up after sleep, only with a network, never twice at once."""
    xml = TaskXml()
    trigger = xml.path("Triggers", "CalendarTrigger")
    xml.text(trigger, "StartBoundary", f"2026-01-01T{schedule.hour:02d}:{schedule.minute:02d}:00")
    xml.text(trigger, "Enabled", "true")
    if schedule.day is None:
        xml.text(xml.path("ScheduleByDay", under=trigger), "DaysInterval", "1")
    else:
        weekly = xml.path("ScheduleByWeek", under=trigger)
        xml.path("DaysOfWeek", _DAY_NAMES[schedule.day], under=weekly)
        xml.text(weekly, "WeeksInterval", "1")
    principal = xml.path("Principals", "Principal")
    principal.set("id", "Author")
    xml.text(principal, "LogonType", "InteractiveToken")
    xml.text(principal, "RunLevel", "LeastPrivilege")
    xml.settings(StartWhenAvailable="true", RunOnlyIfNetworkAvailable="true", ExecutionTimeLimit="PT6H")
    xml.action(task.command, task.folder)
    return xml.encoded()


def systemd_service(task: Task) -> str:
    """The unit that runs once."""
    command = " ".join(systemd_quote(part) for part in task.command)
    return (
        f"[Unit]\nDescription=Fetch new Discord messages\n\n[Service]\nType=oneshot\n"
        f"WorkingDirectory={systemd_path(task.folder)}\nExecStart={command}\nNice=10\n"
    )


def systemd_timer(task: Task, schedule: Schedule) -> str:
    """The unit that says when; a time missed while the computer was off is made up for."""
    day = "" if schedule.day is None else f"{_DAY_NAMES[schedule.day][:3]} "
    return (
        f"[Unit]\nDescription=When to fetch new Discord messages ({task.name})\n\n[Timer]\n"
        f"OnCalendar={day}*-*-* {schedule.hour:02d}:{schedule.minute:02d}:00\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def cron_line(task: Task, schedule: Schedule) -> str:
    """One crontab line; its comment is how it is found again."""
    # In a crontab a bare % is a line break.
    command = " ".join(shlex.quote(part) for part in task.command).replace("%", r"\%")
    day = "*" if schedule.day is None else str(schedule.day)
    folder = shlex.quote(str(task.folder)).replace("%", r"\%")
    return f"{schedule.minute} {schedule.hour} * * {day} cd {folder} && {command} >/dev/null 2>&1 # {task.name}"


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


def with_cron_line(crontab: str, task: Task, line: str | None) -> str:
    """The crontab with our line replaced, added or (None) removed; everything else untouched."""
    kept = [other for other in crontab.splitlines() if not other.rstrip().endswith(f"# {task.name}")]
    return "".join(f"{other}\n" for other in [*kept, *([line] if line else [])])


# ---- the system -----------------------------------------------------------------------------------------


class Scheduler:
    """Installs, removes and shows the scheduled fetch of one workspace."""

    def __init__(
        self,
        task: Task,
        *,
        platform: str = sys.platform,
        home: Path | None = None,
        run: Run = run_command,
        config_home: Path | None = None,
    ) -> None:
        self._task = task
        self._platform = platform
        self._home = home or Path.home()
        # systemd reads $XDG_CONFIG_HOME; its default is ~/.config
        self._config = config_home or Path(os.environ.get("XDG_CONFIG_HOME") or self._home / ".config")
        self._run = run

    def install(self, schedule: Schedule) -> str:
        """Make the system run the fetch; replaces an earlier schedule. Returns what keeps it now."""
        if self._platform == "win32":
            return self._install_windows(schedule)
        if self._platform == "darwin":
            return self._install_launchd(schedule)
        return self._install_systemd(schedule) if self._has_systemd() else self._install_cron(schedule)

    def remove(self) -> None:
        """Take it out again; harmless when there is none."""
        if self._platform == "win32":
            self._run(["schtasks", "/Delete", "/TN", self._task.name, "/F"])
        elif self._platform == "darwin":
            self._run(["launchctl", "bootout", f"gui/{user_id()}/{self._task.name}"])
            self._plist.unlink(missing_ok=True)
        else:
            self._remove_systemd()
            self._remove_cron()

    def status(self) -> str:
        """What the system itself knows about it, or that there is none."""
        if self._platform == "win32":
            outcome = self._run(["schtasks", "/Query", "/TN", self._task.name, "/V", "/FO", "LIST"])
            return outcome.output.strip() if outcome.code == 0 else "Not scheduled."
        if self._platform == "darwin":
            return f"launchd agent {self._plist}" if self._plist.exists() else "Not scheduled."
        if self._unit("timer").exists():
            listed = self._run(
                ["systemctl", "--user", "list-timers", "--all", f"{self._task.name}.timer", "--no-pager"]
            )
            return listed.output.strip() or f"systemd user timer {self._task.name}"
        lines = [line for line in self._crontab().splitlines() if line.endswith(f"# {self._task.name}")]
        return f"cron: {lines[0]}" if lines else "Not scheduled."

    # ---- one system each --------------------------------------------------------------------------------

    def _install_windows(self, schedule: Schedule) -> str:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "task.xml"
            file.write_bytes(task_xml(self._task, schedule))
            self._must(["schtasks", "/Create", "/TN", self._task.name, "/XML", str(file), "/F"])
        return f"Task Scheduler ({self._task.name})"

    def _install_launchd(self, schedule: Schedule) -> str:
        self.remove()
        self._plist.parent.mkdir(parents=True, exist_ok=True)
        self._plist.write_bytes(launchd_plist(self._task, schedule))
        self._must(["launchctl", "bootstrap", f"gui/{user_id()}", str(self._plist)])
        return f"launchd ({self._plist})"

    def _install_systemd(self, schedule: Schedule) -> str:
        self._remove_cron()
        self._unit("service").parent.mkdir(parents=True, exist_ok=True)
        self._unit("service").write_text(systemd_service(self._task), encoding="utf-8")
        self._unit("timer").write_text(systemd_timer(self._task, schedule), encoding="utf-8")
        self._must(["systemctl", "--user", "daemon-reload"])
        self._must(["systemctl", "--user", "enable", "--now", f"{self._task.name}.timer"])
        return f"systemd user timer ({self._task.name}.timer)"

    def _install_cron(self, schedule: Schedule) -> str:
        new = with_cron_line(self._crontab(), self._task, cron_line(self._task, schedule))
        self._must(["crontab", "-"], new)
        return "cron"

    def _remove_systemd(self) -> None:
        if not self._unit("timer").exists():
            return
        self._run(["systemctl", "--user", "disable", "--now", f"{self._task.name}.timer"])
        for kind in ("timer", "service"):
            self._unit(kind).unlink(missing_ok=True)
        self._run(["systemctl", "--user", "daemon-reload"])

    def _remove_cron(self) -> None:
        old = self._crontab()
        new = with_cron_line(old, self._task, None)
        if new != old:
            self._must(["crontab", "-"], new)

    def _has_systemd(self) -> bool:
        return self._run(["systemctl", "--user", "show-environment"]).code == 0

    def _crontab(self) -> str:
        outcome = self._run(["crontab", "-l"])
        return outcome.output if outcome.code == 0 else ""

    def _must(self, command: list[str], text: str | None = None) -> None:
        outcome = self._run(command, text)
        if outcome.code:
            raise ScheduleError(
                f"{command[0]} refused the schedule: {outcome.output.strip()[-300:] or outcome.code}.",
                "Set up a job by hand that runs: " + " ".join(map(shlex.quote, self._task.command)),
            )

    def _unit(self, kind: str) -> Path:
        return self._config / "systemd" / "user" / f"{self._task.name}.{kind}"

    @property
    def _plist(self) -> Path:
        return self._home / "Library" / "LaunchAgents" / f"{self._task.name}.plist"


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


def schedule_fetch(workspace: Workspace, when: str) -> str:
    """Hand the scheduled fetch to the system, or take it back ('off'); the script's own sentence. Raises KnownError."""
    done = subprocess.run(
        [
            sys.executable,
            str(PROJECT_ROOT / "scripts" / "fetch_and_embed.py"),
            "--workspace",
            str(workspace.root),
            "--schedule",
            when.strip() or "off",
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode != 0:
        # The script's last line is what happened and what to do about it.
        raise KnownError(said[-1].removeprefix("Error: ") if said else "The schedule could not be set.")
    return said[-1] if said else ""
