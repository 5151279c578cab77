"""Starting the panel when its user logs in. Every place is a user's own: nothing needs administrator rights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.system.launch_entry import desktop_entry, write_entry
from storage.system.login_item.linux import autostart_file
from storage.system.login_item.macos import agent_file, launch_agent
from storage.system.login_item.windows import has_run_key, set_run_key


def set_login_item(
    is_on: bool, command: Sequence[str], *, platform: str = sys.platform, home: Path | None = None, registry: Any = None
) -> None:
    """Start `command` when this user logs in, or no longer."""
    home = home or Path.home()
    if platform == "win32":
        set_run_key(is_on, command, registry)
    elif platform == "darwin":
        write_entry(is_on, agent_file(home), launch_agent(command))
    else:
        write_entry(is_on, autostart_file(home), desktop_entry(command).encode())


def is_login_item(*, platform: str = sys.platform, home: Path | None = None, registry: Any = None) -> bool:
    """True when the system starts the panel at login."""
    home = home or Path.home()
    if platform == "win32":
        return has_run_key(registry)
    return (agent_file(home) if platform == "darwin" else autostart_file(home)).exists()
