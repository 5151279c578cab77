"""Long work as rows: progress, cancel, result and curve, written by the script itself."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from storage.database import Database
from storage.errors import CancelledError, KnownError
from storage.jobs.kinds import after_a_stop
from storage.jobs.results import JobResult
from storage.records import Job, JobMetric, JobState
from storage.stored_json import read_json, tell
from storage.text import storable

# A job that has not reported for this long and whose process is gone is lost.
LOST_AFTER_SECONDS = 30.0
_REPORT_EVERY_SECONDS = 0.25
_COLUMNS = (
    "id, kind, pid, state, progress, step, error, result, cancel_requested, started_at, finished_at, heartbeat_at"
)


class Jobs:
    """The `jobs` and `job_metrics` tables."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def start(self, kind: str) -> JobReporter:
        """Open a job row for this process."""
        now = self._clock()
        job_id = self._database.insert(
            "INSERT INTO jobs (kind, pid, state, started_at, heartbeat_at) VALUES (?, ?, ?, ?, ?)",
            (kind, os.getpid(), JobState.RUNNING.value, now, now),
        )
        return JobReporter(self, job_id, kind)

    @contextmanager
    def running(self, kind: str) -> Iterator[JobReporter]:
        """A job around a block: done at the end, cancelled on CancelledError, failed with the error's text.

        A failed job keeps the result it had: what the owner may decide about.
        """
        reporter = self.start(kind)
        try:
            yield reporter
        except CancelledError as error:
            self.finish(reporter.job_id, JobState.CANCELLED, error=error.text())
            raise
        except KeyboardInterrupt:
            self.finish(reporter.job_id, JobState.CANCELLED, error="Stopped with Ctrl+C.")
            raise
        except KnownError as error:
            self.finish(reporter.job_id, JobState.FAILED, error=error.text(), result=reporter.result)
            raise
        except BaseException as error:
            self.finish(reporter.job_id, JobState.FAILED, error=f"{type(error).__name__}: {error}"[:500])
            raise
        else:
            self.finish(reporter.job_id, JobState.DONE, result=reporter.result)

    def report(self, job_id: int, *, progress: float, step: str) -> bool:
        """Store progress; True when somebody asked for the job to be cancelled."""
        self._database.execute(
            "UPDATE jobs SET progress = ?, step = ?, heartbeat_at = ? WHERE id = ?",
            (min(max(progress, 0.0), 1.0), step, self._clock(), job_id),
        )
        return self.is_cancel_requested(job_id)

    def finish(
        self, job_id: int, state: JobState, *, error: str = "", result: JobResult | Mapping[str, Any] | None = None
    ) -> None:
        """Close the row."""
        values = result.as_json() if isinstance(result, JobResult) else dict(result or {})
        self._database.execute(
            "UPDATE jobs SET state = ?, error = ?, result = ?, finished_at = ?, "
            "progress = CASE WHEN ? = 'done' THEN 1 ELSE progress END WHERE id = ?",
            (state.value, storable(error), json.dumps(values), self._clock(), state.value, job_id),
        )

    def request_cancel(self, job_id: int) -> None:
        """Ask a running job to stop; it does at its next report."""
        self._database.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND state = 'running'", (job_id,))

    def is_cancel_requested(self, job_id: int) -> bool:
        """Whether the owner asked this job to stop."""
        return bool(self._database.value("SELECT cancel_requested FROM jobs WHERE id = ?", (job_id,)))

    def add_metric(self, job_id: int, metric: JobMetric) -> None:
        """Keep one point of a curve; one already there for that step is replaced."""
        self._database.execute(
            "INSERT INTO job_metrics (job_id, name, step, value) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (job_id, name, step) DO UPDATE SET value = excluded.value",
            (job_id, metric.name, metric.step, metric.value),
        )

    def metrics(self, job_id: int) -> list[JobMetric]:
        """The job's curve, by name and step."""
        rows = self._database.rows(
            "SELECT name, step, value FROM job_metrics WHERE job_id = ? ORDER BY name, step", (job_id,)
        )
        return [JobMetric(row["name"], row["step"], row["value"]) for row in rows]

    def get(self, job_id: int) -> Job | None:
        """The job with this id; None where it was pruned."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,))
        return _job(row) if row else None

    def recent(self, *, limit: int = 20) -> list[Job]:
        """Newest first, running ones included."""
        return [
            _job(row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?", (limit,))
        ]

    def active(self) -> list[Job]:
        """Jobs that say they are running, oldest first."""
        return [
            _job(row) for row in self._database.rows(f"SELECT {_COLUMNS} FROM jobs WHERE state = 'running' ORDER BY id")
        ]

    def latest(self, kind: str) -> Job | None:
        """The job of this kind that started last, running or ended."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM jobs WHERE kind = ? ORDER BY id DESC LIMIT 1", (kind,))
        return _job(row) if row else None

    def mark_lost(self, *, runs: Callable[[int, float], bool], silent_seconds: float = LOST_AFTER_SECONDS) -> list[Job]:
        """Close the rows of jobs whose process vanished without a word (kill -9, power cut): a job is its process, not
        its row.

        runs(pid, at): whether that process, there at `at`, still runs. silent_seconds: rows that were written more
        recently are left to whoever started the process and hears its exit code.
        """
        now = self._clock()
        # A row from the future was written before the clock was set back: nobody writes it any more.
        silent = [job for job in self.active() if not now - silent_seconds < job.heartbeat_at <= now + silent_seconds]
        lost = [job for job in silent if not runs(job.pid, job.started_at)]
        for job in lost:
            self.finish(
                job.id,
                JobState.LOST,
                error=f"The {job.kind} process stopped unexpectedly. {after_a_stop(job.kind)}".rstrip(),
            )
        return lost


class JobReporter:
    """A running job's own end: `report` often, it writes at most four times a second."""

    def __init__(self, jobs: Jobs, job_id: int, kind: str = "") -> None:
        self._jobs, self.kind = jobs, kind
        self.job_id = job_id
        self.result: JobResult | Mapping[str, Any] = {}
        self._last_report = float("-inf")

    def report(self, fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:  # noqa: ARG002
        """Progress 0-1 and what is being done; raises CancelledError once the owner asked to stop."""
        now = time.monotonic()
        if now - self._last_report < _REPORT_EVERY_SECONDS:
            return
        self._last_report = now
        if self._jobs.report(self.job_id, progress=fraction, step=step):
            raise CancelledError("Cancelled by the owner.", after_a_stop(self.kind))

    def metric(self, name: str, step: int, value: float) -> None:
        """Add a point to the job's curve."""
        self._jobs.add_metric(self.job_id, JobMetric(name, step, value))

    def is_cancel_requested(self) -> bool:
        """For work that must finish a step (save a checkpoint) before it stops."""
        return self._jobs.is_cancel_requested(self.job_id)


def _job(row: sqlite3.Row) -> Job:
    return Job(
        row["id"],
        row["kind"],
        row["pid"],
        _state(row["state"]),
        row["progress"],
        row["step"],
        row["error"],
        read_json(row["result"], "The result of a job", {}),
        bool(row["cancel_requested"]),
        row["started_at"],
        row["finished_at"],
        row["heartbeat_at"],
    )


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError:
        tell("The state of a job", repr(text)[:40])
        return JobState.LOST


def active_kinds(jobs: Sequence[Job]) -> set[str]:
    """Kinds that are running now, to grey out their buttons."""
    return {job.kind for job in jobs if job.is_active}
