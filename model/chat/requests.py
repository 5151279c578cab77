"""What is asked of the model and what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from storage.errors import KnownError
from storage.records import Conversation
from storage.settings import (
    DRAFTS,
    DRY_MULTIPLIER,
    HISTORY_MESSAGES,
    MAX_TOKENS,
    MIN_P,
    REPEAT_PENALTY,
    REPEAT_WINDOW,
    STOP_STRINGS,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    XTC_PROBABILITY,
    Settings,
)
from storage.stored_json import parse_json

StopReason = Literal["stop", "length", "cancelled"]
# Replies to people who named the bot come before replies it chose to make.
PRIORITY_MENTION, PRIORITY_RANDOM = 0, 10


class ModelBusyError(KnownError):
    """The queue in front of the model is full; this request gave way."""


class ReplyTooLateError(KnownError):
    """The request's deadline passed before its turn came."""


class ModelClosedError(KnownError):
    """The model was closed while this was asked: the bot stops, or loads another one."""


def being_replaced() -> ModelClosedError:
    """The error for whoever waits for a model that is being closed."""
    return ModelClosedError("The model is being replaced.", "Ask again in a moment.")


@dataclass(frozen=True)
class GenerationOptions:
    """How the next tokens are drawn. top_k 0, min_p 0, dry 0, xtc 0 and penalty 1 switch those off.

    drafts: how many replies are written and chosen from, where the model has a scorer and the machine affords it.
    may_end False: the model may not end the reply itself; only max_tokens and stop strings do (tests, measurements).
    """

    temperature: float = TEMPERATURE.default
    top_p: float = TOP_P.default
    top_k: int = TOP_K.default
    min_p: float = MIN_P.default
    repeat_penalty: float = REPEAT_PENALTY.default
    repeat_window: int = REPEAT_WINDOW.default
    dry_multiplier: float = DRY_MULTIPLIER.default
    xtc_probability: float = XTC_PROBABILITY.default
    max_tokens: int = MAX_TOKENS.default
    stop: tuple[str, ...] = tuple(json.loads(STOP_STRINGS.default))
    seed: int | None = None
    may_end: bool = True
    drafts: int = 1

    @classmethod
    def from_settings(cls, settings: Settings) -> GenerationOptions:
        """The options the owner chose, as of now."""
        return cls(
            temperature=settings[TEMPERATURE],
            top_p=settings[TOP_P],
            top_k=settings[TOP_K],
            min_p=settings[MIN_P],
            repeat_penalty=settings[REPEAT_PENALTY],
            repeat_window=settings[REPEAT_WINDOW],
            dry_multiplier=settings[DRY_MULTIPLIER],
            xtc_probability=settings[XTC_PROBABILITY],
            max_tokens=settings[MAX_TOKENS],
            stop=_stop_strings(settings[STOP_STRINGS]),
            drafts=int(settings[DRAFTS]) if settings[DRAFTS] != "off" else 1,
        )

    def with_changes(self, **changes: Any) -> GenerationOptions:
        """A copy with some values replaced."""
        return replace(self, **changes)


@dataclass(frozen=True)
class ReplyRequest:
    """A reply to be written. channel_id names the cache to use; lower priority numbers come first.

    keep_turns: at least this many of the newest turns stay in the prompt; the model keeps up to three times as many, so
    that its cache survives, and more should be passed in for that. deadline_seconds: counted from `submit`. on_text:
    called with what is said so far after every token (of several drafts: of the first), on the thread that computes: it
    must return at once, as must is_sayable, which tells whether a draft would be sent at all.
    """

    conversation: Conversation
    options: GenerationOptions
    system_prompt: str
    channel_id: int
    priority: int = PRIORITY_RANDOM
    deadline_seconds: float = 120.0
    keep_turns: int = HISTORY_MESSAGES.default
    reuse_seconds: float = 0.0
    on_text: Callable[[str], None] | None = field(default=None, compare=False)
    is_sayable: Callable[[str], bool] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Reply:
    """A written reply and what it cost. Times count from `submit`; prefilled_tokens were computed while waiting.

    reply_tokens: of this reply alone. chosen: how it was chosen among drafts, or why there was one; '' where one was
    asked for.
    """

    text: str
    prompt_tokens: int
    prefilled_tokens: int
    reply_tokens: int
    first_token_ms: float
    total_ms: float
    stop_reason: StopReason
    queued_ms: float = 0.0
    is_cached: bool = False
    chosen: str = ""


def _stop_strings(text: str) -> tuple[str, ...]:
    try:
        values = parse_json(text)
    except ValueError:
        values = [text]
    values = values if isinstance(values, list) else [values]
    return tuple(str(value) for value in values if str(value))
