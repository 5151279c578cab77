"""The connection: signs in, listens, and comes back on its own. What ends the process gets a sentence and a cure.

discord.py reconnects on its own for short gaps (and resumes, so nothing is missed). After `GIVE_UP_SECONDS` without
a connection its pauses have grown to minutes, so the client is thrown away and a fresh one tries at most
`LONGEST_WAIT_SECONDS` apart. Signing in and the first connection are not retried by the library at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import yarl
from discord.abc import GuildChannel
from discord.ext import commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot import lag
from bot.catch_up import catch_up
from bot.channel_log import ChannelLogs
from bot.config import PREFIX, Identity, ServerScope
from bot.decisions import ReplyCounts, steady_clock
from bot.drafts import DraftBoard
from bot.handlers import Handlers, channel_reader
from bot.indexing import keep_index_in_step
from bot.live_status import LiveStatus
from bot.outbox import Outbox
from bot.owner_hands import OwnerHands
from bot.reacting import Reactor
from bot.reply_scheduler import ReplyDesk
from bot.translate import display_name, writer_of
from bot.watchdog import is_watched
from bot.withdrawal_follower import follow_withdrawals
from bot.withheld import follow_withheld
from storage.control import LOOP_LAG_FACT
from storage.environment import Environment
from storage.errors import ConfigurationError
from storage.records import BotPhase, Channel, ExitCode
from storage.system.network import InterceptedError, explain, intercepted, is_intercepted

if TYPE_CHECKING:
    from bot.services import Services

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
GIVE_UP_SECONDS = 45.0
# Shorter than the library's 60 s, longer than Discord's heartbeat of 41 s: a dead connection is noticed within 50.
ZOMBIE_SECONDS = 50.0
CATCH_UP_PAUSE_SECONDS = 0.2
UNREACHABLE_SECONDS = 6 * 3600.0
# At a stop: for a reply that is being sent, for events under way, for saying goodbye to Discord.
SEND_GRACE_SECONDS, EVENT_GRACE_SECONDS, CLOSE_SECONDS = 1.5, 0.5, 1.0
# How discord.py names the tasks of its events and slash commands.
_EVENT_TASKS = ("discord.py: ", "CommandTree")
_SLASH_FACT = "slash_commands"
# Codes after which reconnecting is pointless (docs.discord.com, "Gateway Close Event Codes").
_BAD_TOKEN, _BAD_INTENTS = 4004, (4013, 4014)


def use_server(environment: Environment) -> None:
    """Point discord.py at another server that speaks the same protocol, when the environment names one."""
    if environment.api_base:
        Route.BASE = environment.api_base
    if environment.gateway:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(environment.gateway)


def intents() -> discord.Intents:
    """What Discord is asked to tell: messages with their content, who is writing, reactions, the guild itself."""
    wanted = discord.Intents.none()
    wanted.guilds = wanted.messages = wanted.reactions = wanted.message_content = wanted.guild_typing = True
    return wanted


class BotClient(commands.Bot):
    """One connection. State that must outlive it is in `handlers`."""

    def __init__(
        self, handlers: Handlers, status: LiveStatus, *, add_commands: Callable[[BotClient], Awaitable[None]]
    ) -> None:
        super().__init__(
            command_prefix=PREFIX,
            intents=intents(),
            help_command=None,
            case_insensitive=True,
            allowed_mentions=discord.AllowedMentions.none(),
            heartbeat_timeout=ZOMBIE_SECONDS,
            max_messages=500,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
        )
        self.handlers = handlers
        self.status_board = status
        self.http.send_message = self._with_author(self.http.send_message)  # type: ignore[assignment, method-assign]
        self._add_commands = add_commands
        self.lost_at: float | None = time.monotonic()
        self.was_online = False
        # An event the library cannot read raises through its reading loop and would end the process; one event is
        # not worth a restart. (A READY it cannot read leaves the client offline: a fresh one tries again.)
        parsers = self._connection.parsers
        for name, parse in parsers.items():
            parsers[name] = _forgiving(name, parse)

    async def setup_hook(self) -> None:
        """discord.py calls it once, after signing in and before the first event."""
        await self._add_commands(self)
        await self._register_slash_commands()

    async def _register_slash_commands(self) -> None:
        """Tell Discord the slash commands, when they changed since the last time it was told."""
        guild = discord.Object(self.handlers.place.server_id)
        self.tree.copy_global_to(guild=guild)
        wanted = json.dumps(
            [command.to_dict(self.tree) for command in self.tree.get_commands(guild=guild)], sort_keys=True, default=str
        )
        mark = hashlib.sha256(f"{self.application_id} {guild.id} {wanted}".encode()).hexdigest()
        if await self.handlers.remembered(_SLASH_FACT) == mark:
            return
        try:
            await self.tree.sync(guild=guild)
        except discord.HTTPException as error:
            log.warning(
                "Slash commands could not be registered (%s); commands with ! work all the same. Invite the bot "
                "with the applications.commands scope.",
                error.text or error.status,
            )
            return
        await self.handlers.remember(_SLASH_FACT, mark)

    def _with_author(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """A success answer that leaves the author out would be read as a failure, and what was said as not said."""

        async def send_message(*args: Any, **kwargs: Any) -> Any:
            answer = await send(*args, **kwargs)
            if isinstance(answer, dict) and "author" not in answer and self.user is not None:
                answer["author"] = {
                    "id": str(self.user.id),
                    "username": self.user.name,
                    "discriminator": self.user.discriminator,
                    "avatar": None,
                    "bot": True,
                }
            return answer

        return send_message

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """discord.py calls it with each event; nothing is passed on once the client is closed."""
        # A slash command that ends during the stop would tell a client that has no loop any more.
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)

    @property
    def identity(self) -> Identity:
        """Who the bot is: id, display name and user name. Only after signing in."""
        assert self.user is not None, "not signed in"
        return Identity(self.user.id, display_name(self.user), self.user.name)

    # ---- the connection ----------------------------------------------------------------------------------

    async def on_connect(self) -> None:
        """Called at every connection, the first one and each later one: what may be read is asked again."""
        self.handlers.access.doubt()

    async def on_ready(self) -> None:
        """The server's channels and members are known; may come more than once in a connection's life."""
        self._online("online")
        guild = self.get_guild(self.handlers.place.server_id)
        if guild is not None:
            await self.handlers.access.follow(guild)
            await self._catch_up(guild)
        else:
            names = ", ".join(f"{guild.name} ({guild.id})" for guild in self.guilds) or "none"
            log.error("The bot is not on the server %d", self.handlers.place.server_id)
            self.status_board.update(
                last_error=f"The bot is not on the server {self.handlers.place.server_id}.",
                last_error_cure=f"Invite it there, or set SERVER_ID to one it is on: {names}.",
            )

    async def _catch_up(self, guild: discord.Guild) -> None:
        identity = self.identity

        class Missed:
            last_known_ids = self.handlers.last_known_ids

            @staticmethod
            async def on_missed(message: discord.Message) -> None:
                if not self.handlers.is_ours(message):
                    return
                # A command that nobody heard in time is not carried out later.
                if (await self.get_context(message)).command is None:
                    await self.handlers.on_message(message, identity, was_away=True)

        await catch_up(guild, Missed(), pause=lambda: asyncio.sleep(CATCH_UP_PAUSE_SECONDS))

    async def on_resumed(self) -> None:
        """The connection was picked up where it broke off; no event was lost."""
        self._online("resumed")

    async def on_disconnect(self) -> None:
        """The connection broke. discord.py repeats it with each failed try; the first one counts."""
        if self.lost_at is None:
            self.lost_at = time.monotonic()
            log.warning("Connection to Discord lost")
        self.status_board.update(is_connected=False, latency_ms=None)

    def _online(self, how: str) -> None:
        if self.was_online and self.lost_at is not None:
            self.handlers.was_offline(time.monotonic() - self.lost_at)
        self.lost_at, self.was_online = None, True
        log.info("Discord: %s as %s", how, self.user)
        self.status_board.update(phase=BotPhase.RUNNING, is_connected=True, last_error="", last_error_cure="")

    # ---- events -----------------------------------------------------------------------------------------

    async def on_message(self, message: discord.Message) -> None:
        """A message, ours too: a command is carried out, everything else goes to the handlers."""
        if not self.handlers.is_ours(message):
            return
        clock = self.handlers.server_clock
        clock.heard(message.created_at.timestamp())
        self.status_board.update(clock_is_ahead=round(clock.computer_is_ahead, 1))
        context = await self.get_context(message)
        if context.command is not None:
            await self.invoke(context)
        else:
            await self.handlers.on_message(message, self.identity)

    async def on_raw_typing(self, payload: discord.RawTypingEvent) -> None:
        """Somebody began to type; repeated every few seconds while they do."""
        channel = self.get_channel(payload.channel_id)
        if payload.guild_id != self.handlers.place.server_id or payload.user_id == self.identity.id:
            return
        writer = writer_of(payload)
        if writer is not None and isinstance(channel, discord.abc.Messageable):
            await self.handlers.on_typing(channel, writer)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """The server came back after an outage of Discord's."""
        await self.handlers.access.follow(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """The bot was invited while it runs."""
        await self.handlers.access.follow(guild)

    async def on_guild_update(self, _before: discord.Guild, after: discord.Guild) -> None:
        """The server itself changed: name, owner, who may find it."""
        await self.handlers.access.follow(after)

    async def on_guild_channel_create(self, channel: GuildChannel) -> None:
        """A channel was made."""
        await self.handlers.access.follow(channel.guild)

    async def on_guild_channel_update(self, _before: GuildChannel, after: GuildChannel) -> None:
        """A channel changed; its permissions may have."""
        if after.guild.id == self.handlers.place.server_id:
            self.handlers.permissions_changed(after.id)
            await self.handlers.access.follow(after.guild)

    async def on_guild_channel_delete(self, channel: GuildChannel) -> None:
        """A channel was deleted, and everything in it with it."""
        if channel.guild.id == self.handlers.place.server_id:
            await self.handlers.access.lose(channel.id)
            await self.handlers.access.follow(channel.guild)

    async def on_guild_role_create(self, role: discord.Role) -> None:
        """A role was made; it may be what lets the bot read."""
        await self.handlers.access.follow(role.guild)

    async def on_guild_role_update(self, _before: discord.Role, after: discord.Role) -> None:
        """A role's permissions or colour changed, for all who have it."""
        if after.guild.id == self.handlers.place.server_id:
            self.handlers.permissions_changed()
            await self.handlers.access.follow(after.guild)

    async def on_guild_role_delete(self, role: discord.Role) -> None:
        """A role was deleted: whoever had it may read less now."""
        await self.handlers.access.follow(role.guild)

    async def on_member_update(self, _before: discord.Member, after: discord.Member) -> None:
        """A member's roles or names changed; only the bot's own matter here."""
        if after.id == self.identity.id:  # its own roles: what it reaches
            await self.handlers.access.follow(after.guild)

    async def on_raw_thread_update(self, payload: discord.RawThreadUpdateEvent) -> None:
        """A thread changed, also one that nobody has open."""
        if payload.guild_id == self.handlers.place.server_id:
            await self.handlers.access.follow_thread(
                Channel(
                    payload.thread_id,
                    str(payload.data.get("name") or ""),
                    kind=payload.thread_type.value,
                    parent_id=payload.parent_id,
                    guild_id=payload.guild_id,
                )
            )

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """A thread was deleted."""
        if payload.guild_id == self.handlers.place.server_id:
            await self.handlers.access.lose(payload.thread_id)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """A message was edited, or Discord added a preview to it; also one the bot never saw."""
        await self.handlers.on_edit(payload.message)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """One message was deleted; also one the bot never saw."""
        await self.handlers.on_delete(payload.channel_id, {payload.message_id})

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """Many messages were deleted in one go, by a moderator's bot or with a banned member."""
        await self.handlers.on_delete(payload.channel_id, payload.message_ids)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        """Somebody reacted to a message, however old."""
        await self._on_reaction(payload, is_added=True)

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        """Somebody took a reaction back."""
        await self._on_reaction(payload, is_added=False)

    async def _on_reaction(self, payload: discord.RawReactionActionEvent, *, is_added: bool) -> None:
        if payload.guild_id != self.handlers.place.server_id or payload.user_id == self.identity.id:
            return
        channel: Any = self.get_channel(payload.channel_id) or self.get_partial_messageable(
            payload.channel_id, guild_id=payload.guild_id
        )
        await self.handlers.on_reaction(
            channel, payload.message_id, payload.user_id, str(payload.emoji), is_added=is_added
        )

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """discord.py calls it when one of the methods above raised; the bot stays up."""
        log.exception("Error in %s", event_method)


def _forgiving(name: str, parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def parse_or_drop(data: Any) -> Any:
        try:
            return parse(data)
        except Exception as error:  # the library raises what a broken event makes it stumble over
            log.warning(
                "An event of kind %s could not be read and was dropped (%s: %.200s)", name, type(error).__name__, error
            )
            log.debug("Unreadable event", exc_info=True)
            return None

    return parse_or_drop


async def run_discord(services: Services) -> None:
    """Be on Discord until cancelled. ConfigurationError for what only the owner can cure."""
    token = services.environment.require_token()
    place = ServerScope.from_environment(services.environment)
    use_server(services.environment)
    outbox, logs, counts = Outbox(), ChannelLogs(), ReplyCounts(steady_clock())
    current: list[BotClient] = []
    drafts = DraftBoard(services.store, services.storage)
    handlers: Handlers
    desk = ReplyDesk(
        responder=services.responder,
        outbox=outbox,
        logs=logs,
        counts=counts,
        record=lambda rows: handlers.record(rows),
        settle=lambda rows: handlers.settle(rows),
        keep_own=lambda own: handlers.keep_own(own),
        on_reply=lambda seconds: services.status.count_reply(seconds=seconds),
        readable=channel_reader(lambda: current[-1].identity),
        secrets=(token,),
        own_name=lambda: current[-1].identity.name,
        member_names=lambda: services.storage.run(services.store.members.names),
        keep_note=lambda note: handlers.keep_note(note),
        drafts=drafts,
    )
    handlers = Handlers(
        store=services.store,
        storage=services.storage,
        place=place,
        outbox=outbox,
        logs=logs,
        counts=counts,
        desk=desk,
        forget_channel=services.responder.forget,
        reactor=Reactor(services.store, services.storage, services.recall),
        set_checked=lambda value: setattr(services.recall, "is_checked", value),
        is_stopping=lambda: services.stop.is_asked,
    )
    await handlers.load_counts()
    services.hands = OwnerHands(
        services.store,
        storage=services.storage,
        client=lambda: current[-1],
        handlers=handlers,
        desk=desk,
        outbox=outbox,
        secrets=(token,),
    )

    async def add_commands(client: BotClient) -> None:
        from bot.commands import AdminCommands
        from bot.looking_back import LookingBack

        await client.add_cog(AdminCommands(services, handlers, outbox))
        await client.add_cog(
            LookingBack(
                services.store,
                services.storage,
                sources=services.recall.sources,
                is_admin=lambda user_id: handlers.place.is_admin(user_id),
            )
        )

    def make() -> BotClient:
        current[:] = [BotClient(handlers, services.status, add_commands=add_commands)]
        return current[-1]

    beside = [
        asyncio.create_task(keep_index_in_step(services.store, services.recall), name="indexing"),
        asyncio.create_task(handlers.access.keep_in_step(), name="access"),
        asyncio.create_task(drafts.follow(), name="drafts"),
        asyncio.create_task(
            follow_withheld(services.store, services.storage, handlers), name="following what is hidden"
        ),
        asyncio.create_task(
            follow_withdrawals(services.store, services.storage, handlers.withdrawn), name="withdrawals"
        ),
    ]
    if lag.is_wanted():
        beside.append(
            asyncio.create_task(
                lag.measure_lag(
                    lambda figures: services.storage.post(services.store.facts.set, LOOP_LAG_FACT, figures),
                    lambda: services.status.snapshot().queue_length > 0 or desk.waiting > 0,
                ),
                name="lag",
            )
        )
    connecting = asyncio.create_task(Connection(make, token, services).run(), name="connection")
    try:
        # Not awaited itself: a stop must not close the connection while a reply is on its way out.
        await asyncio.wait({connecting})
        connecting.result()
    finally:
        services.stop.begin()
        services.hands = None
        for task in beside:
            task.cancel()
        await desk.close(timeout_seconds=services.stop.allow(SEND_GRACE_SECONDS))
        await _finish_events(timeout_seconds=services.stop.allow(EVENT_GRACE_SECONDS))
        connecting.cancel()
        await asyncio.gather(connecting, *beside, return_exceptions=True)
        await handlers.close()


class Connection:
    """Keeps one client after another online."""

    def __init__(
        self,
        make: Callable[[], BotClient],
        token: str,
        services: Services,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._make = make
        self._token = token
        self._services = services
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter

    async def run(self) -> None:
        """Until cancelled, or ConfigurationError."""
        attempt, offline_since = 0, self._clock()
        while True:
            self._services.status.update(phase=BotPhase.CONNECTING, is_connected=False)
            client = self._make()
            try:
                await self._one(client)
            finally:
                await _close(client, timeout_seconds=self._services.stop.allow(CLOSE_SECONDS))
            if client.was_online:
                attempt, offline_since = 0, self._clock()
            elif self._clock() - offline_since > UNREACHABLE_SECONDS and self._is_supervised():
                self._services.stop.ask(ExitCode.UNREACHABLE, "Discord could not be reached for hours.")
            wait = wait_seconds(attempt, self._jitter())
            attempt += 1
            log.info("Trying Discord again in %.0f s", wait)
            await self._sleep(wait)

    async def _one(self, client: BotClient) -> None:
        """One client from signing in to the end of its use; returns when a fresh one may do better."""
        try:
            try:
                await client.login(self._token)
            except TypeError as error:
                # discord.py reads the account out of whatever came with status 200, a sign-in page of the network too.
                raise InterceptedError(intercepted("Discord").what) from error
            connecting = asyncio.create_task(client.connect(reconnect=True))
            try:
                await self._watch(client, connecting)
            finally:
                if not connecting.done():
                    connecting.cancel()
                    await asyncio.gather(connecting, return_exceptions=True)
        except InterceptedError as error:
            self._explain(error)
        except discord.LoginFailure as error:
            if not is_intercepted(error):
                raise _bad_token() from None
            self._explain(error)
        except discord.PrivilegedIntentsRequired:
            raise _missing_intent() from None
        except discord.ConnectionClosed as error:
            if error.code == _BAD_TOKEN:
                raise _bad_token() from None
            if error.code in _BAD_INTENTS:
                raise _missing_intent() from None
            self._trouble(f"Discord closed the connection ({error.code}).")
        except discord.HTTPException as error:
            if is_intercepted(error) and error.status < 500:
                self._explain(error)
                return
            if error.status == 401:
                raise _bad_token() from None
            self._trouble(f"Discord answered {error.status}.")
        except (OSError, aiohttp.ClientError, TimeoutError, discord.GatewayNotFound) as error:
            self._explain(error)
        except AttributeError as error:
            # discord.py reads its websocket after a first connection that never came to be; any other is ours
            if client.ws is not None or not _is_raised_by(error, "discord"):
                raise
            self._trouble("Discord's gateway cannot be reached.")

    async def _watch(self, client: BotClient, connecting: asyncio.Task[None]) -> None:
        """Report the latency; give the client up when it stays offline for too long."""
        while True:
            done, _ = await asyncio.wait({connecting}, timeout=1.0)
            if done:
                connecting.result()
                return
            if client.lost_at is None:
                latency = client.latency
                self._services.status.update(latency_ms=latency * 1000 if 0 <= latency < 3600 else None)
            elif self._clock() - client.lost_at > GIVE_UP_SECONDS:
                self._trouble("The connection to Discord did not come back.")
                return

    def _explain(self, error: BaseException) -> None:
        trouble = explain(error, "Discord")
        self._trouble(trouble.what, trouble.cure)

    def _trouble(self, what: str, cure: str = "Check the internet connection.") -> None:
        log.warning("%s %s", what, cure)
        self._services.status.update(last_error=what, last_error_cure=f"{cure} The bot keeps trying.")

    def _is_supervised(self) -> bool:
        return is_watched(self._services.store)


def _is_raised_by(error: BaseException, package: str) -> bool:
    """Whether the line that raised it stands in this package."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return name.partition(".")[0] == package


def wait_seconds(attempt: int, roll: float) -> float:
    """1, 2, 4 ... 30 seconds, shortened by up to half at random."""
    return float(min(FIRST_WAIT_SECONDS * 2 ** min(attempt, 10), LONGEST_WAIT_SECONDS)) * (0.5 + roll / 2)


async def _finish_events(*, timeout_seconds: float) -> None:
    """Let messages and commands that are being handled come to their end, so that their decisions are stored."""
    own = asyncio.current_task()
    under_way = {task for task in asyncio.all_tasks() if task.get_name().startswith(_EVENT_TASKS) and task is not own}
    if not under_way:
        return
    _, late = await asyncio.wait(under_way, timeout=timeout_seconds)
    for task in late:
        task.cancel()


async def _close(client: BotClient, *, timeout_seconds: float) -> None:
    try:
        if not client.is_closed():
            await asyncio.wait_for(client.close(), timeout_seconds)
    except (TimeoutError, OSError, aiohttp.ClientError, RuntimeError) as error:
        log.debug("Closing the old connection: %s", error)


def _bad_token() -> ConfigurationError:
    return ConfigurationError(
        "Discord does not accept the bot token.",
        "Copy it again from the Developer Portal (Bot > Reset Token) into Settings > Discord.",
    )


def _missing_intent() -> ConfigurationError:
    return ConfigurationError(
        "Discord does not let the bot read messages: the Message Content intent is off.",
        "Switch it on in the Developer Portal: your application > Bot > Privileged Gateway Intents > Message Content "
        "Intent, then start the bot again.",
    )
