"""What a model wrote as Discord wants it; the way in is data.chat.markup's.

`@Name` becomes a mention, `#channel` a link and `:wave:` the server's emoji where the name is known; anything unknown
stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from data.chat.markup import to_model_text
from storage.text import prompt_name

__all__ = ["to_discord_text", "to_model_text", "without_invented_mentions"]

_SHORTCODE = re.compile(r"(?<![\w<:]):(\w{2,64}):(?!\d)")
# An @ that opens a word; not one inside an address, nor one of Discord's own <@id>.
_MENTION = re.compile(r"(?<![\w<@.])@(?=\w)")
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


def without_invented_mentions(text: str, known: Iterable[str] = ()) -> str:
    """Text in which "@name" stands only for who is there: everybody else's name loses its @. known: names of members,
    roles and whatever else may be mentioned; code is left alone."""
    names = sorted({prompt_name(name).casefold() for name in known if name.strip()}, key=len, reverse=True)
    parts: list[str] = []
    position = 0
    for code in _CODE.finditer(text):
        parts += [_unmention(text[position : code.start()], names), code[0]]
        position = code.end()
    parts.append(_unmention(text[position:], names))
    return "".join(parts)


def _unmention(text: str, names: Sequence[str]) -> str:
    def replace(match: re.Match[str]) -> str:
        rest = text[match.end() :].casefold()
        is_known = any(rest.startswith(name) and not rest[len(name) : len(name) + 1].isalnum() for name in names)
        return "@" if is_known else ""

    return _MENTION.sub(replace, text)


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
