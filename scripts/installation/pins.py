"""Exact pins of the requirements files, and which of them a set of import paths satisfies."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?P<extras>\[[^\]]*\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?$"
)
_CLAUSE = re.compile(r"""^\(?\s*(\w+)\s*(==|!=|<=|>=|<|>|not in|in)\s*['"]([^'"]*)['"]\s*\)?$""")


class PinError(ValueError):
    """A line of a requirements file that is not an exact pin."""


class Pin(NamedTuple):
    """One exact requirement; `requirement` is the text pip is given."""

    name: str
    version: str
    requirement: str


def normalised(name: str) -> str:
    """The one spelling of a package's name that all its spellings share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(file: Path, *, python_version: tuple[int, ...]) -> list[Pin]:
    """The pins of a requirements file and of those it includes, without those meant for other machines."""
    pins: list[Pin] = []
    for number, raw in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if line.startswith("-r "):
            pins += read_pins(file.parent / line[3:].strip(), python_version=python_version)
        elif line:
            pins += _pin_of(line, where=f"{file.name}, line {number}", python_version=python_version)
    return list(dict.fromkeys(pins))


def _pin_of(line: str, *, where: str, python_version: tuple[int, ...]) -> list[Pin]:
    match = _LINE.match(line)
    if match is None:
        raise PinError(f"{where}: expected name==version, found {line!r}")
    if match["marker"] and not marker_applies(match["marker"], _marker_values(python_version)):
        return []
    name, version = normalised(match["name"]), match["version"]
    return [Pin(name, version, f"{name}{match['extras'] or ''}=={version}")]


def marker_applies(marker: str, values: dict[str, str]) -> bool:
    """Evaluate an environment marker made of clauses joined by `and` and `or`."""
    return any(
        all(_clause_holds(clause.strip(), values) for clause in part.split(" and ")) for part in marker.split(" or ")
    )


def _clause_holds(clause: str, values: dict[str, str]) -> bool:
    match = _CLAUSE.match(clause)
    if match is None or match[1] not in values:
        raise PinError(f"unknown environment marker {clause!r}")
    actual, operator, wanted = values[match[1]], match[2], match[3]
    if operator in ("in", "not in"):
        return (actual in wanted) == (operator == "in")
    if operator in ("==", "!="):
        return (actual == wanted) == (operator == "==")
    left, right = _numbers(actual), _numbers(wanted)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _marker_values(python_version: tuple[int, ...]) -> dict[str, str]:
    import platform

    return {
        "python_version": ".".join(str(number) for number in python_version[:2]),
        "python_full_version": ".".join(str(number) for number in python_version[:3]),
        "sys_platform": sys.platform,
        "platform_system": platform.system(),
        "platform_machine": platform.machine(),
        "os_name": os.name,
    }


def missing_pins(pins: Iterable[Pin], import_paths: Iterable[str]) -> list[Pin]:
    """The pins that are not installed, whole and in that version, on the import paths."""
    installed = _installed_packages(import_paths)
    return [pin for pin in pins if not _is_satisfied(pin, installed.get(pin.name))]


def _is_satisfied(pin: Pin, folder: Path | None) -> bool:
    if folder is None:
        return False
    version = folder.name[: -len(".dist-info")].partition("-")[2]
    # 2.13.0+cpu is a build of 2.13.0.
    matches = version == pin.version or version.partition("+")[0] == pin.version
    return matches and (folder / "RECORD").is_file()


def _installed_packages(import_paths: Iterable[str]) -> dict[str, Path]:
    # Reading folder names takes a millisecond where importlib.metadata takes fifty: this runs at
    # every start of the program.
    packages: dict[str, Path] = {}
    for path in import_paths:
        for name in _folder_names(path):
            if name.endswith(".dist-info"):
                packages.setdefault(normalised(name.partition("-")[0]), Path(path, name))
    return packages


def _folder_names(path: str) -> list[str]:
    try:
        return [each.name for each in Path(path or ".").iterdir()]
    except OSError:
        return []


def remove_half_installed(import_paths: Iterable[str]) -> None:
    """Forget packages whose installation was cut off, so that pip installs them again.

    pip unpacks RECORD last, and takes a package without it for an installed one that it cannot replace.
    """
    from storage.system.files import remove_tree

    for folder in _installed_packages(import_paths).values():
        if not (folder / "RECORD").is_file():
            remove_tree(folder)
