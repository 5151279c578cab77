"""Who is answered next: a bounded queue with priorities, deadlines and fairness between channels."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field

from model.chat.requests import ModelBusyError, Reply, ReplyRequest, ReplyTooLateError

_REMEMBERED_CHANNELS = 256


class ReplyFuture(Future[Reply]):
    """A reply to come. `cancel` also stops one that is being written (it then ends with stop_reason 'cancelled')."""

    def __init__(self, on_cancel: Callable[[ReplyFuture], None]) -> None:
        super().__init__()
        self._on_cancel = on_cancel

    def cancel(self) -> bool:
        """Stop it, whether it waits or is being written. False: it had ended before."""
        if self.done():
            return self.cancelled()
        super().cancel()
        self._on_cancel(self)
        return True


@dataclass(eq=False)
class QueuedReply:
    """A request in line or at work. Times on the clock of the queue. is_begun: it was at work before, and had to make
    room for others."""

    request: ReplyRequest
    future: ReplyFuture
    submitted_at: float
    number: int = 0
    is_cancelled: bool = False
    is_begun: bool = False
    deadline_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline_at = self.submitted_at + self.request.deadline_seconds


class ReplyQueue:
    """Not thread-safe: its owner holds a lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: list[QueuedReply] = []
        self._numbers = itertools.count()
        self._served: OrderedDict[int, int] = OrderedDict()
        self._turn = itertools.count(1)

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: QueuedReply) -> QueuedReply | None:
        """Put a job in line. When the line is too long, the oldest of the least urgent gives way and is returned."""
        job.number = next(self._numbers)
        self._jobs.append(job)
        if len(self._jobs) <= self._limit:
            return None
        least = max(waiting.request.priority for waiting in self._jobs)
        victim = min((waiting for waiting in self._jobs if waiting.request.priority == least), key=lambda j: j.number)
        self._jobs.remove(victim)
        return victim

    def take(
        self, *, now: float, except_channels: Collection[int] = ()
    ) -> tuple[QueuedReply | None, list[QueuedReply]]:
        """The next job, and those whose deadline passed. Urgent first; then the channel served longest ago.

        except_channels: those with a reply being written; a channel has one cache and writes one reply at a time.
        """
        late = [job for job in self._jobs if job.deadline_at <= now]
        self._jobs = [job for job in self._jobs if job.deadline_at > now and not job.future.cancelled()]
        ready = [job for job in self._jobs if job.request.channel_id not in except_channels]
        if not ready:
            return None, late
        chosen = min(ready, key=self._rank)
        self._jobs.remove(chosen)
        self._served[chosen.request.channel_id] = next(self._turn)
        self._served.move_to_end(chosen.request.channel_id)
        while len(self._served) > _REMEMBERED_CHANNELS:
            self._served.popitem(last=False)
        return chosen, late

    def _rank(self, job: QueuedReply) -> tuple[int, int, int]:
        return job.request.priority, self._served.get(job.request.channel_id, 0), job.number

    def put_back(self, job: QueuedReply) -> None:
        """A job that had begun and had to make room comes back to its place in line."""
        job.is_begun = True
        self._jobs.append(job)

    def remove(self, future: Future[Reply]) -> bool:
        """Take a job out of the line; False when it was not there."""
        before = len(self._jobs)
        self._jobs = [job for job in self._jobs if job.future is not future]
        return len(self._jobs) < before

    def drain(self) -> list[QueuedReply]:
        """Empty the line."""
        jobs, self._jobs = self._jobs, []
        return jobs


def too_late(job: QueuedReply) -> ReplyTooLateError:
    """The error for a job whose deadline passed in line."""
    return ReplyTooLateError(
        f"The reply was due within {job.request.deadline_seconds:.0f} s and the model was busy.",
        "Lower the response rate, or use a smaller model.",
    )


def gave_way(limit: int) -> ModelBusyError:
    """The error for a job pushed out of a full line."""
    return ModelBusyError(
        f"More than {limit} replies were waiting; the oldest unasked one gave way.",
        "Lower the response rate, or use a smaller model.",
    )
