"""What a chart shows: values already counted, scaled and labelled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bars:
    """Vertical bars. labels: (bar number, words below it). strong: bars in the accent; empty: all of them."""

    values: tuple[float, ...]
    labels: tuple[tuple[int, str], ...] = ()
    top_text: str = ""
    strong: frozenset[int] = frozenset()
    empty_text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(self.values)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line; x runs 0-1, gaps separate `segments`. grid: (value, words) of the horizontal lines."""

    segments: tuple[tuple[tuple[float, float], ...], ...]
    low: float = 0.0
    high: float = 1.0
    grid: tuple[tuple[float, str], ...] = ()
    limit: float | None = None
    start_text: str = ""
    end_text: str = ""
    empty_text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(self.segments)


def nice_ceiling(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten: where an axis ends."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if value <= factor * power * (1 + 1e-9))


def histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Counts between consecutive edges; the last bucket is open above."""
    counts = [0] * len(edges)
    for value in values:
        index = max((i for i, edge in enumerate(edges) if value >= edge), default=0)
        counts[index] += 1
    return counts


def thin(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most about `most` points, keeping each bucket's highest so that peaks stay visible."""
    if len(points) <= most:
        return list(points)
    step = len(points) / most
    return [
        max(points[int(i * step) : int((i + 1) * step)] or [points[int(i * step)]], key=lambda p: p[1])
        for i in range(most)
    ]
