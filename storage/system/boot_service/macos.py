"""Starting before login on macOS: a launch daemon, which an administrator has to put in its place."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from storage.paths import PROJECT_ROOT, Workspace
from storage.system.boot_service.status import BootStatus, needs_administrator, on_or_off, write_definition

TERMINAL = "a terminal"


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
            # "Background" would hold it to the efficiency cores, and it answers people.
            "ProcessType": "Interactive",
        }
    )


class LaunchDaemon:
    """One daemon, by its name."""

    def __init__(self, name: str, workspace: Workspace, command: Sequence[str], user: str, *, folder: Path) -> None:
        self._name, self._workspace, self._command, self._user, self._folder = name, workspace, command, user, folder

    def status(self) -> BootStatus:
        """Whether the bot starts at boot."""
        return on_or_off((self._folder / f"{self._name}.plist").exists())

    def set_up(self) -> BootStatus:
        """Write the definition, and say which command the owner must run as administrator."""
        file = self._workspace.database_folder / f"{self._name}.plist"
        write_definition(file, launch_daemon(self._name, self._command, self._user))
        target = shlex.quote((self._folder / file.name).as_posix())
        return needs_administrator(
            f"sudo install -o root -g wheel -m 644 {shlex.quote(file.as_posix())} {target} && "
            f"sudo launchctl bootstrap system {target}",
            TERMINAL,
            is_on=False,
        )

    def remove(self) -> BootStatus:
        """Say which command takes it away; harmless where there is none."""
        if not self.status().is_on:
            return on_or_off(False)
        plist = shlex.quote((self._folder / f"{self._name}.plist").as_posix())
        return needs_administrator(f"sudo launchctl bootout system/{self._name}; sudo rm {plist}", TERMINAL, is_on=True)
