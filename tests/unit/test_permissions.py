"""Discord's permission arithmetic: what a member may do in a channel."""

from __future__ import annotations

import pytest

from data.chat.permissions import (
    ADMINISTRATOR,
    ALL_PERMISSIONS,
    READ_MESSAGE_HISTORY,
    SEND_MESSAGES,
    VIEW_CHANNEL,
    Overwrite,
    ServerRoles,
    base_permissions,
    channel_permissions,
    overwrites_from_object,
    server_from_object,
)

SERVER, OWNER, MEMBER, MOD, BOSS, ANA = 1, 9, 10, 11, 12, 20
READ = VIEW_CHANNEL | READ_MESSAGE_HISTORY
ROLES = ServerRoles(SERVER, OWNER, {SERVER: READ, MEMBER: SEND_MESSAGES, MOD: 0, BOSS: ADMINISTRATOR})
HIDDEN = Overwrite(SERVER, deny=VIEW_CHANNEL)


@pytest.mark.parametrize(
    ("member", "roles", "overwrites", "right"),
    [
        (ANA, [], [], READ),
        (ANA, [MEMBER], [], READ | SEND_MESSAGES),
        (ANA, [MEMBER], [HIDDEN], 0),
        (ANA, [MOD], [HIDDEN, Overwrite(MOD, allow=VIEW_CHANNEL)], READ),
        (ANA, [MEMBER, MOD], [Overwrite(MEMBER, deny=READ), Overwrite(MOD, allow=READ)], READ | SEND_MESSAGES),
        (ANA, [MEMBER], [Overwrite(MEMBER, deny=VIEW_CHANNEL), Overwrite(ANA, VIEW_CHANNEL, 0, True)], READ | 1 << 11),
        (ANA, [MOD], [Overwrite(MOD, allow=VIEW_CHANNEL), Overwrite(ANA, 0, VIEW_CHANNEL, True)], 0),
        (ANA, [BOSS], [HIDDEN, Overwrite(ANA, 0, VIEW_CHANNEL, True)], ALL_PERMISSIONS),
        (OWNER, [], [HIDDEN], ALL_PERMISSIONS),
        (ANA, [], [Overwrite(SERVER, deny=READ_MESSAGE_HISTORY)], VIEW_CHANNEL),
        (ANA, [99], [Overwrite(98, deny=VIEW_CHANNEL)], READ),
    ],
)
def test_a_members_permissions_follow_discords_order(
    member: int, roles: list[int], overwrites: list[Overwrite], right: int
) -> None:
    assert channel_permissions(ROLES, overwrites, member_id=member, role_ids=roles) == right


def test_without_a_channel_only_the_roles_count() -> None:
    assert base_permissions(ROLES, member_id=ANA, role_ids=[MEMBER]) == READ | SEND_MESSAGES
    assert base_permissions(ROLES, member_id=OWNER, role_ids=[]) == ALL_PERMISSIONS


def test_discords_objects_are_read_and_a_channel_that_tells_nothing_is_not_one_without_overwrites() -> None:
    guild = {
        "id": "1",
        "owner_id": "9",
        "roles": [{"id": "1", "permissions": "1024"}, {"id": "5", "permissions": "0", "tags": {"bot_id": "7"}}],
    }
    server = server_from_object(guild, bot_ids=[7])
    assert (server.owner_id, server.everyone, server.bot_roles, server.bot_ids) == (9, 1024, {5}, {7})
    raw = {"permission_overwrites": [{"id": "1", "type": 0, "deny": "1024"}, {"id": "20", "type": 1, "allow": "1024"}]}
    assert overwrites_from_object(raw) == (Overwrite(1, 0, 1024), Overwrite(20, 1024, 0, True))
    assert overwrites_from_object({"permission_overwrites": []}) == ()
    assert overwrites_from_object({}) is None
