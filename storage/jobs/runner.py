"""Starts scripts as jobs of their own processes, and notices when they end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.errors import AlreadyRunningError
from storage.jobs.kinds import JOBS, JobKind
from storage.paths import Workspace
from storage.records import Job, JobState
from storage.store import Store
from storage.system import processes

# Who asked to stop waits no longer than this for the job's next safe point. What it had finished is kept: every one of
# these goes on where it was killed.
PATIENCE_SECONDS = 4.0
_MAY_BE_ENDED = frozenset(
    {
        JobKind.DEMO,
        JobKind.PREPARE,
        JobKind.TRAIN,
        JobKind.SWEEP,
        JobKind.EVALUATE,
        JobKind.RETRAIN,
        JobKind.PREFLIGHT,
    }
)


class Child(Protocol):
    """The part of subprocess.Popen that supervision uses."""

    @property
    def pid(self) -> int:
        """The process's number."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job process this runner started and that is over."""

    kind: str
    return_code: int
    job: Job | None


@dataclass(frozen=True, slots=True)
class SettingUp:
    """A job that has not reported yet: it installs what it needs. words: what it said last."""

    kind: str
    words: str


def spawn_job(workspace: Workspace, kind: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the script behind a kind of job; its progress appears in the `jobs` table."""
    return processes.spawn(workspace, f"scripts/{JOBS[JobKind(kind)].script}", arguments, name=kind)


class JobRunner:
    """Starts scripts as jobs, one of a kind at a time, and notices when they end."""

    def __init__(
        self,
        store: Store,
        *,
        spawn: Callable[[str, Sequence[str]], Child] | None = None,
        runs: Callable[[int, float], bool] = processes.ran_at,
        end: Callable[[int], None] = processes.kill_tree,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._spawn = spawn or (lambda kind, arguments: spawn_job(store.workspace, kind, arguments))
        self._runs = runs
        self._end, self._clock = end, clock
        self._children: dict[str, Child] = {}
        self._cancelled: dict[int, float] = {}  # job row -> when it was asked to stop

    def start(self, kind: str, arguments: Sequence[str] = ()) -> None:
        """Start a job; AlreadyRunningError when one of this kind is at work, whoever started it."""
        self._store.jobs.mark_lost(runs=self._runs, silent_seconds=0.0)
        if kind in self.active_kinds():
            raise AlreadyRunningError(f"A {kind} job is already running.", "Wait for it to end, or cancel it.")
        self._children[kind] = self._spawn(kind, arguments)

    def active_kinds(self) -> set[str]:
        """Kinds at work now: started here, or reported by any process."""
        mine = {kind: child.pid for kind, child in self._children.items() if child.poll() is None}
        others = {job.kind for job in self._store.jobs.active() if self._runs(job.pid, job.started_at)}
        return set(mine) | others

    def cancel(self, kind: str) -> None:
        """Ask the running job of this kind to stop at its next step; one that installs things is ended at once, and
        goes on where it was the next time."""
        rows = [job for job in self._store.jobs.active() if job.kind == kind]
        for job in rows:
            self._store.jobs.request_cancel(job.id)
            self._cancelled.setdefault(job.id, self._clock())
        child = self._children.get(kind)
        if not rows and child is not None and child.poll() is None:
            del self._children[kind]
            self._end(child.pid)

    def setting_up(self) -> tuple[SettingUp, ...]:
        """Jobs started here that run and have no row yet."""
        if not self._children:
            return ()
        reported = {job.kind for job in self._store.jobs.active()}
        return tuple(
            SettingUp(kind, processes.tail_of(processes.raw_output_file(self._store.workspace, kind), lines=1)[:120])
            for kind, child in self._children.items()
            if kind not in reported and child.poll() is None
        )

    def _end_what_does_not_stop(self) -> None:
        """Jobs that were asked to stop and have not: a long step must not keep its owner waiting."""
        active = {job.id: job for job in self._store.jobs.active()}
        self._cancelled = {number: at for number, at in self._cancelled.items() if number in active}
        for number, at in list(self._cancelled.items()):
            job = active[number]
            if job.kind not in _MAY_BE_ENDED or self._clock() - at < PATIENCE_SECONDS:
                continue
            del self._cancelled[number]
            self._end(job.pid)
            # A round takes its step along.
            for each in active.values():
                if each.id == number or (job.kind == JobKind.RETRAIN and each.started_at >= job.started_at):
                    self._store.jobs.finish(each.id, JobState.CANCELLED)

    def tick(self) -> list[EndedJob]:
        """Reap what ended since the last call; a script that died before its job row existed gets one."""
        self._end_what_does_not_stop()
        self._store.jobs.mark_lost(runs=self._runs)
        ended = []
        for kind, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            del self._children[kind]
            ended.append(EndedJob(kind, code, self._row_for(kind, child.pid, code)))
        return ended

    def _row_for(self, kind: str, pid: int, code: int) -> Job | None:
        for job in self._store.jobs.recent(limit=20):
            if job.pid == pid:
                if job.is_active:  # it died without closing its row
                    self._store.jobs.finish(job.id, JobState.FAILED, error=self._last_words(kind, code))
                return self._store.jobs.get(job.id)
        if code == 0:
            return None
        reporter = self._store.jobs.start(kind)
        self._store.jobs.finish(reporter.job_id, JobState.FAILED, error=self._last_words(kind, code))
        return self._store.jobs.get(reporter.job_id)

    def _last_words(self, kind: str, code: int) -> str:
        words = processes.tail_of(processes.raw_output_file(self._store.workspace, kind), lines=2)
        return words or f"The {kind} process {processes.describe_exit(code)} and said nothing; see the log."
