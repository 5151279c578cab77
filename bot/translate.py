"""discord.py's objects as this project's values, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import discord

from bot.channel_log import Writer
from bot.config import Identity, is_named
from bot.decisions import IncomingMessage
from storage.records import Mention, Message, Reaction, snowflake_ms
from storage.settings import Settings

LARGEST_ID = 2**63 - 1


def is_persons_message(message: discord.Message) -> bool:
    """False for bots, webhooks, system messages, and what is no message as Discord documents it."""
    return is_sound(message) and not (message.author.bot or message.webhook_id is not None or message.is_system())


def is_sound(message: discord.Message) -> bool:
    """The library checks no types: one message with a list for a name would spoil its channel until a restart."""
    people = (message.author, *message.mentions)
    texts = (
        message.content,
        *(text for user in people for text in (user.name, user.global_name or "")),
        *(a.filename for a in message.attachments),
        *(s.name for s in message.stickers),
    )
    ids = (message.id, message.channel.id, *(user.id for user in people))
    return all(isinstance(text, str) for text in texts) and all(0 < number <= LARGEST_ID for number in ids)


def display_name(user: discord.abc.User) -> str:
    """The account's display name: history carries no server nicknames, and both ways of reading must agree."""
    return user.global_name or user.name


def writer_of(event: discord.RawTypingEvent) -> Writer | None:
    """The person who began to write; None for bots, and where Discord does not say who it is."""
    user = event.user
    if user is None or user.bot or not isinstance(display_name(user), str):
        return None
    return Writer(user.id, display_name(user), round(event.timestamp.timestamp() * 1000))


def record_of(message: discord.Message, *, is_own: bool = False) -> Message:
    """The message as kept; content untouched."""
    reference = message.reference
    is_reply = message.type is discord.MessageType.reply and reference is not None
    return Message(
        id=message.id,
        channel_id=message.channel.id,
        author_id=message.author.id,
        author_name=display_name(message.author),
        username=message.author.name,
        content=message.content,
        created_ms=snowflake_ms(message.id),
        edited_ms=round(message.edited_at.timestamp() * 1000) if message.edited_at else None,
        kind=message.type.value,
        reply_to_id=reference.message_id if is_reply and reference is not None else None,
        attachments=tuple(a.filename for a in message.attachments),
        stickers=tuple(s.name for s in message.stickers),
        mentions=tuple(Mention(user.id, display_name(user)) for user in message.mentions),
        # The bot's own reactions are nothing to learn from.
        reactions=tuple(
            Reaction(_emoji_key(r.emoji), count) for r in message.reactions if (count := r.count - r.me) > 0
        ),
        is_pinned=message.pinned,
        is_own=is_own,
    )


def forwarded_words(message: discord.Message) -> str:
    """What a forward shows, without who said it: Discord does not tell, and they may not be of this server."""
    return "\n".join(text for part in message.message_snapshots if isinstance(text := part.content, str) and text)


def read_of(message: discord.Message) -> Message:
    """The message as the talk reads it: a forward says what it forwards. Never stored: those words are another's."""
    record = record_of(message)
    return record if record.content.strip() else replace(record, content=forwarded_words(message))


def incoming(message: discord.Message, me: Identity, settings: Settings, *, own_ids: frozenset[int]) -> IncomingMessage:
    """The message as the decision sees it. own_ids: the bot's recent messages in the channel."""
    reply_to = message.reference.message_id if message.reference else None
    mentioned = {user.id for user in message.mentions}
    own_role = message.guild.self_role if message.guild else None
    content = message.content if message.content.strip() else forwarded_words(message)
    # Mentions of a forward are not among the message's own.
    is_forwarded_mention = content is not message.content and re.search(rf"<@!?{me.id}>", content) is not None
    is_mention = (
        is_forwarded_mention or me.id in mentioned or (own_role is not None and own_role in message.role_mentions)
    )
    is_reply_to_bot = reply_to is not None and (reply_to in own_ids or _resolved_author(message) == me.id)
    is_direct = message.guild is None
    named = is_named(content, me.names(settings))
    somebody_else = bool(mentioned - {me.id}) or (reply_to is not None and not is_reply_to_bot)
    return IncomingMessage(
        id=message.id,
        channel_id=message.channel.id,
        author_id=message.author.id,
        author_name=display_name(message.author),
        content=content,
        at=snowflake_ms(message.id) / 1000,
        is_mention=is_mention,
        is_reply_to_bot=is_reply_to_bot,
        is_named=named,
        is_direct=is_direct,
        is_to_somebody_else=somebody_else,
    )


def _resolved_author(message: discord.Message) -> int | None:
    resolved = message.reference.resolved if message.reference else None
    return resolved.author.id if isinstance(resolved, discord.Message) else None


def _emoji_key(emoji: discord.PartialEmoji | discord.Emoji | str) -> str:
    if isinstance(emoji, str):
        return emoji
    return f"{emoji.name}:{emoji.id}" if emoji.id else emoji.name
