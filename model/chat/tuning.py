"""The best way to run one model on one machine, measured instead of guessed.

`probe` loads the model a few times and times short prefills and decodes; it takes well under a minute for a 3B model.
The result is stored (`Tuning.as_dict`) under `tuning_key` and used until the model, the processor count or the library
changes.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from model.native import ContextOptions, NativeModel, Row, library
from storage.control import Facts

log = logging.getLogger(__name__)

VERSION = 2
# A typical reply: what is left to compute when listening worked, and what is written.
_PREFILLED, _WRITTEN = 40, 25
# Fewer threads or less memory are worth this much time.
_TOLERANCE = 1.10
_DECODED = 6
_BATCHES = (2, 4)
_PREFILL_ROWS = 128
_WORTH_PROBING = 300 << 20


@dataclass(frozen=True)
class Tuning:
    """What was chosen and the figures behind it. parallel: replies decoded in one batch. *_per_second: tokens."""

    repack: bool
    threads: int
    ubatch: int
    flash_attention: bool
    parallel: int
    prefill_per_second: float
    decode_per_second: float
    batch_cost: dict[str, float]
    seconds: float
    trials: tuple[dict[str, Any], ...] = ()
    version: int = VERSION

    def applied_to(self, options: ContextOptions) -> ContextOptions:
        """Load options with these choices; a thread count chosen by the owner stays."""
        return replace(options, repack=self.repack, threads=options.threads or self.threads, ubatch=self.ubatch,
                       flash_attention=self.flash_attention)

    def as_dict(self) -> dict[str, Any]:
        """For store.facts."""
        return asdict(self) | {"trials": list(self.trials)}

    @classmethod
    def from_dict(cls, values: Any) -> Tuning | None:
        """A stored result; None for one of another version of the program."""
        if not isinstance(values, dict) or values.get("version") != VERSION:
            return None
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{key: value for key, value in values.items() if key in known} |
                       {"trials": tuple(values.get("trials", ()))})
        except TypeError:
            return None


@dataclass(frozen=True)
class Trial:
    """One setting and its speed, seconds per token."""

    repack: bool
    threads: int
    prefill_seconds: float
    decode_seconds: float

    @property
    def reply_seconds(self) -> float:
        return _PREFILLED * self.prefill_seconds + _WRITTEN * self.decode_seconds


def tuning_key(path: Path) -> str:
    """The name of a model's result in store.facts: another file, size or processor count is measured anew."""
    return f"tuning:{path.name}:{path.stat().st_size}:{os.cpu_count()}"


def probe(path: Path, *, report: Callable[[float, str], None] = lambda _share, _step: None,
          budget_seconds: float = 50.0, clock: Callable[[], float] = time.perf_counter) -> Tuning:
    """Measure the model on this machine. `report` may raise to stop. Trials stop when the budget is used up."""
    started = clock()
    trials: list[Trial] = []
    counts = thread_candidates(os.cpu_count() or 1)
    for number, repack in enumerate((False, True)):
        native = NativeModel(path, _options(repack=repack))
        try:
            for index, threads in enumerate(counts):
                if trials and clock() - started > budget_seconds * 0.6:
                    break
                report(0.6 * (number + index / len(counts)) / 2,
                       f"{threads} thread{'s' * (threads > 1)}, weights {'repacked' if repack else 'as stored'}")
                native.set_threads(threads)
                trials.append(_trial(native, repack, threads, clock))
        finally:
            native.close()
    best = choose(trials)
    report(0.65, "prompt chunks, attention, several replies at once")
    ubatch, flash, batch = _details(path, best, clock)
    report(1.0, "done")
    return Tuning(
        repack=best.repack, threads=best.threads, ubatch=ubatch, flash_attention=flash, parallel=choose_parallel(batch),
        prefill_per_second=round(1 / best.prefill_seconds, 1), decode_per_second=round(1 / best.decode_seconds, 1),
        batch_cost={str(size): round(cost, 3) for size, cost in batch.items()}, seconds=round(clock() - started, 1),
        trials=tuple(asdict(trial) for trial in trials))


