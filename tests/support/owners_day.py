"""An owner's first day, as commands: from an empty folder to their own voice and back.

Every step is the script a person starts, in a process of its own, with an empty home; only the network's edge is ours:
the hub and Discord on the loopback. The models are tiny and random, in the shape of the catalogue's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from model.catalog import CatalogModel, embedding_model, find_model, offline_embedding_folder
from storage.environment import SERVER_ID, TOKEN, write_value
from storage.paths import PROJECT_ROOT, Workspace
from storage.settings import EMBEDDING_MODEL
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World
from tests.support.hub_server import HubServer
from tests.support.tiny_models import copy_embedder, make_tiny_model

# What a processor can train. The catalogue pins no checksum for it, so that a stand-in's file may have its name.
CHOSEN = "smollm2-360m"
_STEP_SECONDS = 900


def publish(hub: HubServer, folder: Path, model: CatalogModel, *, family: str) -> None:
    """A chat model and its base on the hub."""
    made = make_tiny_model(folder / model.key, family, quantisation="Q8_0")
    hub.put(model.repo, model.file, made.gguf.read_bytes())
    hub.put_folder(model.base, made.folder)


def publish_embedder(hub: HubServer, folder: Path) -> None:
    """The model for recall of the settings: the included weights under its name."""
    entry = embedding_model(EMBEDDING_MODEL.default)
    hub.put_folder(entry.repo, copy_embedder(offline_embedding_folder(), folder / "encoder"))


@dataclass
class OwnersDay:
    """The owner at a terminal. seconds: how long each step took, for whoever wonders."""

    root: Path
    hub: HubServer
    discord: DiscordServer
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        """The owner's folder."""
        return Workspace.at(self.root / "my server 😀")

    @property
    def environment(self) -> dict[str, str]:
        """The owner's: an empty home, the hub and Discord where ours are."""
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
        return inherited | {
            **self.discord.environment,
            **self.hub.environment,
            "HOME": str(home),
            "USERPROFILE": str(home),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(PROJECT_ROOT),
        }

    def write_token(self) -> None:
        """What the owner types once: the bot's token and the server's id."""
        self.workspace.create()
        write_value(self.workspace.env_file, TOKEN, self.discord.token)
        write_value(self.workspace.env_file, SERVER_ID, str(self.discord.world.guild_id))

    def run(self, script: str, *arguments: str, code: int = 0) -> str:
        """A script with its arguments; what it said. Its exit code must be `code`."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, f"scripts/{script}.py", "--workspace", str(self.workspace.root), *arguments],
            env=self.environment,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_STEP_SECONDS,
        )
        self.seconds[script] = time.monotonic() - started
        said = done.stdout + done.stderr
        assert done.returncode == code, said[-6000:]
        assert "Traceback" not in said, said[-6000:]
        return said


def demo_world(*, newest: int = 500) -> World:
    """The bundled server as Discord tells it, with its newest messages: enough to learn from, and soon read."""
    world = World.from_folder(PROJECT_ROOT / "data" / "demo")
    ids = sorted(int(message["id"]) for said in world.messages.values() for message in said)
    first = ids[-newest]
    for channel, said in world.messages.items():
        world.messages[channel] = [message for message in said if int(message["id"]) >= first]
    return world


def chosen_model() -> CatalogModel:
    """What this owner took."""
    return find_model(CHOSEN)
