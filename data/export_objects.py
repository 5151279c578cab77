"""What an export holds, checked and brought into the shape of Discord's own objects. Pure.

A file is of unknown origin: each reader raises ValueError with a short reason ("author.id is missing"), and whoever
knows the file adds its name and line. Checked objects go through data.discord_objects like those of the API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from data.chat.permissions import VIEW_CHANNEL
from data.discord_objects import message_from_object
from data.privacy import Skip, skip_reason
from storage.records import Channel, Mention, Message, MessageForm, Reaction
from storage.text import storable

MAX_ID = 2**63 - 1
_MAX_NAME = 200
# DiscordChatExporter's names of message and channel types (its MessageKind and ChannelKind); it writes the number of
# those it has no name for.
_EXPORTER_KINDS = {"Default": 0, "Reply": 19}
_EXPORTER_CHANNEL_KINDS = {
    "GuildTextChat": 0,
    "DirectTextChat": 1,
    "GuildVoiceChat": 2,
    "DirectGroupTextChat": 3,
    "GuildCategory": 4,
    "GuildNews": 5,
    "GuildNewsThread": 10,
    "GuildPublicThread": 11,
    "GuildPrivateThread": 12,
    "GuildStageVoice": 13,
    "GuildDirectory": 14,
    "GuildForum": 15,
    "GuildMedia": 16,
}
# A data package's names of those of a server's channels that are threads.
_PACKAGE_CHANNEL_KINDS = {"ANNOUNCEMENT_THREAD": 10, "PUBLIC_THREAD": 11, "PRIVATE_THREAD": 12, "DM": 1, "GROUP_DM": 3}
_NOTICE_KIND = 6
_GROUP = 3
DIRECT_KINDS = frozenset({1, _GROUP})
# Categories and directories hold no messages.
NO_MESSAGES = frozenset({4, 14})
Fields = Mapping[str, Any]


class DirectMessagesError(Exception):
    """An export of a conversation outside any server."""

    def __init__(self, name: str, *, is_group: bool) -> None:
        super().__init__(name)
        self.name = storable(name)[:_MAX_NAME]
        self.is_group = is_group


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message of a file, and why it is not kept (None: it is)."""

    message: Message
    skip: Skip | None


def parse_message(raw: Any) -> Parsed:
    """A message object of the Discord API ("Message Object"), every field checked."""
    fields = _mapping(raw, "the message")
    _check_message(fields)
    return Parsed(_clean(message_from_object(fields)), skip_reason(fields))


def parse_exporter_message(raw: Any, *, channel_id: int) -> Parsed:
    """A message of a DiscordChatExporter JSON file. Its mentions are written out as names; they become ids again.

    The discriminator says nothing: it is 0000 for every member with a modern user name, for webhooks and for deleted
    accounts. Bots and webhooks have isBot.
    """
    fields = _mapping(raw, "the message")
    author = _mapping(fields.get("author"), "author")
    reference = _mapping(fields.get("reference") or {}, "reference")
    mentions = [_exporter_user(item) for item in _objects(fields, "mentions")]
    parsed = parse_message(
        {
            "id": fields.get("id"),
            "channel_id": channel_id,
            "content": fields.get("content"),
            "type": _exporter_kind(fields.get("type")),
            "author": {**_exporter_user(author), "bot": author.get("isBot")},
            "timestamp": fields.get("timestamp"),
            "edited_timestamp": fields.get("timestampEdited") or None,
            "pinned": fields.get("isPinned"),
            "message_reference": {"message_id": reference.get("messageId") or None},
            "attachments": [{"filename": item.get("fileName")} for item in _objects(fields, "attachments")],
            "sticker_items": [{"name": item.get("name")} for item in _objects(fields, "stickers")],
            "mentions": mentions,
            "reactions": [
                {"emoji": _exporter_emoji(item), "count": item.get("count")} for item in _objects(fields, "reactions")
            ],
        }
    )
    message = parsed.message
    usernames = {int(user["id"]): str(user["username"] or "") for user in mentions}
    content = with_mention_ids(message.content, message.mentions, usernames)
    return replace(parsed, message=replace(message, content=content, form=MessageForm.RENDERED))


def with_mention_ids(content: str, mentions: Sequence[Mention], usernames: Mapping[int, str]) -> str:
    """`@Name` as `<@id>` where just one of the mentioned has that name, as a member wrote it and Discord stores it.

    So a mention follows its member: under one name in the data, and gone with the member who is forgotten.
    """
    if "@" not in content or not mentions:
        return content
    ids: dict[str, set[int]] = {}
    for mention in mentions:
        for name in {mention.name, usernames.get(mention.id, "")} - {""}:
            ids.setdefault(name, set()).add(mention.id)
    clear = {name: next(iter(found)) for name, found in ids.items() if len(found) == 1}
    if not clear:
        return content
    names = "|".join(re.escape(name) for name in sorted(clear, key=len, reverse=True))
    return re.sub(rf"(?<![\w<])@({names})(?!\w)", lambda match: f"<@{clear[match[1]]}>", content)


