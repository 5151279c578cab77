"""What Discord lets the bot read: its own permissions in every channel, and its application's intent.

Asked before a fetch, and again when an answer looks as if something had been taken away meanwhile: Discord says
neither in the answers to a fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.chat.permissions import (
    CONNECT,
    READ_MESSAGE_HISTORY,
    VIEW_CHANNEL,
    VOICE_KINDS,
    channel_permissions,
    overwrites_from_object,
    server_from_object,
)
from data.fetcher_api import DiscordRest, NoAccessError
from storage.people import THREAD_KINDS
from storage.records import Channel

# Application flags (Discord API reference, "Application Flags"): the intent as verified or as limited bot.
MESSAGE_CONTENT_FLAGS = 1 << 18 | 1 << 19
INTENT_OFF = "the Message Content intent is off: Discord would send messages without their words"
INTENT_CURE = "discord.com/developers > your application > Bot > switch on 'Message Content Intent', then fetch again."
PERMISSION_CURE = "Give the bot's role {names} in the channel's settings on Discord, then fetch again."
_NEEDED = {VIEW_CHANNEL: "View Channel", READ_MESSAGE_HISTORY: "Read Message History"}


@dataclass(frozen=True, slots=True)
class Access:
    """has_words: the intent is on, as far as Discord says. missing: names of the permissions missing by channel id.

    A channel that is not named may be read, or it is not known; then the plausibility of what comes decides.
    """

    has_words: bool = True
    missing: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def trouble(self, place: Channel) -> str:
        """Why the history of a channel or thread cannot be read, '' when nothing speaks against it."""
        if not self.has_words:
            return INTENT_OFF
        names = self.missing_in(place)
        return f"the bot may not read its history: {_quoted(names)} is missing" if names else ""

    def can_see(self, place: Channel) -> bool:
        """False when the channel is hidden from the bot."""
        return _NEEDED[VIEW_CHANNEL] not in self.missing_in(place)

    def cure(self, place: Channel) -> str:
        """What to do about it."""
        if not self.has_words:
            return INTENT_CURE
        return PERMISSION_CURE.format(names=_quoted(self.missing_in(place)))

    def missing_in(self, place: Channel) -> tuple[str, ...]:
        """The permissions missing there; a thread has its parent's."""
        where = place.parent_id if place.kind in THREAD_KINDS and place.parent_id else place.id
        return self.missing.get(where, ())


async def read_access(api: DiscordRest, server_id: int) -> Access:
    """Ask Discord; what it does not tell counts as allowed. FetchError when it cannot be reached."""
    has_words = True
    try:
        flags = (await api.application()).get("flags")
        has_words = flags is None or bool(int(flags) & MESSAGE_CONTENT_FLAGS)
    except NoAccessError:
        pass
    try:
        server = server_from_object(await api.guild(server_id))
        member = await api.own_member(server_id)
        member_id, role_ids = int(member["user"]["id"]), [int(role) for role in member["roles"]]
        missing: dict[int, tuple[str, ...]] = {}
        for raw in await api.channels(server_id):
            bits = channel_permissions(
                server, overwrites_from_object(raw) or (), member_id=member_id, role_ids=role_ids
            )
            needed = _NEEDED | ({CONNECT: "Connect"} if int(raw.get("type", 0)) in VOICE_KINDS else {})
            if names := tuple(name for bit, name in needed.items() if not bits & bit):
                # Without sight of the channel every bit is gone; the others may well be set.
                missing[int(raw["id"])] = names[:1] if not bits else names
    except (NoAccessError, KeyError, TypeError, ValueError):
        return Access(has_words)
    return Access(has_words, missing)


def _quoted(names: tuple[str, ...]) -> str:
    return " and ".join(f"'{name}'" for name in names)
