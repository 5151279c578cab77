"""Messages that are nothing but links: dropped wherever messages come in."""

from __future__ import annotations

_LINK_STARTS = ("http://", "https://", "www.", "discord.gg/")
# What Discord lets people put around a link: <no preview>, ||spoiler||, emphasis.
_AROUND_LINKS = "<>|*_~()"


def is_bare_link(text: str) -> bool:
    """True for one or more links and nothing else. Linear in the text: it is anybody's."""
    words = text.split()
    return bool(words) and all(word.lstrip(_AROUND_LINKS).lower().startswith(_LINK_STARTS) for word in words)
