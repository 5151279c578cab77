"""How far a job is, in the terminal: a bar with rate and remaining time, and the summary at its end."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from storage.jobs.pace import WorkPace
from storage.jobs.results import JobResult
from storage.jobs.table import JobReporter
from storage.system.streams import is_terminal

_REDRAW_SECONDS = 0.2
# Without a terminal (a log file, the panel) one line a percent at most, and not more often than this.
_LINE_SECONDS = 5.0
_BAR_WIDTH = 24
_FIGURES = re.compile(r"[\d.,%]+")


class TerminalProgress:
    """A bar with rate and remaining time on stderr, joined with the job row when there is one.

    `report` is a ProgressCallback, so library functions take it as it is; it raises CancelledError once the owner
    asked the job to stop.
    """

    def __init__(
        self,
        job: JobReporter | None = None,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self.result: JobResult | Mapping[str, Any] = {}
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._is_terminal = is_terminal(self._stream)
        self._step = ""
        self._fraction = 0.0
        self._pace = WorkPace()
        self._drawn_at = float("-inf")
        self._drawn_text = ""

    def report(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        """Progress 0-1 of the whole job, what is being done, and how many units of it are done."""
        now = self._clock()
        if step and _without_figures(step) != _without_figures(self._step):
            self._start_step()
        self._step = step or self._step
        self._fraction = min(max(fraction, 0.0), 1.0)
        self._pace.update(now, self._fraction, done)
        self._draw(now, done, unit)
        if self.job is not None:
            self.job.report(self._fraction, step or self._step)

    def metric(self, name: str, step: int, value: float) -> None:
        """Add a point to the job's curve."""
        if self.job is not None:
            self.job.metric(name, step, value)

    def is_cancel_requested(self) -> bool:
        """For work that must finish a step (save a checkpoint) before it stops."""
        return self.job is not None and self.job.is_cancel_requested()

    def part(self, start: float, end: float) -> Callable[..., None]:
        """A report function for a part of the work: its 0-1 becomes start-end of the whole."""

        def report(fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
            self.report(start + (end - start) * min(max(fraction, 0.0), 1.0), step, done=done, unit=unit)

        return report

    def note(self, text: str) -> None:
        """A line for the person in front of the terminal, above the bar."""
        self._clear()
        print(text, file=self._stream, flush=True)
        self._drawn_at = float("-inf")

    def close(self) -> None:
        """Leave the last state of the bar standing."""
        if self._is_terminal and self._drawn_text:
            print(file=self._stream, flush=True)
        self._drawn_text = ""

    def _start_step(self) -> None:
        self._pace.restart_units()
        self._drawn_at = float("-inf")

    def _draw(self, now: float, done: int | None, unit: str) -> None:
        wait = _REDRAW_SECONDS if self._is_terminal else _LINE_SECONDS
        if now - self._drawn_at < wait and self._fraction < 1.0:
            return
        text = self._line(now, done, unit)
        if text == self._drawn_text:
            return
        self._drawn_at, self._drawn_text = now, text
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{text[:width]}", end="", file=self._stream, flush=True)
        else:
            print(text, file=self._stream, flush=True)

    def _line(self, now: float, done: int | None, unit: str) -> str:
        filled = int(self._fraction * _BAR_WIDTH)
        bar = "#" * filled + "-" * (_BAR_WIDTH - filled)
        parts = [f"[{bar}] {self._fraction * 100:3.0f} %", self._step]
        if done is not None:
            parts.append(f"{done:,} {unit}".strip())
            rate = self._pace.units_per_second
            if rate is not None:
                parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        remaining = self._pace.remaining_seconds(now, self._fraction)
        if remaining is not None and self._fraction < 1.0:
            parts.append(f"{duration(remaining)} left")
        return "  ".join(part for part in parts if part)

    def _clear(self) -> None:
        if self._is_terminal and self._drawn_text:
            print("\r\x1b[2K", end="", file=self._stream, flush=True)
        self._drawn_text = ""


def _without_figures(step: str) -> str:
    """What is being done, without how far it is: "12 of 2,104 MB" is the step that "13 of 2,104 MB" is."""
    return _FIGURES.sub("", step)


def duration(seconds: float) -> str:
    """'8 s', '3 min 20 s', '2 h 05 min'."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def print_summary(lines: Sequence[tuple[str, Any]]) -> None:
    """The result on stdout, one aligned `name  value` a line."""
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        print(f"{name:<{width}}  {text}")
