"""The real client, handlers and commands on a simulated Discord in this process; only model and thread are stood in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import simcord

from bot.channel_log import ChannelLogs
from bot.client import BotClient
from bot.commands import AdminCommands
from bot.config import ServerScope
from bot.decisions import ReplyCounts
from bot.handlers import Handlers, channel_reader
from bot.live_status import LiveStatus
from bot.looking_back import LookingBack
from bot.outbox import Outbox
from bot.reacting import Reactor
from bot.reply_scheduler import ReplyDesk
from bot.responder import Response
from bot.stopping import StopRequest
from data.chat.audience import recall_sources
from model.chat.requests import Reply
from storage import policy
from storage.records import Channel, Conversation, Turn
from storage.settings import REGISTRY
from storage.store import Store


class InlineStorage:
    """StorageThread without the thread: the simulation's clock must not wait for a real one."""

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def post(self, function: Callable[..., Any], *arguments: Any) -> None:
        function(*arguments)


@dataclass
class ScriptedResponder:
    """Answers with the next of `texts` (the last one for good) once it may; remembers what it was shown."""

    texts: list[str] = field(default_factory=lambda: ["sure"])
    asked: list[list[Turn]] = field(default_factory=list)
    observed: list[list[Turn]] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    prepared: list[list[Turn]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    are_lines_current: bool = True
    chosen: str = ""

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def reply(self, channel_id: int, turns: list[Turn], settings: Any, **_: Any) -> Response:
        await self.may_answer.wait()
        self.asked.append(list(turns))
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        generation = Reply(text, 20, 10, 3, 5.0, 9.0, "stop", chosen=self.chosen)
        return Response(text.strip(), (), Conversation(tuple(turns)), generation, 1.0)

    async def observe(self, channel_id: int, turns: list[Turn], settings: Any, *, typist: Any = None, **_: Any) -> None:
        self.observed.append(list(turns))
        self.writers.append(typist.name if typist else "")

    async def prepare(self, channel_id: int, turns: list[Turn], settings: Any, **_: Any) -> None:
        self.prepared.append(list(turns))

    async def may_be_said(self, channel_id: int, response: Response) -> bool:
        return self.are_lines_current

    def forget(self, channel_id: int) -> None:
        self.forgotten.append(channel_id)


@dataclass
class StillSlot:
    """A model slot that only counts reloads."""

    reloads: int = 0

    def reload(self) -> None:
        self.reloads += 1

    async def wait_until_settled(self) -> bool:
        return True


@dataclass
class SimBot:
    """A simulated server with the bot on it: #general (chosen), #staff (private), an admin and two members."""

    env: Any
    store: Store
    client: BotClient
    desk: ReplyDesk
    responder: ScriptedResponder
    slot: StillSlot
    stop: StopRequest
    guild: Any
    general: Any
    staff: Any
    admin: Any
    mira: Any
    tam: Any
    roll: list[float]

    @property
    def own(self) -> list[str]:
        """What the bot said in #general, oldest first."""
        return [m.content for m in self.general.history() if m.author.id == self.client.identity.id]

    def mira_commands(self) -> tuple[str, ...]:
        """Slash commands a member is offered in #general."""
        return tuple(self.mira.available_commands(self.general))

    def reason(self, message: Any) -> str:
        return self.store.activity.about(message.id).reason


@dataclass
class _Services:
    store: Store
    storage: InlineStorage
    status: LiveStatus
    slot: StillSlot
    stop: StopRequest


@asynccontextmanager
async def sim_bot(
    store: Store, *texts: str, speak: bool = True, reactor: Reactor | None = None
) -> AsyncIterator[SimBot]:
    """Start it; unasked replies are off (rate 0) unless `roll` and the rate are changed."""
    responder = ScriptedResponder(list(texts) or ["sure"])
    roll = [0.99]
    clock: list[Callable[[], float]] = [time.time]
    outbox, logs, counts = Outbox(), ChannelLogs(), ReplyCounts(lambda: clock[0]())
    storage: Any = InlineStorage()
    services = _Services(store, storage, LiveStatus(mode="discord"), StillSlot(), StopRequest())
    made: list[BotClient] = []
    desk = ReplyDesk(
        responder=responder,
        outbox=outbox,
        logs=logs,
        counts=counts,  # type: ignore[arg-type]
        record=lambda rows: handlers.record(rows),
        settle=lambda rows: handlers.settle(rows),
        keep_own=lambda own: handlers.keep_own(own),
        on_reply=lambda seconds: None,
        readable=channel_reader(lambda: made[0].identity),
        secrets=(),
        member_names=lambda: storage.run(store.members.names),
        wall_clock=lambda: clock[0](),
    )
    handlers = Handlers(
        store=store,
        storage=storage,
        place=ServerScope(1, frozenset()),
        outbox=outbox,
        logs=logs,
        counts=counts,
        desk=desk,
        forget_channel=responder.forget,
        reactor=reactor,
        roll=lambda: roll[0],
        wall_clock=lambda: clock[0](),
        monotonic=lambda: clock[0](),
    )

    async def add_commands(client: BotClient) -> None:
        await client.add_cog(AdminCommands(services, handlers, outbox))  # type: ignore[arg-type]
        await client.add_cog(
            LookingBack(
                store,
                storage,
                sources=lambda channel_id: recall_sources(store.channels.all(), channel_id),
                is_admin=lambda user_id: handlers.place.is_admin(user_id),
                wall_clock=lambda: clock[0](),
            )
        )

    client = BotClient(handlers, services.status, add_commands=add_commands)
    made.append(client)
    async with simcord.run(client, check_errors=False) as env:
        clock[0] = lambda: env.now().timestamp()
        guild = env.create_guild()
        general = guild.create_text_channel("general")
        staff = guild.create_text_channel("staff")
        admin, mira, tam = (guild.add_member(env.create_user(name)) for name in ("olga", "mira", "tam"))
        handlers.place = ServerScope(guild.id, frozenset({admin.id}))
        await client._register_slash_commands()
        policy.record_policy(store.consents, accepted=True, given_by="owner")
        store.channels.add(
            [Channel(general.id, "general", guild_id=guild.id, learn=True, recall=True, speak=speak, is_private=False)]
        )
        yield SimBot(
            env,
            store,
            client,
            desk,
            responder,
            services.slot,
            services.stop,
            guild,
            general,
            staff,
            admin,
            mira,
            tam,
            roll,
        )
        await desk.close(timeout_seconds=1.0)


def play(
    store: Store,
    scene: Callable[[SimBot], Awaitable[None]],
    *texts: str,
    reactor: Reactor | None = None,
    **settings: Any,
) -> None:
    """One scene on a fresh server; `texts` are what the model answers."""
    for key, value in ({"response_rate": 0.0} | settings).items():
        store.settings.set(REGISTRY[key], value, changed_by="test")

    async def run() -> None:
        async with sim_bot(store, *texts, reactor=reactor) as bot:
            await scene(bot)

    asyncio.run(run())
