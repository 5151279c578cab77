"""The panel on the desktop and in the menu."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storage.system.shortcuts.linux import desktop_entries
from storage.system.shortcuts.macos import mac_bundle
from storage.system.shortcuts.windows import windows_shortcuts


def make_shortcuts(
    command: Sequence[str],
    *,
    platform: str = sys.platform,
    home: Path | None = None,
    run: Callable[..., Any] = subprocess.run,
) -> list[Path]:
    """Put the panel on the desktop and into the menu; returns the files made."""
    home = home or Path.home()
    if platform == "win32":
        return windows_shortcuts(command, home, run)
    return mac_bundle(command, home) if platform == "darwin" else desktop_entries(command, home)
