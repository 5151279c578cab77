"""Discord's JSON objects as our records: one reading for what the API sends and what a file holds.

Field names after docs.discord.com, resources "Message", "Channel" and "Guild".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from data.chat.audience import access_facts, with_facts
from data.chat.keeping import MessageKind
from data.chat.permissions import ServerRoles, overwrites_from_object, server_from_object
from storage.records import Channel, Mention, Message, Reaction, snowflake_ms

TEXT, VOICE, ANNOUNCEMENT, STAGE, FORUM, MEDIA = 0, 2, 5, 13, 15, 16
THREAD_LISTS = frozenset({FORUM, MEDIA})
WITH_MESSAGES = frozenset({TEXT, VOICE, ANNOUNCEMENT, STAGE})
CAN_HOLD_THREADS = frozenset({TEXT, ANNOUNCEMENT, FORUM, MEDIA})
T = TypeVar("T")


def message_from_object(raw: Mapping[str, Any], *, is_read_by_bot: bool = False) -> Message:
    """A message object as a record. Raises KeyError, TypeError or ValueError where it is none.

    The name is the member's display name: history carries no server nicknames, so nobody's is used, and a
    message fetched, imported or seen live has the same name on it. is_read_by_bot: the bot asked for it, so that what
    is marked as a reaction of one's own ("me") is the bot's, and nothing to learn from.
    """
    author = raw["author"]
    username = str(author.get("username") or "")
    reference = raw.get("message_reference") or {}
    kind = int(raw.get("type") or MessageKind.DEFAULT)
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
        reactions=tuple(
            Reaction(emoji_key(r["emoji"]), count)
            for r in raw.get("reactions") or ()
            if (count := int(r["count"]) - (is_read_by_bot and r.get("me") is True)) > 0
        ),
        is_pinned=bool(raw.get("pinned", False)),
    )


def emoji_key(emoji: Mapping[str, Any]) -> str:
    """'😂', or 'name:id' for a server's own emoji."""
    name = str(emoji.get("name") or "")
    return f"{name}:{emoji['id']}" if emoji.get("id") else name


def channels_from_objects(
    guild: Mapping[str, Any], raws: Iterable[Mapping[str, Any]], *, bot_ids: Iterable[int] = ()
) -> list[Channel]:
    """A server's channels that hold messages or posts, all switches off, with what Discord says about who may read
    them. The guild object gives the roles; where it or a channel is not as documented, the channel counts as private.
    bot_ids: members who are bots, this one above all.
    """
    channels = {int(raw["id"]): raw for raw in raws if int(raw.get("type") or TEXT) in WITH_MESSAGES | THREAD_LISTS}
    facts = access_facts(
        _read(partial(server_from_object, guild, bot_ids=bot_ids)) or ServerRoles(0),
        {
            number: (int(raw.get("type") or TEXT), _read(partial(overwrites_from_object, raw)))
            for number, raw in channels.items()
        },
    )
    return [with_facts(_channel(raw, int(guild["id"])), facts[number]) for number, raw in channels.items()]


def _channel(raw: Mapping[str, Any], guild_id: int) -> Channel:
    return Channel(
        id=int(raw["id"]),
        name=str(raw.get("name") or ""),
        kind=int(raw.get("type") or TEXT),
        parent_id=int(raw["parent_id"]) if raw.get("parent_id") else None,
        guild_id=guild_id,
    )


def _read(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _milliseconds(timestamp: str | None) -> int | None:
    if not timestamp:
        return None
    moment = datetime.fromisoformat(timestamp)
    # A time without an offset is UTC, not the time of whichever computer reads it.
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