def parse_package_message(raw: Any, *, channel_id: int, author: Fields) -> Parsed:
    """A message of Discord's data package; `author` is the user object of the member it belongs to."""
    fields = _mapping(raw, "the message")
    urls = _text(fields, "Attachments").split()
    parsed = parse_message(
        {
            "id": fields.get("ID"),
            "channel_id": channel_id,
            "author": author,
            "content": fields.get("Contents"),
            "attachments": [{"filename": url.split("?")[0].rsplit("/", 1)[-1]} for url in urls],
        }
    )
    return replace(parsed, message=replace(parsed.message, form=MessageForm.PACKAGE))


def parse_package_channel(raw: Any, *, channel_id: str) -> tuple[Channel, str]:
    """A channel.json of a data package and the name of its server ("?" where it names none)."""
    fields = raw if isinstance(raw, dict) else {}
    named = fields.get("guild")
    guild: Fields = named if isinstance(named, dict) else {}
    kind = fields.get("type")
    channel = parse_channel(
        {
            **fields,
            "id": channel_id,
            "guild_id": guild.get("id"),
            "type": kind if isinstance(kind, int) else _PACKAGE_CHANNEL_KINDS.get(str(kind), 0),
        }
    )
    return channel, str(guild.get("name") or "?")


def parse_channel(raw: Any) -> Channel:
    """A channel object of the Discord API ("Channel Object"), off; private unless it says that everyone may read it."""
    fields = _mapping(raw, "the channel")
    channel_id = _id(fields, "id")
    return Channel(
        id=channel_id,
        name=storable(_text(fields, "name"))[:_MAX_NAME] or f"channel-{channel_id}",
        kind=_whole(fields, "type"),
        parent_id=_id(fields, "parent_id", required=False),
        guild_id=_id(fields, "guild_id", required=False),
        is_private=not _is_open_to_all(fields),
    )


def _is_open_to_all(fields: Fields) -> bool:
    """True when the overwrites are there and none of them hides the channel from @everyone (the server's own id)."""
    overwrites = fields.get("permission_overwrites")
    if not isinstance(overwrites, list):
        return False
    guild_id = _id(fields, "guild_id", required=False)
    hidden = [
        entry
        for entry in overwrites
        if isinstance(entry, dict)
        and entry.get("type") == 0
        and str(entry.get("id")) == str(guild_id)
        and int(entry.get("deny") or 0) & VIEW_CHANNEL
    ]
    return not hidden


def parse_exporter_channel(raw: Any, *, guild: Any) -> Channel:
    """The channel of a DiscordChatExporter file; of a thread, the category is its parent channel.

    DirectMessagesError for direct messages, which have no server (its id is written as 0).
    """
    fields = _mapping(raw, "channel")
    guild = _mapping(guild or {}, "guild")
    kind = _exporter_channel_kind(_text(fields, "type"))
    if guild.get("id") in ("0", 0) or kind in DIRECT_KINDS:
        raise DirectMessagesError(_text(fields, "name"), is_group=kind == _GROUP)
    return parse_channel(
        {
            "id": fields.get("id"),
            "name": fields.get("name"),
            "parent_id": fields.get("categoryId") or None,
            "type": kind,
            "guild_id": guild.get("id") or None,
        }
    )


def _exporter_channel_kind(raw: str) -> int:
    """A channel type from its name, or from the number that is written where it has none."""
    return int(raw) if re.fullmatch(r"[0-9]{1,3}", raw) else _EXPORTER_CHANNEL_KINDS.get(raw, 0)


def _check_message(fields: Fields) -> None:
    _id(fields, "id")
    _id(fields, "channel_id")
    _whole(fields, "type")
    _text(fields, "content")
    _moment(fields, "timestamp")
    _moment(fields, "edited_timestamp")
    _flag(fields, "pinned")
    author = _mapping(fields.get("author"), "author")
    _check_user(author, "author.")
    _flag(author, "bot", where="author.")
    _flag(author, "system", where="author.")
    _id(
        _mapping(fields.get("message_reference") or {}, "message_reference"),
        "message_id",
        where="message_reference.",
        required=False,
    )
    for user in _objects(fields, "mentions"):
        _check_user(user, "mentions.")
    for item in _objects(fields, "attachments"):
        _text(item, "filename", where="attachments.")
    for key in ("sticker_items", "stickers"):
        for item in _objects(fields, key):
            _text(item, "name", where=f"{key}.")
    for item in _objects(fields, "reactions"):
        _check_reaction(item)


