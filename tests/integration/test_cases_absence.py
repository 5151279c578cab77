"""Cases 30, 31 and 32 as they came in: the script as a process, before and after Discord takes something away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from storage.paths import PROJECT_ROOT, Workspace
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import Json, World

ANA, BO = 41, 42


def world_of(lines: int) -> tuple[World, int]:
    made = World()
    made.add_member(ANA, "Ana")
    made.add_member(BO, "Bo")
    channel = made.add_channel("general")
    for number in range(lines):
        made.write(channel, (ANA, BO)[number % 2], f"line {number}")
    return made, channel


def fetch(workspace: Workspace, server: DiscordServer, *more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            sys.executable,
            "scripts/fetch_and_embed.py",
            "--no-index",
            "--accept-policy",
            "--learn-from",
            "public",
            "--workspace",
            str(workspace.root),
            *more,
        ],
        env=os.environ | server.environment | {"PYTHONPATH": str(PROJECT_ROOT)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done


def kept(workspace: Workspace) -> list[str]:
    with Store.open(workspace) as store:
        return [m.content for c in store.channels.all() for page in store.messages.in_channel(c.id) for m in page]


def empty(world: World, channel: int) -> None:
    world.messages[channel].clear()


def take_words(world: World, channel: int) -> None:
    for message in world.messages[channel]:
        message.update(content="", attachments=[], embeds=[], components=[])


def shorten_third_answer(world: World, channel: int) -> None:
    answers: list[int] = []

    def shorten(_channel: int, _where: dict[str, int | None], page: list[Json]) -> list[Json]:
        answers.append(len(page))
        return page[:50] + page[51:] if len(page) == 100 and len(answers) == 3 else page

    world.tamper = shorten


@pytest.mark.parametrize(
    ("lines", "change", "told"),
    [
        (30, empty, "#general: 30 of 30 messages kept from it were not there"),
        (30, take_words, "#general: Discord gave 30 messages without their words"),
        (400, shorten_third_answer, ""),
    ],
    ids=["30-history-permission-gone", "31-content-intent-off", "32-short-page"],
)
def test_case(workspace: Workspace, lines: int, change: Callable[[World, int], None], told: str) -> None:
    """Faults 61, 62 and 63."""
    made, channel = world_of(lines)
    with DiscordServer(made) as server:
        fetch(workspace, server)
        before = kept(workspace)
        assert len(before) == lines
        server.do(lambda world: change(world, channel))
        second = fetch(workspace, server)
    assert kept(workspace) == before
    assert told in second.stderr
