"""The same channel by an exporter's file and from Discord itself: one text, one name, and no edits nobody made."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.discord_objects import channels_from_objects
from data.fetcher import Fetcher, FetchSummary
from data.fetcher_api import DiscordRest
from data.importer import ImportSummary, import_file
from storage import policy
from storage.paths import Workspace
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World

MIRA, TAM, GENERAL = 7_000_000_000_000_001, 7_000_000_000_000_002, 1000
WORDS = ["**really** now", f"<@{TAM}> nice <:cheese:777000000000000001>", "plain", "~~no~~ yes", f"and <@{TAM}>?"]


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_member(MIRA, "Mira")
    world.add_member(TAM, "Tam")
    world.add_channel("general", channel_id=GENERAL)
    for number in range(40):
        world.write(GENERAL, MIRA if number % 3 else TAM, f"{WORDS[number % 5]} {number}")
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, server: DiscordServer) -> Iterator[Store]:
    with Store.open(Workspace.at(tmp_path / "server")) as opened:
        policy.record_policy(opened.consents, accepted=True, given_by="owner")
        opened.channels.add(channels_from_objects(server.world.guild_json(), server.world.guild_channels()))
        policy.choose_channels(opened.channels, [GENERAL])
        yield opened


def fetch(server: DiscordServer, store: Store) -> FetchSummary:
    async def run() -> FetchSummary:
        async with DiscordRest(server.token, api_base=server.api_base) as api:
            return await Fetcher(store, api, server.world.guild_id, refresh_days=36_500).fetch()

    return asyncio.run(run())


def export(server: DiscordServer, path: Path, *, nickname: str = "Tam the Great") -> Path:
    """What DiscordChatExporter makes of the channel: markdown written out, nicknames of the server."""

    def person(user: dict[str, Any]) -> dict[str, Any]:
        name = nickname if int(user["id"]) == TAM else user["username"]
        return {"id": user["id"], "name": user["username"], "discriminator": "0000", "nickname": name, "isBot": False}

    rows = []
    for raw in server.world.messages[GENERAL]:
        text = re.sub(r"\*\*|~~", "", re.sub(r"<:(\w+):\d+>", r":\1:", raw["content"]))
        mentions = [person(user) for user in raw["mentions"]]
        row = {"id": raw["id"], "type": "Default", "timestamp": raw["timestamp"], "author": person(raw["author"])}
        edited = raw.get("edited_timestamp")
        row |= {
            "timestampEdited": edited and edited[:19] + "+00:00",
            "content": text.replace(f"<@{TAM}>", f"@{nickname}"),
        }
        rows.append(row | {"mentions": mentions, "reactions": [], "attachments": [], "stickers": []})
    head = {"guild": {"id": str(server.world.guild_id)}, "channel": {"id": str(GENERAL), "name": "general"}}
    path.write_text(json.dumps({**head, "messages": rows}), encoding="utf-8")
    return path


def said(store: Store) -> dict[int, str]:
    return {m.id: m.content for page in store.messages.in_channel(GENERAL) for m in page}


def on_discord(server: DiscordServer) -> dict[int, str]:
    return {int(raw["id"]): raw["content"] for raw in server.world.messages[GENERAL]}


def names(store: Store) -> dict[int, str]:
    return {member.id: member.display_name for member in store.members.all()}


def test_exports_and_fetches_in_any_order_end_in_what_discord_has(
    server: DiscordServer, store: Store, tmp_path: Path
) -> None:
    """Fault 68."""
    first = export(server, tmp_path / "first.json")
    renamed = export(server, tmp_path / "renamed.json", nickname="T.")
    assert import_file(store, first).new == 40
    assert all("*" not in text and "@Tam" not in text for text in said(store).values())
    assert names(store)[TAM] == "Tam the Great"
    once = fetch(server, store)
    assert (once.new, once.edited) == (0, 0)
    assert said(store) == on_discord(server)
    own_name = {int(m.id): m.author_name for page in store.messages.in_channel(GENERAL) for m in page}
    known = names(store)
    for again in (first, renamed, None, first, None, renamed):
        summary: ImportSummary | FetchSummary = import_file(store, again) if again else fetch(server, store)
        assert (summary.new, summary.edited) == (0, 0)
        assert said(store) == on_discord(server)
        assert names(store) == known
    assert {own_name[m] for m in own_name} == set(known.values())


def test_an_edit_is_told_once_and_no_older_export_takes_it_back(
    server: DiscordServer, store: Store, tmp_path: Path
) -> None:
    """Fault 68."""
    old = export(server, tmp_path / "old.json")
    fetch(server, store)
    message_id = int(server.world.messages[GENERAL][3]["id"])
    server.do(lambda world: world.edit(GENERAL, message_id, "my number: **ask me**"))
    new = export(server, tmp_path / "new.json")
    assert import_file(store, new).edited == 1, "the newer words come in, though only an exporter's"
    assert said(store)[message_id] == "my number: ask me"
    assert store.messages.get([message_id])[message_id].edited_ms
    assert fetch(server, store).edited == 0, "the same edit, as it was written"
    assert said(store) == on_discord(server)
    assert [import_file(store, path).edited for path in (old, new, old)] == [0, 0, 0]
    assert said(store) == on_discord(server)
