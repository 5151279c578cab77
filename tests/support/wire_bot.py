"""The bot's whole Discord side in this process, on the loopback wire; only the model is stood in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bot.client import run_discord
from bot.live_status import LiveStatus
from bot.stopping import StopRequest
from bot.storage_thread import TRY_SECONDS, StorageThread
from storage.environment import Environment
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.live_bot import OWNER
from tests.support.sim_bot import ScriptedResponder, StillSlot


class NoRecall:
    """No index: nothing is looked up, nothing is indexed."""

    async def with_index(self, work: Callable[..., Any]) -> str:
        return ""

    async def on_index_thread(self, work: Callable[..., Any]) -> str:
        return ""

    def sources(self, channel_id: int) -> list[int]:
        return [channel_id]


@dataclass
class WireServices:
    """What run_discord needs, with a scripted model."""

    store: Store
    environment: Environment
    status: LiveStatus
    storage: StorageThread
    slot: StillSlot
    recall: NoRecall
    responder: ScriptedResponder
    stop: StopRequest


@dataclass
class WireBot:
    """A running bot: wait for things that happen on the server or in the store."""

    services: WireServices
    server: DiscordServer
    task: asyncio.Task[None]

    async def until(self, condition: Callable[[], Any], *, timeout: float = 30.0, what: str = "it") -> Any:
        """Wait without blocking the bot; fails at once when the bot ended."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not (value := condition()):
            if self.task.done():
                self.task.result()
            assert asyncio.get_running_loop().time() < deadline, f"waited {timeout:g} s for {what}"
            await asyncio.sleep(0.02)
        return value

    async def online(self, *, timeout: float = 30.0) -> None:
        await self.until(lambda: self.services.status.snapshot().is_connected, timeout=timeout, what="the connection")

    async def offline(self) -> None:
        await self.until(lambda: not self.services.status.snapshot().is_connected, what="the loss of the connection")


@asynccontextmanager
async def wire_bot(
    store: Store, server: DiscordServer, *texts: str, server_id: int | None = None, api_base: str = ""
) -> AsyncIterator[WireBot]:
    """run_discord() as a task; cancelled at the end as at a stop. api_base: another host in the server's place."""
    environment = Environment(
        token=server.environment["DISCORD_TOKEN"],
        server_id=server_id or server.world.guild_id,
        admin_ids=frozenset({OWNER}),
        api_base=api_base or server.api_base,
        gateway=server.gateway,
    )
    services = WireServices(
        store,
        environment,
        LiveStatus(mode="discord"),
        StorageThread(on_start=lambda: store.wait_at_most(TRY_SECONDS)),
        StillSlot(),
        NoRecall(),
        ScriptedResponder(list(texts) or ["sure"]),
        StopRequest(),
    )
    task: asyncio.Task[None] = asyncio.create_task(run_discord(services))  # type: ignore[arg-type]
    try:
        yield WireBot(services, server, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert services.storage.close(timeout_seconds=10.0)


def play(
    store: Store,
    server: DiscordServer,
    scene: Callable[[WireBot], Awaitable[None]],
    *texts: str,
    server_id: int | None = None,
) -> None:
    """One scene with the bot running."""

    async def run() -> None:
        async with wire_bot(store, server, *texts, server_id=server_id) as bot:
            await scene(bot)

    asyncio.run(run())
