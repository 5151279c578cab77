"""Where a line may be recalled: in T only if everybody who can read T can read S. Faults 72 and 73."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.chat.audience import (
    AccessFacts,
    access_facts,
    audience_of,
    covers,
    from_text,
    has_grown,
    may_recall,
    open_sources,
    opened_channels,
    recall_sources,
    to_text,
    training_sources,
    with_facts,
)
from data.chat.permissions import (
    ADMINISTRATOR,
    ALL_PERMISSIONS,
    CONNECT,
    READ_MESSAGE_HISTORY,
    VIEW_CHANNEL,
    Overwrite,
    ServerRoles,
    base_permissions,
    channel_permissions,
)
from storage.records import Channel

SERVER, OWNER, BOT, ANA, TAM = 1, 9, 8, 20, 21
MEMBER, MOD, GAMER, BOSS, BOT_ROLE = 10, 11, 12, 13, 14
READ = VIEW_CHANNEL | READ_MESSAGE_HISTORY


def allow(subject: int, bits: int = READ, *, is_member: bool = False) -> Overwrite:
    return Overwrite(subject, allow=bits, is_member=is_member)


def deny(subject: int, bits: int = VIEW_CHANNEL, *, is_member: bool = False) -> Overwrite:
    return Overwrite(subject, deny=bits, is_member=is_member)


def server(everyone: int = READ, **roles: int) -> ServerRoles:
    permissions = {SERVER: everyone, MEMBER: 0, MOD: 0, GAMER: 0, BOSS: ADMINISTRATOR, BOT_ROLE: 0}
    names = {"member": MEMBER, "mod": MOD, "gamer": GAMER}
    return ServerRoles(
        SERVER,
        OWNER,
        permissions | {names[name]: bits for name, bits in roles.items()},
        frozenset({BOT_ROLE}),
        frozenset({BOT}),
    )


OPEN = server()
GATED = server(everyone=0, member=READ)
HIDDEN = deny(SERVER)
STAFF = (HIDDEN, allow(MOD))


@pytest.mark.parametrize(
    ("rules", "source", "target", "is_allowed"),
    [
        # Everyone reads everything, but for a channel of the moderators.
        (OPEN, (), (), True),
        (OPEN, (), STAFF, True),
        (OPEN, STAFF, (), False),
        (OPEN, STAFF, STAFF, True),
        # Two closed channels of different people; of some of them; of the same and more.
        (OPEN, STAFF, (HIDDEN, allow(GAMER)), False),
        (OPEN, (HIDDEN, allow(MOD), allow(GAMER)), (HIDDEN, allow(GAMER)), True),
        (OPEN, (HIDDEN, allow(GAMER)), (HIDDEN, allow(MOD), allow(GAMER)), False),
        # @everyone sees nothing and a role opens everything: by its own permissions, or channel by channel.
        (GATED, (), (), True),
        (GATED, (HIDDEN, allow(MEMBER)), (HIDDEN, allow(MEMBER)), True),
        (GATED, (HIDDEN, allow(MEMBER)), (), True),
        (server(everyone=0), (allow(MEMBER),), (HIDDEN, allow(MEMBER)), True),
        # The rules' channel that newcomers see is no place for what members say; the other way round it is.
        (GATED, (), (allow(SERVER),), False),
        (GATED, (allow(SERVER),), (), True),
        # Moderators who are not members may exist: nobody promises that they are.
        (GATED, (), STAFF, False),
        (GATED, (allow(MOD),), STAFF, True),
        # A role that shuts out: whoever is muted here and not there would read it there.
        (OPEN, (deny(GAMER),), (), False),
        (OPEN, (deny(GAMER),), (deny(GAMER),), True),
        (OPEN, (), (deny(GAMER),), True),
        # What another role of the same person allows beats the denial, so the denial keeps nobody out for certain.
        (OPEN, (deny(GAMER),), (deny(GAMER), allow(MOD)), False),
        (OPEN, (deny(GAMER), allow(MOD)), (HIDDEN, allow(MOD)), True),
        # Single members.
        (OPEN, (deny(ANA, is_member=True),), (), False),
        (OPEN, (deny(ANA, is_member=True),), (deny(ANA, is_member=True),), True),
        (OPEN, (HIDDEN, allow(ANA, is_member=True)), (), False),
        (OPEN, (), (HIDDEN, allow(ANA, is_member=True)), True),
        (OPEN, STAFF, (*STAFF, allow(ANA, is_member=True)), False),
        (OPEN, (*STAFF, allow(ANA, is_member=True)), STAFF, True),
        (OPEN, (*STAFF, deny(ANA, is_member=True)), STAFF, False),
        # The owner, administrators, bots and roles that are gone change nothing.
        (OPEN, STAFF, (*STAFF, allow(OWNER, is_member=True)), True),
        (OPEN, (deny(OWNER, is_member=True), deny(BOSS)), (), True),
        (OPEN, STAFF, (*STAFF, allow(BOT, is_member=True), allow(BOT_ROLE)), True),
        (OPEN, STAFF, (*STAFF, allow(999)), True),
        (server(everyone=ADMINISTRATOR), STAFF, (), True),
        # Seeing a channel is not yet reading what was said in it before.
        (OPEN, (deny(SERVER, READ_MESSAGE_HISTORY),), (), False),
        (OPEN, (), (deny(SERVER, READ_MESSAGE_HISTORY),), True),
        (server(everyone=VIEW_CHANNEL), (), (), False),
    ],
)
def test_a_line_is_recalled_only_where_everybody_who_can_read_can_read_it_at_home(
    rules: ServerRoles, source: tuple[Overwrite, ...], target: tuple[Overwrite, ...], is_allowed: bool
) -> None:
    """Fault 73."""
    assert covers(audience_of(rules, source), audience_of(rules, target)) == is_allowed


def test_a_voice_channels_text_is_closed_to_those_who_may_not_connect() -> None:
    rules = server(everyone=READ | CONNECT)
    assert covers(audience_of(rules, (), kind=2), audience_of(rules, ()))
    assert not covers(audience_of(rules, (deny(SERVER, CONNECT),), kind=2), audience_of(rules, ()))


# ---- every possible server ------------------------------------------------------------------------------------

ROLES = (10, 11, 12, 13)
MEMBERS = (20, 21, OWNER)
BITS = st.sampled_from((0, VIEW_CHANNEL, READ_MESSAGE_HISTORY, READ))


@st.composite
def servers(draw: st.DrawFn) -> ServerRoles:
    bits = {role: draw(st.sampled_from((0, 0, VIEW_CHANNEL, READ, ADMINISTRATOR))) for role in ROLES}
    return ServerRoles(SERVER, OWNER, {SERVER: draw(BITS), **bits})


@st.composite
def overwrites(draw: st.DrawFn) -> tuple[Overwrite, ...]:
    named = draw(st.lists(st.sampled_from((SERVER, *ROLES, *MEMBERS)), unique=True, max_size=5))
    return tuple(Overwrite(subject, draw(BITS), draw(BITS), subject in MEMBERS) for subject in named)


def everybody() -> list[tuple[int, tuple[int, ...]]]:
    """Every member there could be: those whom overwrites name, one whom none names, with every set of roles."""
    sets = [roles for size in range(len(ROLES) + 1) for roles in combinations(ROLES, size)]
    return [(member, roles) for member in (*MEMBERS, 99) for roles in sets]


def can(rules: ServerRoles, listed: tuple[Overwrite, ...], member: int, roles: tuple[int, ...], bits: int) -> bool:
    return channel_permissions(rules, listed, member_id=member, role_ids=roles) & bits == bits


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(servers(), overwrites(), overwrites())
def test_on_any_server_the_rule_says_what_asking_everybody_would_say(
    rules: ServerRoles, source: tuple[Overwrite, ...], target: tuple[Overwrite, ...]
) -> None:
    """Fault 73: never too much, and never too little either."""
    is_included = all(
        can(rules, source, member, roles, READ)
        for member, roles in everybody()
        if can(rules, target, member, roles, VIEW_CHANNEL)
    )
    assert covers(audience_of(rules, source), audience_of(rules, target)) == is_included
    stored = from_text(to_text(audience_of(rules, source)))
    assert stored == audience_of(rules, source)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(servers(), overwrites(), servers(), overwrites(), overwrites())
def test_whatever_discord_changes_nobody_reads_a_line_in_other_words_who_could_not_read_it_then_and_now(
    before: ServerRoles,
    source_before: tuple[Overwrite, ...],
    now: ServerRoles,
    source_now: tuple[Overwrite, ...],
    target_now: tuple[Overwrite, ...],
) -> None:
    """Faults 72 and 73: closing applies at once, opening waits for the owner."""
    source = Channel(1, "source", recall=True)
    target = with_facts(Channel(2, "target"), AccessFacts(audience_of(now, target_now), False))
    source = with_facts(source, AccessFacts(audience_of(before, source_before), False))
    source = with_facts(source, AccessFacts(audience_of(now, source_now), False))
    if may_recall(source, target):
        for member, roles in everybody():
            # Who was made an administrator reads everything, and no channel was opened for it.
            if base_permissions(now, member_id=member, role_ids=roles) == ALL_PERMISSIONS:
                continue
            if can(now, target_now, member, roles, VIEW_CHANNEL):
                assert can(now, source_now, member, roles, READ)
                assert can(before, source_before, member, roles, READ) or not has_grown(
                    audience_of(now, source_now), audience_of(before, source_before)
                )


# ---- switches, threads and the unknown --------------------------------------------------------------------------


def channel(number: int, listed: tuple[Overwrite, ...] = (), *, rules: ServerRoles = OPEN, **fields: object) -> Channel:
    new = Channel(number, f"c{number}", recall=True, **fields)
    facts = access_facts(rules, {number: (0, listed), 0: (0, ())})[number]
    return with_facts(new, facts)


def test_where_a_role_opens_everything_its_channels_are_open_and_recall_works_between_them() -> None:
    """Fault 73: the usual server of friends, where newcomers see nothing."""
    listed = {
        1: (HIDDEN, allow(MEMBER)),
        2: (HIDDEN, allow(MEMBER)),
        3: (HIDDEN, allow(MEMBER), deny(GAMER)),
    }
    facts = access_facts(server(everyone=0), {number: (0, o) for number, o in listed.items()})
    assert [facts[number].is_private for number in (1, 2, 3)] == [False, False, False]
    channels = [with_facts(Channel(n, "x", recall=True), facts[n]) for n in listed]
    assert [recall_sources(channels, number) for number in listed] == [[1, 2, 3]] * 3
    assert open_sources(channels) == [1, 2, 3]
    closed = access_facts(server(everyone=0), {1: (0, listed[1]), 4: (0, STAFF)})
    assert closed[1].is_private
    assert closed[4].is_private, "moderators may be no members"


def test_what_nobody_told_is_private_to_itself_and_read_by_anybody() -> None:
    """Fault 73: imported channels, rows that cannot be read, channels nobody knows."""
    known, imported = channel(1), Channel(2, "imported", recall=True)
    staff, broken = channel(3, STAFF), replace(channel(4), audience="[{}]")
    channels = [known, imported, staff, broken]
    assert recall_sources(channels, 1) == [1]
    assert recall_sources(channels, 2) == [1, 2]
    assert recall_sources(channels, 99) == [1]
    assert recall_sources(channels, 4) == [1, 4]
    assert from_text("") is from_text("[{}]") is from_text("null") is from_text("[1]") is from_text("[[],[]]") is None


def test_the_owners_word_closes_a_channel_for_all_others_and_private_threads_never_leave_themselves() -> None:
    """Fault 72."""
    mine = replace(channel(1), owner_private=True, is_private=True)
    whispers = replace(channel(2), kind=12, parent_id=3, is_private=True)
    channels = [mine, whispers, channel(3)]
    assert [recall_sources(channels, number) for number in (1, 2, 3)] == [[1, 3], [2, 3], [3]]
    assert open_sources(channels) == [3]
    assert training_sources(channels) == {1: [1, 3], 2: [2, 3], 3: [3]}


def test_without_the_recall_switch_or_access_nothing_is_recalled_not_even_at_home() -> None:
    off, lost = replace(channel(1), recall=False), replace(channel(2), is_access_lost=True)
    assert recall_sources([off, lost, channel(3)], 1) == recall_sources([off, lost, channel(3)], 2) == [3]


# ---- Discord closes, Discord opens ---------------------------------------------------------------------------------


def then(known: Channel, listed: tuple[Overwrite, ...], *, rules: ServerRoles = OPEN) -> Channel:
    return with_facts(known, access_facts(rules, {known.id: (0, listed), 0: (0, ())})[known.id])


def test_discord_closing_a_channel_applies_at_once_and_opening_it_again_asks() -> None:
    """Fault 72."""
    general = channel(2)
    closed = then(channel(1), STAFF)
    assert closed.is_private
    assert recall_sources([closed, general], 2) == [2]
    assert opened_channels([closed, general]) == []
    reopened = then(closed, ())
    assert reopened.is_private
    assert not reopened.discord_private
    assert recall_sources([reopened, general], 2) == [2]
    assert opened_channels([reopened, general]) == [reopened]
    assert then(then(reopened, ()), ()) == reopened, "hearing it again is no answer"


def test_letting_more_people_in_asks_where_it_would_make_a_difference() -> None:
    """Fault 72: the moderators' channel is shown to the gamers too."""
    staff, gamers, general = channel(1, STAFF), channel(2, (HIDDEN, allow(GAMER))), channel(3)
    wider = then(staff, (*STAFF, allow(GAMER)))
    assert opened_channels([wider, gamers, general]) == [wider]
    assert recall_sources([wider, gamers, general], 2) == [2, 3]
    assert opened_channels([wider, general]) == []
    back = then(wider, STAFF)
    assert back == staff
    assert opened_channels([back, gamers, general]) == []


