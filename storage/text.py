"""Text as a database can hold it."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text as it was written, except half surrogate pairs, which no database can hold: they become U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def counted(number: int, thing: str) -> str:
    """'1 file', '12 files'."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
