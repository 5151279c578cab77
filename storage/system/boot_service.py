"""Starting the bot before anybody logs in: `launcher.py --headless`, kept by the operating system.

Linux: a systemd user service and lingering, without administrator rights. Windows: a Task Scheduler task with a boot
trigger; macOS: a launch daemon. Both need an administrator, so the file is written and the command to run is told.
The system's own answer is the only record of whether it is on. Not run on Windows and macOS: docs/PANEL.md.
"""

from __future__ import annotations

import getpass
import os
import plistlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace
from storage.system.job_keepers import Run, TaskXml, job_name, run_command, systemd_path, systemd_quote
from storage.system.launch_entry import launch_command

DAEMON_FOLDER = Path("/Library/LaunchDaemons")
ON, OFF = "On: the bot starts with the computer.", "Off."


class BootTaskError(KnownError):
    """The system refused, or its keeper of jobs is missing."""


@dataclass(frozen=True, slots=True)
class BootStatus:
    """What the system says. command: what an administrator must run for the change that was asked for, or ''."""

    is_on: bool
    text: str
    command: str = ""


# ---- texts ----------------------------------------------------------------------------------------------


def boot_command(workspace: Workspace, *, platform: str = sys.platform) -> list[str]:
    return [*launch_command(workspace, platform=platform), "--headless"]


def systemd_unit(command: Sequence[str]) -> str:
    """A user service (systemd.service(5)); stopping the bot is left to the launcher, which does it in order."""
    line = " ".join(systemd_quote(part) for part in command)
    return (
        f"[Unit]\nDescription=Personality bot, from the start of the computer\n\n[Service]\n"
        f"WorkingDirectory={systemd_path(PROJECT_ROOT)}\nExecStart={line}\nRestart=on-failure\nRestartSec=30\n"
        "KillMode=process\n\n[Install]\nWantedBy=default.target\n"
    )


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


def launch_daemon(name: str, command: Sequence[str], user: str) -> bytes:
    """A launchd daemon that runs as this user (launchd.plist(5)); the bot outlives a launcher that hands over."""
    return plistlib.dumps(
        {
            "Label": name,
            "ProgramArguments": list(command),
            "UserName": user,
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "AbandonProcessGroup": True,
            "WorkingDirectory": str(PROJECT_ROOT),
            "ProcessType": "Background",
        }
    )


# ---- the system -----------------------------------------------------------------------------------------


class BootTask:
    """Sets up, removes and shows the start before login of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        platform: str = sys.platform,
        home: Path | None = None,
        run: Run = run_command,
        user: str = "",
        daemons: Path = DAEMON_FOLDER,
    ) -> None:
        self.name = job_name("boot", workspace)
        self._workspace, self._platform, self._run, self._daemons = workspace, platform, run, daemons
        self._command = boot_command(workspace, platform=platform)
        self._user = user or getpass.getuser()
        config = Path(os.environ.get("XDG_CONFIG_HOME") or (home or Path.home()) / ".config")
        self.unit = config / "systemd" / "user" / f"{self.name}.service"

    def status(self) -> BootStatus:
        """As the system knows it."""
        if self._platform == "win32":
            is_on = self._run(["schtasks", "/Query", "/TN", self.name]).code == 0
        elif self._platform == "darwin":
            is_on = (self._daemons / f"{self.name}.plist").exists()
        else:
            return self._linux_status()
        return BootStatus(is_on, ON if is_on else OFF)

    def set_up(self) -> BootStatus:
        """Turn it on; the status holds a command where an administrator is needed. The running panel stays as it is."""
        if self._platform == "win32":
            return self._windows(boot_task_xml(self._command, self._user))
        if self._platform == "darwin":
            return self._mac(launch_daemon(self.name, self._command, self._user))
        self._write(self.unit, systemd_unit(self._command).encode("utf-8"))
        self._must(["systemctl", "--user", "daemon-reload"])
        self._must(["systemctl", "--user", "enable", f"{self.name}.service"])
        self._run(["loginctl", "enable-linger", self._user])  # the status says whether it worked
        return self._linux_status()

    def remove(self) -> BootStatus:
        """Turn it off; harmless when it is off. Lingering stays: other services of this user may need it."""
        if not self.status().is_on and not self.unit.exists():
            return BootStatus(False, OFF)
        if self._platform == "win32":
            command = ["schtasks", "/Delete", "/TN", self.name, "/F"]
            if self._run(command).code:
                return self._needs_administrator(subprocess.list2cmdline(command), is_on=True)
            return self.status()
        if self._platform == "darwin":
            plist = shlex.quote(str(self._daemons / f"{self.name}.plist"))
            return self._needs_administrator(f"sudo launchctl bootout system/{self.name}; sudo rm {plist}", is_on=True)
        self._run(["systemctl", "--user", "disable", f"{self.name}.service"])
        self.unit.unlink(missing_ok=True)
        self._run(["systemctl", "--user", "daemon-reload"])
        return self._linux_status()

    # ---- one system each --------------------------------------------------------------------------------

    def _linux_status(self) -> BootStatus:
        if not self.unit.exists():
            return BootStatus(False, OFF)
        if self._run(["systemctl", "--user", "is-enabled", f"{self.name}.service"]).output.strip() != "enabled":
            return BootStatus(False, f"Off: {self.unit.name} is there but not enabled.")
        linger = self._run(["loginctl", "show-user", self._user, "--property=Linger", "--value"])
        if linger.output.strip() != "yes":
            command = f"sudo loginctl enable-linger {shlex.quote(self._user)}"
            return BootStatus(
                True,
                "Half on: this system starts your services only once you log in, until an "
                f"administrator runs: {command}",
                command,
            )
        return BootStatus(True, ON)

    def _windows(self, definition: bytes) -> BootStatus:
        file = self._workspace.database_folder / "boot_task.xml"
        self._write(file, definition)
        command = ["schtasks", "/Create", "/TN", self.name, "/XML", str(file), "/F"]
        if self._run(command).code:
            return self._needs_administrator(subprocess.list2cmdline(command), is_on=False)
        return self.status()

    def _mac(self, definition: bytes) -> BootStatus:
        file = self._workspace.database_folder / f"{self.name}.plist"
        self._write(file, definition)
        target = shlex.quote(str(self._daemons / file.name))
        return self._needs_administrator(
            f"sudo install -o root -g wheel -m 644 {shlex.quote(str(file))} {target} && "
            f"sudo launchctl bootstrap system {target}",
            is_on=False,
        )

    def _needs_administrator(self, command: str, *, is_on: bool) -> BootStatus:
        where = 'a terminal opened with "Run as administrator"' if self._platform == "win32" else "a terminal"
        return BootStatus(is_on, f"This needs an administrator. Run this in {where}: {command}", command)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise BootTaskError(
                f"{path} could not be written ({error.strerror}).", "Check the permissions of its folder."
            ) from error

    def _must(self, command: list[str]) -> None:
        outcome = self._run(command)
        if outcome.code:
            self.unit.unlink(missing_ok=True)
            raise BootTaskError(
                f"{command[0]} refused: {outcome.output.strip()[-300:] or outcome.code}.",
                "Where there is no systemd, put this into your crontab (crontab -e): @reboot "
                + shlex.join(self._command).replace("%", r"\%"),
            )
