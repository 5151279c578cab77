"""How long running jobs still take, without jumps: a first guess waits until there is something to go by, and later
ones change what was said little by little."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gui.presenters.snapshot import Pulse
from storage.jobs.kinds import JobKind
from storage.records import Job

# Before this, a straight line through the progress says nothing: loading and unpacking go at another pace.
FIRST_SECONDS, FIRST_PROGRESS = 15.0, 0.03
# A new estimate is believed by half after this long.
HALF_LIFE_SECONDS = 30.0
# In a round of steps only the training says how long the round takes; before it nothing is told.
_ROUND, _LONGEST = JobKind.RETRAIN, (JobKind.TRAIN, JobKind.EVALUATE)


@dataclass(frozen=True, slots=True)
class _Told:
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Begun:
    """From where a job's pace is counted; `moves` once its progress was seen to move on from there."""

    at: float
    progress: float
    moves: bool


class RemainingTimes:
    """Follows the readings; `follow` answers the seconds left by job id, for the jobs that can be judged."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[int, _Told] = {}
        self._begun: dict[int, _Begun] = {}

    def follow(self, pulse: Pulse) -> Mapping[int, float]:
        """Take in a reading; seconds left per job id, for those where anything can be said."""
        now = self._clock()
        told = {}
        self._begun = {job.id: self._begin(job, pulse.now) for job in pulse.jobs}
        for job in pulse.jobs:
            guess = self._guess(job, pulse)
            before = self._told.get(job.id)
            if guess is None:
                if before is not None:  # a pause in what is known: what was said runs on
                    told[job.id] = _Told(now, max(before.seconds - (now - before.at), 0.0))
                continue
            told[job.id] = _Told(now, guess if before is None else _closer(before, guess, now))
        self._told = told
        return {job_id: each.seconds for job_id, each in told.items()}

    def _begin(self, job: Job, now: float) -> _Begun:
        """A panel opened in the middle of a job goes by its start. Else loading and unpacking do not count, nor does
        the leap of a training that is gone on with to where it was: counting begins behind the first movement."""
        known = self._begun.get(job.id)
        if known is None:
            is_under_way = job.progress >= FIRST_PROGRESS and now - job.started_at >= FIRST_SECONDS
            return _Begun(job.started_at, 0.0, True) if is_under_way else _Begun(now, job.progress, False)
        if known.moves and job.progress >= known.progress:
            return known
        return _Begun(now, job.progress, known.progress < job.progress)

    def _straight(self, job: Job, now: float) -> float | None:
        begun = self._begun[job.id]
        done, seconds = job.progress - begun.progress, now - begun.at
        if not begun.moves or now - job.started_at < FIRST_SECONDS or done < FIRST_PROGRESS / 3 or seconds <= 0:
            return None
        return seconds * (1 - job.progress) / done

    def _guess(self, job: Job, pulse: Pulse) -> float | None:
        if job.kind != _ROUND:
            return self._straight(job, pulse.now)
        step = next((each for each in pulse.jobs if each.kind in _LONGEST), None)
        if step is None:
            return None
        left = self._straight(step, pulse.now)
        if left is None:
            return None
        if step.kind == JobKind.EVALUATE:
            return left
        # The evaluation after it takes about a quarter of the training (its share of the round).
        whole = left + (pulse.now - step.started_at)
        return left + whole * 0.25


def _closer(before: _Told, guess: float, now: float) -> float:
    passed = max(now - before.at, 0.0)
    expected = max(before.seconds - passed, 0.0)
    weight = 1 - 0.5 ** (passed / HALF_LIFE_SECONDS)
    return float(expected + (guess - expected) * weight)
