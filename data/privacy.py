"""What is kept of a server: not bots, webhooks, system messages and bare links; all else, to the letter.

What must not be learnt by heart is replaced before training: `mask`, which the outbox and the logs share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.chat import keeping
from data.chat.keeping import MessageKind, Skip, is_bare_link
from storage.masking.mask import MASKS, find_private, mask

__all__ = ["MASKS", "Skip", "find_private", "is_bare_link", "mask", "skip_reason"]


def skip_reason(raw: Mapping[str, Any]) -> Skip | None:
    """Why a Discord message object is not kept, or None: data.chat.keeping's rule for what the API and exports send."""
    author = raw.get("author") or {}
    return keeping.skip_reason(
        kind=int(raw.get("type") or MessageKind.DEFAULT),
        content=str(raw.get("content") or ""),
        has_files=bool(raw.get("attachments") or raw.get("sticker_items") or raw.get("stickers")),
        is_bot=bool(author.get("bot") or raw.get("webhook_id")),
        is_system=bool(author.get("system")),
    )
