"""A conversation in, a reply out. Knows no Discord: the live bot, the playground and tests call the same code."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.recall import Recall, RecalledLine
from model.inference import GenerationOptions, ReplyRequest
from storage.errors import KnownError
from storage.records import Conversation, Turn
from storage.settings import RECALL_TOKENS, SYSTEM_PROMPT, Settings

if TYPE_CHECKING:
    from model.inference import ChatModel, Reply

DEADLINE_SECONDS = 120.0


class ModelNotReadyError(KnownError):
    """No model is loaded; bot_status says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """A reply with everything that explains it. `text` may be empty: the model chose to say nothing."""

    text: str
    recalled: tuple[RecalledLine, ...]
    conversation: Conversation
    generation: Reply
    recall_ms: float


@dataclass
class Responder:
    """Recall, prompt, engine, trim. `model` answers None while no model is loaded."""

    model: Callable[[], ChatModel | None]
    recall: Recall
    clock: Callable[[], float] = time.perf_counter
    _under_way: set[asyncio.Task[object]] = field(default_factory=set)

    async def reply(self, channel_id: int, turns: Sequence[Turn], settings: Settings, *,
                    exclude_ids: Collection[int] = (), priority: int = 0,
                    deadline_seconds: float = DEADLINE_SECONDS) -> Response:
        """Answer the last turn. ModelNotReadyError without a model; cancelling the task cancels generation."""
        model = self.model()
        if model is None:
            raise ModelNotReadyError("No model is loaded yet.", "See the model line in the panel.")
        task = asyncio.current_task()
        assert task is not None  # always true inside a coroutine
        self._under_way.add(task)
        try:
            return await self._reply(model, channel_id, turns, settings, exclude_ids, priority, deadline_seconds)
        finally:
            self._under_way.discard(task)

    async def drain(self, *, timeout_seconds: float) -> None:
        """Before a stop: let replies under way finish, then cancel what is left."""
        tasks = set(self._under_way)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout_seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2.0)

    async def _reply(self, model: ChatModel, channel_id: int, turns: Sequence[Turn], settings: Settings,
                     exclude_ids: Collection[int], priority: int, deadline_seconds: float) -> Response:
        started = self.clock()
        lines = await self.recall.lines(channel_id, turns[-1].text, settings, exclude_ids=exclude_ids)
        lines = await asyncio.to_thread(_within_budget, lines, model, settings[RECALL_TOKENS])
        recall_ms = (self.clock() - started) * 1000
        conversation = Conversation(tuple(turns), tuple(Turn(line.name, line.text) for line in lines))
        request = ReplyRequest(conversation=conversation, options=GenerationOptions.from_settings(settings),
                               system_prompt=settings[SYSTEM_PROMPT], channel_id=channel_id, priority=priority,
                               deadline_seconds=deadline_seconds)
        generation = await asyncio.wrap_future(model.submit(request))
        return Response(generation.text.strip(), lines, conversation, generation, recall_ms)


def _within_budget(lines: tuple[RecalledLine, ...], model: ChatModel, budget: int) -> tuple[RecalledLine, ...]:
    kept: list[RecalledLine] = []
    for line in lines:
        budget -= model.count_tokens(f"{line.name}: {line.text}\n")
        if budget < 0:
            break
        kept.append(line)
    return tuple(kept)
