"""How library functions tell how far they are: one protocol for jobs, terminals and tests."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """How library functions tell how far they are (0-1, the step, units done). May raise CancelledError."""

    def __call__(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        """Say how far the work is: a share 0-1, what is being done, and a count with its unit. May raise
        CancelledError."""


def silent(fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
    """The ProgressCallback of a caller who does not want to know."""
