"""A scheduled command: what runs, when, and how a time is written."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace
from storage.system.commands import CommandOutcome, job_name
from storage.system.launch_entry import windowless_python

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_PATTERN = re.compile(r"(?:daily@|weekly@(?P<day>[a-z]{3})-)(?P<hour>\d{1,2}):(?P<minute>\d\d)")


class ScheduleError(KnownError):
    """The schedule could not be understood, or the system refused it."""


@dataclass(frozen=True)
class Schedule:
    """Every day at a local time, or one day a week (0 is Sunday)."""

    hour: int
    minute: int
    day: int | None = None

    @property
    def text(self) -> str:
        """As typed: daily@04:00 or weekly@sun-04:00."""
        time = f"{self.hour:02d}:{self.minute:02d}"
        return f"daily@{time}" if self.day is None else f"weekly@{DAYS[self.day]}-{time}"

    @property
    def words(self) -> str:
        """For people."""
        when = "every day" if self.day is None else f"every {DAY_NAMES[self.day]}"
        return f"{when} at {self.hour:02d}:{self.minute:02d}"


def parse_schedule(text: str) -> Schedule | None:
    """'daily@04:00', 'weekly@sun-04:00', or 'off' (None). ScheduleError names the forms."""
    text = text.strip().lower()
    if text == "off":
        return None
    match = _PATTERN.fullmatch(text)
    day = match["day"] if match else None
    if match is None or int(match["hour"]) > 23 or int(match["minute"]) > 59 or (day and day not in DAYS):
        raise ScheduleError(f"'{text[:40]}' is not a valid schedule.", "Use daily@04:00, weekly@sun-04:00 or off.")
    return Schedule(int(match["hour"]), int(match["minute"]), DAYS.index(day) if day else None)


@dataclass(frozen=True)
class Task:
    """What is to run: a name of its own per workspace, so that two servers do not share one job."""

    name: str
    command: tuple[str, ...]
    folder: Path

    @classmethod
    def for_workspace(cls, workspace: Workspace) -> Task:
        """The fetch of one workspace, under a name no other workspace shares."""
        script = PROJECT_ROOT / "scripts" / "fetch_and_embed.py"
        return cls(
            job_name("fetch", workspace),
            (str(windowless_python()), str(script), "--workspace", str(workspace.root)),
            PROJECT_ROOT,
        )


def require(outcome: CommandOutcome, command: list[str], task: Task) -> None:
    """Raises ScheduleError with the system's own words when it refused."""
    if outcome.code:
        raise ScheduleError(
            f"{command[0]} refused the schedule: {outcome.output.strip()[-300:] or outcome.code}.",
            "Set up a job by hand that runs: " + " ".join(map(shlex.quote, task.command)),
        )
