"""Starting the panel at login on macOS: a launch agent of the user's."""

from __future__ import annotations

import plistlib
from collections.abc import Sequence
from pathlib import Path

from storage.system.launch_entry import LABEL


def agent_file(home: Path) -> Path:
    """Where launchd looks at login."""
    return home / "Library" / "LaunchAgents" / f"local.{LABEL}.plist"


def launch_agent(command: Sequence[str]) -> bytes:
    """A launchd agent that runs the command once at login (launchd.plist(5))."""
    return plistlib.dumps(
        {"Label": f"local.{LABEL}", "ProgramArguments": list(command), "RunAtLoad": True, "ProcessType": "Interactive"}
    )
