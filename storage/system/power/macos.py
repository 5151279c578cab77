"""Holding off sleep on macOS: caffeinate, for as long as this process is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from storage.system.power.command import hold_by_command


def hold(spawn: Callable[..., Any]) -> Callable[[], None]:
    """Keep awake until the returned function is called."""
    return hold_by_command(["caffeinate", "-s", "-w", str(os.getpid())], spawn)
