"""What other processes ask of the running bot: commands and playground lines, polled from SQLite."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Callable
from contextlib import suppress

from bot.live_status import LiveStatus
from bot.model_slot import ModelSlot
from bot.owner_hands import NOT_ON_DISCORD, OwnerHands
from bot.playground import PlaygroundAnswerer
from bot.stopping import StopRequest
from bot.storage_thread import StorageThread
from model.chat.requests import ModelClosedError
from storage.errors import KnownError
from storage.records import Command, CommandKind, ExitCode
from storage.settings import ADAPTER_PATH, MODEL_PATH
from storage.store import Store
from storage.system.processes import ran_at

POLL_SECONDS = 0.25
# What is set for a loaded model is taken over within this.
SETTINGS_SECONDS = 2.0
# Jobs whose process was killed are noticed within this.
JOBS_SECONDS = 60.0
log = logging.getLogger(__name__)


class Inbox:
    """Polls four times a second; each command is executed at most once. Settings of the model are followed too."""

    def __init__(
        self,
        store: Store,
        *,
        storage: StorageThread,
        playground: PlaygroundAnswerer,
        slot: ModelSlot,
        status: LiveStatus,
        stop: StopRequest,
        hands: Callable[[], OwnerHands | None] = lambda: None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._playground = playground
        self._slot = slot
        self._status = status
        self._stop = stop
        self._hands = hands
        self._at_work: set[asyncio.Task[None]] = set()
        # Model and adapter as the settings named them: at the last reading, and when the model was last looked at.
        self._seen: tuple[str, str] | None = None
        self._followed: tuple[str, str] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        for number in itertools.count():
            await self._poll(
                reads_settings=number % round(SETTINGS_SECONDS / POLL_SECONDS) == 0,
                closes_lost_jobs=number % round(JOBS_SECONDS / POLL_SECONDS) == 0,
            )
            await asyncio.sleep(POLL_SECONDS)

    async def _poll(self, *, reads_settings: bool, closes_lost_jobs: bool) -> None:
        try:
            command = await self._storage.run(lambda: self._store.commands.take(pid=os.getpid()))
            if command is not None:
                await self._execute(command)
            await self._playground.poll()
            if closes_lost_jobs:
                # Without a panel nobody else does: a killed fetch would be shown as running, and !fetch refused.
                await self._storage.run(lambda: self._store.jobs.mark_lost(runs=ran_at))
            if reads_settings:
                await self._follow_settings()
        except KnownError as error:  # a locked or full database now may be fine in a moment
            log.warning("Inbox: %s", error.text())
            self._status.update(last_error=error.what, last_error_cure=error.cure)

    async def _follow_settings(self) -> None:
        settings = await self._storage.run(self._store.settings.read)
        if self._slot.model is None:  # it is being loaded, by the settings of now
            return
        self._slot.model.follow(settings)
        named = (settings[MODEL_PATH], settings[ADAPTER_PATH])
        # Twice the same: a path is saved while it is typed, and a deployment asks for the model itself.
        if named == self._seen and named != self._followed:
            self._followed = named
            await self._slot.follow()
        self._seen = named

    async def _on_discord(self, command: Command) -> None:
        hands, outcome = self._hands(), NOT_ON_DISCORD
        try:
            if hands is not None:
                outcome = await hands.carry_out(command)
        except Exception as error:
            # Whatever it was: the person in front of the panel must not wait for an answer that never comes.
            log.exception("A command failed")
            outcome = error.what if isinstance(error, KnownError) else f"unexpected error: {type(error).__name__}"
        await self._storage.run(self._store.commands.finish, command.id, outcome)

    async def _execute(self, command: Command) -> None:
        log.info("Command %s from %s", command.kind, command.asked_by)
        if command.kind in (CommandKind.SAY, CommandKind.STOP_REPLY, CommandKind.DELETE_REPLY):
            # Not waited for: Discord may take its time, and a stop must be heard meanwhile.
            task = asyncio.create_task(self._on_discord(command))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
            return
        outcome = "done"
        if command.kind is CommandKind.STOP:
            self._stop.ask(ExitCode.STOPPED, f"Stopped by {command.asked_by}.")
        elif command.kind is CommandKind.RESTART:
            self._stop.ask(ExitCode.RESTART, f"Restart asked for by {command.asked_by}.")
        elif command.kind is CommandKind.RELOAD_MODEL:
            self._slot.reload()
        elif self._slot.model is None:
            outcome = "no model was loaded"
        elif command.kind is CommandKind.FREE_CACHES:
            await asyncio.to_thread(self._slot.model.free_caches)
        elif command.kind is CommandKind.FREE_MODEL:
            # Not waited for: a reply may take minutes, and a stop must be heard meanwhile.
            with suppress(ModelClosedError):  # being replaced: its memory is given back anyway
                self._slot.model.release()
        await self._storage.run(self._store.commands.finish, command.id, outcome)
