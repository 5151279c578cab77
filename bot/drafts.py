"""The reply being written, told to whoever watches: a row per channel that is gone when the reply is.

Whoever computes calls the listener for every token, so it only notes the text; a few times a second what is new is
written, and only while a panel says that it is watching.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace

from bot.storage_thread import StorageThread
from storage.live import WATCHED_FACT, WATCHED_SECONDS, Draft
from storage.masking.credentials import redact
from storage.store import Store

TELL_SECONDS = 0.25


class DraftBoard:
    """Owned by the event loop; listeners may be called on any thread."""

    def __init__(self, store: Store, storage: StorageThread, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._storage, self._clock = store, storage, clock
        self._drafts: dict[int, Draft] = {}
        self._texts: dict[int, str] = {}

    def begin(self, channel_id: int, answered_id: int) -> Callable[[str], None]:
        """A reply is being written; returns what to call with all of it so far."""
        now = self._clock()
        self._drafts[channel_id] = Draft(channel_id, answered_id, os.getpid(), "", now, 0.0)
        self._texts[channel_id] = ""

        def told(text: str) -> None:
            self._texts[channel_id] = text

        return told

    def end(self, channel_id: int) -> None:
        """It is finished or came to nothing; what was written down of it goes at once."""
        self._texts.pop(channel_id, None)
        draft = self._drafts.pop(channel_id, None)
        if draft is not None and draft.at:
            self._storage.post(self._store.notes.drop_draft, channel_id)

    async def follow(self, *, every_seconds: float = TELL_SECONDS) -> None:
        """Write what is new, until cancelled."""
        while True:
            fresh = [
                replace(draft, text=redact(self._texts.get(number, "")), at=self._clock())
                for number, draft in self._drafts.items()
                if not draft.at or self._texts.get(number, "") != draft.text
            ]
            if fresh and await self._written(fresh):
                self._drafts |= {draft.channel_id: draft for draft in fresh if draft.channel_id in self._drafts}
                for draft in fresh:
                    if draft.channel_id not in self._drafts:  # it ended while it was being written down
                        self._storage.post(self._store.notes.drop_draft, draft.channel_id)
            await asyncio.sleep(every_seconds)

    async def _written(self, drafts: list[Draft]) -> bool:
        return await self._storage.run(lambda: self._write_if_watched(drafts))

    def _write_if_watched(self, drafts: list[Draft]) -> bool:
        if self._clock() - self._store.facts.get(WATCHED_FACT, 0.0) > WATCHED_SECONDS:
            return False
        self._store.notes.write_drafts(drafts)
        return True
