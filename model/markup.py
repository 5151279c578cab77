"""Discord markup <-> text a model can learn.

Towards the model: `<@id>` becomes `@Name`, `<#id>` `#channel`, `<:wave:123>` `:wave:`, `<t:1700000000:R>` a date, and
attachments and stickers a short bracket. Back: `@Name` becomes a mention and `:wave:` the server's emoji where the name
is known; anything unknown stays text. Everything else is left to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from storage.records import Mention

_MARKUP = re.compile(
    r"<@!?(?P<member>\d{1,20})>|<@&(?P<role>\d{1,20})>|<#(?P<channel>\d{1,20})>"
    r"|<a?:(?P<emoji>\w{1,64}):\d{1,20}>|</(?P<command>[-_ \w]{1,100}):\d{1,20}>"
    r"|<t:(?P<time>-?\d{1,14})(?::[tTdDfFR])?>"
)
_SHORTCODE = re.compile(r"(?<![\w<:]):(\w{2,64}):(?!\d)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


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
    names = dict(member_names or {}) | {mention.id: mention.name for mention in mentions if mention.name}
    if bot_id is not None and bot_name:
        names[bot_id] = bot_name
    channels, roles = channel_names or {}, role_names or {}

    def replace(match: re.Match[str]) -> str:
        if match["member"]:
            return "@" + _one_line(names.get(int(match["member"]), "someone"))
        if match["role"]:
            return "@" + _one_line(roles.get(int(match["role"]), "role"))
        if match["channel"]:
            return "#" + _one_line(channels.get(int(match["channel"]), "channel"))
        if match["emoji"]:
            return f":{match['emoji']}:"
        if match["command"]:
            return "/" + match["command"]
        return _date(int(match["time"]))

    text = _MARKUP.sub(replace, content).strip()
    extras = [f"[{_kind(name)}]" for name in attachments] + [f"[sticker: {_one_line(name)}]" for name in stickers]
    return "\n".join(part for part in (text, " ".join(extras)) if part)


def to_discord_text(
    text: str,
    member_ids: Mapping[str, int] | None = None,
    emoji: Mapping[str, str] | None = None,
    channel_ids: Mapping[str, int] | None = None,
) -> str:
    """Text the model wrote as Discord wants it.

    member_ids: name -> id. emoji: shortcode -> full markup such as `<:wave:123>`. channel_ids: name -> id. Longer
    names are tried first; code is left alone. Who may really be pinged is decided where messages are sent.
    """
    people, places, pictures = dict(member_ids or {}), dict(channel_ids or {}), emoji or {}
    parts: list[str] = []
    position = 0
    for code in _CODE.finditer(text):
        parts += [_mark_up(text[position : code.start()], people, places, pictures), code[0]]
        position = code.end()
    parts.append(_mark_up(text[position:], people, places, pictures))
    return "".join(parts)


def _mark_up(text: str, people: dict[str, int], places: dict[str, int], pictures: Mapping[str, str]) -> str:
    text = _replace_names(text, "@", people, "<@{}>")
    text = _replace_names(text, "#", places, "<#{}>")
    return _SHORTCODE.sub(lambda match: pictures.get(match[1], match[0]), text)


def _replace_names(text: str, sign: str, ids: dict[str, int], form: str) -> str:
    if sign not in text or not ids:
        return text
    folded = {_one_line(name).casefold(): number for name, number in ids.items() if name.strip()}
    names = "|".join(re.escape(name) for name in sorted(folded, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w<]){re.escape(sign)}({names})(?!\w)", re.IGNORECASE)

    def replace(match: re.Match[str]) -> str:
        number = folded.get(match[1].casefold())
        return form.format(number) if number is not None else match[0]

    return pattern.sub(replace, text)


def _one_line(name: str) -> str:
    return " ".join(name.split())


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
