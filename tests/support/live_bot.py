"""A real bot process with the real small model, connected to the loopback Discord."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage import policy
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import BotStatus, Channel, CommandKind, ModelState
from storage.settings import MAX_TOKENS, REGISTRY, RESPONSE_RATE
from storage.store import Store
from storage.system.processes import kill_tree
from tests.support.discord_server import DiscordServer

OWNER, MIRA, TAM = 7_000_000_000_000_009, 7_000_000_000_000_001, 7_000_000_000_000_002
START_SECONDS = 120.0


class LiveBot:
    """One bot process and its workspace."""

    def __init__(
        self,
        workspace: Workspace,
        server: DiscordServer,
        *,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.store = Store.open(workspace)
        self.server = server
        variables = (
            os.environ
            | server.environment
            | {"ADMIN_USERS": str(OWNER), "GOMP_SPINCOUNT": "1000", "PYTHONPATH": str(PROJECT_ROOT)}
            | (environment or {})
        )
        self.process = subprocess.Popen(
            [sys.executable, str(PROJECT_ROOT / "bot" / "run.py"), "--workspace", str(workspace.root), *arguments],
            env=variables,
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def status(self) -> BotStatus | None:
        status = self.store.status.read_bot()
        return status if status is not None and status.pid == self.process.pid else None

    def wait_until(self, condition: Any, *, timeout: float = START_SECONDS, what: str = "it") -> BotStatus:
        """Wait for the bot's own report to say so."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            status = self.status
            if status is not None and condition(status):
                return status
            assert self.process.poll() is None, f"the bot ended with {self.process.returncode}: {self.output()}"
            time.sleep(0.05)
        raise AssertionError(f"waited {timeout:g} s for {what}: {self.status}; {self.log()[-3000:]}")

    def wait_until_ready(self) -> BotStatus:
        return self.wait_until(lambda s: s.is_connected and s.model_state is ModelState.READY, what="a ready bot")

    def wait_for_exit(self, *, timeout: float = 60.0) -> int:
        return self.process.wait(timeout)

    def stop(self) -> int:
        """Ask as the panel does."""
        self.store.commands.ask(CommandKind.STOP, asked_by="test")
        return self.wait_for_exit()

    def output(self) -> str:
        return self.process.stdout.read() if self.process.stdout is not None else ""

    def log(self) -> str:
        file = self.store.workspace.logs / "bot.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def close(self) -> None:
        if self.process.poll() is None:
            kill_tree(self.process.pid)
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.store.close()


def prepare(workspace: Workspace, server: DiscordServer, *, speak: bool = True, **settings: Any) -> None:
    """A workspace whose owner said yes and chose every public channel; the bot joins in only when asked."""
    with Store.open(workspace) as store:
        policy.record_policy(store.consents, accepted=True, given_by="owner")
        store.channels.add(
            [
                Channel(
                    int(raw["id"]),
                    raw["name"],
                    kind=raw["type"],
                    guild_id=server.world.guild_id,
                    is_private=bool(raw["permission_overwrites"]),
                )
                for raw in server.world.guild_channels()
            ]
        )
        policy.choose_channels(store.channels, [channel.id for channel in store.channels.all()])
        if not speak:
            for channel in store.channels.all():
                store.channels.switch(channel.id, speak=False)
        for key, value in ({RESPONSE_RATE.key: 0.0, MAX_TOKENS.key: 50} | settings).items():
            store.settings.set(REGISTRY[key], value, changed_by="test")


@contextmanager
def running_bot(workspace: Workspace, server: DiscordServer, **options: Any) -> Iterator[LiveBot]:
    """Start the bot; it is killed at the end unless it ended on its own."""
    bot = LiveBot(workspace, server, **options)
    try:
        yield bot
    finally:
        bot.close()


def offline_model_environment() -> dict[str, str]:
    """The packaged small model as the bot's model."""
    from model.catalog import offline_chat_model

    return {"MODEL_PATH": str(Path(offline_chat_model()))}
