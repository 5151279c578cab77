"""One context, many channels: whose tokens are computed, what can be reused, and who has to make room.

Each channel owns one native sequence whose cells hold exactly `Cache.tokens`. The start that channels have in
common (the system prompt) is computed once and its cells are shared. When cells or sequences run out, the channel
unused for longest is parked as bytes or dropped. Only the worker thread of `inference.ChatModel` calls this.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from model.llama_cpp_api import ABORTED, MAX_OUTPUTS, NO_SLOT, BatchToken, NativeModel

# Sharing or parking fewer tokens than this costs more than computing them.
_WORTH_KEEPING = 48
_BASE = 0


class Interrupted(Exception):
    """Computing stopped because `abort` was called and the caller wants to stop; what was computed stays valid."""


class ContextFullError(RuntimeError):
    """A single prompt does not fit into the context: the caller should have trimmed it."""


class _LostError(Exception):
    """What a channel held is gone: it has to be computed from its beginning."""


@dataclass
class Cache:
    """A channel's live cells: positions 0 to len(tokens) of its native sequence."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    used_at: float = 0.0


@dataclass(frozen=True)
class _Parked:
    tokens: tuple[int, ...]
    data: bytes
    used_at: float


class Engine:
    """Keeps channels' caches in one native context. `park_bytes`: most memory for parked channels."""

    def __init__(
        self, native: NativeModel, *, park_bytes: int = 64 << 20, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.native = native
        self._clock = clock
        self._park_bytes = park_bytes
        self._live: OrderedDict[Hashable, Cache] = OrderedDict()
        self._parked: OrderedDict[Hashable, _Parked] = OrderedDict()
        self._free = list(range(native.options.sequences - 1, _BASE, -1))
        self._base: list[int] = []
        self.computed_tokens = 0
        self.last_row = 0

    # ---- what is there --------------------------------------------------------------------------------

    @property
    def channels(self) -> list[Hashable]:
        """Channels with live cells, least recently used first."""
        return list(self._live)

    @property
    def parked_bytes(self) -> int:
        """What the parked conversations take in memory."""
        return sum(len(parked.data) for parked in self._parked.values())

    def cached_tokens(self, channel: Hashable) -> list[int]:
        """The tokens whose cells a channel holds, live or parked."""
        if channel in self._live:
            return list(self._live[channel].tokens)
        return list(self._parked[channel].tokens) if channel in self._parked else []

    # ---- computing ------------------------------------------------------------------------------------

    def prefill(
        self,
        channel: Hashable,
        tokens: Sequence[int],
        *,
        shared: int = 0,
        wants_logits: bool = True,
        is_stopped: Callable[[], bool] = lambda: False,
        pinned: Sequence[Hashable] = (),
    ) -> int:
        """Make a channel's cells hold `tokens`; afterwards the logits of row `last_row` can be sampled.

        Returns how many tokens were computed. shared: length of the start worth keeping for all channels. Raises
        Interrupted as soon as `is_stopped` answers True: asked between chunks, and at once after `native.abort`.
        """
        cache = self._open(channel, tokens, pinned)
        target = len(tokens) - 1 if wants_logits else len(tokens)
        self._truncate(cache, min(_common(cache.tokens, tokens), target))
        start, end, chunk = len(cache.tokens), len(tokens), self.native.options.ubatch
        while (position := len(cache.tokens)) < end:
            if is_stopped():
                raise Interrupted
            part = tokens[position : position + chunk]
            last = position + len(part) == end
            rows = [
                BatchToken(token, position + index, cache.sequence, wants_logits and last and index == len(part) - 1)
                for index, token in enumerate(part)
            ]
            try:
                self._compute(rows, is_stopped, (channel, *pinned))
            except _LostError:
                start = 0  # from the beginning: its state could not be taken back to where it was
                continue
            cache.tokens += part
            self._keep_base(cache, shared)
        self.last_row = (end - start - 1) % chunk if end > start else 0
        return end - start

    def step(self, tokens: Sequence[tuple[Hashable, int]], is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Append one token to each of several channels in one batch; row i's logits are then sampled at index i."""
        rows = []
        for channel, token in tokens:
            cache = self._live[channel]
            rows.append(BatchToken(token, len(cache.tokens), cache.sequence, True))
        channels = [channel for channel, _ in tokens]
        before = {channel: list(self._live[channel].tokens) for channel in channels}
        while True:
            try:
                self._compute(rows, is_stopped, channels)
                break
            except _LostError:
                for channel in channels:
                    self.prefill(channel, before[channel], wants_logits=False, pinned=channels)
        for channel, token in tokens:
            self._live[channel].tokens.append(token)

    def fork(self, channel: Hashable, copy: Hashable, *, pinned: Sequence[Hashable] = ()) -> None:
        """Another sequence that goes on where a channel is now, on the same cells. Raises ContextFullError when every
        sequence is taken; not for models with a running state, which cannot be in two places."""
        self.forget(copy)
        cache = self._live[channel]
        other = self._new(copy, (channel, *pinned))
        self.native.share(cache.sequence, other.sequence, len(cache.tokens))
        other.tokens, other.used_at = list(cache.tokens), cache.used_at

    def adopt(self, channel: Hashable, copy: Hashable) -> None:
        """A channel takes over what a fork of it holds, unless that had to make room; the fork is gone."""
        if copy in self._live:
            self.forget(channel)
            self._live[channel] = self._live.pop(copy)
        self.forget(copy)

    def log_probabilities(
        self,
        channel: Hashable,
        prompt: Sequence[int],
        target: Sequence[int],
        *,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> list[float]:
        """Natural log-probability of each target token after the prompt and the targets before it."""
        import numpy as np

        self.prefill(channel, prompt, is_stopped=is_stopped)
        rows_of_logits = [self.native.logits(self.last_row)]
        cache = self._live[channel]
        chunk = min(MAX_OUTPUTS, self.native.options.ubatch)
        for start in range(0, len(target) - 1, chunk):
            part = list(target[start : min(start + chunk, len(target) - 1)])
            rows = [
                BatchToken(token, len(cache.tokens) + index, cache.sequence, True) for index, token in enumerate(part)
            ]
            try:
                self._compute(rows, is_stopped, (channel,))
            except _LostError:
                return self.log_probabilities(channel, prompt, target, is_stopped=is_stopped)
            cache.tokens += part
            rows_of_logits += [self.native.logits(index) for index in range(len(part))]
        found = []
        for logits, token in zip(rows_of_logits, target, strict=True):
            wide = logits.astype(np.float64)
            top = wide.max()
            found.append(float(wide[token] - top - np.log(np.exp(wide - top).sum())))
        return found

    def _compute(self, rows: list[BatchToken], is_stopped: Callable[[], bool], pinned: Sequence[Hashable]) -> None:
        while True:
            code = self.native.decode(rows)
            if code == 0:
                self.computed_tokens += len(rows)
                return
            is_whole = all([self._take_back(row) for row in rows])
            if code == NO_SLOT:
                self._make_room(pinned)
            if code == ABORTED:
                # An abort may have been meant for work that is over: then this is simply done again.
                self.native.resume()
                if is_stopped():
                    raise Interrupted
            if not is_whole:
                raise _LostError

    def _take_back(self, row: BatchToken) -> bool:
        """Remove what a batch that was not done left of a row. False where the model's memory has no way back: then
        nothing is left of the channel."""
        if self.native.remove(row.sequence, row.position):
            return True
        for cache in self._live.values():
            if cache.sequence == row.sequence:
                self._empty(cache)
        return False

    # ---- sequences ------------------------------------------------------------------------------------

    def _open(self, channel: Hashable, tokens: Sequence[int], pinned: Sequence[Hashable]) -> Cache:
        """The channel's live cache, with as much of `tokens` in it as can be had without computing."""
        cache = self._live.get(channel) or self._restore(channel, tokens, pinned) or self._new(channel, pinned)
        cache.used_at = self._clock()
        self._live.move_to_end(channel)
        if self.native.has_running_state:  # a start cannot be shared: there is one state, that of the whole
            return cache
        own = _common(cache.tokens, tokens)
        donor, length = self._best_donor(tokens)
        if length >= own + _WORTH_KEEPING or (length > own and own == 0):
            self._truncate(cache, 0)
            self.native.share(donor, cache.sequence, length)
            cache.tokens = list(tokens[:length])
        return cache

    def _best_donor(self, tokens: Sequence[int]) -> tuple[int, int]:
        """The sequence with the longest start in common: identical tokens at identical places have identical cells."""
        donor, length = _BASE, _common(self._base, tokens)
        for cache in self._live.values():
            common = _common(cache.tokens, tokens)
            if common > length:
                donor, length = cache.sequence, common
        return donor, length

    def _new(self, channel: Hashable, pinned: Sequence[Hashable]) -> Cache:
        while not self._free:
            self._evict(pinned)
        cache = Cache(self._free.pop())
        self._live[channel] = cache
        return cache

    def _restore(self, channel: Hashable, tokens: Sequence[int], pinned: Sequence[Hashable]) -> Cache | None:
        parked = self._parked.pop(channel, None)
        if parked is None or _common(parked.tokens, tokens) < _common(self._base, tokens) + _WORTH_KEEPING:
            return None
        cache = self._new(channel, pinned)
        while not self.native.restore(cache.sequence, parked.data):
            self.native.remove(cache.sequence, 0)
            if not self._evict((channel, *pinned), or_base=True):
                return cache
        cache.tokens = list(parked.tokens)
        common = _common(self._base, cache.tokens)
        if common >= _WORTH_KEEPING:  # the restored copy of the shared start goes, the shared cells come back
            self.native.remove(cache.sequence, 0, common)
            self.native.share(_BASE, cache.sequence, common)
        return cache

    def _truncate(self, cache: Cache, length: int) -> None:
        """Cut a channel back to its first tokens; where the model's memory cannot do that, to none at all."""
        if length >= len(cache.tokens):
            return
        if length and self.native.remove(cache.sequence, length):
            del cache.tokens[length:]
        else:
            self._empty(cache)

    def _empty(self, cache: Cache) -> None:
        self.native.remove(cache.sequence, 0)
        cache.tokens.clear()

    def _keep_base(self, cache: Cache, shared: int) -> None:
        """Remember the common start in a sequence of its own, so that it survives all channels."""
        if self.native.has_running_state:
            return
        if shared < _WORTH_KEEPING or len(cache.tokens) < shared or self._base == cache.tokens[:shared]:
            return
        self.native.remove(_BASE, 0)
        self.native.share(cache.sequence, _BASE, shared)
        self._base = cache.tokens[:shared]

    def _make_room(self, pinned: Sequence[Hashable]) -> None:
        if not self._evict(pinned, or_base=True):
            raise ContextFullError(f"{self.native.options.cells} cells are too few for this prompt")

    def _evict(self, pinned: Sequence[Hashable], *, or_base: bool = False) -> bool:
        """Park or drop the channel unused for longest; as a last resort forget the shared start."""
        for channel in self._live:
            if channel not in pinned:
                self._park(channel)
                return True
        if or_base and self._base:
            self.native.remove(_BASE, 0)
            self._base = []
            return True
        if not or_base:
            raise ContextFullError("more channels at work than sequences")
        return False

    def _park(self, channel: Hashable) -> None:
        cache = self._live[channel]
        own = len(cache.tokens) - _common(self._base, cache.tokens)
        if self._park_bytes and own >= _WORTH_KEEPING:
            data = self.native.save(cache.sequence)
            self._parked[channel] = _Parked(tuple(cache.tokens), data, cache.used_at)
        self._drop_live(channel)
        while self.parked_bytes > self._park_bytes:
            self._parked.popitem(last=False)

    def _drop_live(self, channel: Hashable) -> None:
        cache = self._live.pop(channel)
        self.native.remove(cache.sequence, 0)
        self._free.append(cache.sequence)

    def forget(self, channel: Hashable) -> None:
        """Drop everything computed for a channel."""
        if channel in self._live:
            self._drop_live(channel)
        self._parked.pop(channel, None)

    def expire(self, *, older_than: float) -> list[Hashable]:
        """Forget channels unused since `older_than` (the engine's clock); returns them."""
        old = [channel for channel, cache in self._live.items() if cache.used_at < older_than]
        old += [channel for channel, parked in self._parked.items() if parked.used_at < older_than]
        for channel in old:
            self.forget(channel)
        return old

    def clear(self) -> None:
        """Forget every channel and the shared start."""
        for channel in [*self._live, *self._parked]:
            self.forget(channel)
        self._base = []
        self.native.clear()

    def close(self) -> None:
        """Free the model and every cache; the engine is of no use afterwards."""
        self._live.clear()
        self._parked.clear()
        self.native.close()


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common start."""
    length = min(len(first), len(second))
    for index in range(length):
        if first[index] != second[index]:
            return index
    return length
