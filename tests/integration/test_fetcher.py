"""Fetching from a server that speaks Discord's protocol over the loopback."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.chat.audience import opened_channels, recall_sources
from data.discord_objects import channels_from_objects
from data.fetch_arguments import EVERYTHING
from data.fetcher import Fetcher, FetchSummary
from data.fetcher_api import DiscordRest, FetchError, pause_seconds
from storage import policy
from storage.errors import CancelledError, ConfigurationError
from storage.paths import Workspace
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, FORUM, PRIVATE_THREAD, World

MIRA, TAM, BOT_FRIEND = 7_000_000_000_000_001, 7_000_000_000_000_002, 7_000_000_000_000_003
DAY = 86_400.0


def make_world(*, messages: int = 350, channels: int = 1, days: int = 30) -> World:
    """A guild with a history: the same sentences for everyone who asks."""
    world = World()
    world.add_member(MIRA, "Mira")
    world.add_member(TAM, "Tam")
    world.add_member(BOT_FRIEND, "Beep", is_bot=True)
    start = (int((time.time() - days * DAY) * 1000) - 1_420_070_400_000) << 22
    roll = random.Random(4)
    for channel in range(channels):
        channel_id = world.add_channel(f"room-{channel}", channel_id=1000 + channel)
        for number in range(messages):
            author = roll.choice((MIRA, MIRA, TAM, BOT_FRIEND))
            step = int(days * DAY * 1000 / (messages + 1)) << 22
            message_id = start + (number + 1) * step + channel
            world.write(channel_id, author, f"message {number} of room {channel}", message_id=message_id)
    return world


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with DiscordServer(make_world()) as running:
        yield running


def open_store(folder: Path, world: World, *, learn: bool = True) -> Store:
    """A workspace whose owner said yes to everything public."""
    store = Store.open(Workspace.at(folder))
    policy.record_policy(store.consents, accepted=True, given_by="owner")
    if learn:
        store.channels.add(channels_from_objects(world.guild_json(), world.guild_channels()))
        policy.choose_channels(store.channels, [c.id for c in store.channels.all()])
    return store


async def no_sleep(_seconds: float) -> None:
    return None


def fetch(
    server: DiscordServer,
    store: Store,
    *,
    refresh_days: int = 7,
    sleep: Callable[[float], Awaitable[None]] = no_sleep,
    **options: Any,
) -> FetchSummary:
    async def run() -> FetchSummary:
        async with DiscordRest(server.token, api_base=server.api_base, sleep=sleep, jitter=lambda: 1.0) as api:
            return await Fetcher(store, api, server.world.guild_id, refresh_days=refresh_days, **options).fetch()

    return asyncio.run(run())


def tables(store: Store) -> list[Any]:
    """Everything that was said, as stored."""
    names = ("messages", "reactions", "members", "fetch_cursors", "index_queue")
    return [[tuple(row) for row in store.messages_db.rows(f"SELECT * FROM {name} ORDER BY 1, 2")] for name in names]


def page_requests(server: DiscordServer) -> list[str]:
    return [request.path for request in server.asked("GET", r"/channels/\d+/messages")]


def said(store: Store, channel_id: int) -> dict[int, str]:
    return {m.id: m.content for page in store.messages.in_channel(channel_id) for m in page}


def humans(server: DiscordServer, channel_id: int) -> dict[int, str]:
    return {int(m["id"]): m["content"] for m in server.world.messages[channel_id] if not m["author"]["bot"]}


def test_everything_people_said_arrives_and_bots_stay_out(server: DiscordServer, tmp_path: Path) -> None:
    with open_store(tmp_path, server.world) as store:
        summary = fetch(server, store)
        assert said(store, 1000) == humans(server, 1000)
        assert summary.new == len(humans(server, 1000))
        assert summary.channels[0].skipped["bot"] == 350 - summary.new
        assert store.members.get(MIRA).display_name == "Mira"


def test_a_second_fetch_asks_for_one_page_of_each_channel_and_once_more_because_it_is_short(tmp_path: Path) -> None:
    with DiscordServer(make_world(channels=3, days=400)) as server, open_store(tmp_path, server.world) as store:
        fetch(server, store)
        server.requests.clear()
        assert fetch(server, store).new == 0
        # the newest message of each channel is about a day old: its window is one page
        assert sorted(page_requests(server)) == [f"/channels/{1000 + n // 2}/messages" for n in range(6)]
        assert not server.asked("GET", r".*/archived/.*")


@pytest.mark.parametrize("refresh_days", [0, 7])
def test_a_fetch_cut_off_at_any_page_and_run_again_gives_identical_tables(tmp_path: Path, refresh_days: int) -> None:
    """FAULTS 38: also when it is cut off several times in a row."""
    with DiscordServer(make_world(messages=320, channels=2)) as server:
        with open_store(tmp_path / "whole", server.world) as store:
            fetch(server, store, refresh_days=refresh_days)
            expected, pages = tables(store), len(page_requests(server))
        for cut in range(pages):
            with open_store(tmp_path / f"cut-{cut}", server.world) as store:
                server.fail(418, path=r"/channels/\d+/messages", skip=cut)
                with pytest.raises(FetchError):
                    fetch(server, store, refresh_days=refresh_days)
                fetch(server, store, refresh_days=refresh_days)
                assert tables(store) == expected, f"cut off before request {cut}"


def test_a_fetch_stopped_by_its_owner_goes_on_where_it_was(server: DiscordServer, tmp_path: Path) -> None:
    calls = 0

    def stop_at_third_page(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise CancelledError("Cancelled by the owner.")

    with open_store(tmp_path, server.world) as store:
        with pytest.raises(CancelledError):
            fetch(server, store, report=stop_at_third_page)
        assert 0 < store.messages.count() < len(humans(server, 1000))
        fetch(server, store)
        assert said(store, 1000) == humans(server, 1000)


@pytest.mark.parametrize("order", ["oldest first", "overlapping", "after is newest"])
def test_the_order_of_pages_makes_no_difference(tmp_path: Path, order: str) -> None:
    """FAULTS 39."""
    with DiscordServer(make_world()) as server:
        with open_store(tmp_path / "documented", server.world) as store:
            fetch(server, store)
            expected = tables(store)
        server.world.page_order = order
        with open_store(tmp_path / "other", server.world) as store:
            fetch(server, store)
            # the order of the index queue follows the pages; everything else is the same
            assert tables(store)[:4] == expected[:4]
            fetch(server, store)
            assert tables(store)[:4] == expected[:4]


def test_edits_deletions_and_late_reactions_of_the_window_arrive(tmp_path: Path) -> None:
    """FAULTS 40, with the bot off."""
    with DiscordServer(make_world(days=6)) as server, open_store(tmp_path, server.world) as store:
        fetch(server, store)
        store.messages.clear_queued([change.seq for change in store.messages.queued_changes(limit=10_000)])
        ids = list(humans(server, 1000))
        edited, deleted, reacted = ids[10:110], ids[110:150], ids[210:250]

        def change(world: World) -> None:
            for message_id in edited:
                world.edit(1000, message_id, f"edited {message_id}")
            for message_id in deleted:
                world.delete(1000, message_id)
            for message_id in reacted:
                world.react(1000, message_id, TAM, "😂")
                world.react(1000, message_id, MIRA, "pog:77")

        server.do(change)
        summary = fetch(server, store)
        assert (summary.new, summary.edited, summary.missing) == (0, 100, 40)
        assert said(store, 1000) == humans(server, 1000)
        reactions = store.messages.get([reacted[0]])[reacted[0]].reactions
        assert sorted((r.emoji, r.count) for r in reactions) == [("pog:77", 1), ("😂", 1)]
        waiting = {change.message_id for change in store.messages.queued_changes(limit=10_000)}
        assert waiting == {*edited, *deleted, *reacted}


def test_what_is_older_than_the_window_is_looked_at_on_request(tmp_path: Path) -> None:
    with DiscordServer(make_world(days=300)) as server, open_store(tmp_path, server.world) as store:
        fetch(server, store)
        old = sorted(humans(server, 1000))[1]
        server.do(lambda world: world.delete(1000, old))
        assert fetch(server, store).missing == 0
        assert fetch(server, store, refresh_days=EVERYTHING).missing == 1


def test_a_message_the_running_bot_stored_meanwhile_is_not_taken_for_deleted(
    server: DiscordServer, tmp_path: Path
) -> None:
    from data.discord_objects import message_from_object

    with open_store(tmp_path, server.world) as store:

        def speak(fraction: float, step: str = "", **_: object) -> None:
            if step.startswith("#"):
                store.messages.save([message_from_object(server.do(lambda w: w.write(1000, MIRA, "just now")))])

        fetch(server, store, report=speak)
        assert said(store, 1000) == humans(server, 1000)


def test_threads_and_forum_posts_come_along_with_their_parent(tmp_path: Path) -> None:
    world = make_world(messages=3)
    forum = world.add_channel("ideas", kind=FORUM)
    active = world.add_thread(1000, "active talk")
    archived = world.add_thread(1000, "old talk", is_archived=True)
    post = world.add_thread(forum, "a post", is_archived=True)
    private = world.add_thread(1000, "whisper", kind=PRIVATE_THREAD)
    for place in (active, archived, post, private):
        world.write(place, MIRA, f"in {place}")
    with DiscordServer(world) as server, open_store(tmp_path, world) as store:
        fetch(server, store)
        for place in (active, archived, post):
            assert list(said(store, place).values()) == [f"in {place}"]
        assert said(store, private) == {}
        assert store.channels.get(archived).learn
        server.requests.clear()
        server.do(lambda w: w.write(archived, TAM, "again"))
        fetch(server, store)
        assert len(said(store, archived)) == 2


def test_a_channel_that_refuses_is_named_and_the_others_finish(tmp_path: Path) -> None:
    """FAULTS 41."""
    with DiscordServer(make_world(channels=3)) as server, open_store(tmp_path, server.world) as store:
        fetch(server, store)
        server.world.no_access.add(1001)
        server.do(lambda w: w.write(1002, MIRA, "still here"))
        summary = fetch(server, store)
        assert [c.id for c in summary.channels if c.problem] == [1001]
        assert summary.new == 1
        assert store.channels.get(1001).is_access_lost
        assert 1001 not in recall_sources(store.channels.all(), 1000)
        server.world.no_access.clear()
        fetch(server, store)
        assert not store.channels.get(1001).is_access_lost


def test_messages_of_members_who_opted_out_are_not_stored(server: DiscordServer, tmp_path: Path) -> None:
    with open_store(tmp_path, server.world) as store:
        store.members.set_opted_out(TAM, True, name="Tam")
        fetch(server, store)
        assert set(store.messages.counts_by_author()) == {MIRA}


def test_nothing_is_read_before_the_owner_said_yes(server: DiscordServer, tmp_path: Path) -> None:
    with Store.open(Workspace.at(tmp_path)) as store:
        with pytest.raises(FetchError, match="not been answered"):
            fetch(server, store)
        assert page_requests(server) == []


def test_a_private_channel_needs_a_yes_of_its_own(tmp_path: Path) -> None:
    world = make_world(messages=3)
    staff = world.add_channel("staff", is_private=True)
    world.write(staff, MIRA, "secret")
    with DiscordServer(world) as server, open_store(tmp_path, world) as store:
        store.channels.switch(staff, learn=True)
        fetch(server, store)
        assert said(store, staff) == {}
        policy.allow_private(store.channels, store.consents, store.channels.get(staff), accepted=True, given_by="owner")
        fetch(server, store)
        assert list(said(store, staff).values()) == ["secret"]


def test_a_fetch_follows_discord_closing_a_channel_and_never_opens_one_against_the_owner(tmp_path: Path) -> None:
    """Fault 72."""
    world = make_world(channels=3, messages=3)
    hidden = {"id": str(world.guild_id), "type": 0, "allow": "0", "deny": "1024"}
    bot = {"id": str(BOT_ID), "type": 1, "allow": "1024", "deny": "0"}

    def sources(store: Store, channel_id: int) -> list[int]:
        return sorted(recall_sources(store.channels.all(), channel_id))

    with DiscordServer(world) as server, open_store(tmp_path, world) as store:
        fetch(server, store)
        assert sources(store, 1000) == [1000, 1001, 1002]
        store.channels.switch(1001, is_private=True)
        server.do(lambda w: w.channels[1002].update(permission_overwrites=[hidden, bot]))
        fetch(server, store)
        assert sources(store, 1000) == [1000]
        assert sources(store, 1002) == [1000, 1002]
        server.do(lambda w: w.channels[1002].update(permission_overwrites=[]))
        fetch(server, store)
        assert sources(store, 1000) == [1000]
        assert [channel.id for channel in opened_channels(store.channels.all())] == [1002]
        store.channels.switch(1002, is_private=False)
        fetch(server, store)
        assert sources(store, 1000) == [1000, 1002]


def test_a_deleted_channel_that_was_only_recalled_from_is_lost_too(tmp_path: Path) -> None:
    """Fault 75."""
    world = make_world(channels=2, messages=3)
    with DiscordServer(world) as server, open_store(tmp_path, world) as store:
        store.channels.switch(1001, learn=False, speak=False)
        server.do(lambda w: w.channels.pop(1001))
        fetch(server, store)
        assert store.channels.get(1001).is_access_lost


@pytest.mark.parametrize(("members", "features"), [(101, []), (5, ["DISCOVERABLE"])])
def test_a_large_or_open_server_needs_confirmation(tmp_path: Path, members: int, features: list[str]) -> None:
    world = make_world(messages=3)
    world.member_count, world.features = members, features
    with DiscordServer(world) as server, open_store(tmp_path, world) as store:
        with pytest.raises(FetchError, match="the lounge"):
            fetch(server, store)
        policy.record_large_server(store.consents, world.guild_id, "shown", accepted=True, given_by="owner")
        assert fetch(server, store).new > 0


def test_another_server_is_refused_with_the_ones_the_bot_is_on(server: DiscordServer, tmp_path: Path) -> None:
    async def run(store: Store) -> None:
        async with DiscordRest(server.token, api_base=server.api_base) as api:
            await Fetcher(store, api, 5).discover()

    with open_store(tmp_path, server.world) as store, pytest.raises(ConfigurationError, match="the lounge"):
        asyncio.run(run(store))


def test_an_invalid_token_is_one_request_and_one_sentence(server: DiscordServer, tmp_path: Path) -> None:
    """FAULTS 12, for the fetch."""
    server.token = "another"
    with open_store(tmp_path, server.world) as store:

        async def run() -> None:
            async with DiscordRest("wrong", api_base=server.api_base) as api:
                await Fetcher(store, api, server.world.guild_id).fetch()

        with pytest.raises(ConfigurationError, match="does not accept"):
            asyncio.run(run())
    assert len(server.requests) == 1


def test_service_errors_are_waited_out_with_growing_pauses(server: DiscordServer, tmp_path: Path) -> None:
    """FAULTS 19: 503 is ours to retry."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    server.fail(503, path=r"/channels/\d+/messages", times=4)
    with open_store(tmp_path, server.world) as store:
        fetch(server, store, sleep=sleep)
        assert said(store, 1000) == humans(server, 1000)
    assert waits == [1, 2, 4, 8]
    assert [pause_seconds(n, 1.0) for n in (5, 6, 20)] == [32, 60, 60]


