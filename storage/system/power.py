"""Keeping the computer awake while the bot runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from storage.system.launch_entry import NAME

log = logging.getLogger(__name__)

# SetThreadExecutionState (Win32 API): stay in force until changed; the system must not sleep.
ES_CONTINUOUS, ES_SYSTEM_REQUIRED = 0x80000000, 0x00000001


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
