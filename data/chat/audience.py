"""Where a line may be recalled: in T only if everybody who can read T can read S, the channel it stands in. Pure.

Nobody's roles are known, and they change without a word to the bot, so the rule holds for every way in which roles
could be handed out. For one permission and somebody with the roles R, Discord's arithmetic comes down to

    holds(R) = R meets allow, or (R misses deny and (default or R meets grant))

unless the channel names that member. Whether anybody could hold one such form and miss another is decided exactly:
holding takes at most one role, missing takes at most one more, and everything else only asks for roles to be absent.
Administrators and the server's owner read everything; roles that belong to a bot are nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from data.chat.permissions import (
    ADMINISTRATOR,
    CONNECT,
    READ_MESSAGE_HISTORY,
    VIEW_CHANNEL,
    VOICE_KINDS,
    Overwrite,
    ServerRoles,
)
from storage.records import PRIVATE_THREAD, Channel

_NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds one permission in one channel: the form above, and the members named by overwrites of their own.

    All are ids. Roles of administrators and of bots appear nowhere.
    """

    default: bool = False
    allow: frozenset[int] = _NOBODY
    deny: frozenset[int] = _NOBODY
    grant: frozenset[int] = _NOBODY
    members_in: frozenset[int] = _NOBODY
    members_out: frozenset[int] = _NOBODY

    def has_role_alone(self, role_id: int) -> bool:
        """Whether somebody with this one role holds it."""
        return role_id in self.allow or (role_id not in self.deny and (self.default or role_id in self.grant))

    def could_hold(self) -> bool:
        """Whether any set of roles holds it."""
        return self.default or bool(self.allow or self.grant - self.deny)

    def could_miss(self) -> bool:
        """Whether any set of roles misses it."""
        return not self.default or bool(self.deny - self.allow)


