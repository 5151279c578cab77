"""From a conversation to the tokens of a prompt: which turns, how much of them, in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from data.chat.conversation import Typist
from data.chat.window import LIVE_TRIM_SHARE, choose_window, end_of_text, fit
from model.prompts import ChatTemplate, render, render_standing, system_pieces, tokenise
from storage.records import Conversation, Turn

# Tokens of a reply that a prompt prepared ahead leaves room for; nobody knows yet which settings will ask.
_IDLE_RESERVE = 256
_MARGIN = 8


class PromptBuilder:
    """Remembers each channel's window, so that its head stays where the cache needs it.

    encode(text, special) gives token ids. context_tokens: the longest prompt and reply.
    """

    def __init__(
        self,
        template: ChatTemplate,
        encode: Callable[[str, bool], list[int]],
        context_tokens: int,
    ) -> None:
        self.template = template
        self._encode, self._context_tokens = encode, context_tokens
        self._windows: dict[int, tuple[Turn, ...]] = {}

    def reply_tokens(
        self, channel_id: int, conversation: Conversation, system_prompt: str, *, keep_turns: int, max_tokens: int
    ) -> list[int]:
        """The prompt for a reply that is due now; the window's head is left alone if at all possible."""
        conversation = self._windowed(
            channel_id, conversation, system_prompt, keep_turns, is_idle=False, reserve=max_tokens
        )
        return tokenise(render(conversation, system_prompt=system_prompt, template=self.template), self._encode)

    def standing_tokens(
        self,
        channel_id: int,
        conversation: Conversation,
        system_prompt: str,
        *,
        keep_turns: int,
        typist: Typist | None = None,
    ) -> list[int]:
        """What can be computed before the next line is there; the time to cut the window's head."""
        conversation = self._windowed(
            channel_id, conversation, system_prompt, keep_turns, is_idle=True, reserve=_IDLE_RESERVE
        )
        pieces = render_standing(conversation, system_prompt=system_prompt, template=self.template, typist=typist)
        return tokenise(pieces, self._encode)

    def shared_length(self, system_prompt: str) -> int:
        """Tokens at the start that all channels have in common."""
        return len(tokenise(system_pieces(system_prompt, self.template), self._encode))

    def forget(self, channel_id: int) -> None:
        """Drop the channel's window: its next prompt is chosen afresh."""
        self._windows.pop(channel_id, None)

    def clear(self) -> None:
        """Drop every channel's window."""
        self._windows.clear()

    def _windowed(
        self,
        channel_id: int,
        conversation: Conversation,
        system_prompt: str,
        keep_turns: int,
        *,
        is_idle: bool,
        reserve: int,
    ) -> Conversation:
        turns = choose_window(conversation.turns, self._windows.get(channel_id, ()), keep=keep_turns, is_idle=is_idle)

        def cost(candidate: Conversation) -> int:
            return len(tokenise(render(candidate, system_prompt=system_prompt, template=self.template), self._encode))

        fitted = fit(
            replace(conversation, turns=turns),
            budget=self._context_tokens - reserve - _MARGIN,
            cost=cost,
            shorten=partial(end_of_text, count_tokens=lambda text: len(self._encode(text, False))),
            share=LIVE_TRIM_SHARE,
        )
        self._windows[channel_id] = fitted.turns
        return fitted
