"""Starting the panel at login on Windows: a value under the user's Run key."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Sequence
from typing import Any

from storage.system.launch_entry import NAME

RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"


def set_run_key(is_on: bool, command: Sequence[str], registry: Any) -> None:
    """Start `command` at login, or no longer. registry: winreg, or a stand-in."""
    winreg = registry or _winreg()
    with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY, 0, winreg.KEY_SET_VALUE) as key:
        if is_on:
            winreg.SetValueEx(key, NAME, 0, winreg.REG_SZ, subprocess.list2cmdline(command))
            return
        try:
            winreg.DeleteValue(key, NAME)
        except FileNotFoundError:
            return


def has_run_key(registry: Any) -> bool:
    """True when Windows starts the panel."""
    winreg = registry or _winreg()
    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY) as key:
            winreg.QueryValueEx(key, NAME)
    except FileNotFoundError:
        return False
    return True


def _winreg() -> Any:
    return importlib.import_module("winreg")
