"""What the owner does on Discord through the bot, asked for in another process: say something, stop, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import discord

from bot.handlers import Handlers
from bot.outbox import Outbox, Refused, prepare
from bot.reply_scheduler import ReplyDesk
from bot.storage_thread import StorageThread
from storage.records import Command, CommandKind
from storage.store import Store

DONE = "done"
NOT_ON_DISCORD = "the bot is not on Discord"
NO_CHANNEL = "the bot does not reach this channel"


class OwnerHands:
    """Carries a command out and says how it ended, in a word for the panel."""

    def __init__(
        self,
        store: Store,
        *,
        storage: StorageThread,
        client: Callable[[], discord.Client],
        handlers: Handlers,
        desk: ReplyDesk,
        outbox: Outbox,
        secrets: tuple[str, ...],
    ) -> None:
        self._store, self._storage, self._client = store, storage, client
        self._handlers, self._desk, self._outbox, self._secrets = handlers, desk, outbox, secrets

    async def carry_out(self, command: Command) -> str:
        """DONE, or why it could not be done."""
        channel_id = _number(command.details.get("channel_id"))
        if command.kind is CommandKind.STOP_REPLY:
            return DONE if self._desk.stop(channel_id) else "nothing is being written there any more"
        channel: Any = self._client().get_channel(channel_id)
        known = await self._storage.run(self._store.channels.get, channel_id)
        if not isinstance(channel, discord.abc.Messageable) or known is None or known.is_access_lost:
            return NO_CHANNEL if self._client().is_ready() else NOT_ON_DISCORD
        if command.kind is CommandKind.SAY:
            return await self._say(channel, str(command.details.get("text", "")))
        return await self._delete(channel, _number(command.details.get("reply_id")))

    async def _say(self, channel: Any, text: str) -> str:
        outgoing = prepare(text, await self._storage.run(self._store.settings.read), secrets=self._secrets)
        if isinstance(outgoing, Refused):
            return outgoing.reason
        sent, problem = await self._outbox.speak(channel, outgoing)
        if sent:
            self._handlers.said_for_owner(sent)
        return problem or DONE

    async def _delete(self, channel: Any, reply_id: int) -> str:
        if not await self._handlers.take_back(channel, reply_id):
            return "Discord did not delete it"
        return DONE


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
