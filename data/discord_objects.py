"""Discord's JSON objects as values: messages, channels, and the two exporters' own spellings. Pure.

Each reader takes a dictionary of unknown origin and raises ValueError with a short reason ("author.id is missing");
whoever knows the file adds its name and line.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.records import Channel, Mention, Message, Reaction, snowflake_ms

MAX_ID = 2 ** 63 - 1
_MAX_NAME = 200
# DiscordChatExporter's names of message and channel types (its MessageKind and ChannelKind).
_EXPORTER_KINDS = {"Default": 0, "Reply": 19}
_EXPORTER_CHANNEL_KINDS = {
    "GuildTextChat": 0, "DirectTextChat": 1, "GuildVoiceChat": 2, "DirectGroupTextChat": 3, "GuildCategory": 4,
    "GuildNews": 5, "GuildNewsThread": 10, "GuildPublicThread": 11, "GuildPrivateThread": 12, "GuildStageVoice": 13,
    "GuildDirectory": 14, "GuildForum": 15, "GuildMedia": 16}
_NOTICE_KIND = 6
DIRECT_KINDS = frozenset({1, 3})
# Categories and directories hold no messages.
NO_MESSAGES = frozenset({4, 14})


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message as an export has it, with what decides whether it is kept."""

    message: Message
    is_bot: bool = False
    is_webhook: bool = False


def message_from_api(raw: Any) -> Parsed:
    """A message object of the Discord API ("Message Object")."""
    fields = _mapping(raw, "the message")
    author = _mapping(fields.get("author"), "author")
    message_id, kind = _id(fields, "id"), _int(fields, "type", 0)
    member = fields.get("member") if isinstance(fields.get("member"), dict) else {}
    username = _text(author, "username", where="author.")
    name = _text(member, "nick", where="member.") or _text(author, "global_name", where="author.") or username
    reference = _mapping(fields.get("message_reference") or {}, "message_reference")
    message = Message(
        id=message_id, channel_id=_id(fields, "channel_id"), author_id=_id(author, "id", where="author."),
        author_name=name[:_MAX_NAME], username=username[:_MAX_NAME], content=_text(fields, "content"),
        created_ms=_moment(fields, "timestamp") or snowflake_ms(message_id),
        edited_ms=_moment(fields, "edited_timestamp"), kind=kind,
        reply_to_id=_id(reference, "message_id", where="message_reference.", required=False) if kind == 19 else None,
        attachments=tuple(_text(item, "filename") for item in _objects(fields, "attachments")),
        stickers=tuple(_text(item, "name") for item in _objects(fields, "sticker_items")),
        mentions=tuple(Mention(_id(item, "id", where="mentions."), _shown_name(item))
                       for item in _objects(fields, "mentions")),
        reactions=tuple(_reaction(item) for item in _objects(fields, "reactions")),
        is_pinned=_flag(fields, "pinned"))
    return Parsed(message, is_bot=_flag(author, "bot") or _flag(author, "system"),
                  is_webhook=fields.get("webhook_id") is not None)


def message_from_exporter(raw: Any, *, channel_id: int) -> Parsed:
    """A message of a DiscordChatExporter JSON file."""
    fields = _mapping(raw, "the message")
    author = _mapping(fields.get("author"), "author")
    message_id = _id(fields, "id")
    kind = _EXPORTER_KINDS.get(_text(fields, "type") or "Default", _NOTICE_KIND)
    username = _text(author, "name", where="author.")
    reference = _mapping(fields.get("reference") or {}, "reference")
    message = Message(
        id=message_id, channel_id=channel_id, author_id=_id(author, "id", where="author."),
        author_name=(_text(author, "nickname", where="author.") or username)[:_MAX_NAME], username=username[:_MAX_NAME],
        content=_text(fields, "content"), created_ms=_moment(fields, "timestamp") or snowflake_ms(message_id),
        edited_ms=_moment(fields, "timestampEdited"), kind=kind,
        reply_to_id=_id(reference, "messageId", where="reference.", required=False) if kind == 19 else None,
        attachments=tuple(_text(item, "fileName") for item in _objects(fields, "attachments")),
        stickers=tuple(_text(item, "name") for item in _objects(fields, "stickers")),
        mentions=tuple(Mention(_id(item, "id", where="mentions."),
                               (_text(item, "nickname") or _text(item, "name"))[:_MAX_NAME])
                       for item in _objects(fields, "mentions")),
        reactions=tuple(_reaction(item) for item in _objects(fields, "reactions")),
        is_pinned=_flag(fields, "isPinned"))
    # A webhook's author has the discriminator 0000; people have 0 or four other digits.
    return Parsed(message, is_bot=_flag(author, "isBot"), is_webhook=author.get("discriminator") == "0000")


