"""What is kept of a server: not bots, webhooks, system messages and bare links; all else, to the letter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data.chat import keeping
from data.chat.keeping import MessageKind, Skip, is_bare_link

__all__ = ["Skip", "find_private", "is_bare_link", "mask", "skip_reason"]


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


# ---- masking: what must not be learnt by heart -------------------------------------------------------

# A library was tried for the phone numbers (phonenumbers 9.0: 23 MB, needs to be told the country): on 19,481 real
# lines it found ten, all of them ids inside links, and misses numbers of any country but the one told.
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_INVITE = re.compile(
    r"(?:https?://)?(?:www\.)?(?:discord\.gg|discord(?:app)?\.com/invite|dsc\.gg)/[\w-]{2,}", re.IGNORECASE
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])", re.IGNORECASE)
_TOKEN = re.compile(
    "|".join(
        (
            r"[\w-]{23,30}\.[\w-]{6,7}\.[\w-]{27,45}",  # Discord bot token
            r"mfa\.[\w-]{60,}",  # Discord user token
            r"discord(?:app)?\.com/api/webhooks/\d{10,}/[\w-]{30,}",
            r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}",
            r"(?<![\w-])sk-(?=[\w-]*\d)[\w-]{20,}|hf_[A-Za-z0-9]{30,}",
            r"AKIA[0-9A-Z]{16}|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}|ya29\.[\w-]{30,}",
            r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",  # JSON web token
            r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)",
        )
    )
)
_PHONE = re.compile(
    r"(?<![\w.,:/#=-])(?:"
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}"  # +49 170 1234567
    r"|(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}"  # (212) 555-0147
    r"|\(0\d{2,5}\)[ ]?\d{3,9}(?:[ -]\d{2,6})?"  # (030) 1234567
    r"|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5}"  # 0170 1234567, 07700 900123
    r")(?![\w-]|[.,:]\d)"
)
_DIGITS = re.compile(r"\d")
_LONG_WORD = re.compile(r"[\w-]{20}")
MASKS = {"invite": "[invite]", "token": "[token]", "email": "[email]", "phone": "[phone]"}


def mask(text: str) -> tuple[str, dict[str, int]]:
    """Text with e-mail addresses, phone numbers, tokens and invites replaced, and how many of each."""
    found: dict[str, int] = {}
    for kind, start, end in reversed(_findings(text)):
        text = text[:start] + MASKS[kind] + text[end:]
        found[kind] = found.get(kind, 0) + 1
    return text, found


def find_private(text: str) -> list[str]:
    """What `mask` would take out, as it stands: to check what a model says."""
    return [text[start:end] for _, start, end in _findings(text)]


def _findings(text: str) -> list[tuple[str, int, int]]:
    """(kind, start, end), in order, not overlapping; the quick look first, since nearly all lines hold nothing."""
    spans: list[tuple[str, int, int]] = []
    if "." in text and "/" in text:
        spans += [("invite", *match.span()) for match in _INVITE.finditer(text)]
    if len(text) >= 20 and (_LONG_WORD.search(text) or "PRIVATE KEY" in text):
        spans += [("token", *match.span()) for match in _TOKEN.finditer(text)]
    if "@" in text and "." in text:
        spans += [("email", *match.span()) for match in _EMAIL.finditer(text)]
    if _has_many_digits(text):
        links = [match.span() for match in _LINK.finditer(text)]
        spans += [
            ("phone", *match.span())
            for match in _PHONE.finditer(text)
            if _is_phone(match[0]) and not any(start <= match.start() < end for start, end in links)
        ]
    if len(spans) < 2:
        return spans
    apart: list[tuple[str, int, int]] = []
    for span in sorted(spans, key=lambda found: (found[1], -found[2])):
        if not apart or span[1] >= apart[-1][2]:
            apart.append(span)
    return apart


def _has_many_digits(text: str) -> bool:
    return len(text) >= 8 and len(_DIGITS.findall(text)) >= 8


def _is_phone(text: str) -> bool:
    return 8 <= len(_DIGITS.findall(text)) <= 15
