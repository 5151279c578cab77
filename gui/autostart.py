"""Where the operating system meets the panel: launch at login, shortcuts, keeping the computer awake.

Every place is a user's own; nothing here needs administrator rights. Windows and macOS parts follow their
documented interfaces and are tested through the files and commands they produce.
"""

from __future__ import annotations

import logging
import os
import plistlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace

log = logging.getLogger(__name__)

NAME, LABEL = "Personality Bot", "personality-bot"
RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"
# SetThreadExecutionState (Win32 API): stay in force until changed; the system must not sleep.
ES_CONTINUOUS, ES_SYSTEM_REQUIRED = 0x80000000, 0x00000001


def launch_command(workspace: Workspace, *, minimised: bool = False, platform: str = sys.platform) -> list[str]:
    """The command that opens the panel on this workspace, without a console window on Windows."""
    python = Path(sys.executable)
    if platform == "win32" and python.with_name("pythonw.exe").exists():
        python = python.with_name("pythonw.exe")
    command = [str(python), str(PROJECT_ROOT / "launcher.py")]
    if workspace.root != PROJECT_ROOT:
        command += ["--workspace", str(workspace.root)]
    return [*command, "--minimised"] if minimised else command


def schedule_fetch(workspace: Workspace, when: str) -> str:
    """Hand the scheduled fetch to the system, or take it back ('off'); the script's own sentence. Raises KnownError."""
    done = subprocess.run(
        [
            sys.executable,
            str(PROJECT_ROOT / "scripts" / "fetch_and_embed.py"),
            "--workspace",
            str(workspace.root),
            "--schedule",
            when.strip() or "off",
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode != 0:
        # The script's last line is what happened and what to do about it.
        raise KnownError(said[-1].removeprefix("Error: ") if said else "The schedule could not be set.")
    return said[-1] if said else ""


# ---- launch at login ------------------------------------------------------------------------------


def set_login_item(
    is_on: bool, command: Sequence[str], *, platform: str = sys.platform, home: Path | None = None, registry: Any = None
) -> None:
    """Start `command` when this user logs in, or no longer."""
    home = home or Path.home()
    if platform == "win32":
        _set_run_key(is_on, command, registry)
    elif platform == "darwin":
        _set_file(is_on, home / "Library" / "LaunchAgents" / f"local.{LABEL}.plist", launch_agent(command))
    else:
        _set_file(is_on, _config_home(home) / "autostart" / f"{LABEL}.desktop", desktop_entry(command).encode())


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


def desktop_entry(command: Sequence[str]) -> str:
    """A desktop entry (freedesktop.org, Desktop Entry Specification 1.5)."""
    # In Exec, percent signs are field codes and a backslash escapes inside double quotes.
    quoted = " ".join(_quote_exec(part) for part in command)
    icon = PROJECT_ROOT / "gui" / "assets" / "logo.png"
    return (
        f"[Desktop Entry]\nType=Application\nVersion=1.5\nName={NAME}\nComment=Control panel of your server's bot\n"
        f"Exec={quoted}\nIcon={icon}\nTerminal=false\nCategories=Network;Chat;\nStartupNotify=true\n"
        "StartupWMClass=PersonalityBot\n"
    )


def _quote_exec(part: str) -> str:
    escaped = part.replace("%", "%%")
    for character in ("\\", '"', "`", "$"):
        escaped = escaped.replace(character, "\\" + character)
    # The value itself is unescaped once more as a string of the file.
    escaped = escaped.replace("\\", "\\\\")
    return f'"{escaped}"'


def _config_home(home: Path) -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")


def _set_file(is_on: bool, path: Path, content: bytes) -> None:
    try:
        if is_on:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise KnownError(
            f"{path} could not be written ({error.strerror}).", "Check the permissions of its folder."
        ) from error


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


# ---- shortcuts ------------------------------------------------------------------------------------


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
        _set_file(True, path, entry)
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
    _set_file(
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
    _set_file(True, app / "MacOS" / "run", f"#!/bin/sh\nexec {shlex.join(command)}\n".encode())
    (app / "MacOS" / "run").chmod(0o755)
    return [app.parent]


# ---- staying awake --------------------------------------------------------------------------------


def is_plugged_in() -> bool:
    """True on mains power, and on computers without a battery."""
    import psutil

    battery = getattr(psutil, "sensors_battery", lambda: None)()
    return battery is None or bool(battery.power_plugged)


class KeepAwake:
    """Holds off the system's sleep while wanted. `update` may be called every second; it acts on changes only."""

    def __init__(
        self,
        *,
        platform: str = sys.platform,
        spawn: Callable[..., Any] = subprocess.Popen,
        plugged_in: Callable[[], bool] = is_plugged_in,
        kernel: Any = None,
    ) -> None:
        self._platform, self._spawn, self._plugged_in, self._kernel = platform, spawn, plugged_in, kernel
        self._holder: Any = None
        self.is_held = False

    def update(self, *, wanted: bool) -> None:
        """Hold while `wanted` and on mains power; let go otherwise."""
        should = wanted and self._plugged_in()
        if should != self.is_held:
            self.is_held = should
            (self._hold if should else self._let_go)()

    def close(self) -> None:
        if self.is_held:
            self.is_held = False
            self._let_go()

    def _hold(self) -> None:
        if self._platform == "win32":
            self._execution_state(ES_CONTINUOUS | ES_SYSTEM_REQUIRED)
            return
        command = (
            ["caffeinate", "-s", "-w", str(os.getpid())]
            if self._platform == "darwin"
            else [
                "systemd-inhibit",
                "--what=sleep:idle",
                f"--who={NAME}",
                "--why=The bot is running",
                "tail",
                f"--pid={os.getpid()}",
                "-f",
                os.devnull,
            ]
        )
        try:
            self._holder = self._spawn(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            log.warning("The computer cannot be kept awake: %s", error)

    def _let_go(self) -> None:
        if self._platform == "win32":
            self._execution_state(ES_CONTINUOUS)
        elif self._holder is not None:
            self._holder.terminate()
            self._holder.wait(timeout=5)
            self._holder = None

    def _execution_state(self, flags: int) -> None:
        import ctypes

        kernel = self._kernel or ctypes.windll.kernel32  # type: ignore[attr-defined]
        kernel.SetThreadExecutionState(flags)
