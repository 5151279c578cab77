"""What systemd's unit files need."""

from __future__ import annotations

from pathlib import Path


def systemd_quote(text: str) -> str:
    """An ExecStart word (systemd.service, "Command lines"): quotes, specifiers and variables made literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def systemd_path(path: Path) -> str:
    """A path as a unit file wants it: a percent sign is doubled."""
    return str(path).replace("%", "%%")
