"""The groups of requirements an entry point may ask for. Light to import: every start reads it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from scripts.installation.pins import Pin, read_pins


class Group(NamedTuple):
    """Requirements that are installed together, and the room they take."""

    file: str
    label: str
    gigabytes: float
    options: tuple[str, ...] = ()


GROUPS = {
    "runtime": Group("requirements.txt", "the bot's libraries", 1.2),
    # Both packages name far more than their model file needs.
    "offline": Group("requirements-offline.txt", "the small offline models", 0.3, ("--no-deps",)),
    "train": Group("requirements-train.txt", "the training libraries", 0.5),
    "dev": Group("requirements-dev.txt", "the test tools", 0.2),
    "cuda": Group("requirements-cuda.txt", "fast training on NVIDIA cards", 2.0),
}


def read_group(root: Path, name: str, *, python_version: tuple[int, ...]) -> list[Pin]:
    """The pins of one group's file."""
    return read_pins(root / GROUPS[name].file, python_version=python_version)
