"""Questions to the storage thread that are asked at the same time are answered together, in one go.

In a quiet hour every message is looked up and stored on its own. In a flood what waits is taken in one step with one
write to the disk, so that two hundred messages a second cost little more than ten.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from storage.errors import BusyError

Q = TypeVar("Q")
A = TypeVar("A")
MOST_AT_ONCE = 200
log = logging.getLogger(__name__)


class Runs(Protocol):
    """What awaits a call on the storage thread (`bot.storage_thread.StorageThread`)."""

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run the function elsewhere and return what it returns, or raise what it raises."""


@dataclass(eq=False)
class _Asked(Generic[Q, A]):
    question: Q
    answer: A | None = None
    error: Exception | None = None
    is_answered: bool = False


class Together(Generic[Q, A]):
    """answer: called on the storage thread with questions in the order they were asked; as many answers. It must be
    harmless to call it again with the same questions. One question it fails at fails alone."""

    def __init__(self, storage: Runs, answer: Callable[[Sequence[Q]], Sequence[A]]) -> None:
        self._storage = storage
        self._answer = answer
        self._waiting: deque[_Asked[Q, A]] = deque()

    async def ask(self, question: Q) -> A:
        """The answer, or what `answer` raised for this question."""
        asked: _Asked[Q, A] = _Asked(question)
        self._waiting.append(asked)
        await self._storage.run(self._answer_what_waits, asked)
        if asked.error is not None:
            raise asked.error
        return cast(A, asked.answer)  # which may be None itself

    def _answer_what_waits(self, asked: _Asked[Q, A]) -> None:
        if asked.is_answered:
            return
        # Calls run in the order of their questions: all before this one are answered, and it is among the next.
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
        try:
            try:
                self._settle(batch)
            except BusyError:
                raise
            except Exception as error:  # one of them is at fault; which, is found by asking one by one
                log.debug("Asked again one by one: %s", error)
                for one in batch:
                    self._settle_alone(one)
        finally:
            self._waiting.extendleft(one for one in reversed(batch) if not one.is_answered)

    def _settle(self, batch: Sequence[_Asked[Q, A]]) -> None:
        for one, answer in zip(batch, self._answer([one.question for one in batch]), strict=True):
            one.answer, one.is_answered = answer, True

    def _settle_alone(self, one: _Asked[Q, A]) -> None:
        try:
            self._settle([one])
        except BusyError:
            raise
        except Exception as error:  # it belongs to whoever asked
            one.error, one.is_answered = error, True