# Whoever reads a channel nobody knows anything about: possibly everybody.
ANYBODY = Holders(default=True)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who can read a channel. Seeing it is enough to read what is said now; reading what was said before takes the
    message history too, and in a voice channel the right to connect."""

    view: Holders
    history: Holders
    connect: Holders | None = None

    @property
    def needed(self) -> tuple[Holders, ...]:
        """Everything that somebody needs to read earlier lines."""
        return (self.view, self.history) if self.connect is None else (self.view, self.history, self.connect)


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """What Discord says about one channel. is_private: not everybody on the server can see it. audience: None where
    it cannot be told, which counts as private to itself."""

    audience: Audience | None
    is_private: bool


def could_escape(holding: Holders, missing: Holders) -> bool:
    """Whether anybody, with whatever roles, could hold the first and miss the second."""
    if _could_escape_by_roles(holding, missing):
        return True
    for member in holding.members_in | holding.members_out | missing.members_in | missing.members_out:
        if member in holding.members_out or member in missing.members_in:
            continue
        if member in missing.members_out and (member in holding.members_in or holding.could_hold()):
            return True
        if member in holding.members_in and missing.could_miss():
            return True
    return False


def _could_escape_by_roles(holding: Holders, missing: Holders) -> bool:
    """Two ways to hold (one role allows; none denies) by two ways to miss (one role denies; none gives)."""
    allowing = holding.allow - missing.allow
    denying = missing.deny - missing.allow
    if allowing and denying:
        return True
    if not missing.default and allowing - missing.grant:
        return True
    giving = holding.grant - holding.deny - missing.allow
    if (holding.default or giving) and denying - holding.deny:
        return True
    return not missing.default and (holding.default or bool(giving - missing.grant))


@lru_cache(maxsize=16_384)
def covers(source: Audience, target: Audience | None) -> bool:
    """Whether everybody who can see the target can read earlier lines of the source; None: a target nobody knows."""
    seeing = target.view if target is not None else ANYBODY
    return not any(could_escape(seeing, needed) for needed in source.needed)


def has_grown(now: Audience, before: Audience) -> bool:
    """Whether anybody could read it now who could not before."""
    if len(now.needed) != len(before.needed):
        return True
    return any(could_escape(new, old) for new, old in zip(now.needed, before.needed, strict=True))


# ---- from Discord's permissions -----------------------------------------------------------------------------


def audience_of(server: ServerRoles, overwrites: Iterable[Overwrite], *, kind: int = 0) -> Audience:
    """Who can read a channel of this kind with these overwrites."""
    listed = tuple(overwrites)
    return Audience(
        _holders(server, listed, VIEW_CHANNEL),
        _holders(server, listed, READ_MESSAGE_HISTORY),
        _holders(server, listed, CONNECT) if kind in VOICE_KINDS else None,
    )


def _holders(server: ServerRoles, overwrites: Sequence[Overwrite], bit: int) -> Holders:
    if server.everyone & ADMINISTRATOR:
        return ANYBODY
    # A role that is gone is held by nobody, an administrator's needs no overwrite, a bot's is no person's.
    people = {
        role_id
        for role_id, bits in server.permissions.items()
        if role_id != server.server_id and not bits & ADMINISTRATOR and role_id not in server.bot_roles
    }
    unnamed = {server.owner_id} | server.bot_ids
    default, is_settled = bool(server.everyone & bit), False
    allow, deny, members_in, members_out = (set[int]() for _ in range(4))
    for overwrite in overwrites:
        is_allowed, is_denied = bool(overwrite.allow & bit), bool(overwrite.deny & bit)
        if not (is_allowed or is_denied):
            continue
        if overwrite.is_member:
            if overwrite.id not in unnamed:
                (members_in if is_allowed else members_out).add(overwrite.id)
        elif overwrite.id == server.server_id:
            default, is_settled = is_allowed, True
        elif overwrite.id in people:
            (allow if is_allowed else deny).add(overwrite.id)
    grant = set() if is_settled or default else {role for role in people if server.permissions[role] & bit}
    return Holders(
        default, frozenset(allow), frozenset(deny), frozenset(grant), frozenset(members_in), frozenset(members_out)
    )


def access_facts(
    server: ServerRoles, channels: Mapping[int, tuple[int, Sequence[Overwrite] | None]]
) -> dict[int, AccessFacts]:
    """What a server's list of channels (kind and overwrites by id; None: not told) says about each of them.

    Everybody is @everyone where @everyone sees at least one channel. Where @everyone sees nothing, it is whoever has
    any one of the roles that show a channel.
    """
    audiences = {
        channel_id: audience_of(server, overwrites, kind=kind)
        for channel_id, (kind, overwrites) in channels.items()
        # Without @everyone's own permissions nothing is known: nobody would seem to read anything.
        if overwrites is not None and server.server_id in server.permissions
    }
    views = [audience.view for audience in audiences.values()]
    is_gated = not any(view.default for view in views)
    opening = {role for view in views for role in server.permissions if view.has_role_alone(role)} if is_gated else ()

    def is_open(view: Holders) -> bool:
        if not is_gated:
            return view.default
        return bool(opening) and all(view.has_role_alone(role) for role in opening)

    return {
        channel_id: AccessFacts(audience := audiences.get(channel_id), audience is None or not is_open(audience.view))
        for channel_id in channels
    }


# ---- as text in the channel's row ----------------------------------------------------------------------------


def to_text(audience: Audience) -> str:
    """An audience as it is stored."""
    return json.dumps([_to_fields(holders) for holders in audience.needed], separators=(",", ":"))


@lru_cache(maxsize=4_096)
def from_text(text: str) -> Audience | None:
    """A stored audience; None for '' and for what cannot be read: then nothing is known."""
    try:
        holders = [_from_fields(fields) for fields in json.loads(text)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Audience(*holders) if len(holders) in (2, 3) else None


def _to_fields(holders: Holders) -> dict[str, Any]:
    lists = {name: sorted(getattr(holders, name)) for name in ("allow", "deny", "grant", "members_in", "members_out")}
    return {"default": holders.default, **{name: ids for name, ids in lists.items() if ids}}


def _from_fields(fields: dict[str, Any]) -> Holders:
    lists = {
        name: frozenset(int(number) for number in fields.get(name, ()))
        for name in ("allow", "deny", "grant", "members_in", "members_out")
    }
    return Holders(default=bool(fields["default"]), **lists)


# ---- the rule -----------------------------------------------------------------------------------------------


def may_recall(source: Channel, target: Channel | None) -> bool:
    """Whether the audiences allow lines of `source` in `target`; None: a place nobody knows. Switches are not asked.

    A channel's own lines are always at home in it. What the owner keeps private, what stands in a private thread and
    what is known of nobody leave it never. Where Discord let more people in, the audience that the owner accepted
    counts too until the owner has answered.
    """
    if target is not None and source.id == target.id:
        return True
    if source.kind == PRIVATE_THREAD or source.owner_private:
        return False
    if not source.audience:
        return not source.is_private
    now, accepted = from_text(source.audience), from_text(source.accepted_audience)
    if now is None or accepted is None:
        return False
    readers = from_text(target.audience) if target is not None else None
    return covers(now, readers) and covers(accepted, readers)


def recall_sources(channels: Sequence[Channel], target_id: int) -> list[int]:
    """Ids of the channels whose lines may be recalled in a channel: recall is on, access is there, and the audiences
    allow it. `channels` is the whole list, threads with what they inherit."""
    target = next((channel for channel in channels if channel.id == target_id), None)
    return [c.id for c in channels if c.recall and not c.is_access_lost and may_recall(c, target)]


def training_sources(channels: Sequence[Channel]) -> dict[int, list[int]]:
    """For each of these channels, the ids of those whose lines may stand recalled in its training rows: the same rule,
    whatever the recall switch says. It only ever takes lines of channels that are trained on."""
    return {target.id: sorted(c.id for c in channels if may_recall(c, target)) for target in channels}


def open_sources(channels: Iterable[Channel]) -> list[int]:
    """Ids of the channels whose lines the owner's own test chat may recall: what is private stays out of it."""
    return [
        c.id for c in channels if c.recall and not c.is_access_lost and not c.is_private and c.kind != PRIVATE_THREAD
    ]


