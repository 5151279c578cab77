"""Starting the panel when its user logs in.

Every place is a user's own; nothing here needs administrator rights. Windows and macOS parts follow their
documented interfaces and are tested through the files and commands they produce.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.system.launch_entry import LABEL, NAME, desktop_entry, write_entry

RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"


def set_login_item(
    is_on: bool, command: Sequence[str], *, platform: str = sys.platform, home: Path | None = None, registry: Any = None
) -> None:
    """Start `command` when this user logs in, or no longer."""
    home = home or Path.home()
    if platform == "win32":
        _set_run_key(is_on, command, registry)
    elif platform == "darwin":
        write_entry(is_on, home / "Library" / "LaunchAgents" / f"local.{LABEL}.plist", launch_agent(command))
    else:
        write_entry(is_on, _config_home(home) / "autostart" / f"{LABEL}.desktop", desktop_entry(command).encode())


def is_login_item(*, platform: str = sys.platform, home: Path | None = None, registry: Any = None) -> bool:
    """True when the system starts the panel at login."""
    home = home or Path.home()
    if platform == "win32":
        return _has_run_key(registry)
    if platform == "darwin":
        return (home / "Library" / "LaunchAgents" / f"local.{LABEL}.plist").exists()
    return (_config_home(home) / "autostart" / f"{LABEL}.desktop").exists()


def launch_agent(command: Sequence[str]) -> bytes:
    """A launchd agent that runs the command once at login (launchd.plist(5))."""
    return plistlib.dumps(
        {"Label": f"local.{LABEL}", "ProgramArguments": list(command), "RunAtLoad": True, "ProcessType": "Interactive"}
    )


def _config_home(home: Path) -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")


def _set_run_key(is_on: bool, command: Sequence[str], registry: Any) -> None:
    winreg = registry or _winreg()
    with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY, 0, winreg.KEY_SET_VALUE) as key:
        if is_on:
            winreg.SetValueEx(key, NAME, 0, winreg.REG_SZ, subprocess.list2cmdline(command))
            return
        try:
            winreg.DeleteValue(key, NAME)
        except FileNotFoundError:
            return


def _has_run_key(registry: Any) -> bool:
    winreg = registry or _winreg()
    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY) as key:
            winreg.QueryValueEx(key, NAME)
    except FileNotFoundError:
        return False
    return True


def _winreg() -> Any:
    import importlib

    return importlib.import_module("winreg")
