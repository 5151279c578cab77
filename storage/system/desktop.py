"""The desktop around the window: who the program is to it, and opening files and folders."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from storage.errors import KnownError

log = logging.getLogger(__name__)


APP_ID = "PersonalityBot.Panel"
_PER_MONITOR_AWARE = 2
# GA_ROOT (GetAncestor); DWMWA_USE_IMMERSIVE_DARK_MODE and its number before Windows 10 2004.
_ROOT, _DARK_MODE, _DARK_MODE_BEFORE_2004 = 2, 20, 19


def introduce_program() -> None:
    """Before the first window. On Windows: a place of its own in the task bar, and sharp text at any scaling."""
    if sys.platform != "win32":
        return
    import ctypes

    try:
        ctypes.windll.shell32.SetCurrentProcessExplicitAppUserModelID(APP_ID)
        # The toolkit asks for it too, but only after the first window, when Windows may have decided otherwise.
        ctypes.windll.shcore.SetProcessDpiAwareness(_PER_MONITOR_AWARE)
    except (OSError, AttributeError) as error:
        log.info("Windows was not told about the program: %s", error)


def colour_title_bar(window: int, *, is_dark: bool) -> None:
    """Windows: the title bar of one of our windows (its handle, or that of the content in it) follows the mode.

    Elsewhere, and on versions of Windows that do not know it, nothing happens.
    """
    if sys.platform != "win32":
        return
    import ctypes
    from ctypes import wintypes

    user32, value = ctypes.windll.user32, ctypes.c_int(is_dark)
    user32.GetAncestor.restype = wintypes.HWND
    handle = wintypes.HWND(user32.GetAncestor(wintypes.HWND(window), _ROOT))
    try:
        for attribute in (_DARK_MODE, _DARK_MODE_BEFORE_2004):
            if not ctypes.windll.dwmapi.DwmSetWindowAttribute(handle, attribute, ctypes.byref(value), 4):
                return
    except (OSError, AttributeError) as error:
        log.debug("The title bar was not coloured: %s", error)


def open_path(path: Path) -> None:
    """Open a file or folder with the program the system has for it."""
    if not path.exists():
        if path.suffix:
            raise KnownError(
                f"{path.name} is not there any more.",
                "Make it again; pages that quote members go when one asks to be forgotten.",
            )
        path.mkdir(parents=True, exist_ok=True)
    try:
        _open(path)
    except OSError as error:
        raise KnownError(f"No program could be found to open {path}.", "Open it in your file manager.") from error


def _open(path: Path) -> None:
    if sys.platform == "win32":
        os.startfile(path)
    else:
        opener = "open" if sys.platform == "darwin" else "xdg-open"
        subprocess.Popen(
            [opener, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
