"""Absence is not deletion: what a fetch does not find, on a server that takes things away without a word."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.absence_answers import answer, has_answer
from data.chat.audience import recall_sources
from data.fetch_arguments import EVERYTHING, add_absence_arguments
from data.fetcher import FetchSummary
from data.importer import import_file
from storage.backup import create_backup
from storage.errors import KnownError
from storage.paths import Workspace
from storage.restoring import restore
from storage.store import Store
from tests.integration.test_fetcher import DAY, MIRA, fetch, humans, make_world, open_store, page_requests, said
from tests.support.discord_server import MESSAGE_CONTENT, DiscordServer
from tests.support.discord_world import (
    FORUM,
    READ_MESSAGE_HISTORY,
    VIEW_CHANNEL,
    Json,
    World,
    without_words,
)

ROOM = 1000
LINES = 260


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with DiscordServer(make_world(messages=LINES, days=6)) as running:
        yield running


@pytest.fixture
def store(server: DiscordServer, tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "workspace", server.world) as opened:
        yield opened


def never_fetched(store: Store, server: DiscordServer, folder: Path) -> None:
    """Nothing is kept yet."""


def only_imported(store: Store, server: DiscordServer, folder: Path) -> None:
    """Everything came from a file, so that the whole history lies after the cursor."""
    path = folder / "export.jsonl"
    path.write_text("\n".join(json.dumps(m) for m in server.world.messages[ROOM]), encoding="utf-8")
    import_file(store, path, enable=[ROOM], visibility="public", guild_id=server.world.guild_id)


def long_fetched(store: Store, server: DiscordServer, folder: Path) -> None:
    """Read to its end, the newest days within the window."""
    fetch(server, store)


def lose_permission(server: DiscordServer) -> None:
    server.do(lambda world: world.take_from_bot(ROOM, READ_MESSAGE_HISTORY))


def lose_permission_between_two_pages(server: DiscordServer) -> None:
    def take(channel_id: int, where: dict[str, int | None], page: list[Json]) -> list[Json]:
        if page and where["limit"] == 100:
            server.world.take_from_bot(ROOM, READ_MESSAGE_HISTORY)
        return page

    server.do(lambda world: setattr(world, "tamper", take))


def lose_intent(server: DiscordServer) -> None:
    server.approved_intents &= ~MESSAGE_CONTENT


def lose_words_without_a_sign(server: DiscordServer) -> None:
    server.do(lambda world: world.wordless.add(ROOM))


def fall_silent(server: DiscordServer) -> None:
    server.do(lambda world: world.silent.add(ROOM))


Loss = Callable[[DiscordServer], None]
PASTS = [never_fetched, only_imported, long_fetched]


def kept(store: Store) -> dict[int, str]:
    assert store.withheld.count() == 0, "nothing may be hidden either"
    assert not store.messages_db.rows("SELECT * FROM erasures")
    return said(store, ROOM)


def sentences(summary: FetchSummary) -> str:
    return "\n".join(summary.attention)


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lose_permission, "'Read Message History'"),
        (lose_permission_between_two_pages, "'Read Message History'"),
        (lose_intent, "Message Content intent is off"),
        (lose_words_without_a_sign, "without their words"),
    ],
)
def test_what_was_kept_is_kept_and_the_channel_is_named(
    server: DiscordServer, store: Store, tmp_path: Path, past: Callable[..., None], loss: Loss, words: str
) -> None:
    """Faults 61 and 62: Discord answers 200 to all of it."""
    past(store, server, tmp_path)
    before = kept(store)
    loss(server)
    summary = fetch(server, store)
    assert "#room-0" in sentences(summary)
    assert words in sentences(summary)
    assert before.items() <= kept(store).items()
    server.world.tamper = None
    server.world.wordless.clear()
    server.approved_intents |= MESSAGE_CONTENT
    server.do(lambda world: world.give_to_bot(ROOM, READ_MESSAGE_HISTORY))
    assert not fetch(server, store).attention
    assert kept(store) == humans(server, ROOM), "with everything back, nothing of the meantime is lost"


@pytest.mark.parametrize("past", [only_imported, long_fetched])
def test_an_empty_answer_that_nothing_explains_is_a_question(
    server: DiscordServer, store: Store, tmp_path: Path, past: Callable[..., None]
) -> None:
    """Fault 61: permissions are fine, the intent is on, and the channel is empty."""
    past(store, server, tmp_path)
    before = kept(store)
    fall_silent(server)
    summary = fetch(server, store, refresh_days=EVERYTHING)
    assert f"#room-0: {len(before)} of {len(before)} messages kept from it were not there" in sentences(summary)
    assert kept(store) == before
    question = store.withheld.questions()[0]
    assert (question.channel_name, question.missing, question.kept) == ("room-0", len(before), len(before))
    server.world.silent.clear()
    fetch(server, store, refresh_days=EVERYTHING)
    assert store.withheld.questions() == []
    assert kept(store) == before


@pytest.mark.parametrize("past", PASTS)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_short_page_is_not_the_end(
    server: DiscordServer, store: Store, tmp_path: Path, past: Callable[..., None], at: int
) -> None:
    """Fault 63: one of a hundred does not come along, once."""
    past(store, server, tmp_path)
    pages = []

    def shorten(channel_id: int, where: dict[str, int | None], page: list[Json]) -> list[Json]:
        if where["limit"] == 100:
            pages.append(len(page))
            if len(pages) == at + 1:
                return page[:50] + page[51:]
        return page

    server.do(lambda world: setattr(world, "tamper", shorten))
    fetch(server, store)
    assert kept(store) == humans(server, ROOM)


def test_a_channel_that_always_gives_short_pages_is_read_to_what_the_server_calls_its_newest(
    server: DiscordServer, store: Store
) -> None:
    """Fault 63."""
    server.do(
        lambda world: setattr(world, "tamper", lambda _c, where, page: page[:40] if where["limit"] == 100 else page)
    )
    fetch(server, store)
    assert kept(store) == humans(server, ROOM)


@pytest.mark.parametrize("order", ["oldest first", "overlapping", "after is newest"])
def test_the_order_of_pages_hides_nothing(server: DiscordServer, store: Store, tmp_path: Path, order: str) -> None:
    only_imported(store, server, tmp_path)
    server.world.page_order = order
    fetch(server, store)
    assert kept(store) == humans(server, ROOM)


# ---- one message between two others ------------------------------------------------------------------------


def test_a_missing_message_is_hidden_at_once_and_erased_after_three_days_of_fetches(
    server: DiscordServer, store: Store
) -> None:
    """Fault 64."""
    fetch(server, store)
    ids = sorted(humans(server, ROOM))
    gone, text = ids[20], humans(server, ROOM)[ids[20]]
    store.messages.clear_queued([change.seq for change in store.messages.queued_changes(limit=10_000)])
    server.do(lambda world: world.delete(ROOM, gone))
    now = time.time()

    def on_day(day: int) -> FetchSummary:
        return fetch(server, store, clock=lambda: now + day * DAY)

    assert on_day(0).missing == 1
    assert gone not in said(store, ROOM)
    assert store.messages.get([gone]) == {}
    assert [c.message for c in store.messages.queued_changes(limit=10)] == [None], "it leaves the index"
    assert on_day(0).deleted == 0, "the same day counts once"
    assert on_day(1).deleted == 0
    assert store.withheld.count() == 1
    assert on_day(20).deleted == 1, "it is looked for beyond the window"
    assert store.withheld.count() == 0
    assert text.encode() not in store.messages_db.path.read_bytes()


def test_a_message_that_is_found_again_is_back_with_its_reactions(server: DiscordServer, store: Store) -> None:
    """Fault 64."""
    lost = sorted(humans(server, ROOM))[30]
    server.do(lambda world: world.react(ROOM, lost, MIRA, "😂"))
    fetch(server, store)
    before, reactions = said(store, ROOM), store.messages.get([lost])[lost].reactions

    def leave_out(channel_id: int, where: dict[str, int | None], page: list[Json]) -> list[Json]:
        return [m for m in page if int(m["id"]) != lost]

    server.do(lambda world: setattr(world, "tamper", leave_out))
    assert fetch(server, store).missing == 1
    assert lost not in said(store, ROOM)
    server.do(lambda world: setattr(world, "tamper", None))
    assert fetch(server, store).channels[0].returned == 1
    assert said(store, ROOM) == before
    assert store.messages.get([lost])[lost].reactions == reactions != ()


def test_what_the_owner_brings_back_is_not_hidden_by_the_next_fetch(server: DiscordServer, store: Store) -> None:
    fetch(server, store)
    before = said(store, ROOM)
    ids = sorted(before)
    server.do(lambda world: [world.delete(ROOM, i) for i in ids[20:25]])
    fetch(server, store)
    assert [(m.channel_name, m.count) for m in store.withheld.missing()] == [("room-0", 5)]
    assert store.withheld.restore_missing(ROOM) == 5
    assert fetch(server, store).missing == 0
    assert said(store, ROOM) == before


def test_too_many_are_hidden_only_when_the_owner_says_that_they_were_deleted(
    server: DiscordServer, store: Store
) -> None:
    """Fault 61."""
    fetch(server, store)
    before, ids = said(store, ROOM), sorted(humans(server, ROOM))
    server.do(lambda world: [world.delete(ROOM, i) for i in ids[20:80]])
    summary = fetch(server, store)
    assert (summary.missing, summary.channels[0].unclear) == (0, 60)
    assert said(store, ROOM) == before
    assert store.withheld.confirm(ROOM) == 60
    assert said(store, ROOM) == humans(server, ROOM)
    assert not fetch(server, store).attention
    store.withheld.restore_missing(ROOM)
    assert said(store, ROOM) == before, "and even then they can be brought back"
    assert not fetch(server, store).attention


def test_what_the_owner_keeps_is_not_asked_about_again(server: DiscordServer, store: Store) -> None:
    fetch(server, store)
    before, ids = said(store, ROOM), sorted(humans(server, ROOM))
    server.do(lambda world: [world.delete(ROOM, i) for i in ids[20:80]])
    fetch(server, store)
    assert store.withheld.dismiss(ROOM) == 60
    assert not fetch(server, store).attention
    server.do(lambda world: world.delete(ROOM, ids[100]))
    assert fetch(server, store).missing == 1, "others are judged as before"
    assert len(said(store, ROOM)) == len(before) - 1


def test_what_was_erased_by_mistake_is_back_when_discord_still_has_it(
    server: DiscordServer, store: Store, tmp_path: Path
) -> None:
    """Fault 61: earlier versions erased whole channels for good. Only the server itself proves that it was wrong."""
    fetch(server, store)
    before, ids = said(store, ROOM), sorted(humans(server, ROOM))
    long_ago = time.time() - DAY
    store.messages.delete(ids[:100], erased_at=long_ago)
    store.messages.delete(ids[100:110], erased_at=long_ago, by_owner=True)
    store.messages.delete(ids[110:111])
    only_imported(store, server, tmp_path)
    assert said(store, ROOM).keys() == set(ids[111:]), "a file proves nothing"
    fetch(server, store, refresh_days=EVERYTHING)
    now = said(store, ROOM)
    assert now.keys() == {*ids[:100], *ids[111:]}, "neither the owner's word nor what was deleted just now is undone"
    assert now.items() <= before.items()


# ---- sisters ---------------------------------------------------------------------------------------------------


def test_threads_and_posts_that_are_not_listed_any_more_keep_what_was_said(tmp_path: Path) -> None:
    """Fault 65: thread lists come back empty, a forum loses its history permission, a thread is gone."""
    world = make_world(messages=3)
    forum = world.add_channel("ideas", kind=FORUM)
    places = [
        world.add_thread(1000, "active talk"),
        world.add_thread(1000, "old talk", is_archived=True),
        world.add_thread(forum, "a post"),
    ]
    for place in places:
        for number in range(4):
            world.write(place, MIRA, f"{number} in {place}")
    with DiscordServer(world) as server, open_store(tmp_path, world) as store:
        fetch(server, store)
        before = {place: said(store, place) for place in places}
        assert all(len(lines) == 4 for lines in before.values())
        server.do(lambda w: w.take_from_bot(forum, READ_MESSAGE_HISTORY))
        assert "#ideas" in sentences(fetch(server, store))
        server.do(lambda w: [w.channels.pop(place) for place in places])
        fetch(server, store, refresh_days=EVERYTHING)
        assert {place: said(store, place) for place in places} == before
        assert store.withheld.count() == 0


def test_a_channel_missing_from_the_list_or_a_bot_that_was_thrown_out_erases_nothing(
    server: DiscordServer, store: Store
) -> None:
    """Fault 65: and what the channel said is back when the channel is."""
    fetch(server, store)
    before = kept(store)
    channel = server.world.channels.pop(ROOM)
    fetch(server, store)
    assert kept(store) == before
    assert not recall_sources(store.channels.all(), ROOM)
    guild_id, server.world.guild_id = server.world.guild_id, 5
    with pytest.raises(KnownError):
        fetch_as(server, store, guild_id)
    server.world.guild_id = guild_id
    server.world.channels[ROOM] = channel
    fetch(server, store)
    assert kept(store) == before
    assert recall_sources(store.channels.all(), ROOM) == [ROOM]


def fetch_as(server: DiscordServer, store: Store, guild_id: int) -> None:
    import asyncio

    from data.fetcher import Fetcher
    from data.fetcher_api import DiscordRest

    async def run() -> None:
        async with DiscordRest(server.token, api_base=server.api_base) as api:
            await Fetcher(store, api, guild_id).fetch()

    asyncio.run(run())


def test_a_channel_the_bot_no_longer_sees_is_named_with_the_permission(server: DiscordServer, store: Store) -> None:
    fetch(server, store)
    before = kept(store)
    server.do(lambda world: world.take_from_bot(ROOM, VIEW_CHANNEL))
    server.requests.clear()
    assert "'View Channel'" in sentences(fetch(server, store))
    assert page_requests(server) == []
    assert kept(store) == before
    assert store.channels.get(ROOM).is_access_lost


def test_an_old_server_that_does_not_tell_the_bots_roles_is_read_all_the_same(
    server: DiscordServer, store: Store
) -> None:
    unknown = {"code": 10007, "message": "Unknown Member"}
    server.fail(404, path=r"/guilds/\d+/members/\d+", times=9, body=unknown)
    fetch(server, store)
    assert kept(store) == humans(server, ROOM)


def test_an_import_of_an_older_export_does_not_bring_a_missing_message_back_nor_take_reactions(
    server: DiscordServer, store: Store, tmp_path: Path
) -> None:
    """Fault 65: a file says nothing about what is on the server now."""
    export = tmp_path / "export.jsonl"
    bare = [{key: value for key, value in m.items() if key != "reactions"} for m in server.world.messages[ROOM]]
    export.write_text("\n".join(json.dumps(m) for m in bare), encoding="utf-8")
    ids = sorted(humans(server, ROOM))
    server.do(lambda world: world.react(ROOM, ids[5], MIRA, "😂"))
    fetch(server, store)
    server.do(lambda world: world.delete(ROOM, ids[20]))
    fetch(server, store)
    before = said(store, ROOM)
    import_file(store, export)
    assert said(store, ROOM) == before
    assert ids[20] not in before
    assert store.withheld.count() == 1, "and it is not lost either"
    assert store.messages.get([ids[5]])[ids[5]].reactions


def test_a_restored_backup_hides_what_is_hidden_now_and_loses_none_of_it(server: DiscordServer, tmp_path: Path) -> None:
    """Fault 65."""
    workspace = Workspace.at(tmp_path / "restored")
    ids = sorted(humans(server, ROOM))
    with open_store(workspace.root, server.world) as store:
        fetch(server, store)
        before = said(store, ROOM)
        early = create_backup(store)
        server.do(lambda world: world.delete(ROOM, ids[20]))
        fetch(server, store)
        late = create_backup(store)
    restore(workspace, early)
    with Store.open(workspace) as store:
        assert ids[20] not in said(store, ROOM)
        assert store.withheld.restore_missing(ROOM) == 1
        assert said(store, ROOM) == before
    restore(workspace, late)
    with Store.open(workspace) as store:
        assert said(store, ROOM) == before, "the owner brought it back after that backup"


def test_a_picture_edited_to_have_no_words_is_followed_and_a_blank_reading_is_not(
    server: DiscordServer, store: Store
) -> None:
    """Fault 62."""
    picture = [{"id": "1", "filename": "cat.png", "size": 1, "url": "", "proxy_url": ""}]
    message = server.do(lambda world: world.write(ROOM, MIRA, "look at this", attachments=picture))
    other = server.do(lambda world: world.write(ROOM, MIRA, "and this"))
    fetch(server, store)
    blank = without_words(other) | {"edited_timestamp": None}

    def change(world: World) -> None:
        world.edit(ROOM, int(message["id"]), "")
        world.find(ROOM, int(other["id"])).update(blank)

    server.do(change)
    fetch(server, store)
    now = said(store, ROOM)
    assert now[int(message["id"])] == ""
    assert now[int(other["id"])] == "and this"


def test_what_was_edited_into_a_bare_link_loses_the_words_it_had(server: DiscordServer, store: Store) -> None:
    fetch(server, store)
    edited = sorted(humans(server, ROOM))[20]
    server.do(lambda world: world.edit(ROOM, edited, "https://example.com/x"))
    fetch(server, store)
    assert said(store, ROOM)[edited] == "https://example.com/x"


def test_a_headless_owner_answers_and_undoes_in_the_terminal(server: DiscordServer, store: Store) -> None:
    parser = argparse.ArgumentParser()
    add_absence_arguments(parser)
    fetch(server, store)
    before, ids = said(store, ROOM), sorted(humans(server, ROOM))
    server.do(lambda world: [world.delete(ROOM, i) for i in ids[20:80]])
    fetch(server, store)
    assert not has_answer(parser.parse_args([]))
    with pytest.raises(KnownError, match="No question is open about 'memes'"):
        answer(store, parser.parse_args(["--were-deleted", "memes"]))
    assert answer(store, parser.parse_args(["--were-deleted", "#room-0"])) == [
        "#room-0: 60 messages are hidden and will be erased in seven days."
    ]
    assert said(store, ROOM) == humans(server, ROOM)
    assert answer(store, parser.parse_args(["--bring-back", str(ROOM)])) == ["#room-0: 60 messages are back."]
    assert said(store, ROOM) == before
