"""The owner's test chat, answered by the running bot: the same model, settings and recall as on Discord.

A question may name another model for itself (comparing models). It is loaded in place of the bot's own one, which
comes back after the answer, an error, a withdrawn question or a restart: nothing about the choice is kept anywhere
but in the question.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import asdict
from typing import Any

from bot.live_status import LiveStatus
from bot.model_slot import ModelSlot
from bot.responder import Responder, Response
from bot.storage_thread import StorageThread
from model.prompts import CHATML, ChatTemplate, plain_text
from storage.errors import KnownError
from storage.playground import BOT, CHECK, OWNER_NAME
from storage.records import PLAYGROUND_CHANNEL as PLAYGROUND_CHANNEL
from storage.records import PlaygroundEntry, Turn
from storage.settings import ADAPTER_PATH, BOT_NAMES, HISTORY_MESSAGES, MODEL_PATH, SYSTEM_PROMPT, Settings
from storage.store import Store

log = logging.getLogger(__name__)

PLAYGROUND_NAME = OWNER_NAME
EMPTY_TRIES = 3
# The model keeps up to three times as many turns as the setting says, so that its cache survives.
HISTORY_SPARE = 3
MODEL_KEYS = (MODEL_PATH.key, ADAPTER_PATH.key)


class OtherModelError(KnownError):
    """A question asked for another model where that cannot be."""


class PlaygroundAnswerer:
    """Answers one question at a time; `poll` takes the next one and notices when the current one is withdrawn."""

    def __init__(
        self, store: Store, *, storage: StorageThread, responder: Responder, slot: ModelSlot, status: LiveStatus
    ) -> None:
        self._store = store
        self._storage = storage
        self._responder = responder
        self._slot = slot
        self._status = status
        self._question_id = 0
        self._answering: asyncio.Task[None] | None = None

    async def poll(self) -> None:
        """Look once; returns at once."""
        if self._answering is not None and not self._answering.done():
            if not await self._storage.run(self._store.playground.is_asked, self._question_id):
                self._answering.cancel()
            return
        if self._slot.model is None and not self._status.snapshot().model_error:
            return  # still loading: the question waits instead of failing
        question = await self._storage.run(lambda: self._store.playground.take(pid=os.getpid()))
        if question is not None:
            self._question_id = question.id
            self._answering = asyncio.create_task(self._answer(question))

    async def _answer(self, question: PlaygroundEntry) -> None:
        try:
            settings = (await self._storage.run(self._store.settings.read)).with_values(question.options)
            limit = HISTORY_SPARE * settings[HISTORY_MESSAGES]
            history = (
                [question]
                if question.role == CHECK
                else await self._storage.run(
                    lambda: self._store.playground.history(limit=limit, before_id=question.id + 1)
                )
            )
            turns = playground_turns(history, question)
            other = {key: question.options[key] for key in MODEL_KEYS if key in question.options}
            response, model, template = await self._reply_with(other, question, turns, settings)
        except (KnownError, asyncio.CancelledError) as error:
            what = error.text() if isinstance(error, KnownError) else "The bot stopped before it could answer."
            await self._storage.run(lambda: self._store.playground.answer(question.id, "", error=what))
            return
        except Exception as error:
            # Whatever it was: the person in front of the panel must not wait for an answer that never comes.
            log.exception("A playground question failed")
            failed = f"Unexpected error: {type(error).__name__}; the log says more."
            await self._storage.run(lambda: self._store.playground.answer(question.id, "", error=failed))
            return
        self._status.count_reply(seconds=(response.generation.total_ms + response.recall_ms) / 1000)
        details = reply_details(response, settings, template) | {"model": model}
        await self._storage.run(lambda: self._store.playground.answer(question.id, response.text, details=details))
        if not other and question.role != CHECK:
            spoken = [*turns, Turn("", response.text, is_self=True)]
            await self._responder.observe(PLAYGROUND_CHANNEL, spoken, settings, own_name=own_name(settings))

    async def _reply_with(
        self, other: dict[str, Any], question: PlaygroundEntry, turns: list[Turn], settings: Settings
    ) -> tuple[Response, str, ChatTemplate]:
        if not other:
            return await self._reply(turns, settings), *self._model_used()
        if self._status.snapshot().mode != "offline":
            raise OtherModelError(
                "The bot is on Discord, where it speaks with one model only.",
                "Stop it and start it without Discord, then compare.",
            )
        if question.was_taken:
            # Once more might end the bot once more: a file that kills it must not do so for ever.
            raise OtherModelError(
                "The bot was ended while it answered with this model; its own one is in use again.",
                "Ask again to try once more.",
            )
        async with self._slot.borrowed(other):
            return await self._reply(turns, settings), *self._model_used()

    async def _reply(self, turns: list[Turn], settings: Settings) -> Response:
        # On Discord saying nothing is an answer; the owner who asked here waits for words.
        name = own_name(settings)
        for _ in range(EMPTY_TRIES - 1):
            response = await self._responder.reply(PLAYGROUND_CHANNEL, turns, settings, own_name=name)
            if response.text:
                return response
        return await self._responder.reply(PLAYGROUND_CHANNEL, turns, settings, own_name=name)

    def _model_used(self) -> tuple[str, ChatTemplate]:
        model = self._slot.model
        return (model.name, model.template) if model is not None else ("", CHATML)


def own_name(settings: Settings) -> str:
    """What the bot is called where it need not be on Discord: the first of the names it listens to."""
    return settings[BOT_NAMES].split(",")[0].strip()


def playground_turns(history: list[PlaygroundEntry], question: PlaygroundEntry) -> list[Turn]:
    """The test chat as a conversation that ends with the question; failed answers are left out."""
    lines = [entry for entry in history if entry.id <= question.id and entry.text and not entry.error]
    return [Turn("" if entry.role == BOT else PLAYGROUND_NAME, entry.text, entry.role == BOT) for entry in lines]


def reply_details(response: Response, settings: Settings, template: ChatTemplate) -> dict[str, Any]:
    """What the panel shows about a reply on demand: recalled lines, the prompt in plain text, timing."""
    generation = response.generation
    return {
        "recalled": [asdict(line) for line in response.recalled],
        "prompt": plain_text(response.conversation, system_prompt=settings[SYSTEM_PROMPT], template=template),
        "prompt_tokens": generation.prompt_tokens,
        "prefilled_tokens": generation.prefilled_tokens,
        "reply_tokens": generation.reply_tokens,
        "first_token_ms": generation.first_token_ms,
        "total_ms": generation.total_ms,
        "recall_ms": response.recall_ms,
        "stop_reason": generation.stop_reason,
        "chosen": generation.chosen or None,
    }
