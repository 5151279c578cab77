"""Text as a database can hold it, as a message may be sent, and as one line of a prompt."""

from __future__ import annotations

import re
import unicodedata

# Direction overrides and isolates; zero-width and other marks that no script needs to be read. Joiners (U+200C,
# U+200D), the plain direction marks and variation selectors stay: scripts and emoji are written with them.
_INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064"
    "\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f\ufeff\ufff9\ufffa\ufffb"
)
_LINE_BREAKS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_LONGEST_NAME = 80
# Lines drawn through letters: they hide a word from a search, not from a reader.
_OVERLAYS = frozenset([*map(chr, range(0x0334, 0x0339)), *map(chr, range(0x20D0, 0x20F1)), "\u0489"])
# Cyrillic and Greek letters that look like Latin ones (a part of Unicode's confusables).
_LOOK_ALIKES = str.maketrans("аеорсухіјѕһԁӏԛԝвкмнтαονρκτικυχ", "aeopcyxijshdlqwbkmhtaovpktikux")


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


def visible(text: str) -> str:
    """Without control characters, half surrogates, direction overrides and marks nobody sees; line breaks become LF."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_BREAKS.sub("\n", text)
    return "".join(
        sign
        for sign in text
        if sign in "\n\t" or (sign not in _INVISIBLE and unicodedata.category(sign) not in ("Cc", "Cs"))
    )


def one_line(text: str) -> str:
    """A text as one line of a prompt: nothing in it can start a line of its own, or reorder what stands around it."""
    return " ".join(visible(text).split())


def prompt_name(name: str) -> str:
    """A member's, role's or channel's name in a prompt: one line that cannot pass for "Name: words"."""
    line = one_line(name).replace("：", ":")
    while ": " in line or line.endswith(":"):
        line = line.replace(": ", " ").removesuffix(":").rstrip()
    return line[:_LONGEST_NAME].rstrip(": ") or "someone"


def bare(text: str) -> str:
    """What is left of a text when every disguise of a letter is taken off but its case: full width, bold, marks."""
    text = unicodedata.normalize("NFKC", visible(text))
    return "".join(
        sign for sign in text if sign not in _OVERLAYS and (sign in "\n\t" or unicodedata.category(sign) != "Cf")
    )


def folded(text: str) -> str:
    """`bare`, in lower case and with look-alikes of Latin letters made Latin: to find a word however it is written."""
    return bare(text).casefold().translate(_LOOK_ALIKES)