def message_from_package(raw: Any, *, channel_id: int, author: Message) -> Parsed:
    """A message of Discord's data package; `author` carries id and names of the member it belongs to."""
    fields = _mapping(raw, "the message")
    message_id = _id(fields, "ID")
    attachments = _text(fields, "Attachments").split()
    return Parsed(Message(
        id=message_id, channel_id=channel_id, author_id=author.author_id, author_name=author.author_name,
        username=author.username, content=_text(fields, "Contents"),
        created_ms=_moment(fields, "Timestamp") or snowflake_ms(message_id),
        attachments=tuple(url.split("?")[0].rsplit("/", 1)[-1] for url in attachments)))


def channel_from_api(raw: Any) -> Channel:
    """A channel object of the Discord API ("Channel Object"), off and private."""
    fields = _mapping(raw, "the channel")
    channel_id = _id(fields, "id")
    return Channel(id=channel_id, name=_text(fields, "name")[:_MAX_NAME] or f"channel-{channel_id}",
                   kind=_int(fields, "type", 0), parent_id=_id(fields, "parent_id", required=False),
                   guild_id=_id(fields, "guild_id", required=False))


def channel_from_exporter(raw: Any, *, guild: Any) -> Channel:
    """The channel of a DiscordChatExporter file; of a thread, the category is its parent channel."""
    fields = _mapping(raw, "channel")
    server = _mapping(guild or {}, "guild")
    channel_id = _id(fields, "id", where="channel.")
    return Channel(id=channel_id, name=_text(fields, "name", where="channel.")[:_MAX_NAME] or f"channel-{channel_id}",
                   kind=_EXPORTER_CHANNEL_KINDS.get(_text(fields, "type", where="channel."), 0),
                   parent_id=_id(fields, "categoryId", where="channel.", required=False),
                   guild_id=_id(server, "id", where="guild.", required=False) or None)


def clean(text: str) -> str:
    """Text as it was written, except half surrogate pairs, which no database can hold: they become U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _shown_name(user: Mapping[str, Any]) -> str:
    member = user.get("member") if isinstance(user.get("member"), dict) else {}
    return (_text(member, "nick") or _text(user, "global_name") or _text(user, "username"))[:_MAX_NAME]


def _reaction(item: Mapping[str, Any]) -> Reaction:
    emoji = _mapping(item.get("emoji"), "reactions.emoji")
    name = _text(emoji, "name", where="reactions.emoji.")
    emoji_id = _id(emoji, "id", where="reactions.emoji.", required=False)
    count = _int(item, "count", 0)
    if not 0 <= count <= 1_000_000:
        raise ValueError("reactions.count is out of range")
    return Reaction(f"{name}:{emoji_id}" if emoji_id else name, count)


def _mapping(raw: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is missing" if raw is None else f"{what} should be an object")
    return raw


def _objects(fields: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = fields.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{key} should be a list of objects")
    return items


def _id(fields: Mapping[str, Any], key: str, *, where: str = "", required: bool = True) -> Any:
    """A Discord id from digits or a number; None when absent (or empty) and not required."""
    raw = fields.get(key)
    if raw is None or raw == "":
        if required:
            raise ValueError(f"{where}{key} is missing")
        return None
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,19}", raw):
        raw = int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= MAX_ID or (required and raw == 0):
        raise ValueError(f"{where}{key} should be a Discord id, not {str(raw)[:30]!r}")
    return raw


def _int(fields: Mapping[str, Any], key: str, default: int) -> int:
    raw = fields.get(key)
    if raw is None:
        return default
    if not isinstance(raw, int) or isinstance(raw, bool) or not -MAX_ID <= raw <= MAX_ID:
        raise ValueError(f"{key} should be a whole number, not {str(raw)[:30]!r}")
    return raw


def _text(fields: Mapping[str, Any], key: str, *, where: str = "") -> str:
    raw = fields.get(key)
    if raw is None:
        return ""
    if not isinstance(raw, str):
        raise ValueError(f"{where}{key} should be text, not {type(raw).__name__}")
    return clean(raw)


def _flag(fields: Mapping[str, Any], key: str) -> bool:
    raw = fields.get(key)
    if raw is None:
        return False
    if not isinstance(raw, bool):
        raise ValueError(f"{key} should be true or false, not {str(raw)[:30]!r}")
    return raw


def _moment(fields: Mapping[str, Any], key: str) -> int | None:
    """Milliseconds since 1970 of an ISO 8601 text; without a zone it is UTC. None when absent."""
    raw = fields.get(key)
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise ValueError(f"{key} should be a time, not {type(raw).__name__}")
    try:
        moment = datetime.fromisoformat(raw)
        milliseconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError):
        raise ValueError(f"{key} should be a time like 2024-05-01T12:00:00+00:00, not {raw[:40]!r}") from None
    return round(milliseconds)
