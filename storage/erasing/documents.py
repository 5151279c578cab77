"""Erasure inside JSON: by id, and by name only in fields that are known to hold one. Pure, on parsed values.

A name is never looked for in running text and a file is never rewritten as text: somebody may be called `file`, `null`
or `2026`, or like somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from storage.withdrawals import UNKNOWN_NAME, Subject

# Lists of people in exports of Discord, DiscordChatExporter and ours; and of bare ids in manifests.
_PEOPLE = frozenset({"mentions", "users", "members", "recipients", "authors", "participants"})
_PERSON_FIELDS = ("author", "user", "member")
_PERSON_IDS = ("author_id", "user_id")
_MENTION = re.compile(r"<@!?(\d{1,20})>")
_MARKUP = re.compile(r"<[^<>]{1,100}>")
# Shorter words are everybody's; they cannot be traced back to one message.
_SHORTEST_WORDS = 6
# Up to this many messages their words are also looked for inside longer lines.
_FEW_WORDS = 200


class _Gone:
    """Stands for a value that is theirs."""


_GONE = _Gone()


def without(value: Any, subject: Subject) -> Any:
    """A copy of a JSON value without what is theirs: entries leave lists, their objects become null elsewhere."""
    cleaned = _without(value, subject, "")
    return None if cleaned is _GONE else cleaned


def is_quoted(value: Any, subject: Subject) -> bool:
    """Whether anything of theirs stands anywhere in a JSON value."""
    return bool(without(value, subject) != value)


def is_training_row(value: Any) -> bool:
    """A row of a data set: it falls as a whole, since what is left of it would teach nonsense."""
    return isinstance(value, dict) and any(isinstance(value.get(part), list) for part in ("context", "turns"))


def quotes(row: Mapping[str, Any], subject: Subject) -> bool:
    """Whether a training row says, answers or recalls something of theirs.

    `sources` ([author id, message ids ...] of each turn in it) and `mentions` (who is named) settle it. Rows of older
    data sets have neither: there names and the words themselves are compared, which may take a row of a namesake too.
    It can be made again.
    """
    if _number(row.get("author_id")) in subject.members or _number(row.get("channel_id")) in subject.channels:
        return True
    named = row.get("mentions")
    if isinstance(named, list) and any(_number(number) in subject.members for number in named):
        return True
    sources = row.get("sources")
    if isinstance(sources, list):
        return any(
            isinstance(source, list)
            and source
            and (source[0] in subject.members or not subject.messages.isdisjoint(source[1:]))
            for source in sources
        )
    if _number(row.get("id")) in subject.messages:
        return True
    parts = [row.get(part) or () for part in ("context", "recalled", "turns")]
    lines = [line for part in parts for line in part if isinstance(line, dict)]
    others = [line for line in lines if not line.get("is_target_author")]
    if any(str(line.get("name", "")).casefold() in subject.names for line in others):
        return True
    texts = [
        *(str(line.get("text", "")) for line in lines),
        *(str(row.get(key) or "") for key in ("reply", "chosen", "rejected", "completion")),
    ]
    return bool(subject.words) and any(_repeats(text, subject) for text in texts)


def words_of(subject: Subject) -> frozenset[str]:
    """What can be looked for in a file that does not say who said what: the longest plain piece of each message."""
    return _pieces(subject.words)[1]


def repeats(text: str, subject: Subject) -> bool:
    """Whether a text of the bot's or the owner's says what one of the messages said."""
    return bool(subject.words) and _repeats(text, subject)


def _without(value: Any, subject: Subject, key: str) -> Any:
    if isinstance(value, dict):
        return _without_in_object(value, subject, key)
    if isinstance(value, list):
        kept = [_without(part, subject, key) for part in value]
        is_of_ids = key in _PEOPLE
        return [
            part
            for part in kept
            if part is not _GONE and not (is_of_ids and not isinstance(part, dict) and _number(part) in subject.members)
        ]
    if isinstance(value, str) and "<@" in value:
        return _MENTION.sub(lambda found: f"@{UNKNOWN_NAME}" if int(found[1]) in subject.members else found[0], value)
    return value


def _without_in_object(value: dict[str, Any], subject: Subject, key: str) -> Any:
    if _is_theirs(value, subject, key):
        return _GONE
    cleaned = {name: _without(part, subject, name) for name, part in value.items()}
    channel = value.get("channel")
    if isinstance(channel, dict) and _number(channel.get("id")) in subject.channels and "messages" in cleaned:
        cleaned["messages"] = []
    return {name: None if part is _GONE else part for name, part in cleaned.items()}


def _is_theirs(value: dict[str, Any], subject: Subject, key: str) -> bool:
    if is_training_row(value) and ("reply" in value or "chosen" in value or "completion" in value):
        return quotes(value, subject)
    if any(_number(value.get(name)) in subject.members for name in _PERSON_IDS):
        return True
    people = [value.get(name) for name in _PERSON_FIELDS]
    if any(isinstance(person, dict) and _number(person.get("id")) in subject.members for person in people):
        return True
    if key in _PEOPLE and _number(value.get("id")) in subject.members:
        return True
    if "content" in value or "text" in value or "message_id" in value:
        if subject.messages.intersection(_numbers(value.get("message_id"), value.get("id"))):
            return True
        if _number(value.get("channel_id")) in subject.channels:
            return True
    # A line without an id, as a page or a report of ours has it.
    has_id = "message_id" in value or "author_id" in value or "id" in value
    return not has_id and "text" in value and str(value.get("name", "")).casefold() in (subject.names or ())


def _repeats(text: str, subject: Subject) -> bool:
    lines, pieces = _pieces(subject.words)
    if any(line in lines for line in text.split("\n")):
        return True
    return len(subject.words) <= _FEW_WORDS and any(piece in text for piece in pieces)


@lru_cache(maxsize=4)
def _pieces(words: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """(whole lines, the longest piece of each message between markup), both without what is too short to tell."""
    lines = {line for text in words for line in text.split("\n") if len(line) >= _SHORTEST_WORDS}
    longest = {max((part.strip() for part in _MARKUP.split(line)), key=len) for line in lines}
    return frozenset(lines), frozenset(piece for piece in longest if len(piece) >= _SHORTEST_WORDS)


def _number(value: Any) -> int:
    """An id as exports write it: a number or its digits; -1 for anything else."""
    if isinstance(value, bool):
        return -1
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else -1


def _numbers(*values: Any) -> Collection[int]:
    return {_number(value) for value in values} - {-1}
