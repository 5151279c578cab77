"""A guild in memory that follows Discord's documented rules; `discord_server` puts it on the wire.

Sources: docs.discord.com, resources "Message", "Channel" and "Guild", topics "Threads" and "Permissions". All
payloads are Discord's own JSON shapes, so a folder of exported messages can be served as it is.
"""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]

DISCORD_EPOCH_MS = 1_420_070_400_000
BOT_ID = 900_000_000_000_000_001
BOT_ROLE_ID = BOT_ID + 7
ADMINISTRATOR = 1 << 3
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
READ_MESSAGE_HISTORY = 1 << 16
EVERYONE_PERMISSIONS = (1 << 6) | VIEW_CHANNEL | SEND_MESSAGES | (1 << 14) | READ_MESSAGE_HISTORY | (1 << 31)
TEXT, DIRECT, FORUM = 0, 1, 15
PUBLIC_THREAD, PRIVATE_THREAD = 11, 12
MAX_CONTENT = 2000


class ApiError(Exception):
    """An answer that is not 2xx, with Discord's JSON error body."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message, "code": code} | ({"errors": errors} if errors else {})


@dataclass
class Sent:
    """One message the bot sent: what it asked for and whom it would have notified."""

    message: Json
    payload: Json
    pings: set[str] = field(default_factory=set)

    @property
    def content(self) -> str:
        return str(self.message["content"])

    @property
    def channel_id(self) -> int:
        return int(self.message["channel_id"])

    @property
    def reply_to(self) -> int | None:
        reference = self.payload.get("message_reference")
        return int(reference["message_id"]) if reference else None


class World:
    """One guild with members, channels, threads and messages. Not thread-safe: the server's loop owns it."""

    def __init__(
        self, *, guild_id: int = 800_000_000_000_000_001, name: str = "the lounge", bot_name: str = "robin"
    ) -> None:
        self.guild_id = guild_id
        self.name = name
        self.features: list[str] = []
        self.member_count = 12
        self.users: dict[int, Json] = {}
        self.channels: dict[int, Json] = {}
        self.messages: dict[int, list[Json]] = {}
        self.no_access: set[int] = set()
        self.no_sending: set[int] = set()
        # Channels that answer 200 with an empty list, and channels whose messages come without their words, though
        # nothing else says so; and a hand on every page: (channel id, where, page) -> the page that is sent.
        self.silent: set[int] = set()
        self.wordless: set[int] = set()
        self.tamper: Callable[[int, dict[str, int | None], list[Json]], list[Json]] | None = None
        # What the bot's own role allows: an administrator, until something is taken away from it.
        self.bot_role_permissions = ADMINISTRATOR
        self.sent: list[Sent] = []
        self.commands: dict[str, Json] = {}
        self.page_order = "newest first"
        self._reactors: dict[tuple[int, str], set[int]] = {}
        self._last_id = 0
        self.bot = self.add_member(BOT_ID, bot_name, is_bot=True)

    # ---- making things ----------------------------------------------------------------------------------

    @classmethod
    def from_folder(cls, folder: Path) -> World:
        """Serve guild.json, channels.json and messages.jsonl as they are."""
        guild = json.loads((folder / "guild.json").read_text(encoding="utf-8"))
        world = cls(guild_id=int(guild["id"]), name=guild["name"])
        for channel in json.loads((folder / "channels.json").read_text(encoding="utf-8")):
            world.add_channel(channel["name"], channel_id=int(channel["id"]), kind=channel.get("type", TEXT))
        with open(folder / "messages.jsonl", encoding="utf-8") as lines:
            for line in lines:
                world.load(json.loads(line))
        return world

    def load(self, message: Json) -> None:
        """Take over a message object with its id and author."""
        author = message["author"]
        self.users.setdefault(int(author["id"]), author)
        self._keep(message)

    def next_id(self) -> int:
        """A snowflake of now, higher than every one before it."""
        self._last_id = max(((int(time.time() * 1000) - DISCORD_EPOCH_MS) << 22), self._last_id + 1)
        return self._last_id

    def add_member(self, user_id: int, name: str, *, is_bot: bool = False) -> Json:
        user = {
            "id": str(user_id),
            "username": name.lower().replace(" ", "_"),
            "discriminator": "0",
            "global_name": name,
            "avatar": None,
            "bot": is_bot,
            "public_flags": 0,
        }
        self.users[user_id] = user
        return user

    def add_channel(
        self,
        name: str,
        *,
        channel_id: int | None = None,
        kind: int = TEXT,
        parent_id: int | None = None,
        is_private: bool = False,
    ) -> int:
        """A channel; private ones are hidden from everyone but the bot, by an overwrite as Discord does it."""
        channel_id = channel_id or self.next_id()
        overwrites = (
            [{"id": str(self.guild_id), "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)}] if is_private else []
        )
        self.channels[channel_id] = {
            "id": str(channel_id),
            "type": kind,
            "guild_id": str(self.guild_id),
            "name": name,
            "position": len(self.channels),
            "permission_overwrites": overwrites,
            "topic": None,
            "nsfw": False,
            "parent_id": str(parent_id) if parent_id else None,
            "rate_limit_per_user": 0,
            "last_message_id": None,
            "flags": 0,
        }
        self.messages[channel_id] = []
        return channel_id

    def add_thread(
        self,
        parent_id: int,
        name: str,
        *,
        thread_id: int | None = None,
        kind: int = PUBLIC_THREAD,
        is_archived: bool = False,
    ) -> int:
        """A thread, or a post when the parent is a forum."""
        thread_id = self.add_channel(name, channel_id=thread_id, kind=kind, parent_id=parent_id)
        self.channels[thread_id] |= {
            "owner_id": str(BOT_ID),
            "message_count": 0,
            "member_count": 1,
            "total_message_sent": 0,
            "thread_metadata": {
                "archived": is_archived,
                "auto_archive_duration": 1440,
                "locked": False,
                "archive_timestamp": _iso(thread_id),
                "create_timestamp": _iso(thread_id),
            },
        }
        self.channels[parent_id]["last_message_id"] = str(thread_id)
        return thread_id

    def open_direct(self, user_id: int) -> int:
        """The direct-message channel between a user and the bot."""
        for channel_id, channel in self.channels.items():
            if channel["type"] == DIRECT and channel["recipients"][0]["id"] == str(user_id):
                return channel_id
        channel_id = self.next_id()
        self.channels[channel_id] = {
            "id": str(channel_id),
            "type": DIRECT,
            "last_message_id": None,
            "recipients": [self.users[user_id]],
            "flags": 0,
        }
        self.messages[channel_id] = []
        return channel_id

    # ---- messages -----------------------------------------------------------------------------------------

    def write(
        self, channel_id: int, author_id: int, content: str, *, reply_to: int | None = None, **extra: Any
    ) -> Json:
        """A message by anyone, with mentions resolved as Discord does it."""
        message_id = extra.pop("message_id", None) or self.next_id()
        mentioned = [
            self.users[int(x)] for x in dict.fromkeys(re.findall(r"<@!?(\d+)>", content)) if int(x) in self.users
        ]
        message: Json = {
            "id": str(message_id),
            "type": 0,
            "channel_id": str(channel_id),
            "author": self.users[author_id],
            "content": content,
            "timestamp": _iso(message_id),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": mentioned,
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "flags": 0,
            "components": [],
        }
        if reply_to is not None:
            message |= {
                "type": 19,
                "message_reference": {
                    "type": 0,
                    "message_id": str(reply_to),
                    "channel_id": str(channel_id),
                    "guild_id": str(self.guild_id),
                },
                "referenced_message": self.find(channel_id, reply_to),
            }
        message |= extra
        self._keep(message)
        return message

    def _keep(self, message: Json) -> None:
        channel_id = int(message["channel_id"])
        insort(self.messages.setdefault(channel_id, []), message, key=_id)
        channel = self.channels[channel_id]
        channel["last_message_id"] = str(max(int(channel["last_message_id"] or 0), int(message["id"])))
        self._last_id = max(self._last_id, int(message["id"]))

    def find(self, channel_id: int, message_id: int) -> Json | None:
        row = self.messages.get(channel_id, [])
        at = bisect_left(row, message_id, key=_id)
        return row[at] if at < len(row) and _id(row[at]) == message_id else None

    def require(self, channel_id: int, message_id: int) -> Json:
        message = self.find(channel_id, message_id)
        if message is None:
            raise ApiError(404, 10008, "Unknown Message")
        return message

    def edit(self, channel_id: int, message_id: int, content: str) -> Json:
        message = self.require(channel_id, message_id)
        message |= {"content": content, "edited_timestamp": _iso(self.next_id())}
        return message

    def delete(self, channel_id: int, message_id: int) -> None:
        self.messages[channel_id].remove(self.require(channel_id, message_id))

    def react(self, channel_id: int, message_id: int, user_id: int, emoji: str, *, add: bool = True) -> bool:
        """One user's reaction; custom emoji as `name:id`. False when nothing changed."""
        message = self.require(channel_id, message_id)
        reactors = self._reactors.setdefault((message_id, emoji), set())
        if add == (user_id in reactors):
            return False
        (reactors.add if add else reactors.discard)(user_id)
        name, _, emoji_id = emoji.partition(":")
        shape = {"id": emoji_id or None, "name": name}
        reactions = message.setdefault("reactions", [])
        entry = next(
            (r for r in reactions if (r["emoji"]["id"], r["emoji"]["name"]) == (shape["id"], shape["name"])), None
        )
        if entry is None:
            entry = {
                "emoji": shape,
                "count": 0,
                "count_details": {"burst": 0, "normal": 0},
                "me": False,
                "me_burst": False,
                "burst_colors": [],
            }
            reactions.append(entry)
        entry["count"] += 1 if add else -1
        entry["count_details"]["normal"] = entry["count"]
        if entry["count"] <= 0:
            reactions.remove(entry)
        return True

    def take_from_bot(self, channel_id: int, permission: int) -> None:
        """The bot is a plain member from now on, and its role loses a permission in one channel."""
        self.bot_role_permissions = 0
        self.give_to_bot(channel_id, permission)
        self.channels[channel_id]["permission_overwrites"].append(
            {"id": str(BOT_ROLE_ID), "type": 0, "allow": "0", "deny": str(permission)}
        )

    def give_to_bot(self, channel_id: int, permission: int) -> None:
        """Undo of `take_from_bot`."""
        kept = self.channels[channel_id]["permission_overwrites"]
        kept[:] = [o for o in kept if (o["id"], o["deny"]) != (str(BOT_ROLE_ID), str(permission))]

    def bot_may(self, channel_id: int, permission: int) -> bool:
        """Permissions of the bot in a channel, a thread's from its parent (topic "Permissions")."""
        channel = self.channels[channel_id]
        if channel["type"] == DIRECT or self.bot_role_permissions & ADMINISTRATOR:
            return True
        if "thread_metadata" in channel:
            return self.bot_may(int(channel["parent_id"]), permission)
        bits = EVERYONE_PERMISSIONS | self.bot_role_permissions
        for holder in (self.guild_id, BOT_ROLE_ID):
            for overwrite in channel["permission_overwrites"]:
                if overwrite["id"] == str(holder):
                    bits = bits & ~int(overwrite["deny"]) | int(overwrite["allow"])
        return bool(bits & VIEW_CHANNEL and bits & permission)

    # ---- what the bot may ask ---------------------------------------------------------------------------

    def channel_for_bot(self, channel_id: int) -> Json:
        """The channel, or 404 (10003) / 403 (50001) as for a bot that is not let in."""
        if channel_id not in self.channels:
            raise ApiError(404, 10003, "Unknown Channel")
        if channel_id in self.no_access or not self.bot_may(channel_id, VIEW_CHANNEL):
            raise ApiError(403, 50001, "Missing Access")
        return self.channels[channel_id]

    def history(
        self,
        channel_id: int,
        *,
        limit: int = 50,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
    ) -> list[Json]:
        """A page as Discord gives it: newest first; `after` is the oldest ones past the id.

        Without Read Message History it is empty, and no error says so.
        """
        self.channel_for_bot(channel_id)
        if not 1 <= limit <= 100:
            raise invalid_body("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        row = self.messages[channel_id]
        if after is not None:
            start = bisect_right(row, after, key=_id)
            if self.page_order == "overlapping":
                start = max(0, start - 5)
            page = (
                row[max(start, len(row) - limit) :]
                if self.page_order == "after is newest"
                else row[start : start + limit]
            )
        elif before is not None:
            end = bisect_left(row, before, key=_id)
            page = row[max(0, end - limit) : end]
        elif around is not None:
            middle = bisect_left(row, around, key=_id)
            page = row[max(0, middle - limit // 2) : middle + (limit + 1) // 2]
        else:
            page = row[-limit:]
        if channel_id in self.silent or not self.bot_may(channel_id, READ_MESSAGE_HISTORY):
            page = []
        if channel_id in self.wordless:
            page = [without_words(message) for message in page]
        if self.tamper is not None:
            page = self.tamper(channel_id, {"before": before, "after": after, "limit": limit}, page)
        return page if self.page_order == "oldest first" else page[::-1]

    def send_as_bot(self, channel_id: int, payload: Json) -> Sent:
        """Create Message: validated, stored, and whom it pings worked out."""
        self.channel_for_bot(channel_id)
        if channel_id in self.no_sending:
            raise ApiError(403, 50013, "Missing Permissions")
        # docs.discord.com, Create Message: with enforce_nonce a nonce of the last minutes gives back its message.
        nonce = payload.get("nonce") if payload.get("enforce_nonce") else None
        for earlier in self.sent if nonce is not None else ():
            if earlier.payload.get("nonce") == nonce and earlier.channel_id == channel_id:
                return earlier
        content = payload.get("content") or ""
        check_content(content, payload)
        reference = payload.get("message_reference")
        replied = None
        if reference:
            replied = self.find(channel_id, int(reference["message_id"]))
            if replied is None and reference.get("fail_if_not_exists", True):
                raise invalid_body("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        message = self.write(
            channel_id,
            BOT_ID,
            content.strip(),
            reply_to=int(replied["id"]) if replied else None,
            flags=payload.get("flags", 0),
            embeds=payload.get("embeds") or [],
        )
        sent = Sent(message, payload, pinged(content, payload.get("allowed_mentions"), replied))
        self.sent.append(sent)
        return sent

    def threads(self, *, parent_id: int | None = None, is_archived: bool, is_private: bool = False) -> list[Json]:
        """Threads of one state, the latest archived first."""
        kinds = (PRIVATE_THREAD,) if is_private else (10, PUBLIC_THREAD)
        found = [
            c
            for c in self.channels.values()
            if "thread_metadata" in c
            and c["thread_metadata"]["archived"] == is_archived
            and (not is_archived or c["type"] in kinds)
            and (parent_id is None or c["parent_id"] == str(parent_id))
        ]
        return sorted(found, key=lambda c: c["thread_metadata"]["archive_timestamp"], reverse=True)

    def guild_channels(self) -> list[Json]:
        """Channels of the guild, threads not among them."""
        return [c for c in self.channels.values() if "thread_metadata" not in c and c["type"] != DIRECT]

    def guild_json(self) -> Json:
        """The guild object, roles included."""
        return {
            "id": str(self.guild_id),
            "name": self.name,
            "icon": None,
            "splash": None,
            "discovery_splash": None,
            "owner_id": str(BOT_ID + 1),
            "afk_channel_id": None,
            "afk_timeout": 300,
            "verification_level": 1,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "emojis": [],
            "stickers": [],
            "features": self.features,
            "mfa_level": 0,
            "application_id": None,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "vanity_url_code": None,
            "description": None,
            "banner": None,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "public_updates_channel_id": None,
            "nsfw_level": 0,
            "premium_progress_bar_enabled": False,
            "safety_alerts_channel_id": None,
            "approximate_member_count": self.member_count,
            "approximate_presence_count": 3,
            "roles": [
                {
                    "id": str(self.guild_id),
                    "name": "@everyone",
                    "color": 0,
                    "hoist": False,
                    "position": 0,
                    "permissions": str(EVERYONE_PERMISSIONS),
                    "managed": False,
                    "mentionable": False,
                    "flags": 0,
                },
                {
                    "id": str(BOT_ROLE_ID),
                    "name": "bots",
                    "color": 0,
                    "hoist": False,
                    "position": 1,
                    "permissions": str(self.bot_role_permissions),
                    "managed": True,
                    "mentionable": True,
                    "flags": 0,
                },
            ],
        }

    def member_json(self, user_id: int) -> Json:
        """A guild member; the bot's own role makes it an administrator."""
        return {
            "user": self.users[user_id],
            "nick": None,
            "avatar": None,
            "joined_at": "2024-01-01T00:00:00+00:00",
            "roles": [str(BOT_ROLE_ID)] if user_id == BOT_ID else [],
            "deaf": False,
            "mute": False,
            "flags": 0,
        }


def without_words(message: Json) -> Json:
    """A message as a bot without the message content intent gets it (reference, "Message Content Intent")."""
    return message | {"content": "", "attachments": [], "embeds": [], "components": []}


def check_content(content: str, payload: Json) -> None:
    """Discord's limits on what a message may hold."""
    if len(content) > MAX_CONTENT:
        raise invalid_body("content", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CONTENT} or fewer in length.")
    if not content.strip() and not any(
        payload.get(key) for key in ("embeds", "sticker_ids", "components", "poll", "files")
    ):
        raise ApiError(400, 50006, "Cannot send an empty message")


def invalid_body(name: str, code: str, message: str) -> ApiError:
    """Error 50035 with the field it is about."""
    return ApiError(400, 50035, "Invalid Form Body", {name: {"_errors": [{"code": code, "message": message}]}})


def pinged(content: str, allowed: Json | None, replied: Json | None) -> set[str]:
    """Whom a message notifies ("Allowed Mentions Object"): without the object, everything in the text parses."""
    parse = set(allowed.get("parse", ())) if allowed is not None else {"everyone", "users", "roles"}
    users = {str(x) for x in (allowed or {}).get("users", ())}
    roles = {str(x) for x in (allowed or {}).get("roles", ())}
    pings = set()
    if "everyone" in parse and re.search(r"@(everyone|here)\b", content):
        pings.add("everyone")
    pings |= {f"user {x}" for x in re.findall(r"<@!?(\d+)>", content) if "users" in parse or x in users}
    pings |= {f"role {x}" for x in re.findall(r"<@&(\d+)>", content) if "roles" in parse or x in roles}
    replied_user = True if allowed is None else allowed.get("replied_user", False)
    if replied is not None and replied_user:
        pings.add(f"user {replied['author']['id']}")
    return pings


def _id(message: Json) -> int:
    return int(message["id"])


def _iso(snowflake: int) -> str:
    return datetime.fromtimestamp(((snowflake >> 22) + DISCORD_EPOCH_MS) / 1000, UTC).isoformat()
