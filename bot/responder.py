"""A conversation in, a reply out. Knows no Discord: the live bot, the playground and tests call the same code.

Recall is standing (docs/ENGINE.md): lines are looked up for the conversation so far and prefilled while nobody
waits, so that a reply pays for the newest line and the cue only. `observe` reads along, `prepare` computes the prompt
of a reply that will be due in a moment, `reply` answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bot.recall import Recall, RecalledLine
from data.chat.conversation import Typist
from data.chat.recall import cap_recalled, topic
from data.chat.spoken import Speakers, spoken
from model.inference import GenerationOptions, ReplyRequest
from storage.errors import KnownError
from storage.records import Conversation, Turn
from storage.settings import (
    HISTORY_MESSAGES,
    KEEP_CACHE_SECONDS,
    LISTENING,
    RECALL_COUNT,
    RECALL_TOKENS,
    RESPONSE_CACHE,
    SYSTEM_PROMPT,
    Settings,
)

if TYPE_CHECKING:
    from model.inference import ChatModel, Reply

log = logging.getLogger(__name__)
DEADLINE_SECONDS = 120.0
# A cancelled reply ends at the next token or chunk of the prompt; nobody needs to see it end.
CANCEL_SECONDS = 0.5
# A reply is written again when a line recalled for it is deleted meanwhile.
_TRIES = 3
# With the response cache on, an identical prompt gets the same reply for this long.
REUSE_SECONDS = 300.0
# Channels with lines looked up in advance; the least recently used one is forgotten first.
REMEMBERED_CHANNELS = 64


class ReplyCutOffError(KnownError):
    """The model stopped in the middle: it is being replaced, or the reply's time was over. Half a line is no reply."""


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
    model: str = ""


@dataclass(frozen=True, slots=True)
class _Standing:
    """Lines looked up for a channel, for which topic, and when they were last of use (the responder's clock)."""

    lines: tuple[RecalledLine, ...]
    topic: str
    at: float


