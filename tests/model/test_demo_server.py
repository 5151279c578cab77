"""The bundled demo server: it must look like a real server to everything that reads it, and be made from its source."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from data.chat.audience import recall_sources
from scripts import open_demo_server
from scripts.dev import make_demo_server
from storage import demo
from storage.paths import Workspace
from storage.records import snowflake_ms
from storage.store import Store

FOLDER = make_demo_server.FOLDER
VIEW_CHANNEL = 1024


def _load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def messages() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / "messages.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def written(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What people wrote: no bot, no system messages."""
    return [m for m in messages if m["type"] in (0, 19) and not m["author"]["bot"]]


def test_the_committed_files_are_what_the_source_makes() -> None:
    made = make_demo_server.make(FOLDER / "source")
    for name in make_demo_server.FILES:
        assert (FOLDER / name).read_text(encoding="utf-8") == made[name], f"{name}: run scripts/dev/make_demo_server.py"


def test_ids_ascend_and_carry_their_timestamp(messages: list[dict[str, Any]]) -> None:
    ids = [int(m["id"]) for m in messages]
    assert ids == sorted(set(ids))
    for message in messages:
        written_at = datetime.fromisoformat(message["timestamp"])
        assert snowflake_ms(int(message["id"])) == round(written_at.timestamp() * 1000)


def test_every_reply_has_an_earlier_target_in_its_channel(messages: list[dict[str, Any]]) -> None:
    seen: dict[str, str] = {}
    for message in messages:
        seen[message["id"]] = message["channel_id"]
        if message["type"] == 19:
            target = message["message_reference"]["message_id"]
            assert int(target) < int(message["id"])
            assert seen[target] == message["channel_id"]


def test_mentions_resolve_to_members(messages: list[dict[str, Any]]) -> None:
    members = {member["user"]["id"] for member in _load("members.json")}
    channels = {channel["id"] for channel in _load("channels.json")}
    for message in messages:
        assert message["author"]["id"] in members
        assert message["channel_id"] in channels
        listed = {user["id"] for user in message["mentions"]}
        assert set(re.findall(r"<@(\d+)>", message["content"])) <= listed <= members
        assert set(re.findall(r"<#(\d+)>", message["content"])) <= channels
        assert not re.search(r"(?<!<)@(?!everyone)\w+", re.sub(r"\S+@\S+", "", message["content"])), message["content"]


def test_custom_emoji_belong_to_the_server(messages: list[dict[str, Any]]) -> None:
    known = {(emoji["name"], emoji["id"]) for emoji in _load("guild.json")["emojis"]}
    used = {pair for m in messages for pair in re.findall(r"<:(\w+):(\d+)>", m["content"])}
    clicked = [reaction["emoji"] for m in messages for reaction in m.get("reactions", ())]
    used |= {(emoji["name"], emoji["id"]) for emoji in clicked if emoji["id"]}
    assert used == known


def test_one_channel_of_four_is_private() -> None:
    guild_id = _load("guild.json")["id"]
    channels = _load("channels.json")
    private = [
        c["name"]
        for c in channels
        for o in c["permission_overwrites"]
        if o["type"] == 0 and o["id"] == guild_id and int(o["deny"]) & VIEW_CHANNEL
    ]
    assert (len(channels), private) == (4, ["committee"])


def test_rob_is_not_in_the_channel_about_his_birthday(messages: list[dict[str, Any]]) -> None:
    committee = next(c["id"] for c in _load("channels.json") if c["name"] == "committee")
    authors = {m["author"]["username"] for m in messages if m["channel_id"] == committee}
    allowed = {m["user"]["username"] for m in _load("members.json") if m["roles"]}
    assert "rob_of_the_shed" not in authors
    assert authors <= allowed


def test_one_bot_and_one_member_who_opted_out(messages: list[dict[str, Any]]) -> None:
    assert {m["author"]["username"] for m in messages if m["author"]["bot"]} == {"biscuit-tin"}
    assert [m["user"]["username"] for m in _load("members.json") if m["opted_out"]] == ["fennimore_k"]


def test_nobody_talks_more_than_a_fifth_and_everybody_talks(written: list[dict[str, Any]]) -> None:
    shares = Counter(m["author"]["username"] for m in written)
    assert len(shares) == 14
    assert max(shares.values()) / len(written) < 0.2
    assert min(shares.values()) >= 40


# Documented in data/demo/README.md beside what real group chats have.
PROPORTIONS: dict[str, tuple[float, float, Callable[[dict[str, Any]], bool]]] = {
    "one word": (14, 22, lambda m: len(m["content"].split()) == 1),
    "no capital letter": (40, 70, lambda m: m["content"] == m["content"].lower()),
    "no full stop at the end": (70, 88, lambda m: m["content"][-1:] not in (".", "!", "?")),
    "reply": (5, 10, lambda m: m["type"] == 19),
    "mention": (1, 16, lambda m: "<@" in m["content"]),
    "link": (0.5, 5, lambda m: "http" in m["content"]),
    "attachment": (0.8, 2, lambda m: bool(m["attachments"])),
    "reactions": (4, 12, lambda m: "reactions" in m),
    "edited": (0.5, 3, lambda m: m["edited_timestamp"] is not None),
}


