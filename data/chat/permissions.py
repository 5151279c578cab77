"""Discord's permission arithmetic (API reference, topic "Permissions"). Pure.

Discord resolves categories into the channels' own overwrites, so a channel's overwrites are all there is to know;
a thread has none and takes its parent's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

ADMINISTRATOR = 1 << 3
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
READ_MESSAGE_HISTORY = 1 << 16
CONNECT = 1 << 20
MANAGE_THREADS = 1 << 34
SEND_MESSAGES_IN_THREADS = 1 << 38
ALL_PERMISSIONS = (1 << 64) - 1
# Channels that hold voice: their text is closed to those who may not connect.
VOICE_KINDS = frozenset({2, 13})
_MEMBER_TYPES = frozenset({1, "1", "member"})


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What one channel allows and denies to one role or one member, as permission bits.

    The overwrite of @everyone is the role overwrite with the server's own id.
    """

    id: int
    allow: int = 0
    deny: int = 0
    is_member: bool = False


@dataclass(frozen=True, slots=True)
class ServerRoles:
    """The server-wide half: who owns the server and what each role permits everywhere.

    permissions: bits by role id; the id of the server is @everyone. bot_roles: roles that belong to a bot and that
    Discord gives to nobody else. bot_ids: members known to be bots, this one above all.
    """

    server_id: int
    owner_id: int | None = None
    permissions: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    bot_roles: frozenset[int] = frozenset()
    bot_ids: frozenset[int] = frozenset()

    @property
    def everyone(self) -> int:
        """The permissions of @everyone."""
        return self.permissions.get(self.server_id, 0)


def base_permissions(server: ServerRoles, *, member_id: int, role_ids: Collection[int]) -> int:
    """A member's permissions on the server, before any channel: everything for its owner and for administrators."""
    if member_id == server.owner_id:
        return ALL_PERMISSIONS
    bits = server.everyone
    for role_id in role_ids:
        bits |= server.permissions.get(role_id, 0)
    return ALL_PERMISSIONS if bits & ADMINISTRATOR else bits


def channel_permissions(
    server: ServerRoles, overwrites: Iterable[Overwrite], *, member_id: int, role_ids: Collection[int]
) -> int:
    """A member's permissions in a channel with these overwrites; 0 where the channel is hidden from them.

    @everyone's overwrite comes first, then those of all the member's roles together (what one allows beats what
    another denies), then the member's own. For a thread, pass the overwrites of its parent.
    """
    bits = base_permissions(server, member_id=member_id, role_ids=role_ids)
    if bits == ALL_PERMISSIONS:
        return bits
    roles = set(role_ids) - {server.server_id}
    everyone, of_roles, own = Overwrite(0), Overwrite(0), Overwrite(0)
    for overwrite in overwrites:
        if overwrite.is_member:
            if overwrite.id == member_id:
                own = overwrite
        elif overwrite.id == server.server_id:
            everyone = overwrite
        elif overwrite.id in roles:
            of_roles = Overwrite(0, of_roles.allow | overwrite.allow, of_roles.deny | overwrite.deny)
    for layer in (everyone, of_roles, own):
        bits = bits & ~layer.deny | layer.allow
    return bits if bits & VIEW_CHANNEL else 0


def server_from_object(guild: Mapping[str, Any], *, bot_ids: Iterable[int] = ()) -> ServerRoles:
    """A guild object of the API. Raises KeyError, TypeError or ValueError where it is not one."""
    roles = list(guild["roles"])
    return ServerRoles(
        int(guild["id"]),
        int(guild["owner_id"]) if guild.get("owner_id") else None,
        MappingProxyType({int(role["id"]): int(role["permissions"]) for role in roles}),
        frozenset(int(role["id"]) for role in roles if (role.get("tags") or {}).get("bot_id")),
        frozenset(bot_ids),
    )


def overwrites_from_object(channel: Mapping[str, Any]) -> tuple[Overwrite, ...] | None:
    """The overwrites of a channel object; None where it does not tell them, which is not the same as having none.

    Raises KeyError, TypeError or ValueError where they are malformed.
    """
    listed = channel.get("permission_overwrites")
    if listed is None:
        return None
    return tuple(
        Overwrite(
            int(entry["id"]),
            int(entry.get("allow") or 0),
            int(entry.get("deny") or 0),
            entry.get("type") in _MEMBER_TYPES,
        )
        for entry in listed
    )
