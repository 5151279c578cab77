"""The demo's first start: the window is there at once, and the sample server comes into it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gui.presenters.snapshot import Pulse
from storage.jobs.kinds import JobKind
from storage.records import Job, JobState

ROOM = "demo_setup"


def newest_set_up(pulse: Pulse) -> Job | None:
    """The set-up that ended last."""
    return next((job for job in pulse.finished if job.kind == JobKind.DEMO), None)


class DemoStart:
    """Whether the sample server is still to come. Until it is here its room stands in the Playground's place, and the
    bot is not started: it would answer without anything to recall."""

    def __init__(self, *, is_needed: bool, clock: Callable[[], float] = time.time) -> None:
        self.is_needed = is_needed
        self._began = clock()

    def place_of(self, room: str) -> str:
        """Which room is shown when this one is asked for."""
        return ROOM if self.is_needed and room == "playground" else room

    def is_done(self, pulse: Pulse) -> bool:
        """True once: with the first reading in which a set-up of this start is done."""
        if not self.is_needed:
            return False
        ended = newest_set_up(pulse)
        if ended is None or ended.state is not JobState.DONE or (ended.finished_at or 0.0) < self._began:
            return False
        self.is_needed = False
        return True
