"""E-mail addresses as people write and disguise them, invites, and the public address of somebody's computer."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_INVITE = re.compile(
    r"(?:https?://)?(?:www\.)?(?:discord\.gg|discord(?:app)?\.com/invite|dsc\.gg|discord\.me|discord\.io)/[\w-]{2,100}",
    re.IGNORECASE,
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}(?:[a-z]{2,24}|xn--[\w-]{2,59})(?![\w-])", re.IGNORECASE
)
_TLD = (
    r"(?:com|net|org|edu|gov|info|biz|io|me|dev|app|gg|xyz|co|eu|de|at|ch|fr|uk|ie|nl|be|lu|es|pt|br|it|pl|cz|sk|hu|ro|bg|gr"
    r"|tr|ru|ua|se|no|dk|fi|is|in|jp|cn|kr|au|nz|ca|us|mx|ar|cl|za)"
)
# In a sentence without brackets "at this point in" must not end in a country: only endings that are no words.
_PLAIN_TLD = r"(?:com|net|org|edu|gov|info|io|dev|gg|xyz|de|fr|uk|ch|nl|eu|es|pt|br|pl|cz|tr|ru|ua|se|dk|jp|ca|au)"
_NAME = r"(?<![\w.+-])[\w.+-]{1,64}"
_OPEN, _CLOSE = r"[ \t]{0,2}[(\[{<][ \t]{0,2}", r"[ \t]{0,2}[)\]}>][ \t]{0,2}"
_AT = rf"(?:{_OPEN}(?:at|@|ät|arroba|chez|kukac|małpa|et){_CLOSE})"
_BRACKETED_DOT = rf"(?:{_OPEN}(?:dot|\.|punkt|punto|point|ponto|nokta|kropka){_CLOSE})"
_PLAIN_DOT = r"(?:[ \t]{1,2}(?:dot|punkt|punto|ponto|nokta|kropka)[ \t]{1,2})"
_DOT = rf"(?:{_BRACKETED_DOT}|{_PLAIN_DOT})"
_DISGUISED_EMAIL = re.compile(
    # name (at) host . com, name [at] host [dot] com
    rf"{_NAME}{_AT}[\w-]{{1,63}}(?:(?:{_DOT}|\.)[\w-]{{1,63}}){{0,3}}(?:{_DOT}|\.){_TLD}(?!\w)"
    # name at host dot com
    rf"|{_NAME}[ \t]{{1,2}}(?:at|ät|arroba|kukac|małpa)[ \t]{{1,2}}[\w-]{{1,63}}{_DOT}{_PLAIN_TLD}(?!\w)"
    # name@host dot com, name @ host.com, name @ host dot com
    rf"|{_NAME}[ \t]{{0,2}}@[ \t]{{0,2}}[\w-]{{1,63}}(?:{_DOT}|[ \t]{{0,2}}\.[ \t]{{0,2}}){_TLD}(?!\w)"
    # ana at gmail.com: a mail provider is no place to be at
    rf"|{_NAME}[ \t]{{1,2}}(?:at|ät|arroba)[ \t]{{1,2}}(?:gmail|googlemail|hotmail|outlook|yahoo|icloud|proton"
    rf"|protonmail|gmx|web|aol|live|yandex|mail|posteo|tutanota)\.(?:com|de|net|me|fr|co\.uk|ru|at|ch|org|es|it)(?!\w)",
    re.IGNORECASE,
)
_EMAIL_HINT = re.compile(r"@|\bat\b|[(\[{<][ \t]{0,2}at|ät|arroba|chez|kukac|małpa|[(\[{]et", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![\w.:/-])(\d{1,3}(?:\.\d{1,3}){3})(?P<port>:\d{2,5})?(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}(?![\w:])", re.IGNORECASE)
_VERSION = re.compile(
    r"(?:\bv|ver\.?|version|build|patch|update|release|driver|firmware|chrome|bios)[ :/]{0,2}\Z", re.IGNORECASE
)


def find_invites(text: str) -> Iterator[tuple[int, int]]:
    """Spans of invitations to a Discord server."""
    if "." in text and "/" in text:
        yield from (match.span() for match in _INVITE.finditer(text))


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """Spans of e-mail addresses, disguised ones ("name at host dot com") included."""
    if "@" in text and "." in text:
        yield from (match.span() for match in _EMAIL.finditer(text))
    if _EMAIL_HINT.search(text):
        yield from (match.span() for match in _DISGUISED_EMAIL.finditer(text))


def find_ip_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Spans of addresses that lead to somebody's connection; private and well-known ones stay, version numbers too."""
    if text.count(".") >= 3:
        for match in _IPV4.finditer(text):
            is_version = not match["port"] and _VERSION.search(text, max(match.start() - 12, 0), match.start())
            if not is_version and _is_somebodys(match[1], is_sure=bool(match["port"])):
                yield match.span()
    if text.count(":") >= 3:
        for match in _IPV6.finditer(text):
            if _is_somebodys(match[0], is_sure=True):
                yield match.span()


_WELL_KNOWN = frozenset({"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"})


def _is_somebodys(text: str, *, is_sure: bool) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or text in _WELL_KNOWN:
        return False
    # 4.0.3.21 is a version of something; an address has at least two numbers of two digits and one of three.
    parts = text.split(".")
    return is_sure or (sum(len(part) > 1 for part in parts) >= 2 and any(len(part) == 3 for part in parts))
