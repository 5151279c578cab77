"""The panel on the desktop and in the Start menu of Windows: .lnk files, written by the shell's own object."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storage.paths import PROJECT_ROOT
from storage.system.launch_entry import NAME


def windows_shortcuts(command: Sequence[str], home: Path, run: Callable[..., Any]) -> list[Path]:
    """Make both; returns where they are unless a folder was redirected."""
    menu = home / "AppData" / "Roaming" / "Microsoft" / "Windows" / "Start Menu" / "Programs"
    script = powershell_shortcuts(command)
    run(
        ["powershell", "-NoProfile", "-NonInteractive", "-Command", script],
        check=True,
        timeout=60,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    return [home / "Desktop" / f"{NAME}.lnk", menu / f"{NAME}.lnk"]


def powershell_shortcuts(command: Sequence[str]) -> str:
    """PowerShell that writes both .lnk files through the shell's own COM object (it knows redirected folders)."""
    target, arguments = command[0], subprocess.list2cmdline(list(command[1:]))
    icon = PROJECT_ROOT / "gui" / "assets" / "icon.ico"

    def quoted(text: object) -> str:
        return "'" + str(text).replace("'", "''") + "'"

    return (
        "$s = New-Object -ComObject WScript.Shell; foreach ($f in 'Desktop','Programs') { "
        f"$l = $s.CreateShortcut((Join-Path $s.SpecialFolders.Item($f) {quoted(NAME + '.lnk')})); "
        f"$l.TargetPath = {quoted(target)}; $l.Arguments = {quoted(arguments)}; "
        f"$l.WorkingDirectory = {quoted(PROJECT_ROOT)}; $l.IconLocation = {quoted(icon)}; $l.Save() }}"
    )
