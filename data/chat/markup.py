"""Discord markup as text a model can learn: how a message reads in a prompt, a training row and the search index. Pure.

`<@id>` becomes `@Name`, `<#id>` `#channel`, `<:wave:123>` `:wave:`, `<t:1700000000:R>` a date, and attachments and
stickers a short bracket. Everything else is left to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from storage.records import Mention
from storage.text import one_line, prompt_name

_MARKUP = re.compile(
    r"<@!?(?P<member>\d{1,20})>|<@&(?P<role>\d{1,20})>|<#(?P<channel>\d{1,20})>"
    r"|<a?:(?P<emoji>\w{1,64}):\d{1,20}>|</(?P<command>[-_ \w]{1,100}):\d{1,20}>"
    r"|<t:(?P<time>-?\d{1,14})(?::[tTdDfFR])?>"
)


def to_model_text(
    content: str,
    mentions: Iterable[Mention] = (),
    channel_names: Mapping[int, str] | None = None,
    *,
    member_names: Mapping[int, str] | None = None,
    role_names: Mapping[int, str] | None = None,
    bot_id: int | None = None,
    bot_name: str = "",
    attachments: Sequence[str] = (),
    stickers: Sequence[str] = (),
) -> str:
    """Readable text for a message. Names come from the message's own mentions first, then `member_names`.

    A mention of the bot (`bot_id`) is written with `bot_name`, so that training and chat agree on who "you" is.
    """
    if "<" not in content and not attachments and not stickers:
        return content.strip()  # no markup: nearly every line
    names = dict(member_names or {}) | {mention.id: mention.name for mention in mentions if mention.name}
    if bot_id is not None and bot_name:
        names[bot_id] = bot_name
    channels, roles = channel_names or {}, role_names or {}

    def replace(match: re.Match[str]) -> str:
        if match["member"]:
            return "@" + prompt_name(names.get(int(match["member"]), "someone"))
        if match["role"]:
            return "@" + prompt_name(roles.get(int(match["role"]), "role"))
        if match["channel"]:
            return "#" + prompt_name(channels.get(int(match["channel"]), "channel"))
        if match["emoji"]:
            return f":{match['emoji']}:"
        if match["command"]:
            return "/" + match["command"]
        return _date(int(match["time"]))

    text = _MARKUP.sub(replace, content).strip()
    extras = [f"[{_kind(name)}]" for name in attachments] + [f"[sticker: {one_line(name)}]" for name in stickers]
    return "\n".join(part for part in (text, " ".join(extras)) if part)


def _kind(file_name: str) -> str:
    ending = file_name.rpartition(".")[2].lower()
    kinds = {
        "image": "png jpg jpeg gif webp bmp heic avif",
        "video": "mp4 mov webm mkv",
        "audio": "mp3 ogg wav m4a flac",
    }
    return next((kind for kind, endings in kinds.items() if ending in endings.split()), "file")


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "some time"
