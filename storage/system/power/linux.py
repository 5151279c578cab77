"""Holding off sleep on Linux: systemd-inhibit, for as long as this process is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from storage.system.launch_entry import NAME
from storage.system.power.command import hold_by_command


def hold(spawn: Callable[..., Any]) -> Callable[[], None]:
    """Keep awake until the returned function is called."""
    inhibit = ["systemd-inhibit", "--what=sleep:idle", f"--who={NAME}", "--why=The bot is running"]
    return hold_by_command([*inhibit, "tail", f"--pid={os.getpid()}", "-f", os.devnull], spawn)
