"""The schedule on Linux: a systemd user timer, or cron where systemd's user manager is not running."""

from __future__ import annotations

import shlex
from pathlib import Path

from storage.system.commands import RunCommand
from storage.system.files import remove_file
from storage.system.schedule.task import DAY_NAMES, Schedule, Task, require
from storage.system.systemd import systemd_path, systemd_quote


def systemd_service(task: Task) -> str:
    """The unit that runs once."""
    command = " ".join(systemd_quote(part) for part in task.command)
    return (
        f"[Unit]\nDescription=Fetch new Discord messages\n\n[Service]\nType=oneshot\n"
        f"WorkingDirectory={systemd_path(task.folder)}\nExecStart={command}\nNice=10\n"
    )


def systemd_timer(task: Task, schedule: Schedule) -> str:
    """The unit that says when; a time missed while the computer was off is made up for."""
    day = "" if schedule.day is None else f"{DAY_NAMES[schedule.day][:3]} "
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


def with_cron_line(crontab: str, task: Task, line: str | None) -> str:
    """The crontab with our line replaced, added or (None) removed; everything else untouched."""
    kept = [other for other in crontab.splitlines() if not other.rstrip().endswith(f"# {task.name}")]
    return "".join(f"{other}\n" for other in [*kept, *([line] if line else [])])


class SystemdOrCron:
    """Keeps one timer of this user, or one line of the crontab."""

    def __init__(self, task: Task, *, config_home: Path, run: RunCommand) -> None:
        self._task, self._run = task, run
        self._units = config_home / "systemd" / "user"

    def install(self, schedule: Schedule) -> str:
        """Hand the schedule to systemd, or to cron where there is none; which of them, in words."""
        return self._install_systemd(schedule) if self._has_systemd() else self._install_cron(schedule)

    def remove(self) -> None:
        """Take it from both; harmless where there is none."""
        self._remove_systemd()
        self._remove_cron()

    def status(self) -> str:
        """What the system says about it; empty where there is none."""
        if self._unit("timer").exists():
            listed = self._run(
                ["systemctl", "--user", "list-timers", "--all", f"{self._task.name}.timer", "--no-pager"]
            )
            return listed.output.strip() or f"systemd user timer {self._task.name}"
        lines = [line for line in self._crontab().splitlines() if line.endswith(f"# {self._task.name}")]
        return f"cron: {lines[0]}" if lines else ""

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
            remove_file(self._unit(kind))
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
        require(self._run(command, text), command, self._task)

    def _unit(self, kind: str) -> Path:
        return self._units / f"{self._task.name}.{kind}"
