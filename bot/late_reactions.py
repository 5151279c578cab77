"""What reactions that come later mean: an opinion of a reply of the bot's, or new counts under a member's message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import discord

from bot.storage_thread import StorageThread
from storage.store import Store
from storage.teaching import Opinion

log = logging.getLogger(__name__)

REFRESH_REACTIONS_SECONDS = 3.0
# A message as Discord has it now is to be saved.
Save = Callable[[discord.Message], None]


class LateReactions:
    """Owned by the event loop. save: called on the storage thread with a message read anew."""

    def __init__(self, store: Store, storage: StorageThread, *, save: Save) -> None:
        self._store, self._storage, self._save = store, storage, save
        self._stale: dict[int, asyncio.Task[None]] = {}

    async def judge(self, message_id: int, member_id: int, value: int, *, is_added: bool) -> None:
        """A member likes (1) or dislikes (-1) a reply of the bot's, or does not any more."""
        await self._storage.run(self._judge, message_id, member_id, value, is_added)

    def refresh_soon(self, channel: discord.abc.MessageableChannel, message_id: int) -> None:
        """Ask Discord for the counts a moment later: events repeat after a resume, so they are not added up."""
        if message_id not in self._stale:
            task = asyncio.create_task(self._refresh(channel, message_id))
            self._stale[message_id] = task
            task.add_done_callback(lambda _: self._stale.pop(message_id, None))

    async def close(self) -> None:
        """Drop what was put off."""
        for task in self._stale.values():
            task.cancel()
        await asyncio.gather(*self._stale.values(), return_exceptions=True)

    def _judge(self, message_id: int, member_id: int, value: int, is_added: bool) -> None:
        note = self._store.notes.holding(message_id)
        reply = self._store.live.judged(note) if note is not None else None
        if reply is None:
            return
        verdict = Opinion.GOOD if value > 0 else Opinion.BAD
        if is_added:
            self._store.teaching.judge(reply, verdict, judge_id=member_id)
        else:
            self._store.teaching.withdraw(reply.reply_id, judge_id=member_id, verdict=verdict)

    async def _refresh(self, channel: discord.abc.MessageableChannel, message_id: int) -> None:
        await asyncio.sleep(REFRESH_REACTIONS_SECONDS)
        kept = await self._storage.run(self._store.messages.get, [message_id])
        if message_id not in kept or kept[message_id].is_own:
            return
        try:
            message = await channel.fetch_message(message_id)
        except (discord.HTTPException, OSError) as error:
            log.debug("Reactions of %s not read: %s", message_id, error)
            return
        await self._storage.run(self._save, message)
