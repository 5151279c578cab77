"""Definitions for Windows' Task Scheduler (XML, schema 1.2)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

TASK_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"


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
        """Add an element with a text under `parent`."""
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
        return bytes(ElementTree.tostring(self.root, encoding="utf-16", xml_declaration=True))
