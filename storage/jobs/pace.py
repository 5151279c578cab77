"""How quickly long work goes, and how long it still takes; pure, fed with the clock's readings."""

from __future__ import annotations

from dataclasses import dataclass

# The pace of the last part of the work says more about the rest than the average since the start: what lies further
# back than this share of the time measured, or these seconds, hardly counts.
_MEMORY_SHARE, _MEMORY_SECONDS = 1 / 3, 10.0
# After so long without movement the last pace is no guide to the time left.
_STILL_SECONDS = 30.0
_LEAST_SECONDS = 0.5


@dataclass
class _Pace:
    """Movement over time, the newer the weightier. Nothing is known before the second movement: until the first, work
    is loading or measuring, and the first of a job that is gone on with leaps to where it was."""

    mark: tuple[float, float] | None = None
    moved: float = 0.0
    seconds: float = 0.0
    measured: float = 0.0

    def update(self, now: float, value: float) -> None:
        if self.mark is None or value < self.mark[1]:
            self.mark = (now, value)
            return
        elapsed = now - self.mark[0]
        if elapsed < _LEAST_SECONDS:
            return
        self.measured += elapsed
        kept = 0.5 ** (elapsed / max(_MEMORY_SECONDS, self.measured * _MEMORY_SHARE))
        self.moved = self.moved * kept + value - self.mark[1]
        self.seconds = self.seconds * kept + elapsed
        self.mark = (now, value)

    @property
    def rate(self) -> float | None:
        return self.moved / self.seconds if self.moved and self.seconds else None


class WorkPace:
    """The share of the work that is done, and units of it (messages, steps)."""

    def __init__(self) -> None:
        self._fraction, self._units = _Pace(), _Pace()
        self._standing: float | None = None

    def update(self, now: float, fraction: float, done: int | None) -> None:
        """A reading. A step without a measure of its own stands still: that says nothing about the pace of the rest."""
        if self._standing is None:
            self._standing = fraction
        elif fraction != self._standing:
            self._standing = fraction
            self._fraction.update(now, fraction)
        if done is not None:
            self._units.update(now, done)

    def restart_units(self) -> None:
        """A new step counts something else."""
        self._units = _Pace()

    @property
    def units_per_second(self) -> float | None:
        """None while there is nothing to go by."""
        return self._units.rate

    def remaining_seconds(self, now: float, fraction: float) -> float | None:
        """Time left at this pace; None while there is nothing to go by, or nothing has moved for a while."""
        if self._fraction.rate is None or self._fraction.mark is None:
            return None
        still = now - self._fraction.mark[0]
        return max((1.0 - fraction) / self._fraction.rate - still, 0.0) if still < _STILL_SECONDS else None
