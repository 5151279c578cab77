"""Running the system's own commands, and the names our entries have with it."""

from __future__ import annotations

import getpass
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.paths import Workspace

COMMAND_SECONDS = 60


@dataclass(frozen=True)
class CommandOutcome:
    """How one of the system's commands ended."""

    code: int
    output: str


class RunCommand(Protocol):
    """Runs one command of the system."""

    def __call__(self, command: Sequence[str], text: str | None = None) -> CommandOutcome:
        """Run it with `text` on its standard input. A missing program is an outcome too, not an exception."""


def run_command(command: Sequence[str], text: str | None = None) -> CommandOutcome:
    """The real thing; a command that does not exist is code 127."""
    try:
        done = subprocess.run(
            list(command),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (FileNotFoundError, PermissionError):
        return CommandOutcome(127, f"{command[0]} was not found")
    except subprocess.TimeoutExpired:
        return CommandOutcome(124, f"{command[0]} did not answer")
    return CommandOutcome(done.returncode, (done.stdout or "") + (done.stderr or ""))


def job_name(what: str, workspace: Workspace) -> str:
    """A name of its own per workspace, so that two servers do not share one job."""
    number = hashlib.sha256(str(workspace.root).encode()).hexdigest()[:8]
    return f"discord-personality-{what}-{number}"


def user_id() -> int:
    """The user's number on Linux and macOS; 0 on Windows, which has none."""
    return os.getuid() if hasattr(os, "getuid") else 0


def windows_user(environment: Mapping[str, str] = os.environ) -> str:
    """This user as Windows names accounts: the domain or the computer comes first."""
    domain, name = environment.get("USERDOMAIN", ""), environment.get("USERNAME", "") or getpass.getuser()
    return f"{domain}\\{name}" if domain else name
