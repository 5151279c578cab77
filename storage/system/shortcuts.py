"""The panel on the desktop and in the menu."""

from __future__ import annotations

import os
import plistlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storage.paths import PROJECT_ROOT
from storage.system.launch_entry import LABEL, NAME, desktop_entry, write_entry


def make_shortcuts(
    command: Sequence[str],
    *,
    platform: str = sys.platform,
    home: Path | None = None,
    run: Callable[..., Any] = subprocess.run,
) -> list[Path]:
    """Put the panel on the desktop and into the menu; returns the files made."""
    home = home or Path.home()
    if platform == "win32":
        return _windows_shortcuts(command, home, run)
    if platform == "darwin":
        return _mac_shortcuts(command, home)
    entry = desktop_entry(command).encode()
    made = [Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "applications" / f"{LABEL}.desktop"]
    if (home / "Desktop").is_dir():
        made.append(home / "Desktop" / f"{LABEL}.desktop")
    for path in made:
        write_entry(True, path, entry)
        path.chmod(0o755)
    return made


def _windows_shortcuts(command: Sequence[str], home: Path, run: Callable[..., Any]) -> list[Path]:
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


def _mac_shortcuts(command: Sequence[str], home: Path) -> list[Path]:
    app = home / "Applications" / f"{NAME}.app" / "Contents"
    write_entry(
        True,
        app / "Info.plist",
        plistlib.dumps(
            {
                "CFBundleName": NAME,
                "CFBundleIdentifier": f"local.{LABEL}",
                "CFBundleExecutable": "run",
                "CFBundlePackageType": "APPL",
            }
        ),
    )
    write_entry(True, app / "MacOS" / "run", f"#!/bin/sh\nexec {shlex.join(command)}\n".encode())
    (app / "MacOS" / "run").chmod(0o755)
    return [app.parent]
