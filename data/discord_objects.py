"""Discord's JSON objects as our records: one reading for what the API sends and what a file holds.

Field names after docs.discord.com, resources "Message", "Channel" and "Guild".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from data.chat.keeping import MessageKind
from storage.records import Channel, Mention, Message, Reaction, snowflake_ms

TEXT, VOICE, ANNOUNCEMENT, STAGE, FORUM, MEDIA = 0, 2, 5, 13, 15, 16
THREAD_LISTS = frozenset({FORUM, MEDIA})
WITH_MESSAGES = frozenset({TEXT, VOICE, ANNOUNCEMENT, STAGE})
CAN_HOLD_THREADS = frozenset({TEXT, ANNOUNCEMENT, FORUM, MEDIA})
ADMINISTRATOR, VIEW_CHANNEL = 1 << 3, 1 << 10


def message_from_object(raw: Mapping[str, Any]) -> Message:
    """A message object as a record. Raises KeyError, TypeError or ValueError where it is none.

    The name is the member's display name: history carries no server nicknames, so nobody's is used, and a
    message fetched, imported or seen live has the same name on it.
    """
    author = raw["author"]
    username = str(author.get("username") or "")
    reference = raw.get("message_reference") or {}
    kind = int(raw.get("type", MessageKind.DEFAULT))
    is_reply = kind == MessageKind.REPLY and reference.get("message_id")
    return Message(
        id=int(raw["id"]),
        channel_id=int(raw["channel_id"]),
        author_id=int(author["id"]),
        author_name=str(author.get("global_name") or username),
        username=username,
        content=str(raw.get("content") or ""),
        created_ms=snowflake_ms(int(raw["id"])),
        edited_ms=_milliseconds(raw.get("edited_timestamp")),
        kind=kind,
        reply_to_id=int(reference["message_id"]) if is_reply else None,
        attachments=tuple(str(a.get("filename") or "file") for a in raw.get("attachments") or ()),
        stickers=tuple(str(s.get("name") or "sticker") for s in raw.get("sticker_items") or raw.get("stickers") or ()),
        mentions=tuple(
            Mention(int(m["id"]), str(m.get("global_name") or m.get("username") or ""))
            for m in raw.get("mentions") or ()
        ),
        reactions=tuple(Reaction(emoji_key(r["emoji"]), int(r["count"])) for r in raw.get("reactions") or ()),
        is_pinned=bool(raw.get("pinned", False)),
    )


def emoji_key(emoji: Mapping[str, Any]) -> str:
    """'😂', or 'name:id' for a server's own emoji."""
    name = str(emoji.get("name") or "")
    return f"{name}:{emoji['id']}" if emoji.get("id") else name


def channel_from_object(raw: Mapping[str, Any], *, guild_id: int, everyone_permissions: int) -> Channel:
    """A channel or thread with all switches off; private unless everyone may read it."""
    return Channel(
        id=int(raw["id"]),
        name=str(raw.get("name") or ""),
        kind=int(raw.get("type", TEXT)),
        parent_id=int(raw["parent_id"]) if raw.get("parent_id") else None,
        guild_id=guild_id,
        is_private=not can_everyone_read(raw, guild_id=guild_id, everyone_permissions=everyone_permissions),
    )


def can_everyone_read(raw: Mapping[str, Any], *, guild_id: int, everyone_permissions: int) -> bool:
    """Whether @everyone sees the channel (topic "Permissions": the base, then the role's own overwrite)."""
    permissions = everyone_permissions
    if permissions & ADMINISTRATOR:
        return True
    for overwrite in raw.get("permission_overwrites") or ():
        if int(overwrite["id"]) == guild_id:
            permissions = permissions & ~int(overwrite["deny"]) | int(overwrite["allow"])
    return bool(permissions & VIEW_CHANNEL)


def everyone_permissions(guild: Mapping[str, Any]) -> int:
    """The permissions of the @everyone role, which has the guild's own id."""
    return next((int(role["permissions"]) for role in guild.get("roles") or () if role["id"] == guild["id"]), 0)


def _milliseconds(timestamp: str | None) -> int | None:
    if not timestamp:
        return None
    moment = datetime.fromisoformat(timestamp)
    # A time without an offset is UTC, not the time of whichever computer reads it.
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
