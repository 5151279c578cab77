"""Paths of more than 260 characters, which Windows takes only where somebody allowed them."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

LONGEST = 260
# What a folder may have, unless long paths are allowed; a name always.
_LONGEST_FOLDER, _LONGEST_NAME = 247, 255
# The longest path seen below a workspace, a file of the index inside a backup, had 123 characters.
BELOW_WORKSPACE = 130


def has_long_paths() -> bool:
    """Whether files may have names of more than 260 characters."""
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False


def too_deep(folder: str, *, are_long_allowed: bool | None = None) -> str:
    """Why a workspace should not lie at `folder`, '' when it is short enough. are_long_allowed: asked of the system
    when None."""
    length = len(folder)
    if length + BELOW_WORKSPACE <= LONGEST:
        return ""
    if has_long_paths() if are_long_allowed is None else are_long_allowed:
        return ""
    return (
        f"This folder is too deep ({length} characters) for Windows, which allows {LONGEST} in all: no backup could be "
        "written."
    )


def is_too_long(error: OSError, place: Path) -> bool:
    """Whether a path's length is what the system complains of in other words: Windows says that it was not found, or
    that its name makes no sense."""
    if sys.platform != "win32" or error.errno not in (errno.ENOENT, errno.EINVAL):
        return False
    return len(str(place)) > _LONGEST_FOLDER or any(len(part) > _LONGEST_NAME for part in place.parts)
