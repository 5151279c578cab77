"""What is known about the server's channels, kept in step with Discord and with the owner: who may read them, and
which of them the bot still reaches. Whatever stops a line from being recalled drops what was prepared from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import discord

from bot.storage_thread import StorageThread
from data.chat.audience import AccessFacts, access_facts, open_sources, recall_sources, with_facts
from data.chat.permissions import Overwrite, ServerRoles
from storage.errors import KnownError
from storage.records import PLAYGROUND_CHANNEL, Channel
from storage.store import Store

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
_WITH_MESSAGES = (discord.TextChannel, discord.VoiceChannel, discord.StageChannel, discord.ForumChannel)


@dataclass(frozen=True, slots=True)
class SeenChannel:
    """A channel as Discord shows it. is_reached: whether the bot sees it and its history; None: one of the two."""

    channel: Channel
    facts: AccessFacts
    is_reached: bool | None


def seen_channels(guild: discord.Guild) -> list[SeenChannel]:
    """The server's channels that hold messages or posts, with what Discord says about who may read them."""
    shown = [channel for channel in guild.channels if isinstance(channel, _WITH_MESSAGES)]
    facts = access_facts(
        server_roles(guild), {channel.id: (channel.type.value, overwrites_of(channel)) for channel in shown}
    )
    return [
        SeenChannel(
            Channel(channel.id, channel.name, kind=channel.type.value, guild_id=guild.id),
            facts[channel.id],
            _is_reached(guild, channel),
        )
        for channel in shown
    ]


def server_roles(guild: discord.Guild) -> ServerRoles:
    """The server-wide half of its permissions."""
    return ServerRoles(
        guild.id,
        guild.owner_id,
        {role.id: role.permissions.value for role in guild.roles},
        frozenset(role.id for role in guild.roles if role.is_bot_managed()),
        frozenset({guild.me.id} if guild.me is not None else ()),
    )


def overwrites_of(channel: discord.abc.GuildChannel) -> tuple[Overwrite, ...]:
    """A channel's overwrites; members are told from roles though the bot does not know them."""
    found = []
    for target, overwrite in channel.overwrites.items():
        allow, deny = overwrite.pair()
        is_role = isinstance(target, discord.Role) or getattr(target, "type", None) is discord.Role
        found.append(Overwrite(target.id, allow.value, deny.value, not is_role))
    return tuple(found)


def _is_reached(guild: discord.Guild, channel: discord.abc.GuildChannel) -> bool | None:
    if guild.me is None:
        return None
    may = channel.permissions_for(guild.me)
    if not may.view_channel:
        return False
    return True if may.read_message_history else None


class ChannelAccess:
    """Follows Discord's events and the owner's switches. All methods run on the event loop."""

    def __init__(
        self,
        store: Store,
        storage: StorageThread,
        *,
        server_id: Callable[[], int],
        live_channels: Callable[[], Collection[int]],
        forget_talk: Callable[[int], None],
        set_checked: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """live_channels: those something is kept of in memory. forget_talk: drop what was prepared for one.
        set_checked: whether what is stored of the permissions is what Discord says now."""
        self._store = store
        self._storage = storage
        self._server_id = server_id
        self._live_channels = live_channels
        self._forget_talk = forget_talk
        self._set_checked = set_checked
        self._channels: list[Channel] = []
        self._unread: discord.Guild | None = None

    def doubt(self) -> None:
        """A new connection: permissions may have changed while nobody listened."""
        self._set_checked(False)

    async def follow(self, guild: discord.Guild) -> None:
        """Take what Discord shows now. A server that is out of order shows nothing, which says nothing."""
        if guild.id != self._server_id() or guild.unavailable or not guild.channels:
            return
        self._unread = guild
        await self._storage.run(self._keep, seen_channels(guild))
        self._unread = None
        self._set_checked(True)
        await self.look()

    async def follow_thread(self, thread: Channel) -> None:
        """A known thread was renamed, or stands elsewhere."""
        await self._storage.run(self._keep_thread, thread)
        await self.look()

    async def lose(self, channel_id: int) -> None:
        """A channel or thread was deleted on Discord: nothing of it is recalled any more."""
        await self._storage.run(self._store.channels.update_access, {channel_id: _lost})
        await self.look()

    async def keep_in_step(self, *, every_seconds: float = LOOK_SECONDS) -> None:
        """Until cancelled: notice what the owner switches in the panel."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                if self._unread is not None:  # the database was busy when Discord told it
                    await self.follow(self._unread)
                await self.look()
            except KnownError as error:  # the next look may find the database free; replies ask it themselves
                log.debug("The channels were not looked at: %s", error.what)

    async def look(self) -> None:
        """Drop what was prepared in a channel that may no longer recall everything it could."""
        live = frozenset(self._live_channels()) | {PLAYGROUND_CHANNEL}
        for channel_id in await self._storage.run(self._narrowed, live):
            log.info("Channel %d: what was prepared from lines that are closed now is dropped", channel_id)
            self._forget_talk(channel_id)

    # ---- on the storage thread ------------------------------------------------------------------------------

    def _narrowed(self, live: Collection[int]) -> list[int]:
        """Those of the channels that lost a source of lines since the last look."""
        before, now = self._channels, self._store.channels.all()
        self._channels = now
        if before == now:
            return []
        return [channel_id for channel_id in live if set(_sources(before, channel_id)) - set(_sources(now, channel_id))]

    def _keep(self, seen: list[SeenChannel]) -> None:
        # Unknown ones come in switched off, so that the panel and !channels can list them.
        self._store.channels.add([one.channel for one in seen])
        changes: dict[int, Callable[[Channel], Channel]] = {one.channel.id: partial(_as_seen, one) for one in seen}
        for known in self._store.channels.all():
            # Only what Discord has shown before: an imported channel may never have stood here.
            was_shown = known.guild_id == self._server_id() and known.discord_private is not None
            if was_shown and not known.is_thread and known.id not in changes:
                changes[known.id] = _lost
        self._store.channels.update_access(changes)

    def _keep_thread(self, thread: Channel) -> None:
        if self._store.channels.get(thread.id) is not None:
            self._store.channels.add([thread])


def _as_seen(seen: SeenChannel, known: Channel) -> Channel:
    new = with_facts(known, seen.facts)
    return new if seen.is_reached is None else replace(new, is_access_lost=not seen.is_reached)


def _lost(known: Channel) -> Channel:
    return replace(known, is_access_lost=True)


def _sources(channels: Sequence[Channel], channel_id: int) -> list[int]:
    return open_sources(channels) if channel_id == PLAYGROUND_CHANNEL else recall_sources(channels, channel_id)
