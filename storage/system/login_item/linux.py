"""Starting the panel at login on Linux: an entry in the desktop's autostart folder."""

from __future__ import annotations

import os
from pathlib import Path

from storage.system.launch_entry import LABEL


def autostart_file(home: Path) -> Path:
    """Where the desktop looks at login (freedesktop.org, Autostart Specification)."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return config / "autostart" / f"{LABEL}.desktop"
