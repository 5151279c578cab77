"""Drawing tokens and turning them into text: native sampler chains, what ends a reply, whole characters."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

from data.chat.spoken import Speakers, is_thinking, own_words, without_thoughts
from model.chat.requests import GenerationOptions
from model.llama_cpp_api import NativeModel, library

_DRY_BASE, _DRY_ALLOWED, _DRY_WINDOW = 1.75, 2, 256
_DRY_BREAKERS = (b"\n", b":", b'"', b"*")
_XTC_THRESHOLD = 0.1


class Sampler:
    """A native sampler chain for one reply; close it when the reply is done.

    Order: top-k first, so that everything after it looks at 40 candidates instead of the whole vocabulary (0.2 ms
    against 1.7 ms a token); then penalties, DRY, top-p, min-p, XTC, temperature and the draw.
    """

    def __init__(self, model: NativeModel, options: GenerationOptions, *, context: Sequence[int] = ()) -> None:
        lib = library()
        self._lib = lib
        self.chain: Any = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._model, self._window = model, options.repeat_window
        self._penalty: Any = None
        self._repeatable: list[int] = []
        for sampler in [*_end_forbidden(model, options), *self._samplers(model, options, context)]:
            lib.llama_sampler_chain_add(self.chain, sampler)

    def drawn(self, token: int) -> None:
        """A token was drawn from the chain. The repetition penalty looks back over the reply's own words alone: what
        people said may be said again, and a penalty on the line break, which is what lines have in common, would leave
        one line of every burst."""
        if self._penalty is None:
            return
        if b"\n" not in self._model.piece(token):
            self._repeatable = [*self._repeatable, token][-self._window :]
            return
        # llama.cpp's penalty takes every token the chain accepts: it is told again without this one.
        self._lib.llama_sampler_reset(self._penalty)
        for each in self._repeatable:
            self._lib.llama_sampler_accept(self._penalty, each)

    def _samplers(self, model: NativeModel, options: GenerationOptions, context: Sequence[int]) -> list[Any]:
        lib = self._lib
        if options.temperature <= 0:
            return [*self._penalties(model, options), lib.llama_sampler_init_greedy()]
        chain = [lib.llama_sampler_init_top_k(options.top_k)] if options.top_k > 0 else []
        chain += self._penalties(model, options)
        if options.dry_multiplier > 0:
            breakers = (ctypes.c_char_p * len(_DRY_BREAKERS))(*_DRY_BREAKERS)
            dry = lib.llama_sampler_init_dry(
                model.vocab,
                options.dry_multiplier,
                _DRY_BASE,
                _DRY_ALLOWED,
                _DRY_WINDOW,
                breakers,
                len(_DRY_BREAKERS),
            )
            # Whole phrases of the talk are not to come back either. Control tokens stay out of it.
            for token in context[-_DRY_WINDOW:]:
                if not model.is_control(token):
                    lib.llama_sampler_accept(dry, token)
            chain.append(dry)
        if options.top_p < 1:
            chain.append(lib.llama_sampler_init_top_p(options.top_p, 1))
        if options.min_p > 0:
            chain.append(lib.llama_sampler_init_min_p(options.min_p, 1))
        seed = (options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")) & 0xFFFFFFFF
        if options.xtc_probability > 0:
            chain.append(lib.llama_sampler_init_xtc(options.xtc_probability, _XTC_THRESHOLD, 1, seed))
        return [*chain, lib.llama_sampler_init_temp(options.temperature), lib.llama_sampler_init_dist(seed)]

    def _penalties(self, model: NativeModel, options: GenerationOptions) -> list[Any]:
        if options.repeat_penalty == 1 or options.repeat_window == 0:
            return []
        self._penalty = self._lib.llama_sampler_init_penalties(
            model.vocabulary_size, options.repeat_window, options.repeat_penalty, 0.0, 0.0
        )
        return [self._penalty]

    def close(self) -> None:
        """Free the native sampler; harmless when repeated."""
        if self.chain:
            self._lib.llama_sampler_free(self.chain)
            self.chain = None


def _end_forbidden(model: NativeModel, options: GenerationOptions) -> list[Any]:
    if options.may_end:
        return []
    lib = library()
    ends = [token for token in range(model.vocabulary_size) if model.is_end(token)]
    biases = (lib.llama_logit_bias * len(ends))(*(lib.llama_logit_bias(token, float("-inf")) for token in ends))
    return [lib.llama_sampler_init_logit_bias(model.vocabulary_size, len(ends), biases)]


class ReplyText:
    """A growing reply: what of the model's bytes is said aloud, and whether it is complete.

    Stop strings and other people's lines end it wherever token borders fall, but not inside a thought, which is never
    part of `text`.
    """

    def __init__(self, stop: Sequence[str], speakers: Speakers | None = None) -> None:
        self._stops = [text for text in stop if text]
        self._speakers = speakers or Speakers()
        self._data = bytearray()
        self._said = ""
        self.is_thinking = False

    def add(self, piece: bytes) -> bool:
        """Append a token's bytes; True once the reply is complete."""
        self._data += piece
        data = bytes(self._data)
        written = data[: _whole_characters(data)].decode("utf-8", errors="replace")
        self.is_thinking = is_thinking(written)
        aloud = without_thoughts(written)
        begun = len(aloud) - len(aloud.lstrip())
        # Blanks before the first word end nothing, also where a blank is a stop string.
        found = [aloud.find(stop, begun if stop.isspace() else 0) for stop in self._stops]
        places = [place for place in found if place >= 0]
        said, is_over = own_words((aloud[: min(places)] if places else aloud).lstrip(), self._speakers)
        self._said = said.strip()
        return bool(places) or is_over

    @property
    def text(self) -> str:
        """What is said aloud so far, cut between characters."""
        return self._said


def _whole_characters(data: bytes) -> int:
    """Length without a character whose last bytes have not been written yet."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) if back >= needed else len(data) - back
    return len(data)
