"""Starting the bot before anybody logs in: `launcher.py --headless`, kept by the operating system.

Linux: a systemd user service and lingering, without administrator rights. Windows: a Task Scheduler task with a boot
trigger; macOS: a launch daemon. Both need an administrator, so the file is written and the command to run is told.
The system's own answer is the only record of whether it is on. Not run on Windows and macOS: docs/PANEL.md.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Protocol

from storage.paths import Workspace
from storage.system.boot_service.linux import UserService
from storage.system.boot_service.macos import LaunchDaemon
from storage.system.boot_service.status import OFF, ON, BootStatus, BootTaskError
from storage.system.boot_service.windows import BootTaskOnWindows
from storage.system.commands import RunCommand, job_name, run_command, windows_user
from storage.system.launch_entry import launch_command

__all__ = ["OFF", "ON", "BootStatus", "BootTask", "BootTaskError"]
DAEMON_FOLDER = Path("/Library/LaunchDaemons")


class BootKeeper(Protocol):
    """What starts the bot before login on one system."""

    def status(self) -> BootStatus: ...
    def set_up(self) -> BootStatus: ...
    def remove(self) -> BootStatus: ...


def boot_command(workspace: Workspace, *, platform: str = sys.platform) -> list[str]:
    return launch_command(workspace, headless=True, platform=platform)


class BootTask:
    """Sets up, removes and shows the start before login of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        platform: str = sys.platform,
        home: Path | None = None,
        run: RunCommand = run_command,
        user: str = "",
        daemons: Path = DAEMON_FOLDER,
    ) -> None:
        self.name = job_name("boot", workspace)
        command = boot_command(workspace, platform=platform)
        config = Path(os.environ.get("XDG_CONFIG_HOME") or (home or Path.home()) / ".config")
        self._keeper: BootKeeper
        if platform == "win32":
            self._keeper = BootTaskOnWindows(self.name, workspace, command, user or windows_user(), run=run)
        elif platform == "darwin":
            self._keeper = LaunchDaemon(self.name, workspace, command, user or getpass.getuser(), folder=daemons)
        else:
            self._keeper = UserService(self.name, command, user or getpass.getuser(), config_home=config, run=run)

    def status(self) -> BootStatus:
        """As the system knows it."""
        return self._keeper.status()

    def set_up(self) -> BootStatus:
        """Turn it on; the status holds a command where an administrator is needed. The running panel stays as it is."""
        return self._keeper.set_up()

    def remove(self) -> BootStatus:
        """Turn it off; harmless when it is off. Lingering stays: other services of this user may need it."""
        return self._keeper.remove()
