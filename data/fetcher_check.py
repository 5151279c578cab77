"""Is everything right on Discord's side? Token, server, intent, invite link and clock, asked in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import discord
from discord.http import Route

from data.access import MESSAGE_CONTENT_FLAGS, read_access
from data.fetcher_api import DiscordRest, NoAccessError
from storage.environment import Environment

# View channels, send messages, embed links, read history, add reactions, external emoji, threads, app commands.
INVITE_PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    read_message_history=True,
    add_reactions=True,
    use_external_emojis=True,
)


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """What Discord says about the bot. server_name is '' when it is not on the configured server."""

    bot_name: str
    application_id: int
    has_message_content: bool
    server_name: str
    invite_url: str
    clock_offset_seconds: float


async def check_server(environment: Environment, *, clock: Callable[[], float] = time.time) -> ServerCheck:
    """Ask Discord. ConfigurationError for a refused token, FetchError when it cannot be reached."""
    async with DiscordRest(environment.require_token(), api_base=environment.api_base) as rest:
        application = await rest.application()
        servers = {int(server["id"]): str(server["name"]) for server in await rest.my_guilds()}
    application_id = int(application["id"])
    return ServerCheck(
        bot_name=str(application.get("name", "")),
        application_id=application_id,
        has_message_content=bool(int(application.get("flags") or 0) & MESSAGE_CONTENT_FLAGS),
        server_name=servers.get(environment.server_id or 0, ""),
        invite_url=invite_url(application_id),
        clock_offset_seconds=await _clock_offset(clock),
    )


async def unreadable_channels(environment: Environment, channel_ids: Sequence[int]) -> list[int]:
    """Those of the channels whose history Discord does not let the bot read."""
    async with DiscordRest(environment.require_token(), api_base=environment.api_base) as rest:
        # Without Read Message History the answer is empty and no error: only the permissions tell.
        missing = (await read_access(rest, environment.server_id or 0)).missing
        refused = [channel_id for channel_id in channel_ids if channel_id in missing]
        for channel_id in channel_ids:
            if channel_id in missing:
                continue
            try:
                await rest.history(channel_id, limit=1)
            except NoAccessError:
                refused.append(channel_id)
    return refused


def invite_url(application_id: int) -> str:
    """The link that adds the bot to a server with the permissions it needs and its slash commands."""
    return discord.utils.oauth_url(
        application_id, permissions=INVITE_PERMISSIONS, scopes=("bot", "applications.commands")
    )


async def _clock_offset(clock: Callable[[], float]) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{Route.BASE}/gateway") as answer:
        date = answer.headers.get("Date")
    return clock() - parsedate_to_datetime(date).timestamp() if date else 0.0