def thread_candidates(processors: int) -> list[int]:
    """Thread counts worth trying: half the processors, all but one, and all (up to 16)."""
    most = min(processors, 16)
    return sorted({max(most // 2, 1), max(most - 1, 1), most})


def choose(trials: Sequence[Trial]) -> Trial:
    """The quickest for a typical reply; among nearly equal ones the leaner: as stored, then fewer threads."""
    quickest = min(trial.reply_seconds for trial in trials)
    good = [trial for trial in trials if trial.reply_seconds <= quickest * _TOLERANCE]
    return min(good, key=lambda trial: (trial.repack, trial.threads, trial.reply_seconds))


def choose_parallel(batch_cost: dict[int, float]) -> int:
    """How many replies to decode together: only where even the mean latency wins.

    batch_cost: time of a step with n sequences over a step with one. One after the other, n replies take
    (n + 1) / 2 turns on average; together each takes the batch's cost.
    """
    paying = [size for size, cost in batch_cost.items() if cost < 0.9 * (size + 1) / 2]
    return max(paying, default=1)


def _options(**changes: Any) -> ContextOptions:
    return replace(ContextOptions(cells=1024, sequences=8, ubatch=64), **changes)


def _trial(native: NativeModel, repack: bool, threads: int, clock: Callable[[], float]) -> Trial:
    _prefill(native, 16, clock)  # pages come in from the disk, buffers are made
    prefill = _prefill(native, 64, clock)
    decode = _decode(native, 1, clock, start=64)
    return Trial(repack, threads, prefill / 64, decode)


def _details(path: Path, best: Trial, clock: Callable[[], float]) -> tuple[int, bool, dict[int, float]]:
    """Chunk size, flash attention and the cost of batches with the chosen weights and threads."""
    speeds: dict[tuple[int, bool], tuple[float, float]] = {}
    batch: dict[int, float] = {}
    for ubatch, flash in ((64, True), (128, True), (64, False)):
        native = NativeModel(path, _options(repack=best.repack, threads=best.threads, ubatch=ubatch,
                                            flash_attention=flash))
        try:
            _prefill(native, 16, clock)
            prefill = _prefill(native, _PREFILL_ROWS, clock)
            decode = _decode(native, 1, clock, start=_PREFILL_ROWS)
            speeds[ubatch, flash] = (prefill, decode)
            if (ubatch, flash) == (64, True):
                batch = {size: _decode(native, size, clock, start=_PREFILL_ROWS) / decode for size in _BATCHES}
        finally:
            native.close()
    base = speeds[64, True]
    # Small chunks react sooner and need less memory; a larger one must earn its place.
    ubatch = 128 if speeds[128, True][0] * _TOLERANCE < base[0] else 64
    is_flash_slower = sum(speeds[64, False]) * 1.2 < sum(base)
    return ubatch, not is_flash_slower, batch


def _prefill(native: NativeModel, count: int, clock: Callable[[], float]) -> float:
    """Seconds for `count` tokens into an empty sequence 0."""
    native.clear()
    size = native.options.ubatch
    started = clock()
    for start in range(0, count, size):
        native.decode([Row(_token(native, at), at, 0, at == count - 1)
                       for at in range(start, min(start + size, count))])
    return clock() - started


def _decode(native: NativeModel, sequences: int, clock: Callable[[], float], *, start: int) -> float:
    """Seconds of one step with so many sequences, all sharing what sequence 0 holds."""
    for sequence in range(1, sequences):
        native.share(0, sequence, start)
    times = []
    for step in range(_DECODED):
        began = clock()
        native.decode([Row(_token(native, step + sequence), start + step, sequence, True)
                       for sequence in range(sequences)])
        times.append(clock() - began)
    for sequence in range(sequences):
        native.remove(sequence, start)
    return sorted(times)[len(times) // 2]


def _token(native: NativeModel, number: int) -> int:
    # Any token but a control one; different ones, so that nothing is special about them.
    return 1000 + number * 37 % min(native.vocabulary_size - 1200, 20_000) if native.vocabulary_size > 1300 else 5


def tuning_for(facts: Facts, path: Path, *, gpu_layers: int = 0, probe_if_missing: bool = True) -> Tuning | None:
    """The stored result for a model on this machine. At the first start of a large one it is measured now (under a
    minute); small models run well enough as they are, and None says so, as with a graphics card in use."""
    if gpu_layers != 0 and library().llama_supports_gpu_offload():
        return None
    key = tuning_key(path)
    stored = Tuning.from_dict(facts.get(key))
    if stored is not None or not probe_if_missing or path.stat().st_size < _WORTH_PROBING:
        return stored
    log.info("First start with %s on this computer: measuring how it runs best.", path.name)
    tuning = probe(path)
    facts.set(key, tuning.as_dict())
    log.info("Measured in %.0f s: %s, %d threads, %.1f tokens/s.", tuning.seconds,
             "repacked" if tuning.repack else "as stored", tuning.threads, tuning.decode_per_second)
    return tuning
