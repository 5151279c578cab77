"""What starts the panel: its command, its name, and the desktop entry that holds both."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace
from storage.system.files import remove_file

NAME, LABEL = "Personality Bot", "personality-bot"


def windowless_python(*, platform: str = sys.platform) -> Path:
    """This interpreter, as the system is to start it: without a console window on Windows."""
    python = Path(sys.executable)
    windowless = python.with_name("pythonw.exe")
    return windowless if platform == "win32" and windowless.exists() else python


def launch_command(
    workspace: Workspace, *, minimised: bool = False, headless: bool = False, platform: str = sys.platform
) -> list[str]:
    """The command that opens the panel on this workspace (headless: supervises without one), without a console window
    on Windows."""
    command = [str(windowless_python(platform=platform)), str(PROJECT_ROOT / "launcher.py")]
    if workspace.root != PROJECT_ROOT:
        command += ["--workspace", str(workspace.root)]
    if headless:
        return [*command, "--headless"]
    return [*command, "--windowed", *(["--minimised"] if minimised else [])]


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


def write_entry(is_on: bool, path: Path, content: bytes) -> None:
    """Write a file that the system reads, or remove it. Raises KnownError."""
    try:
        if is_on:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            remove_file(path)
    except OSError as error:
        raise KnownError(
            f"{path} could not be written ({error.strerror}).", "Check the permissions of its folder."
        ) from error
