"""The panel in the Applications folder of macOS: a bundle around one command."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from storage.system.launch_entry import LABEL, NAME, write_entry


def mac_bundle(command: Sequence[str], home: Path) -> list[Path]:
    """Make it for this user."""
    app = home / "Applications" / f"{NAME}.app" / "Contents"
    write_entry(
        True,
        app / "Info.plist",
        plistlib.dumps(
            {
                "CFBundleName": NAME,
                "CFBundleIdentifier": f"local.{LABEL}",
                "CFBundleExecutable": "run",
                "CFBundlePackageType": "APPL",
                "CFBundleVersion": "1",
                "NSHighResolutionCapable": True,
                # A script has no architecture: without this Apple's processors offer to install Rosetta for it.
                "LSArchitecturePriority": ["arm64", "x86_64"],
            }
        ),
    )
    write_entry(True, app / "MacOS" / "run", f"#!/bin/sh\nexec {shlex.join(command)}\n".encode())
    (app / "MacOS" / "run").chmod(0o755)
    return [app.parent]
