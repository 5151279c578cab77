"""What was clicked and not yet taken up: shown at once, forgotten when answered or when nothing came of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gui.presenters.snapshot import Pulse

# A click that nothing came of is forgotten after this, so that buttons never stay grey.
CLICK_SECONDS = 4.0
JOB_SECONDS = 20.0
# A job that was reported this shortly before is the one that was asked for.
RECENT_SECONDS = 15.0


class PendingActions:
    """The bot's button that was pressed, jobs asked for, jobs being cancelled."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.clicked = ""
        self._clicked_at = 0.0
        self._starting: dict[str, float] = {}
        self._cancelling: set[int] = set()

    @property
    def starting(self) -> frozenset[str]:
        """Kinds of jobs that were clicked and have no row yet."""
        return frozenset(self._starting)

    @property
    def cancelling(self) -> frozenset[int]:
        """Jobs that were asked to stop and have not ended yet."""
        return frozenset(self._cancelling)

    def click(self, action: str) -> None:
        """A button of the bot was pressed: start, stop, restart."""
        self.clicked, self._clicked_at = action, self._clock()

    def clicked_done(self) -> None:
        """The bot is where the press wanted it, or cannot get there."""
        self.clicked = ""

    def start(self, kind: str) -> None:
        """A job was clicked."""
        self._starting[kind] = self._clock()

    def start_failed(self, kind: str) -> None:
        """The job could not be started."""
        self._starting.pop(kind, None)

    def cancel(self, job_id: int) -> None:
        """A job was asked to stop."""
        self._cancelling.add(job_id)

    def forget_answered(self, pulse: Pulse) -> None:
        """What the reading shows needs no wish any more."""
        now = self._clock()
        if self.clicked and now - self._clicked_at > CLICK_SECONDS:
            self.clicked = ""
        reported = {job.kind for job in (*pulse.jobs, *pulse.finished) if job.started_at > pulse.now - RECENT_SECONDS}
        self._starting = {
            kind: at for kind, at in self._starting.items() if kind not in reported and now - at < JOB_SECONDS
        }
        self._cancelling &= {job.id for job in pulse.jobs}