@pytest.mark.parametrize("name", PROPORTIONS)
def test_proportions_are_those_of_a_group_chat(name: str, written: list[dict[str, Any]]) -> None:
    low, high, has = PROPORTIONS[name]
    assert low <= 100 * sum(1 for m in written if has(m)) / len(written) <= high


def test_messages_are_as_short_and_as_many_as_documented(written: list[dict[str, Any]]) -> None:
    lengths = sorted(len(m["content"]) for m in written)
    assert 1_500 <= len(written) <= 1_750
    assert 20 <= lengths[len(lengths) // 2] <= 32
    assert max(lengths) < 2_000


def test_people_talk_in_bursts_with_silence_between(written: list[dict[str, Any]]) -> None:
    gaps = []
    for channel in {m["channel_id"] for m in written}:
        times = [datetime.fromisoformat(m["timestamp"]) for m in written if m["channel_id"] == channel]
        gaps += [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert sum(gap < 60 for gap in gaps) / len(gaps) > 0.6
    assert sum(gap > 1800 for gap in gaps) > 150


@pytest.mark.parametrize("word", ["coconut", "wreath", "hoover"])
def test_some_words_are_only_said_in_the_private_channel(word: str, messages: list[dict[str, Any]]) -> None:
    committee = next(c["id"] for c in _load("channels.json") if c["name"] == "committee")
    assert {m["channel_id"] for m in messages if word in m["content"].lower()} == {committee}


@pytest.mark.parametrize("word", ["magnolia", "launderette"])
def test_some_words_are_only_said_by_the_member_who_opted_out(word: str, messages: list[dict[str, Any]]) -> None:
    assert {m["author"]["username"] for m in messages if word in m["content"].lower()} == {"fennimore_k"}


def test_opening_it_keeps_the_private_channel_private_and_the_opted_out_member_out(tmp_path: Path) -> None:
    open_demo_server.main(["--workspace", str(tmp_path), "--no-index"])
    with Store.open(Workspace.at(tmp_path)) as store:
        channels = {channel.name: channel for channel in store.channels.all()}
        names = {name for name, channel in channels.items() if channel.is_private}
        elsewhere = recall_sources(store.channels.all(), channels["general"].id)
        absent = [store.members.get(member) for member in store.members.absent_ids()]
        is_ready = demo.is_ready(store)
        queued = [change.message for change in store.messages.queued_changes(limit=5_000)]
    assert not is_ready, "nothing of it can be searched yet"
    assert names == {"committee"}
    assert channels["committee"].id not in elsewhere
    assert len(elsewhere) == 3
    assert all(channel.audience for channel in channels.values())
    assert len(recall_sources(list(channels.values()), channels["committee"].id)) == 4
    assert [member.display_name for member in absent if member] == ["fenn"]
    assert not any(message and message.author_name == "fenn" for message in queued)


def test_a_data_set_made_of_it_leaves_out_what_must_be_left_out(tmp_path: Path) -> None:
    open_demo_server.main(["--workspace", str(tmp_path), "--no-index"])
    prepare = importlib.import_module("scripts.2_prepare_training_data")
    prepare.main(["--workspace", str(tmp_path), "--out", str(tmp_path / "prepared"), "--rejected", "templates"])
    text = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "prepared").glob("*.jsonl"))
    assert "spoon" in text
    assert "[phone]" in text
    assert "[email]" in text
    for left_out in (
        "07700",
        "lowfield-camping.example",
        "coconut",
        "wreath",
        "magnolia",
        '"name": "fenn"',
        "Biscuit Tin",
        "Days since Gerald",
    ):
        assert left_out not in text, left_out


def test_the_demos_adapter_changes_what_the_packaged_model_finds_likely() -> None:
    from model.catalog import offline_chat_model
    from model.inference import ChatModel, ContextOptions, GenerationOptions, ReplyRequest
    from model.layouts import layout_of
    from storage.records import Conversation, Turn
    from storage.settings import DEFAULT_SYSTEM_PROMPT, TRANSCRIPT

    talk = Conversation((Turn("juno", "is anyone in"),))

    def score(adapter: Path | None) -> float:
        model = ChatModel(offline_chat_model(), ContextOptions(cells=2048), template=TRANSCRIPT, adapter=adapter)
        try:
            request = ReplyRequest(talk, GenerationOptions(), DEFAULT_SYSTEM_PROMPT, 1)
            return sum(model.log_probabilities(request, "yeah just got back"))
        finally:
            model.close()

    assert score(FOLDER / "adapter.gguf") > score(None) + 1
    assert layout_of(offline_chat_model(), FOLDER / "adapter.gguf") == TRANSCRIPT
