"""What is said about the start before login, and what every system needs to set it up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.errors import KnownError

ON, OFF = "On: the bot starts with the computer.", "Off."


class BootTaskError(KnownError):
    """The system refused, or its keeper of jobs is missing."""


@dataclass(frozen=True, slots=True)
class BootStatus:
    """What the system says. command: what an administrator must run for the change that was asked for, or ''."""

    is_on: bool
    text: str
    command: str = ""


def on_or_off(is_on: bool) -> BootStatus:
    """The plain status, with nothing for the owner to do."""
    return BootStatus(is_on, ON if is_on else OFF)


def needs_administrator(command: str, where: str, *, is_on: bool) -> BootStatus:
    """The change is left to an administrator; `is_on` is how things stay until then."""
    return BootStatus(is_on, f"This needs an administrator. Run this in {where}: {command}", command)


def write_definition(path: Path, content: bytes) -> None:
    """Write what the system will read. Raises BootTaskError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise BootTaskError(
            f"{path} could not be written ({error.strerror}).", "Check the permissions of its folder."
        ) from error
