"""What other processes ask of the running bot: commands and playground lines, polled from SQLite."""
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
from storage.errors import KnownError, SettingError
from storage.playground import BOT
from storage.records import Command, CommandKind, ExitCode, PlaygroundEntry, Turn
from storage.settings import HISTORY_MESSAGES, Settings
from storage.store import Store

POLL_SECONDS = 0.25
# A channel of its own in the engine; no Discord id is this small. It sees what everyone may read.
PLAYGROUND_CHANNEL = 0
PLAYGROUND_NAME = "friend"
EMPTY_TRIES = 3
# The model keeps up to three times as many turns as the setting says, so that its cache survives.
HISTORY_SPARE = 3
log = logging.getLogger(__name__)


class StopRequest:
    """Why and how the bot ends; the first request wins."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.exit_code = ExitCode.STOPPED
        self.reason = ""
        self.cure = ""

    def ask(self, exit_code: int, reason: str, *, cure: str = "") -> None:
        if not self._event.is_set():
            self.exit_code, self.reason, self.cure = exit_code, reason, cure
            self._event.set()

    @property
    def is_asked(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()


class Inbox:
    """Polls four times a second; each command is executed at most once."""

    def __init__(self, store: Store, *, storage: StorageThread, responder: Responder, slot: ModelSlot,
                 status: LiveStatus, stop: StopRequest) -> None:
        self._store = store
        self._storage = storage
        self._responder = responder
        self._slot = slot
        self._status = status
        self._stop = stop
        self._answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._poll()
            await asyncio.sleep(POLL_SECONDS)

    async def _poll(self) -> None:
        try:
            command = await self._storage.run(lambda: self._store.commands.take(pid=os.getpid()))
            if command is not None:
                await self._execute(command)
            if self._answering is None or self._answering.done():
                await self._next_question()
        except KnownError as error:  # a locked or full database now may be fine in a moment
            log.warning("Inbox: %s", error.text())
            self._status.update(last_error=error.what, last_error_cure=error.cure)

    async def _execute(self, command: Command) -> None:
        log.info("Command %s from %s", command.kind, command.asked_by)
        outcome = "done"
        if command.kind is CommandKind.STOP:
            self._stop.ask(ExitCode.STOPPED, f"Stopped by {command.asked_by}.")
        elif command.kind is CommandKind.RESTART:
            self._stop.ask(ExitCode.RESTART, f"Restart asked for by {command.asked_by}.")
        elif command.kind is CommandKind.RELOAD_MODEL:
            self._slot.reload()
        elif command.kind is CommandKind.FREE_CACHES and self._slot.model is not None:
            await asyncio.to_thread(self._slot.model.free_caches)
        await self._storage.run(self._store.commands.finish, command.id, outcome)

    async def _next_question(self) -> None:
        if self._slot.model is None and not self._status.snapshot().model_error:
            return  # still loading: the question waits instead of failing
        question = await self._storage.run(lambda: self._store.playground.take(pid=os.getpid()))
        if question is not None:
            self._answering = asyncio.create_task(self._answer(question))

    async def _answer(self, question: PlaygroundEntry) -> None:
        try:
            settings = (await self._storage.run(self._store.settings.read)).with_values(question.options)
            limit = HISTORY_SPARE * settings[HISTORY_MESSAGES]
            history = await self._storage.run(
                lambda: self._store.playground.history(limit=limit, before_id=question.id + 1))
            turns = playground_turns(history, question)
            response = await self._reply(turns, settings)
        except (KnownError, asyncio.CancelledError) as error:
            what = error.text() if isinstance(error, KnownError) else "The bot stopped before it could answer."
            await self._storage.run(lambda: self._store.playground.answer(question.id, "", error=what))
            return
        self._status.count_reply(seconds=(response.generation.total_ms + response.recall_ms) / 1000)
        details = reply_details(response, settings)
        await self._storage.run(
            lambda: self._store.playground.answer(question.id, response.text, details=details))
        spoken = [*turns, Turn("", response.text, is_self=True)]
        await self._responder.observe(PLAYGROUND_CHANNEL, spoken, settings)


    async def _reply(self, turns: list[Turn], settings: Settings) -> Response:
        # On Discord saying nothing is an answer; the owner who asked here waits for words.
        for _ in range(EMPTY_TRIES - 1):
            response = await self._responder.reply(PLAYGROUND_CHANNEL, turns, settings)
            if response.text:
                return response
        return await self._responder.reply(PLAYGROUND_CHANNEL, turns, settings)


def playground_turns(history: list[PlaygroundEntry], question: PlaygroundEntry) -> list[Turn]:
    """The test chat as a conversation that ends with the question; failed answers are left out."""
    lines = [entry for entry in history if entry.id <= question.id and entry.text and not entry.error]
    return [Turn("" if entry.role == BOT else PLAYGROUND_NAME, entry.text, entry.role == BOT) for entry in lines]


def reply_details(response: Response, settings: Settings) -> dict[str, Any]:
    """What the panel shows about a reply on demand: recalled lines, the prompt in plain text, timing."""
    from model.prompts import plain_text
    from storage.settings import SYSTEM_PROMPT

    generation = response.generation
    return {
        "recalled": [asdict(line) for line in response.recalled],
        "prompt": plain_text(response.conversation, system_prompt=settings[SYSTEM_PROMPT]),
        "prompt_tokens": generation.prompt_tokens,
        "prefilled_tokens": generation.prefilled_tokens,
        "reply_tokens": generation.reply_tokens,
        "first_token_ms": generation.first_token_ms,
        "total_ms": generation.total_ms,
        "recall_ms": response.recall_ms,
        "stop_reason": generation.stop_reason,
    }


def option_errors(options: dict[str, Any]) -> str:
    """Why a question's options are not allowed, '' when they are."""
    try:
        Settings().with_values(options)
    except SettingError as error:
        return error.text()
    return ""