def test_a_service_that_stays_away_ends_the_fetch_with_what_it_has(server: DiscordServer, tmp_path: Path) -> None:
    server.fail(503, path=r"/channels/\d+/messages", times=99, skip=2)
    with open_store(tmp_path, server.world) as store:
        with pytest.raises(FetchError, match="Discord answered 503"):
            fetch(server, store)
        assert store.messages.count() > 0
    assert len(page_requests(server)) == 2 + 6


def test_a_rate_limit_of_discord_is_waited_out_by_the_library(server: DiscordServer, tmp_path: Path) -> None:
    server.fail(
        429,
        path=r"/channels/\d+/messages",
        times=2,
        headers={"Via": "1.1 google", "Retry-After": "1"},
        body={"message": "You are being rate limited.", "retry_after": 0.05, "global": False},
    )
    with open_store(tmp_path, server.world) as store:
        fetch(server, store)
        assert said(store, 1000) == humans(server, 1000)


def test_a_ban_is_not_hammered(server: DiscordServer, tmp_path: Path) -> None:
    """FAULTS 19: a 429 without Discord's headers and without Retry-After is a ban of the network."""
    server.fail(429, path=r"/channels/\d+/messages", times=99, body="error code: 1015")
    with open_store(tmp_path, server.world) as store, pytest.raises(FetchError, match="blocked this network"):
        fetch(server, store)
    assert len(page_requests(server)) == 2


def test_a_server_that_cannot_be_reached_is_one_sentence(server: DiscordServer, tmp_path: Path) -> None:
    server.go_away()
    with open_store(tmp_path, server.world) as store, pytest.raises(FetchError, match="the connection was refused"):
        fetch(server, store)
