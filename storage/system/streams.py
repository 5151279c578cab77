"""The program's standard streams: whether a person is behind them, and what to write to where there are none.

Python has no streams at all (`sys.stdout is None`) under pythonw and in what Windows' Task Scheduler starts. And on
Windows the null device calls itself a terminal. Standard library only: the set-up uses it.
"""

from __future__ import annotations

import os
import sys
from typing import IO, Any


def is_terminal(stream: IO[Any] | None) -> bool:
    """True for a console or terminal; False for files, pipes, closed streams, the null device, and None."""
    try:
        if stream is None or not stream.isatty():
            return False
    except ValueError:  # closed
        return False
    if sys.platform != "win32":
        return True
    try:
        return _is_console(stream.fileno())
    except OSError:  # a window of another program's (an editor's) that stands for one
        return True


def is_person_there() -> bool:
    """True when somebody can be asked: standard input is a terminal."""
    return is_terminal(sys.stdin)


def is_nowhere(stream: IO[Any] | None) -> bool:
    """True where the system gave this program no such stream, before and after `ensure_streams`."""
    return stream is None or getattr(stream, "name", None) == os.devnull


def ensure_streams() -> None:
    """Make writing to stdout and stderr safe where the system gave this program none: what is written is dropped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Kept open for the life of the program, as the real ones are.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _is_console(number: int) -> bool:
    """Windows: NUL is a character device as a console is, and only a console has a mode (GetConsoleMode)."""
    if sys.platform != "win32":
        return True
    import ctypes
    import msvcrt
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    mode = wintypes.DWORD()
    return bool(kernel.GetConsoleMode(wintypes.HANDLE(msvcrt.get_osfhandle(number)), ctypes.byref(mode)))
