"""The program's version: pyproject.toml has it, once."""

from __future__ import annotations

from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def program_version() -> str:
    """'1.1.0', or 'unknown' in a copy without a readable pyproject.toml."""
    import tomllib  # not at the top: Python 3.10 has none, and is told so in a sentence

    try:
        return str(tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"