@dataclass
class Responder:
    """Recall, prompt, engine, trim. `model` answers None while no model is loaded."""

    model: Callable[[], ChatModel | None]
    recall: Recall
    clock: Callable[[], float] = time.perf_counter
    _under_way: set[asyncio.Task[object]] = field(default_factory=set)
    _standing: OrderedDict[int, _Standing] = field(default_factory=OrderedDict)
    _forgotten: Counter[int] = field(default_factory=Counter)

    async def reply(
        self,
        channel_id: int,
        turns: Sequence[Turn],
        settings: Settings,
        *,
        exclude_ids: Collection[int] = (),
        own_name: str = "",
        priority: int = 0,
        deadline_seconds: float = DEADLINE_SECONDS,
        on_text: Callable[[str], None] | None = None,
        is_sayable: Callable[[str], bool] | None = None,
    ) -> Response:
        """Answer the last turn. own_name: what the bot is called there. on_text: hears what is written so far, on
        another thread; is_sayable: whether a draft would be sent, asked there too. ModelNotReadyError without a model;
        cancelling the task cancels generation."""
        model = self.model()
        if model is None:
            raise ModelNotReadyError("No model is loaded yet.", "See the model line in the panel.")
        task = asyncio.current_task()
        assert task is not None  # always true inside a coroutine
        self._under_way.add(task)
        try:
            return await self._reply(
                model,
                channel_id,
                turns,
                settings,
                exclude_ids,
                own_name,
                priority,
                deadline_seconds,
                on_text,
                is_sayable,
            )
        finally:
            self._under_way.discard(task)

    async def observe(
        self,
        channel_id: int,
        turns: Sequence[Turn],
        settings: Settings,
        *,
        exclude_ids: Collection[int] = (),
        own_name: str = "",
        typist: Typist | None = None,
    ) -> None:
        """Somebody spoke and no reply is due, or begins to write (`typist`): look up lines for what was said and read
        along while idle."""
        model = self.model()
        if model is None or model.is_released or not settings[LISTENING]:
            self._standing.pop(channel_id, None)  # the talk goes on without it
            return
        if not (turns or typist):
            return
        times = self._forgotten[channel_id]
        standing = self._prepared(channel_id, settings, exclude_ids)
        if (
            standing is None
            or standing.topic != topic(turns)
            or not await self.recall.are_current(standing.lines, channel_id)
        ):
            standing = await self._look_up(model, channel_id, turns, settings, exclude_ids, is_idle=True)
        if self._forgotten[channel_id] != times:
            return  # meanwhile something was deleted or edited, and may stand in these turns
        self._keep(channel_id, standing)
        model.listen(
            channel_id,
            _conversation(turns, standing.lines, own_name),
            settings[SYSTEM_PROMPT],
            keep_turns=settings[HISTORY_MESSAGES],
            typist=typist,
        )

    async def prepare(
        self,
        channel_id: int,
        turns: Sequence[Turn],
        settings: Settings,
        *,
        exclude_ids: Collection[int] = (),
        own_name: str = "",
    ) -> None:
        """The last turn is to be answered in a moment: look up its lines and let the model read it meanwhile."""
        model = self.model()
        if model is None or not turns:
            return
        times = self._forgotten[channel_id]
        standing = await self._for_reply(model, channel_id, turns, settings, exclude_ids)
        if self._forgotten[channel_id] != times:
            return
        self._keep(channel_id, standing)
        model.prepare(_request(channel_id, turns, standing.lines, settings.for_layout(model.layout), own_name))

    async def may_be_said(self, channel_id: int, response: Response) -> bool:
        """Whether all lines recalled for a reply may still be used. What was said in the channel itself is not looked
        at: who deletes there calls `forget`."""
        return await self.recall.are_current(response.recalled, channel_id)

    def forget(self, channel_id: int) -> None:
        """Something said here was deleted or edited: nothing prepared for the channel may be used again."""
        self._standing.pop(channel_id, None)
        self._forgotten[channel_id] += 1
        model = self.model()
        if model is not None:
            model.forget_channel(channel_id)

    async def drain(self, *, timeout_seconds: float) -> None:
        """Before a stop: let replies under way finish, then cancel what is left."""
        tasks = set(self._under_way)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout_seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=CANCEL_SECONDS)

    async def _reply(
        self,
        model: ChatModel,
        channel_id: int,
        turns: Sequence[Turn],
        settings: Settings,
        exclude_ids: Collection[int],
        own_name: str,
        priority: int,
        deadline_seconds: float,
        on_text: Callable[[str], None] | None,
        is_sayable: Callable[[str], bool] | None,
    ) -> Response:
        started = self.clock()
        recall_ms = 0.0
        for _ in range(_TRIES):
            asked_at = self.clock()
            lines = (await self._for_reply(model, channel_id, turns, settings, exclude_ids)).lines
            recall_ms += (self.clock() - asked_at) * 1000
            request = replace(
                _request(channel_id, turns, lines, settings.for_layout(model.layout), own_name),
                priority=priority,
                deadline_seconds=deadline_seconds - (self.clock() - started),
                on_text=on_text,
                is_sayable=is_sayable,
            )
            generation = await asyncio.wrap_future(model.submit(request))
            if await self.recall.are_current(lines, channel_id):
                break
            # A recalled line was deleted, or its author left, while the reply was being written from it.
            self.forget(channel_id)
        else:
            raise ReplyCutOffError("What was recalled for it kept being deleted, so nothing was said.")
        # What was looked up served this reply; the next one is about something else.
        self._standing.pop(channel_id, None)
        if generation.stop_reason == "cancelled":
            raise ReplyCutOffError(
                "The reply was cut off: its time was over, or the model is being replaced.",
                "If it happens often, lower the response rate or use a smaller model.",
            )
        log.debug(
            "Reply in %d: %d prompt tokens, %d of them computed now, %d written; recall %.0f ms, first token "
            "%.0f ms, all %.0f ms",
            channel_id,
            generation.prompt_tokens,
            generation.prefilled_tokens,
            generation.reply_tokens,
            recall_ms,
            generation.first_token_ms or 0.0,
            generation.total_ms,
        )
        text = spoken(generation.text, Speakers.of(request.conversation))
        return Response(text, lines, request.conversation, generation, recall_ms, model.name)

    async def _for_reply(
        self, model: ChatModel, channel_id: int, turns: Sequence[Turn], settings: Settings, exclude_ids: Collection[int]
    ) -> _Standing:
        """The lines that stand ready, as long as all of them may still be used; otherwise looked up now."""
        standing = self._prepared(channel_id, settings, exclude_ids)
        if standing is None or not await self.recall.are_current(standing.lines, channel_id):
            standing = await self._look_up(model, channel_id, turns, settings, exclude_ids)
        return standing

    def _keep(self, channel_id: int, standing: _Standing) -> None:
        if not standing.topic:  # nothing was said yet: the line that breaks the silence is what to look up
            self._standing.pop(channel_id, None)
            return
        self._standing[channel_id] = replace(standing, at=self.clock())
        self._standing.move_to_end(channel_id)
        if len(self._standing) > REMEMBERED_CHANNELS:
            self._standing.popitem(last=False)

    def _prepared(self, channel_id: int, settings: Settings, exclude_ids: Collection[int]) -> _Standing | None:
        standing = self._standing.get(channel_id) if settings[RECALL_COUNT] else None
        if standing is None or self.clock() - standing.at > settings[KEEP_CACHE_SECONDS]:
            return None
        # A line that has since become part of the conversation would be read twice.
        is_repeated = not set(exclude_ids).isdisjoint(line.message_id for line in standing.lines)
        return None if is_repeated else standing

    async def _look_up(
        self,
        model: ChatModel,
        channel_id: int,
        turns: Sequence[Turn],
        settings: Settings,
        exclude_ids: Collection[int],
        *,
        is_idle: bool = False,
    ) -> _Standing:
        about = topic(turns)
        found = await self.recall.lines(channel_id, about, settings, exclude_ids=exclude_ids)
        if is_idle and model.is_released:  # counting tokens would load it again
            return _Standing((), "", self.clock())
        lines = await asyncio.to_thread(
            cap_recalled, found, budget=settings[RECALL_TOKENS], count_tokens=model.count_tokens
        )
        return _Standing(lines, about, self.clock())


def _request(
    channel_id: int, turns: Sequence[Turn], lines: tuple[RecalledLine, ...], settings: Settings, own_name: str
) -> ReplyRequest:
    return ReplyRequest(
        conversation=_conversation(turns, lines, own_name),
        options=GenerationOptions.from_settings(settings),
        system_prompt=settings[SYSTEM_PROMPT],
        channel_id=channel_id,
        keep_turns=settings[HISTORY_MESSAGES],
        reuse_seconds=REUSE_SECONDS if settings[RESPONSE_CACHE] else 0.0,
    )


def _conversation(turns: Sequence[Turn], lines: tuple[RecalledLine, ...], own_name: str) -> Conversation:
    return Conversation(tuple(turns), tuple(Turn(line.name, line.text) for line in lines), own_name)
