"""Columns and cells of lists, without a toolkit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """One column. width in design pixels, or `stretch` to share what is left.

    kind: text, strong, small, switch, tick, bar, or menu (a click opens the row's menu). min_total: shown only when the
    list is at least this wide.
    """

    key: str
    title: str
    width: int = 80
    stretch: float = 0
    kind: str = "text"
    align: str = "left"
    tone: str = "text"
    min_total: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place: words, or the state of a switch, or a share 0-1 with a mark at a limit."""

    text: str = ""
    tone: str = ""
    value: float | bool | None = None
    is_enabled: bool = True
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row with the key its owner knows it by."""

    key: Any
    cells: tuple[Cell, ...]
