"""JSON that a row or a small file holds: what cannot be read is told once and counts as absent, wherever it stands.

A bit that tipped over, a disk that filled up or a hand that edited must not end the bot or the panel at its start.
"""

from __future__ import annotations

import json
import logging
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

log = logging.getLogger(__name__)
T = TypeVar("T")
# What json.loads raises: not JSON, not text, nested too deep for it.
UNREADABLE = (ValueError, TypeError, RecursionError)
_told: set[str] = set()


def read_json(text: object, what: str, default: Any = None) -> Any:
    """The value of a JSON text; `default` for None, and for what is no JSON or of another kind than the default.

    what: names the place for the log, such as "the fact 'gpu'".
    """
    if text is None:
        return default
    try:
        value = json.loads(text)  # type: ignore[arg-type]
    except UNREADABLE as error:
        tell(what, type(error).__name__)
        return default
    if not _is_alike(value, default):
        tell(what, f"{type(value).__name__} instead of {type(default).__name__}")
        return default
    return value


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text that anybody may have written; whatever cannot be read is a ValueError, lists nested
    without end included (json.loads answers those with RecursionError, which nobody expects of a file)."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def tell(what: str, why: str) -> None:
    """Say once per process that something stored cannot be read."""
    if what not in _told:
        _told.add(what)
        log.warning("%s cannot be read (%s); it counts as not there.", what, why)


def fits(value: object, hint: Any) -> bool:
    """Whether a JSON value suits a field's type: int, float, str, bool, None, an enum of texts, or a union of these."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, part) for part in get_args(hint))
    if hint in (None, NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return any(value == member.value for member in hint)
    return isinstance(value, get_origin(hint) or hint) if isinstance(get_origin(hint) or hint, type) else True


def _is_alike(value: object, default: object) -> bool:
    """JSON knows one kind of number and one kind of list; a pair stays a pair."""
    if default is None:
        return True
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list | tuple):
        return isinstance(value, list) and (isinstance(default, list) or len(value) == len(default))
    return isinstance(value, type(default))
