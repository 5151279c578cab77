"""What is kept of a server: not bots, webhooks, system messages and bare links; all else, to the letter."""
from __future__ import annotations

from enum import StrEnum

from storage.records import Message

# Message types people write themselves (Discord API reference, "Message Types"): DEFAULT and REPLY. The rest
# are notices (joins, pins, boosts), answers of applications (20, 23) or copies (21, a thread's first message).
HUMAN_KINDS = frozenset({0, 19})
_LINK_STARTS = ("http://", "https://", "www.", "discord.gg/")
# What Discord lets people put around a link: <no preview>, ||spoiler||, emphasis.
_AROUND_LINKS = "<>|*_~()"


class Drop(StrEnum):
    """Why a message is not kept."""

    BOT = "bot"
    WEBHOOK = "webhook"
    SYSTEM = "system message"
    LINK = "bare link"


def reason_to_drop(message: Message, *, is_bot: bool, is_webhook: bool = False) -> Drop | None:
    """None when the message is kept. Attachments without words are kept; so is anything beside a link."""
    if is_webhook:
        return Drop.WEBHOOK
    if is_bot:
        return Drop.BOT
    if message.kind not in HUMAN_KINDS:
        return Drop.SYSTEM
    if not message.attachments and not message.stickers and is_bare_link(message.content):
        return Drop.LINK
    return None


def is_bare_link(text: str) -> bool:
    """True for one or more links and nothing else."""
    words = text.split()
    return bool(words) and all(word.lstrip(_AROUND_LINKS).lower().startswith(_LINK_STARTS) for word in words)
