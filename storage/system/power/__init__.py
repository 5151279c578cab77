"""Keeping the computer awake while the bot runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from storage.system.power import linux, macos, windows


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
        self._release: Callable[[], None] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the computer is being kept awake."""
        return self._release is not None

    def update(self, *, wanted: bool) -> None:
        """Hold while `wanted` and on mains power; let go otherwise."""
        should = wanted and self._plugged_in()
        if should and self._release is None:
            self._release = self._hold()
        elif not should:
            self.close()

    def close(self) -> None:
        """Let go; harmless when nothing is held."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def _hold(self) -> Callable[[], None]:
        if self._platform == "win32":
            return windows.hold(self._kernel)
        if self._platform == "darwin":
            return macos.hold(self._spawn)
        return linux.hold(self._spawn)
