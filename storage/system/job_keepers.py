"""Talking to the system's own keepers of jobs: running their commands, and writing what they read.

Used by the scheduled fetch and by the start before login. Task Scheduler: XML (schema 1.2); systemd: unit files.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from storage.paths import Workspace

TASK_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
COMMAND_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """How one of the system's commands ended."""

    code: int
    output: str


class Run(Protocol):
    """Runs one command of the system."""

    def __call__(self, command: Sequence[str], text: str | None = None) -> Outcome: ...


def run_command(command: Sequence[str], text: str | None = None) -> Outcome:
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
        return Outcome(127, f"{command[0]} was not found")
    except subprocess.TimeoutExpired:
        return Outcome(124, f"{command[0]} did not answer")
    return Outcome(done.returncode, (done.stdout or "") + (done.stderr or ""))


def job_name(what: str, workspace: Workspace) -> str:
    """A name of its own per workspace, so that two servers do not share one job."""
    number = hashlib.sha256(str(workspace.root).encode()).hexdigest()[:8]
    return f"discord-personality-{what}-{number}"


def user_id() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def systemd_quote(text: str) -> str:
    """An ExecStart word (systemd.service, "Command lines"): quotes, specifiers and variables made literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def systemd_path(path: Path) -> str:
    return str(path).replace("%", "%%")


class TaskXml:
    """A Task Scheduler definition in the making; elements keep the order in which they are added."""

    def __init__(self) -> None:
        ElementTree.register_namespace("", TASK_NAMESPACE)
        self.root = ElementTree.Element(f"{{{TASK_NAMESPACE}}}Task", version="1.2")

    def path(self, *names: str, under: ElementTree.Element | None = None) -> ElementTree.Element:
        """New elements, each inside the one before; returns the innermost."""
        parent = self.root if under is None else under
        for name in names:
            parent = ElementTree.SubElement(parent, f"{{{TASK_NAMESPACE}}}{name}")
        return parent

    def text(self, parent: ElementTree.Element, name: str, value: str) -> None:
        self.path(name, under=parent).text = value

    def settings(self, **values: str) -> None:
        """The Settings element; what both of our tasks have in common comes first."""
        settings = self.path("Settings")
        for name, value in (
            {
                "MultipleInstancesPolicy": "IgnoreNew",
                "DisallowStartIfOnBatteries": "false",
                "StopIfGoingOnBatteries": "false",
            }
            | values
        ).items():
            self.text(settings, name, value)

    def action(self, command: Sequence[str], folder: Path) -> None:
        """What runs, and where."""
        actions = self.path("Actions")
        actions.set("Context", "Author")
        run = self.path("Exec", under=actions)
        self.text(run, "Command", command[0])
        self.text(run, "Arguments", subprocess.list2cmdline(command[1:]))
        self.text(run, "WorkingDirectory", str(folder))

    def encoded(self) -> bytes:
        """As schtasks reads it: UTF-16 only."""
        return ElementTree.tostring(self.root, encoding="utf-16", xml_declaration=True)
