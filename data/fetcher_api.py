"""The part of Discord's REST API a fetch needs, asked patiently: discord.py's own waiting plus our back-off."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import aiohttp
import discord
from discord.http import Route

from storage.errors import ConfigurationError, KnownError
from storage.system.network import NetworkTrouble, explain, intercepted, is_intercepted

log = logging.getLogger(__name__)
T = TypeVar("T")
Json = dict[str, Any]

PAGE_SIZE = 100
TRIES = 6
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
# A ban (429 without Discord's own headers) is not waited out: every further request makes it longer.
BANS_UNTIL_GIVING_UP = 2


class FetchError(KnownError):
    """The fetch cannot go on; what was stored is kept and the next fetch continues there."""


class NoAccessError(FetchError):
    """Discord does not let the bot read this channel (403), or it is gone (404)."""


class DiscordRest:
    """A logged-in REST client; use it with `async with`. Answers are Discord's JSON objects."""

    def __init__(
        self,
        token: str,
        *,
        api_base: str = "",
        tries: int = TRIES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._token = token
        self._api_base = api_base
        self._tries = tries
        self._sleep = sleep
        self._jitter = jitter
        self._client: discord.Client | None = None
        self._bans = 0

    async def __aenter__(self) -> Self:
        if self._api_base:
            Route.BASE = self._api_base
        await self._patiently(self._log_in, "signing in")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def bot_id(self) -> int:
        """The bot's own user id."""
        assert self._client is not None, "not signed in"
        assert self._client.user is not None, "not signed in"
        return self._client.user.id

    async def application(self) -> Json:
        """The bot's own application (id, name, flags)."""
        return await self._patiently(lambda: self._http.application_info(), "reading the application")

    async def my_guilds(self) -> list[Json]:
        """The servers the bot is in (id, name, features)."""
        return await self._patiently(lambda: self._http.get_guilds(200), "reading the list of servers")

    async def guild(self, guild_id: int) -> Json:
        """The server with its roles and approximate member count."""
        return await self._patiently(lambda: self._http.get_guild(guild_id, with_counts=True), "reading the server")

    async def channels(self, guild_id: int) -> list[Json]:
        """Its channels, without threads."""
        return await self._patiently(lambda: self._http.get_all_guild_channels(guild_id), "reading the channel list")

    async def own_member(self, guild_id: int) -> Json:
        """The bot as a member of the server: its roles."""
        user = self._client.user if self._client is not None else None
        assert user is not None, "not signed in"
        return await self._patiently(lambda: self._http.get_member(guild_id, user.id), "reading the bot's own roles")

    async def active_threads(self, guild_id: int) -> list[Json]:
        """All threads that are not archived."""
        answer = await self._patiently(lambda: self._http.get_active_threads(guild_id), "reading the threads")
        threads: list[Json] = answer["threads"]
        return threads

    async def archived_threads(
        self, channel_id: int, *, is_private: bool, before: str | None
    ) -> tuple[list[Json], bool]:
        """A page of archived threads, the latest archived first, and whether there are more."""
        ask = self._http.get_private_archived_threads if is_private else self._http.get_public_archived_threads
        answer = await self._patiently(lambda: ask(channel_id, before, PAGE_SIZE), "reading the archived threads")
        return answer["threads"], bool(answer.get("has_more"))

    async def history(
        self, channel_id: int, *, after: int | None = None, before: int | None = None, limit: int = PAGE_SIZE
    ) -> list[Json]:
        """A page of messages in whatever order the server gives them."""
        return await self._patiently(
            lambda: self._http.logs_from(channel_id, limit, before=before, after=after), "reading messages"
        )

    @property
    def _http(self) -> Any:
        assert self._client is not None, "not signed in"
        return self._client.http

    async def _log_in(self) -> None:
        # A client whose login failed is not used again: discord.py leaves a session open in it.
        client = discord.Client(intents=discord.Intents.none())
        try:
            await client.login(self._token)
        except TypeError:
            # discord.py reads the account out of whatever came with status 200, a sign-in page of the network too.
            await client.close()
            raise _as_fetch_error(intercepted("Discord")) from None
        except BaseException:
            await client.close()
            raise
        self._client = client

    async def _patiently(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """Ask, and ask again after a growing pause where waiting helps. KnownError says what does not."""
        for attempt in range(self._tries):
            try:
                answer = await ask()
                if isinstance(answer, str):  # JSON was asked for
                    raise _as_fetch_error(intercepted("Discord"))
                return answer
            except discord.LoginFailure as error:
                raise _as_fetch_error(intercepted("Discord")) if is_intercepted(error) else invalid_token() from None
            except (discord.Forbidden, discord.NotFound) as error:
                if is_intercepted(error):
                    raise _as_fetch_error(intercepted("Discord")) from None
                raise NoAccessError(
                    f"Discord refused {what}: {error.text or error.status}.",
                    "Check the bot's permissions (View Channel, Read Message History).",
                ) from None
            except discord.HTTPException as error:
                self._judge(error, what)
                reason, cure = f"Discord answered {error.status}.", "Discord has a problem: see discordstatus.com."
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                trouble = explain(error, "Discord")
                if not trouble.may_pass:
                    raise _as_fetch_error(trouble) from error
                reason, cure = trouble.what, trouble.cure
            if attempt == self._tries - 1:
                break
            wait = pause_seconds(attempt, self._jitter())
            log.warning("While %s: %s Trying again in %.0f s", what, reason, wait)
            await self._sleep(wait)
        raise FetchError(
            f"The fetch stopped while {what}. {reason}",
            f"{cure} Then try again: it continues where it stopped.",
        )

    def _judge(self, error: discord.HTTPException, what: str) -> None:
        """Return when waiting may help, raise when it does not."""
        if error.status != 429 and error.status < 500 and is_intercepted(error):
            raise _as_fetch_error(intercepted("Discord")) from None
        if error.status == 401:
            raise invalid_token() from None
        if error.status == 429:
            self._bans += 1
            if self._bans >= BANS_UNTIL_GIVING_UP:
                raise FetchError(
                    f"Discord has blocked this network for a while (while {what}).",
                    "Wait an hour, then fetch again: it continues where it stopped.",
                ) from None
        elif error.status < 500:
            raise FetchError(f"Discord refused {what}: {error.status} {error.text}.") from None


def _as_fetch_error(trouble: NetworkTrouble) -> FetchError:
    return FetchError(trouble.what, f"{trouble.cure} What was fetched is kept; the next fetch continues there.")


def pause_seconds(attempt: int, roll: float) -> float:
    """1, 2, 4 ... 60 seconds, each shortened by up to half at random so that clients do not march in step."""
    return float(min(FIRST_WAIT_SECONDS * 2**attempt, LONGEST_WAIT_SECONDS)) * (0.5 + roll / 2)


def invalid_token() -> ConfigurationError:
    """What to do about a token Discord does not know."""
    return ConfigurationError(
        "Discord does not accept the bot token.",
        "Copy it again from the Developer Portal (Bot > Reset Token) into Settings > Discord.",
    )