def test_the_owners_private_stays_whatever_discord_says() -> None:
    """Fault 72."""
    mine = replace(channel(1), owner_private=True, is_private=True)
    for listed in ((), STAFF, (), (allow(GAMER),)):
        mine = then(mine, listed)
        assert mine.is_private
        assert mine.owner_private
        assert recall_sources([mine, channel(2)], 2) == [2]
        assert opened_channels([mine, channel(2)]) == []


def test_the_first_word_about_an_imported_channel_is_taken_as_it_is() -> None:
    imported = Channel(1, "imported", recall=True)
    assert not then(imported, ()).is_private
    assert opened_channels([then(imported, ())]) == []
    assert then(replace(imported, owner_private=True), ()).is_private
    assert then(replace(imported, is_private=False, owner_private=False), STAFF).is_private


def test_a_channel_that_an_older_version_knew_as_closed_asks_before_it_opens() -> None:
    """Fault 72: nobody can tell any more whether that was Discord's word or the owner's."""
    old = Channel(1, "staff", recall=True, is_private=True, discord_private=True)
    opened = then(old, ())
    assert opened.is_private
    assert recall_sources([opened, channel(2)], 2) == [2]
    assert opened_channels([opened, channel(2)]) == [opened]
    assert opened_channels([then(then(opened, STAFF), ()), channel(2)])
    assert opened_channels([then(old, STAFF), channel(2)]) == []


def test_permissions_that_cannot_be_read_any_more_close_the_channel() -> None:
    lost = with_facts(channel(1), AccessFacts(None, True))
    assert lost.is_private
    assert recall_sources([lost, channel(2)], 2) == [2]
    assert opened_channels([then(lost, ()), channel(2)])
