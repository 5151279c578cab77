"""A command that keeps the computer awake while it runs."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

log = logging.getLogger(__name__)


def hold_by_command(command: Sequence[str], spawn: Callable[..., Any]) -> Callable[[], None]:
    """Start it; the returned function ends it. A command that is not there is a line in the log."""
    try:
        holder = spawn(list(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError as error:
        log.warning("The computer cannot be kept awake: %s", error)
        return lambda: None

    def release() -> None:
        holder.terminate()
        holder.wait(timeout=5)

    return release
