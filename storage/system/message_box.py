"""A sentence in a window of its own, for a program that has no terminal to say it in.

Standard library only, and readable by Python 3.7: the set-up uses it. Each system's own box, so that it also comes
where Python has no tkinter; on Linux tkinter's, and where there is none one of the desktops' own programs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress

_ERROR_BOX, _IN_FRONT = 0x10, 0x10000  # MB_ICONERROR, MB_SETFOREGROUND (MessageBoxW)


def show_failure(title: str, text: str) -> bool:
    """Show what went wrong and wait until it is closed; False where no window can be shown."""
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.windll.user32.MessageBoxW(None, text, title, _ERROR_BOX | _IN_FRONT))
    if sys.platform == "darwin":
        script = "on run argv\ndisplay alert (item 1 of argv) message (item 2 of argv) as critical\nend run"
        return _ran(["osascript", "-e", script, title, text])
    return _by_tkinter(title, text) or any(_ran(command) for command in _desktop_commands(title, text))


def _by_tkinter(title: str, text: str) -> bool:
    try:
        import tkinter
        from tkinter import messagebox
    except ImportError:
        return False
    try:
        root = tkinter.Tk(className="PersonalityBot")
    except tkinter.TclError:
        return False
    root.withdraw()
    messagebox.showerror(title, text, parent=root)
    root.destroy()
    return True


def _desktop_commands(title: str, text: str) -> list[list[str]]:
    commands = [
        ["zenity", "--error", "--no-markup", f"--title={title}", f"--text={text}"],
        ["kdialog", "--title", title, "--error", text],
        ["xmessage", "-center", f"{title}\n\n{text}"],
    ]
    return [command for command in commands if shutil.which(command[0])]


def _ran(command: list[str]) -> bool:
    with suppress(OSError):
        return subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    return False
