"""What the owner deletes by hand: hidden at once everywhere, back on an undo, gone for good after seven days."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage import withheld
from storage.deletions import Deletions, erase_due
from storage.records import Channel, Mention, Message, Reaction, snowflake_ms
from storage.store import Store
from storage.withheld import GRACE_SECONDS

MIRA, TAM = 71, 72
GENERAL, THREAD, STAFF = 1000, 1001, 1002
OWNER = "owner (panel)"
BASE = 1_300_000_000_000_000_000


def line(number: int, author_id: int = MIRA, channel_id: int = GENERAL, text: str = "") -> Message:
    message_id = BASE + (number << 22)
    return Message(
        message_id,
        channel_id,
        author_id,
        {MIRA: "Mira", TAM: "Tam"}[author_id],
        text or f"line {number} by {author_id}",
        snowflake_ms(message_id),
        mentions=(Mention(TAM, "Tam"),) if author_id == MIRA else (),
        reactions=(Reaction("😂", 2),),
    )


@pytest.fixture
def filled(store: Store) -> Store:
    """Two members in a channel, its thread and another channel; everything on."""
    switches = {"learn": True, "recall": True, "speak": True, "is_private": False}
    store.channels.add(
        [
            Channel(GENERAL, "general", **switches),
            Channel(THREAD, "plans", kind=11, parent_id=GENERAL),
            Channel(STAFF, "staff", **switches),
        ]
    )
    store.messages.save([line(n, (MIRA, TAM)[n % 2], (GENERAL, THREAD, STAFF)[n % 3]) for n in range(60)])
    store.messages.clear_queued([c.seq for c in store.messages.queued_changes(limit=1000)])
    return store


def everything(store: Store) -> list[Message]:
    return [m for c in (GENERAL, THREAD, STAFF) for page in store.messages.in_channel(c) for m in page]


@pytest.mark.parametrize("kind", ["member", "channel", "message"])
def test_an_undo_brings_everything_back_as_it_was(filled: Store, kind: str) -> None:
    before, channels = everything(filled), filled.channels.all()
    deletions = Deletions(filled)
    if kind == "member":
        deletion = deletions.delete_member(TAM, by=OWNER)
        assert deletion.name == "Tam"
        assert {m.author_id for m in everything(filled)} == {MIRA}
    elif kind == "channel":
        deletion = deletions.delete_channel(GENERAL, by=OWNER)
        assert {m.channel_id for m in everything(filled)} == {STAFF}, "its threads go with it"
        assert not filled.channels.get(GENERAL).learn
        assert not filled.channels.get(GENERAL).recall
    else:
        deletion = deletions.delete_message(before[3].id, by=OWNER)
        assert len(everything(filled)) == len(before) - 1
    hidden = {m.id for m in before} - {m.id for m in everything(filled)}
    assert deletion.messages == len(hidden) > 0
    changes = filled.messages.queued_changes(limit=1000)
    assert {c.message_id for c in changes if c.message is None} == hidden, "they leave the index"
    assert deletions.undo(deletion.id) == len(hidden)
    assert everything(filled) == before
    assert filled.channels.all() == channels
    assert deletions.all() == []
    assert filled.withheld.count() == 0
    assert {c.message_id for c in filled.messages.queued_changes(limit=1000) if c.message} == hidden, "and return to it"


def test_after_seven_days_the_bytes_are_gone_and_no_import_brings_them_back(filled: Store) -> None:
    theirs = [m for m in everything(filled) if m.author_id == TAM]
    Deletions(filled, clock=lambda: 1000.0).delete_member(TAM, by=OWNER)
    assert erase_due(filled, clock=lambda: 1000.0 + GRACE_SECONDS - 1) == 0
    assert filled.withheld.count() == len(theirs)
    assert erase_due(filled, clock=lambda: 1000.0 + GRACE_SECONDS) == len(theirs)
    assert filled.withheld.count() == 0
    assert Deletions(filled).all() == []
    assert filled.members.get(TAM).display_name == "someone"
    content = filled.messages_db.path.read_bytes()
    assert theirs[0].content.encode() not in content
    assert not [m for m in everything(filled) for mention in m.mentions if mention.name == "Tam"]
    filled.messages.save(theirs)
    assert TAM not in {m.author_id for m in everything(filled)}


def test_a_channel_and_a_message_are_erased_after_the_grace_and_stay_out(filled: Store) -> None:
    before = everything(filled)
    deletions = Deletions(filled, clock=lambda: 0.0)
    deletions.delete_channel(GENERAL, by=OWNER)
    deletions.delete_message(next(m.id for m in before if m.channel_id == STAFF), by=OWNER)
    left = everything(filled)
    assert erase_due(filled, clock=lambda: GRACE_SECONDS) == len(before) - len(left)
    filled.messages.save(before)
    assert everything(filled) == left
    assert deletions.all() == []
    new = line(100, channel_id=GENERAL)
    filled.messages.save([new])
    assert new.id in {m.id for m in everything(filled)}, "what is said there later is kept as the switches say"


def test_what_a_deleted_member_still_writes_is_hidden_too_and_comes_with_the_undo(filled: Store) -> None:
    deletions = Deletions(filled)
    deletion = deletions.delete_member(TAM, by=OWNER)
    new = line(100, TAM)
    filled.messages.save([new], is_from_server=True)
    assert new.id not in {m.id for m in everything(filled)}
    again = everything(filled)
    filled.messages.save([line(1, TAM, THREAD, text="edited")], is_from_server=True)
    assert everything(filled) == again, "no fetch and no import uncovers it"
    deletions.undo(deletion.id)
    assert {m.content for m in everything(filled)} >= {"edited", new.content}


def test_reading_what_is_hidden_again_writes_nothing(filled: Store) -> None:
    """A fetch meets the same messages every day."""
    before = everything(filled)
    theirs = [m for m in before if m.author_id == TAM]
    Deletions(filled).delete_member(TAM, by=OWNER)
    filled.messages.clear_queued([c.seq for c in filled.messages.queued_changes(limit=1000)])
    for is_from_server in (False, True):
        filled.messages.save(theirs, is_from_server=is_from_server)
        assert filled.messages.queue_length() == 0
        assert filled.withheld.count() == len(theirs)


def test_two_deletions_over_the_same_messages_are_undone_one_by_one(filled: Store) -> None:
    before = everything(filled)
    deletions = Deletions(filled)
    member = deletions.delete_member(TAM, by=OWNER)
    channel = deletions.delete_channel(GENERAL, by=OWNER)
    deletions.undo(member.id)
    assert all(m.channel_id == STAFF for m in everything(filled))
    deletions.undo(channel.id)
    assert everything(filled) == before


def test_forgetting_knows_no_grace_and_reaches_what_is_hidden(filled: Store) -> None:
    """Fault 66."""
    from storage.forgetting import forget_member

    theirs = [m for m in everything(filled) if m.author_id == TAM]
    filled.withheld.mark_missing([theirs[0].id])
    Deletions(filled).delete_member(TAM, by=OWNER)
    mentioning = next(m for m in everything(filled) if m.author_id == MIRA)
    filled.withheld.mark_missing([mentioning.id])
    forget_member(filled, TAM)
    assert filled.withheld.known([m.id for m in theirs]) == set()
    assert Deletions(filled).all() == []
    content = Path(filled.messages_db.path).read_bytes()
    assert all(m.content.encode() not in content for m in theirs)
    assert b'"Tam' not in content
    filled.withheld.restore_missing(mentioning.channel_id)
    assert filled.messages.get([mentioning.id])[mentioning.id].mentions == (Mention(TAM, "someone"),)


def test_a_second_undo_and_a_deletion_asked_twice_change_nothing(filled: Store) -> None:
    deletions = Deletions(filled)
    first = deletions.delete_channel(STAFF, by=OWNER)
    assert deletions.delete_channel(STAFF, by=OWNER).id == first.id
    deletions.undo(first.id)
    assert filled.channels.get(STAFF).learn, "the switches are those from before the first"
    assert deletions.undo(first.id) == 0


def test_a_kill_in_the_middle_is_finished_by_the_next_housekeeping(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 66: neither half hidden nor half restored."""
    monkeypatch.setattr(withheld, "MOVED_AT_ONCE", 7)
    before = everything(filled)
    for _ in range(2):
        with cut_short(filled, after=2), pytest.raises(KeyboardInterrupt):
            Deletions(filled).delete_member(TAM, by=OWNER)
        assert any(m.author_id == TAM for m in everything(filled))
        erase_due(filled)
        assert {m.author_id for m in everything(filled)} == {MIRA}
        with cut_short(filled, after=2), pytest.raises(KeyboardInterrupt):
            Deletions(filled).undo(Deletions(filled).all()[0].id)
        assert len(everything(filled)) < len(before)
        erase_due(filled)
        assert everything(filled) == before


@contextmanager
def cut_short(store: Store, *, after: int) -> Iterator[None]:
    """The process is ended after so many transactions."""
    whole, count = store.messages_db.transaction, 0

    @contextmanager
    def transaction() -> Iterator[object]:
        nonlocal count
        if not store.messages_db.connection().in_transaction:
            count += 1
            if count > after:
                raise KeyboardInterrupt
        with whole() as connection:
            yield connection

    store.messages_db.transaction = transaction  # type: ignore[method-assign]
    try:
        yield
    finally:
        store.messages_db.transaction = whole  # type: ignore[method-assign]
