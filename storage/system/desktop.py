"""The desktop around the window: opening files and folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from storage.errors import KnownError


def open_path(path: Path) -> None:
    """Open a file or folder with the program the system has for it."""
    if not path.exists():
        if path.suffix:
            raise KnownError(
                f"{path.name} is not there any more.",
                "Make it again; pages that quote members go when one asks to be forgotten.",
            )
        path.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        import os

        os.startfile(path)
        return
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    try:
        subprocess.Popen(
            [opener, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise KnownError(f"No program could be found to open {path}.", "Open it in your file manager.") from error
