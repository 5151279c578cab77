"""Starting before login on Linux: a systemd user service and lingering, without administrator rights."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from storage.paths import PROJECT_ROOT
from storage.system.boot_service.status import OFF, ON, BootStatus, BootTaskError, on_or_off, write_definition
from storage.system.commands import RunCommand
from storage.system.files import remove_file
from storage.system.systemd import systemd_path, systemd_quote


def systemd_unit(command: Sequence[str]) -> str:
    """A user service (systemd.service(5)); stopping the bot is left to the launcher, which does it in order."""
    line = " ".join(systemd_quote(part) for part in command)
    return (
        f"[Unit]\nDescription=Personality bot, from the start of the computer\n\n[Service]\n"
        f"WorkingDirectory={systemd_path(PROJECT_ROOT)}\nExecStart={line}\nRestart=on-failure\nRestartSec=30\n"
        "KillMode=process\n\n[Install]\nWantedBy=default.target\n"
    )


class UserService:
    """One unit of this user."""

    def __init__(self, name: str, command: Sequence[str], user: str, *, config_home: Path, run: RunCommand) -> None:
        self._name, self._command, self._user, self._run = name, command, user, run
        self.unit = config_home / "systemd" / "user" / f"{name}.service"

    def status(self) -> BootStatus:
        """Whether the bot starts at boot, and what is wrong where it should but would not."""
        if not self.unit.exists():
            return BootStatus(False, OFF)
        if self._run(["systemctl", "--user", "is-enabled", f"{self._name}.service"]).output.strip() != "enabled":
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

    def set_up(self) -> BootStatus:
        """Write and enable the unit; KnownError where systemd refuses."""
        write_definition(self.unit, systemd_unit(self._command).encode("utf-8"))
        self._must(["systemctl", "--user", "daemon-reload"])
        self._must(["systemctl", "--user", "enable", f"{self._name}.service"])
        self._run(["loginctl", "enable-linger", self._user])  # the status says whether it worked
        return self.status()

    def remove(self) -> BootStatus:
        """Disable and delete the unit; harmless where there is none."""
        if not self.status().is_on and not self.unit.exists():
            return on_or_off(False)
        self._run(["systemctl", "--user", "disable", f"{self._name}.service"])
        remove_file(self.unit)
        self._run(["systemctl", "--user", "daemon-reload"])
        return self.status()

    def _must(self, command: list[str]) -> None:
        outcome = self._run(command)
        if outcome.code:
            remove_file(self.unit)
            raise BootTaskError(
                f"{command[0]} refused: {outcome.output.strip()[-300:] or outcome.code}.",
                "Where there is no systemd, put this into your crontab (crontab -e): @reboot "
                + shlex.join(self._command).replace("%", r"\%"),
            )