def _check_user(user: Fields, where: str) -> None:
    _id(user, "id", where=where)
    _text(user, "username", where=where)
    _text(user, "global_name", where=where)


def _check_reaction(item: Fields) -> None:
    emoji = _mapping(item.get("emoji"), "reactions.emoji")
    _text(emoji, "name", where="reactions.emoji.")
    _id(emoji, "id", where="reactions.emoji.", required=False)
    if not 0 <= _whole(item, "count", where="reactions.", required=True) <= 1_000_000:
        raise ValueError("reactions.count is out of range")


def _exporter_kind(raw: Any) -> Any:
    """The number of a message type from its name, or from its number in digits."""
    if raw is None or (isinstance(raw, int) and not isinstance(raw, bool)):
        return raw
    if not isinstance(raw, str):
        raise ValueError(f"type should be text, not {type(raw).__name__}")
    if re.fullmatch(r"[0-9]{1,4}", raw):
        return int(raw)
    return _EXPORTER_KINDS.get(raw or "Default", _NOTICE_KIND)


def _exporter_user(user: Fields) -> Fields:
    # The nickname is the one on the server or, without one, the account's own name.
    return {"id": user.get("id"), "username": user.get("name"), "global_name": user.get("nickname")}


def _exporter_emoji(item: Fields) -> Fields:
    emoji = _mapping(item.get("emoji"), "reactions.emoji")
    return {"id": emoji.get("id") or None, "name": emoji.get("name")}


def _clean(message: Message) -> Message:
    texts = (
        message.content,
        message.author_name,
        message.username,
        *message.attachments,
        *message.stickers,
        *(mention.name for mention in message.mentions),
        *(reaction.emoji for reaction in message.reactions),
    )
    if (
        len(message.author_name) <= _MAX_NAME
        and len(message.username) <= _MAX_NAME
        and not any(_has_half_pair(text) for text in texts)
    ):
        return message
    return replace(
        message,
        content=storable(message.content),
        author_name=storable(message.author_name)[:_MAX_NAME],
        username=storable(message.username)[:_MAX_NAME],
        attachments=tuple(map(storable, message.attachments)),
        stickers=tuple(map(storable, message.stickers)),
        mentions=tuple(Mention(mention.id, storable(mention.name)) for mention in message.mentions),
        reactions=tuple(Reaction(storable(reaction.emoji), reaction.count) for reaction in message.reactions),
    )


def _has_half_pair(text: str) -> bool:
    return not text.isascii() and storable(text) is not text


def _mapping(raw: Any, what: str) -> Fields:
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is missing" if raw is None else f"{what} should be an object")
    return raw


def _objects(fields: Fields, key: str) -> list[Fields]:
    items = fields.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{key} should be a list of objects")
    return items


def _id(fields: Fields, key: str, *, where: str = "", required: bool = True) -> Any:
    """A Discord id from digits or a number; None when absent and not required."""
    raw = fields.get(key)
    if raw is None and not required:
        return None
    if raw is None or raw == "":
        raise ValueError(f"{where}{key} is missing")
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,19}", raw):
        raw = int(raw)
    if isinstance(raw, float) or (isinstance(raw, str) and re.fullmatch(r"\s*\d+(?:[.,]\d*)?[eE]\+?\d+\s*", raw)):
        raise ValueError(f"{where}{key} was rounded to {str(raw).strip()[:30]} by a spreadsheet or script, and is lost")
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 < raw <= MAX_ID:
        raise ValueError(f"{where}{key} should be a Discord id, not {str(raw)[:30]!r}")
    return raw


def _whole(fields: Fields, key: str, *, where: str = "", required: bool = False) -> int:
    raw = fields.get(key)
    if raw is None and not required:
        return 0
    if not isinstance(raw, int) or isinstance(raw, bool) or not -MAX_ID <= raw <= MAX_ID:
        raise ValueError(f"{where}{key} should be a whole number, not {str(raw)[:30]!r}")
    return raw


def _text(fields: Fields, key: str, *, where: str = "") -> str:
    raw = fields.get(key)
    if raw is not None and not isinstance(raw, str):
        raise ValueError(f"{where}{key} should be text, not {type(raw).__name__}")
    return raw or ""


def _flag(fields: Fields, key: str, *, where: str = "") -> None:
    raw = fields.get(key)
    if raw is not None and not isinstance(raw, bool):
        raise ValueError(f"{where}{key} should be true or false, not {str(raw)[:30]!r}")


def _moment(fields: Fields, key: str) -> None:
    raw = fields.get(key)
    if raw is None:
        return
    try:
        if not isinstance(raw, str):
            raise ValueError
        datetime.fromisoformat(raw).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{key} should be a time like 2024-05-01T12:00:00+00:00, not {str(raw)[:40]!r}") from None
