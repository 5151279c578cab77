"""Logging off and shutting down on Windows, as programs with windows hear of it.

Windows tells console programs through their console's handler, but counts what has loaded user32 as a program
with windows, and OpenSSL's library loads it: whoever talks to Discord hears nothing there. So such a program needs a
window, which nobody sees (SetConsoleCtrlHandler, "Remarks"; WM_QUERYENDSESSION, WM_ENDSESSION).
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)
WINDOW_CLASS = "PersonalityBot.SessionEnd"
WM_QUERYENDSESSION, WM_ENDSESSION = 0x11, 0x16
_POPUP = 0x80000000  # WS_POPUP: a window of its own, since message-only windows are not told


def when_session_ends(end: Callable[[], object]) -> None:
    """Call `end` on a thread of its own once Windows logs off or shuts down; it is given about five seconds there.

    Does nothing on other systems, where that is a signal.
    """
    if sys.platform == "win32":
        threading.Thread(target=_listen, args=(end,), name="session-end", daemon=True).start()


def answer(message: int, is_ending: bool, end: Callable[[], object]) -> int | None:
    """What the window answers to a message; None leaves it to the system. Nobody here ever refuses."""
    if message == WM_QUERYENDSESSION:
        return 1
    if message != WM_ENDSESSION:
        return None
    if is_ending:  # else another program refused, and the session goes on
        end()
    return 0


def _listen(end: Callable[[], object]) -> None:
    if sys.platform != "win32":
        return
    import ctypes
    from ctypes import wintypes

    user32 = ctypes.WinDLL("user32", use_last_error=True)
    module = ctypes.WinDLL("kernel32").GetModuleHandleW
    module.restype, module.argtypes = wintypes.HMODULE, [wintypes.LPCWSTR]
    kind = ctypes.WINFUNCTYPE(ctypes.c_ssize_t, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM)

    class WindowClass(ctypes.Structure):  # WNDCLASSW
        _fields_ = [
            ("style", wintypes.UINT),
            ("procedure", kind),
            ("class_extra", ctypes.c_int),
            ("window_extra", ctypes.c_int),
            ("instance", wintypes.HINSTANCE),
            ("icon", wintypes.HICON),
            ("cursor", wintypes.HANDLE),
            ("background", wintypes.HBRUSH),
            ("menu", wintypes.LPCWSTR),
            ("name", wintypes.LPCWSTR),
        ]

    default = user32.DefWindowProcW
    default.restype = ctypes.c_ssize_t
    default.argtypes = [wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM]

    def procedure(window: Any, message: int, first: int, second: int) -> int:
        said = answer(message, bool(first), end)
        return int(default(window, message, first, second)) if said is None else said

    create = user32.CreateWindowExW
    create.restype = wintypes.HWND
    create.argtypes = [
        *(wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int),
        *(wintypes.HWND, wintypes.HMENU, wintypes.HINSTANCE, wintypes.LPVOID),
    ]
    instance = module(None)
    described = WindowClass(procedure=kind(procedure), instance=instance, name=WINDOW_CLASS)
    user32.RegisterClassW(ctypes.byref(described))
    window = create(0, WINDOW_CLASS, WINDOW_CLASS, _POPUP, 0, 0, 0, 0, None, None, instance, None)
    if not window:
        log.info("No window for the session's end (error %d): logging off ends this program.", ctypes.get_last_error())
        return
    message = wintypes.MSG()
    while user32.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
        user32.DispatchMessageW(ctypes.byref(message))
