"""Private things in a text, found and replaced: before training, in what the bot sends, and in evaluations.

Postal addresses stay: no pattern finds them in every language without taking ordinary sentences with them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from storage.masking.accounts import find_cards, find_ibans
from storage.masking.addresses import find_emails, find_invites, find_ip_addresses
from storage.masking.credentials import find_labelled, find_tokens
from storage.masking.phones import find_phones

MASKS = {
    "invite": "[invite]",
    "token": "[token]",
    "password": "[password]",
    "email": "[email]",
    "phone": "[phone]",
    "card": "[card]",
    "iban": "[iban]",
    "ip": "[ip]",
}
# Looked for in this order; what one finds the next does not see. A card's number can hold a telephone's.
_FINDERS: tuple[tuple[str, Callable[[str], Iterable[tuple[int, int]]]], ...] = (
    ("token", find_tokens),
    ("password", find_labelled),
    ("email", find_emails),
    ("invite", find_invites),
    ("ip", find_ip_addresses),
)
_NUMBER_FINDERS: tuple[tuple[str, Callable[[str], Iterable[tuple[int, int]]]], ...] = (
    ("iban", find_ibans),
    ("card", find_cards),
    ("phone", find_phones),
)
# A text read again after masking shows what the first reading hid: borders have moved. Each reading takes characters
# out for good, so this ends; the bound is for texts made to last.
_READINGS = 8
_MASK = re.compile("|".join(re.escape(mask) for mask in MASKS.values()))
_FULL_WIDTH, _HYPHENS = 0xFF01, "\u2010\u2011\u2212"
_DIGIT = re.compile(r"\d")

Finding = tuple[str, int, int]


def mask(text: str, *, keep: frozenset[str] = frozenset()) -> tuple[str, dict[str, int]]:
    """The text with private things replaced by "[email]" and the like, and how many of each kind.

    keep: kinds (keys of MASKS) that are left as they are. Masking a masked text changes nothing.
    """
    found: dict[str, int] = {}
    for _ in range(_READINGS):
        spans = [span for span in findings(text) if span[0] not in keep]
        if not spans:
            break
        for kind, _, _ in spans:
            found[kind] = found.get(kind, 0) + 1
        text = _with(text, [(start, end, MASKS[kind]) for kind, start, end in spans])
    return text, found


def find_private(text: str) -> list[str]:
    """What `mask` would take out, as it stands: to check what a model says."""
    return [text[start:end] for _, start, end in findings(text)]


def findings(text: str) -> list[Finding]:
    """(kind, start, end), in order, not overlapping. Nearly all lines hold nothing, so quick looks come first."""
    if "[" in text:
        # What is masked already is no part of anything; line breaks keep the places.
        text = _MASK.sub(lambda match: "\n" * len(match[0]), text)
    if not text.isascii():
        text = _plain(text)
    found: list[Finding] = []
    finders = (*_FINDERS, *_NUMBER_FINDERS) if _holds_a_number(text) else _FINDERS
    for kind, find in finders:
        spans = _joined(find(text))
        found += [(kind, start, end) for start, end in spans]
        text = _with(text, [(start, end, "\n" * (end - start)) for start, end in spans])
    return sorted(found, key=lambda finding: finding[1])


def _plain(text: str) -> str:
    """The same with the digits of every script, full-width signs and odd hyphens in ASCII; places stay as they are."""
    return "".join(letter if letter.isascii() else _plain_letter(letter) for letter in text)


@lru_cache(maxsize=4096)
def _plain_letter(letter: str) -> str:
    digit = unicodedata.decimal(letter, None)
    if digit is not None:
        return str(digit)
    if _FULL_WIDTH <= ord(letter) < _FULL_WIDTH + 94:
        return chr(ord(letter) - _FULL_WIDTH + ord("!"))
    return "-" if letter in _HYPHENS else letter


def _with(text: str, changes: Sequence[tuple[int, int, str]]) -> str:
    """The text with each (start, end) replaced; in order, not overlapping."""
    if not changes:
        return text
    parts, done = [], 0
    for start, end, instead in changes:
        parts += [text[done:start], instead]
        done = end
    return "".join([*parts, text[done:]])


def _holds_a_number(text: str) -> bool:
    return len(text) >= 7 and len(_DIGIT.findall(text)) >= 7


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, overlapping ones made one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
