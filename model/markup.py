"""What a model wrote as Discord wants it; the way in is data.chat.markup's.

`@Name` becomes a mention, `#channel` a link and `:wave:` the server's emoji where the name is known; anything unknown
stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from data.chat.markup import to_model_text
from storage.text import prompt_name

__all__ = ["to_discord_text", "to_model_text"]

_SHORTCODE = re.compile(r"(?<![\w<:]):(\w{2,64}):(?!\d)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


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
    folded = {prompt_name(name).casefold(): number for name, number in ids.items() if name.strip()}
    names = "|".join(re.escape(name) for name in sorted(folded, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w<]){re.escape(sign)}({names})(?!\w)", re.IGNORECASE)

    def replace(match: re.Match[str]) -> str:
        number = folded.get(match[1].casefold())
        return form.format(number) if number is not None else match[0]

    return pattern.sub(replace, text)
