"""Which messages are kept: what people wrote themselves, unless it is nothing but a link. Pure."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from storage.records import Message

_LINK_STARTS = ("http://", "https://", "www.", "discord.gg/")
# What Discord lets people put around a link: <no preview>, ||spoiler||, emphasis.
_AROUND_LINKS = "<>|*_~()"


class MessageKind(IntEnum):
    """Message types that people write themselves (Discord API reference, "Message Types").

    The rest are notices (joins, pins, boosts), answers of applications (20, 23) or copies (21: a thread's first one).
    """

    DEFAULT = 0
    REPLY = 19


class Skip(StrEnum):
    """Why a message is not kept."""

    BOT = "bot"
    SYSTEM = "system"
    LINK = "bare link"
    EMPTY = "empty"


def skip_reason(
    *, kind: int, content: str, has_files: bool, is_bot: bool = False, is_system: bool = False
) -> Skip | None:
    """Why a message is not kept, or None. has_files: attachments or stickers, which are kept without any words."""
    if is_bot:
        return Skip.BOT
    if is_system or kind not in tuple(MessageKind):
        return Skip.SYSTEM
    if has_files:
        return None
    if not content.strip():
        return Skip.EMPTY
    return Skip.LINK if is_bare_link(content) else None


def is_kept(message: Message) -> bool:
    """Whether a person's message, as it was received, belongs to what is kept."""
    has_files = bool(message.attachments or message.stickers)
    return skip_reason(kind=message.kind, content=message.content, has_files=has_files) is None


def is_bare_link(text: str) -> bool:
    """True for one or more links and nothing else. Linear in the text: it is anybody's."""
    words = [stripped for word in text.split() if (stripped := word.strip(_AROUND_LINKS))]
    return bool(words) and all(word.lower().startswith(_LINK_STARTS) for word in words)
