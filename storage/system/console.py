"""The window of a console being closed on Windows, and logging off and shutting down.

Python has no signal for these: Windows calls a handler on a thread of its own and ends the process when the handler
returns, or after five seconds. Programs that have loaded user32 hear of the session's end through a window instead.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from storage.system.session_end import when_session_ends

log = logging.getLogger(__name__)

# Windows waits five seconds for a console program (SPI_GETHUNGAPPTIMEOUT); what is not done by then is cut off.
CLOSE_SECONDS = 4.5
_CLOSE, _LOG_OFF, _SHUT_DOWN = 2, 5, 6  # CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT
# Windows keeps no reference to what it will call.
_handlers: list[Any] = []


def stop_signals() -> list[int]:
    """The signals of this system that ask a program to end in order: also a terminal that is closed, unless the
    owner said otherwise (nohup)."""
    names = ("SIGTERM", "SIGINT", "SIGBREAK", "SIGHUP")
    numbers = [int(getattr(signal, name)) for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def when_console_closes(ask: Callable[[], object]) -> None:
    """Call `ask` when Windows is about to end this process, and leave it the time there is to end in order.

    Does nothing on other systems, where closing a terminal and shutting down are signals.
    """
    if sys.platform != "win32":
        return
    import ctypes
    from ctypes import wintypes

    kind = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
    handler = kind(lambda event: handle_event(event, ask))
    if ctypes.windll.kernel32.SetConsoleCtrlHandler(handler, True):
        _handlers.append(handler)
    when_session_ends(lambda: handle_event(_SHUT_DOWN, ask))


def handle_event(event: int, ask: Callable[[], object], *, sleep: Callable[[float], object] = time.sleep) -> bool:
    """What happens on such an event; False leaves Ctrl+C and Ctrl+Break to Python."""
    if event not in (_CLOSE, _LOG_OFF, _SHUT_DOWN):
        return False
    try:
        ask()
    except Exception as error:  # the process is ending: whatever it was, there is nobody to tell
        log.error("The end could not be asked for: %s", error)
    sleep(CLOSE_SECONDS)  # the process ends meanwhile; returning would end it at once
    return True
