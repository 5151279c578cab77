"""The panel in the menu and on the desktop of Linux: desktop entries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from storage.system.launch_entry import LABEL, desktop_entry, write_entry


def desktop_entries(command: Sequence[str], home: Path) -> list[Path]:
    """Make them: in the menu, and on the desktop where there is one."""
    entry = desktop_entry(command).encode()
    made = [Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "applications" / f"{LABEL}.desktop"]
    if (home / "Desktop").is_dir():
        made.append(home / "Desktop" / f"{LABEL}.desktop")
    for path in made:
        write_entry(True, path, entry)
        path.chmod(0o755)
    return made
