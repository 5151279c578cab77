"""Puts the panel on the desktop and in the menu after the set-up; run by the Python that the shortcuts start."""

from __future__ import annotations

import sys


def main() -> int:
    """Make them for the default workspace; 1 where the system would not. They can be made in the panel later."""
    from storage.errors import KnownError
    from storage.paths import Workspace
    from storage.system.launch_entry import launch_command
    from storage.system.shortcuts import make_shortcuts

    try:
        make_shortcuts(launch_command(Workspace.at(None)))
    except KnownError as error:
        print(error.text(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
