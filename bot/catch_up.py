"""After a connection that could not be resumed, what was said meanwhile is read: Discord does not tell it again.

READY without a RESUME (opcode 9, a restart of the server, a bot that was killed) leaves a gap in every channel. Each
channel is read from the last message that is known, politely and within bounds: what came after is stored where the
owner said yes, and somebody who asked the bot a few minutes ago is answered, once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import discord

log = logging.getLogger(__name__)

# A channel's gap is read up to here; what a longer outage left behind is the next fetch's.
MOST_MESSAGES = 200
Place = discord.TextChannel | discord.VoiceChannel | discord.Thread


class Listener(Protocol):
    """Who the missed messages are handed to."""

    async def last_known_ids(self, channel_ids: Sequence[int]) -> dict[int, int]:
        """The newest message known of each channel; channels that were never listened to are not in it."""

    async def on_missed(self, message: discord.Message) -> None:
        """One missed message, oldest first within a channel."""


async def catch_up(
    guild: discord.Guild, listener: Listener, *, pause: Callable[[], Awaitable[None]], most: int = MOST_MESSAGES
) -> int:
    """Hand the messages that were missed to the listener, channel by channel; returns how many. Never raises for what
    Discord refuses: a channel that cannot be read is left to the fetch, which names it."""
    places = {place.id: place for place in readable_places(guild)}
    found = 0
    for channel_id, last in (await listener.last_known_ids(sorted(places))).items():
        place = places[channel_id]
        # Without a look at the newest id every quiet channel would cost a request.
        if place.last_message_id is None or place.last_message_id <= last:
            continue
        try:
            async for message in _since(place, last, most):
                await listener.on_missed(message)
                found += 1
        except (discord.HTTPException, OSError) as error:
            log.warning("What was said in channel %s meanwhile could not be read: %s", channel_id, error)
        await pause()
    if found:
        log.info("%d messages were said while the bot was away", found)
    return found


def readable_places(guild: discord.Guild) -> list[Place]:
    """Channels and active threads whose history the bot may read."""
    places: list[Place] = [*guild.text_channels, *guild.voice_channels, *guild.threads]
    return [place for place in places if _may_read(place)]


def _may_read(place: Place) -> bool:
    allowed = place.permissions_for(place.guild.me)
    return allowed.view_channel and allowed.read_message_history


async def _since(place: Place, last: int, most: int) -> AsyncIterator[discord.Message]:
    """Messages after `last`, oldest first; of a longer gap the newest `most`."""
    newest = [message async for message in place.history(limit=most, after=discord.Object(last), oldest_first=False)]
    for message in reversed(newest):
        yield message
