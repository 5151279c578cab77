"""What is kept of a server: not bots, webhooks, system messages and bare links; all else, to the letter."""
from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from storage.links import is_bare_link

__all__ = ["Skip", "is_bare_link", "skip_reason"]

# Message types people write themselves (Discord API reference, "Message Types"): DEFAULT and REPLY. The rest
# are notices (joins, pins, boosts), answers of applications (20, 23) or copies (21, a thread's first message).
DEFAULT_KIND, REPLY_KIND = 0, 19


class Skip(StrEnum):
    """Why a message is not kept."""

    BOT = "bot"
    SYSTEM = "system"
    LINK = "bare link"
    EMPTY = "empty"


def skip_reason(raw: Mapping[str, Any]) -> Skip | None:
    """Why a Discord message object is not kept, or None. Attachments without words are kept, as is a link with one."""
    author = raw.get("author") or {}
    if author.get("bot") or raw.get("webhook_id"):
        return Skip.BOT
    if author.get("system") or int(raw.get("type") or DEFAULT_KIND) not in (DEFAULT_KIND, REPLY_KIND):
        return Skip.SYSTEM
    if raw.get("attachments") or raw.get("sticker_items") or raw.get("stickers"):
        return None
    content = str(raw.get("content") or "")
    if not content.strip():
        return Skip.EMPTY
    return Skip.LINK if is_bare_link(content) else None
