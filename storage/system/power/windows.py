"""Holding off sleep on Windows. The state belongs to a thread, so it gets one of its own and goes with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# SetThreadExecutionState (Win32 API): stay in force until changed; the system must not sleep.
ES_CONTINUOUS, ES_SYSTEM_REQUIRED = 0x80000000, 0x00000001


def hold(kernel: Any = None) -> Callable[[], None]:
    """Keep awake until the returned function is called. kernel: kernel32, or a stand-in."""
    let_go = threading.Event()

    def stay() -> None:
        api = kernel or _kernel32()
        api.SetThreadExecutionState(ES_CONTINUOUS | ES_SYSTEM_REQUIRED)
        let_go.wait()
        api.SetThreadExecutionState(ES_CONTINUOUS)

    thread = threading.Thread(target=stay, name="keep-awake", daemon=True)
    thread.start()

    def release() -> None:
        let_go.set()
        thread.join(timeout=5)

    return release


def _kernel32() -> Any:
    import ctypes

    return ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
