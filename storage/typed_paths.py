"""A path as people type or paste it, read as the path they mean.

Windows' "Copy as path" adds quotes, its properties window an invisible U+202A, a browser writes file://, and a
terminal puts backslashes before blanks. None of that belongs to the path. The rules look at the text alone, so that a
path of another system reads the same everywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

# Direction marks, joiners, byte order marks: invisible, and never part of a name that was copied.
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\0"
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "”": "”", "‘": "’", "‚": "‘", "«": "»", "<": ">"}
_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")
_SHELL_CALL = re.compile(r"&\s+(?=[\"'])")
_ESCAPED = re.compile(r"\\([ ()&'\"\[\]{}!$;#])")
_PERCENT = re.compile(r"%([A-Za-z_][\w()]*)%")
_DOLLAR = re.compile(r"\$(?:env:)?(?:(\w+)|\{(\w+)\})(?=[/\\]|$)")


def clean_path(text: str, *, environment: Mapping[str, str] | None = None) -> str:
    """The path that a typed text means: without quotes, file://, invisible characters and blanks around it, with `~`,
    `%NAME%` and a leading `$NAME` replaced where they are known. Anything else stays as it is; a clean path is
    returned unchanged.

    environment: the variables (default: this process's).
    """
    variables = os.environ if environment is None else environment
    while (bare := _bare(text)) != text:
        text = bare
    while text.startswith(("/", "~")) and (plain := _ESCAPED.sub(r"\1", text)) != text:
        text = plain
    text = _PERCENT.sub(lambda match: variables.get(match[1], match[0]), text)
    text = _DOLLAR.sub(lambda match: variables.get(match[1] or match[2], match[0]), text, count=1)
    home = variables.get("HOME") or variables.get("USERPROFILE")
    if home and (text == "~" or text.startswith(("~/", "~\\"))):
        text = home + text[1:]
    return text


def typed_path(text: str) -> Path:
    """`clean_path` as a Path: the type of every path on a command line."""
    return Path(clean_path(text))


def _bare(text: str) -> str:
    """One layer of what does not belong to a path taken off."""
    text = text.strip(_INVISIBLE).strip()
    text = _SHELL_CALL.sub("", text, count=1) if text.startswith("&") else text
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        return text[1:-1]
    if text.endswith('"') and (_DRIVE.match(text) or text.startswith("\\\\")):
        return text[:-1]  # cmd reads the \" of "C:\folder\" as a quote
    return _from_uri(text) if text[:5].lower() == "file:" else text


def _from_uri(text: str) -> str:
    """RFC 8089: file:///home/x, file://localhost/home/x, file:/home/x, file:///C:/x and file://server/share/x."""
    rest = unquote(text[5:])
    if not rest.startswith("//"):
        host, path = "", rest
    else:
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    if host and _DRIVE.match(host + path):  # file://C:/x, as some programs write it
        host, path = "", host + path
    if _DRIVE.match(path):
        return path.removeprefix("/")
    return path if host.lower() in ("", "localhost") else f"//{host}{path}"
