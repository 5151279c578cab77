"""Fetching a whole exported server over the loopback: time, requests, and whether interruptions leave a trace.

Serves a folder (guild.json, channels.json, messages.jsonl), then fetches it once in one go, once cut off before every
single page, once more when nothing is new, and once after 100 edits, 40 deletions and 100 reactions.

    python scripts/benchmark.py fetch --data DIR [--index]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REACTOR = 7_000_000_000_000_001


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with guild.json, channels.json, messages.jsonl"
    )
    parser.add_argument("--index", action="store_true", help="index too, and compare the index with the server")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="embedding model for --index")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fetch in all those ways; returns the figures."""
    from data.fetch_arguments import EVERYTHING
    from data.fetcher_api import FetchError
    from storage.paths import Workspace
    from storage.store import Store
    from tests.integration.test_fetcher import tables
    from tests.support.discord_server import DiscordServer
    from tests.support.discord_world import World

    world = World.from_folder(options.data)
    world.add_member(REACTOR, "Mira")
    figures: dict[str, Any] = {"served": sum(len(room) for room in world.messages.values())}
    with tempfile.TemporaryDirectory() as folder, DiscordServer(world) as server:
        with _store(Path(folder) / "whole", world) as store:
            started = time.monotonic()
            figures["new"] = _fetch(server, store).new
            figures["seconds"] = round(time.monotonic() - started, 1)
            figures["requests"] = len(server.requests)
            whole = tables(store)
            print(f"fetched: {figures}", file=sys.stderr, flush=True)
            server.requests.clear()
            figures["second_new"] = _fetch(server, store).new
            figures["second_page_requests"] = {r.path: 1 for r in server.asked("GET", r"/channels/\d+/messages")}
            figures["second_requests"] = len(server.requests)
        with _store(Path(folder) / "cut", world) as store:
            cuts = 0
            while True:
                # A few pages get through, the next request fails: cut off before every page there is, and in between.
                server.fail(418, path=r"/channels/\d+/messages", skip=cuts % 7)
                try:
                    _fetch(server, store)
                except FetchError:
                    cuts += 1
                    if cuts % 20 == 0:
                        print(f"cut off {cuts} times", file=sys.stderr, flush=True)
                    continue
                break
            server.clear_faults()
            figures["cut_off"] = cuts
            figures["cut_off_is_identical"] = tables(store) == whole
        with Store.open(Workspace.at(Path(folder) / "whole")) as store:
            if options.index:
                _index(store, options.model)
            _change(server, random.Random(3))
            summary = _fetch(server, store, refresh_days=EVERYTHING)
            figures["after_changes"] = {"new": summary.new, "edited": summary.edited, "missing": summary.missing}
            figures["store_agrees"] = _agrees(server, store)
            if options.index:
                figures["index_agrees"] = _index(store, options.model) == {
                    m.id
                    for c in store.channels.all()
                    for page in store.messages.in_channel(c.id)
                    for m in page
                    if m.content.strip()
                }
    return figures


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    return "\n".join(f"{name:<22} {json.dumps(value)}" for name, value in figures.items())


def _store(folder: Path, world: Any) -> Any:
    from tests.integration.test_fetcher import open_store

    return open_store(folder, world)


def _fetch(server: Any, store: Any, *, refresh_days: int = 7) -> Any:
    from data.fetcher import Fetcher
    from data.fetcher_api import DiscordRest

    async def fetch() -> Any:
        async with DiscordRest(server.token, api_base=server.api_base) as api:
            return await Fetcher(store, api, server.world.guild_id, refresh_days=refresh_days).fetch()

    return asyncio.run(fetch())


def _change(server: Any, roll: random.Random) -> None:
    from data.privacy import skip_reason

    kept = [
        (room, int(m["id"]))
        for room, messages in server.world.messages.items()
        for m in messages
        if skip_reason(m) is None and m["content"]
    ]
    chosen = roll.sample(kept, 300)

    def change(world: Any) -> None:
        for room, message_id in chosen[:100]:
            world.edit(room, message_id, f"edited {message_id}")
        # Few enough to be believed: of more at once the owner would be asked.
        for room, message_id in chosen[100:140]:
            world.delete(room, message_id)
        for room, message_id in chosen[200:]:
            world.react(room, message_id, REACTOR, "🔥")

    server.do(change)


def _agrees(server: Any, store: Any) -> bool:
    """The kept messages are those of the server, with content and reactions."""
    from data.discord_objects import message_from_object
    from data.privacy import skip_reason

    for room, messages in server.world.messages.items():
        served = {int(m["id"]): message_from_object(m) for m in messages if skip_reason(m) is None}
        kept = {m.id: m for page in store.messages.in_channel(room) for m in page}
        if {i: (m.content, sorted((r.emoji, r.count) for r in m.reactions)) for i, m in served.items()} != {
            i: (m.content, sorted((r.emoji, r.count) for r in m.reactions)) for i, m in kept.items()
        }:
            return False
    return True


def _index(store: Any, name: str) -> set[int]:
    from data.chat.recall import recalled_text
    from model.embeddings import bulk_embedder
    from storage.index_sync import catch_up
    from storage.vectordb import VectorIndex

    embedder = bulk_embedder(name, store.workspace)
    index = VectorIndex.open(store.workspace.embeddings, model=embedder.name, dimension=embedder.dimension)
    catch_up(store, index, embedder.embed, to_text=lambda message: recalled_text(message, {}))
    return {int(message_id) for message_id in index.ids()}