# ---- what Discord says and what the owner says ----------------------------------------------------------------


def with_facts(channel: Channel, facts: AccessFacts) -> Channel:
    """The channel after Discord said this. Closing applies at once; opening waits for the owner, and so does letting
    more people in. The first word about a channel is taken as it is."""
    if facts.audience is None:
        return replace(channel, discord_private=True, is_private=True, audience="", accepted_audience="")
    now = to_text(facts.audience)
    is_first = channel.discord_private is None
    accepted = from_text(channel.accepted_audience)
    is_opened = channel.discord_private is True and not facts.is_private
    if accepted is None:
        # Nothing was accepted yet: a channel that was closed so far opens with the owner's word alone.
        accepted_text = "" if is_opened or (channel.audience and not facts.is_private) else now
    else:
        accepted_text = channel.accepted_audience if has_grown(facts.audience, accepted) else now
    is_private = facts.is_private or bool(channel.owner_private) or (channel.is_private and not is_first)
    return replace(
        channel,
        discord_private=facts.is_private,
        is_private=is_private,
        audience=now,
        accepted_audience=accepted_text,
    )


def with_access_of(channel: Channel, new: Channel) -> Channel:
    """The channel after Discord said of it what `new`, as seen for the first time, holds."""
    return with_facts(channel, AccessFacts(from_text(new.audience), bool(new.discord_private)))


def asks(channel: Channel, channels: Iterable[Channel]) -> bool:
    """Whether the owner is to be asked about a channel that Discord opened: keep it closed, or open it?

    Asked where it would make a difference: the channel would no longer count as private, or its lines could be
    recalled in a channel where they may not be recalled now.
    """
    if channel.owner_private or channel.discord_private is None or channel.is_access_lost:
        return False
    if channel.is_private and not channel.discord_private:
        return True
    if channel.accepted_audience == channel.audience:
        return False
    opened = replace(channel, accepted_audience=channel.audience)
    return any(may_recall(opened, other) and not may_recall(channel, other) for other in channels)


def opened_channels(channels: Sequence[Channel]) -> list[Channel]:
    """The channels the owner is to be asked about; threads follow their parents."""
    own = [channel for channel in channels if not channel.is_thread]
    return [channel for channel in own if asks(channel, own)]
