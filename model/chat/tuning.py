"""The best way to run one model on one machine, measured instead of guessed.

`probe` loads the model twice and times short prefills and decodes within a fixed time, so it takes under a minute.
The result is stored (`Tuning.as_dict`) under `tuning_key` and used until the model's size, the processor count or the
library changes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from model.chat.trial import run_trial
from model.llama_cpp_api import ABORTED, BatchToken, ContextOptions, NativeModel, library
from storage.control import KeyValueStore
from storage.errors import KnownError
from storage.split_files import model_bytes

log = logging.getLogger(__name__)

VERSION = 2
# A typical reply: what is left to compute when listening worked, and what is written.
_PREFILLED, _WRITTEN = 40, 25
# Fewer threads or less memory are worth this much time.
_TOLERANCE = 1.10
_DECODED = 6
_MOST_AT_ONCE = 8
_BATCHES = (2, 4)
# Further drafts may make a usual reply so many seconds longer.
_MOST_FOR_DRAFTS = 1.5
_TRIAL_ROWS, _PREFILL_ROWS = 64, 128
_SMALL_CHUNK, _LARGE_CHUNK = 64, 128
# Repacked weights take about this many times as long to load as those as stored.
_REPACK_LOADS = 5
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
        return replace(
            options,
            repack=self.repack,
            threads=options.threads or self.threads,
            ubatch=self.ubatch,
            flash_attention=self.flash_attention,
        )

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
            return cls(
                **{key: value for key, value in values.items() if key in known}
                | {"trials": tuple(values.get("trials", ()))}
            )
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
        """Seconds a usual reply would take with these settings."""
        return _PREFILLED * self.prefill_seconds + _WRITTEN * self.decode_seconds


def tuning_key(path: Path) -> str:
    """The name of a result in store.facts: another size or processor count is measured again.

    By size and not by name: every retrained model has a name of its own and runs like the one before.
    """
    return f"tuning:{model_bytes(path) >> 20}:{os.cpu_count()}"


def probe(
    path: Path,
    *,
    report: Callable[[float, str], None] = lambda _share, _step: None,
    budget_seconds: float = 45.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Tuning:
    """Measure the model on this machine. `report` may raise to stop.

    What matters most is tried first. When the time is over whatever runs is broken off, and the best setting found so
    far is taken; only the first trial is always run to its end.
    """
    with _Probe(path, budget_seconds, clock) as measuring:
        counts = thread_candidates(os.cpu_count() or 1)
        for index, threads in enumerate(counts):
            report(0.5 * index / len(counts), f"{threads} thread{'s' * (threads > 1)}, weights as stored")
            measuring.attempt(partial(measuring.try_threads, threads))
        report(0.5, "weights repacked")
        measuring.attempt(measuring.try_repacked)
        report(0.7, "prompt chunks, attention, several replies at once")
        for detail in (measuring.try_batches, measuring.try_larger_chunks, measuring.try_plain_attention):
            measuring.attempt(detail)
        report(1.0, "done")
        return measuring.result()


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


def replies_at_once(tuning: Tuning | None) -> int:
    """How many replies to decode together where nobody waits for a single one: as many as bring the most tokens a
    second. Where nothing was measured (small models, graphics cards) the weights are read once for all of them."""
    costs = {1: 1.0} | {int(size): cost for size, cost in (tuning.batch_cost if tuning else {}).items()}
    best = min(costs, key=lambda size: costs[size] / size)
    return _MOST_AT_ONCE if len(costs) == 1 or best == max(costs) else best


def affordable_drafts(tuning: Tuning | None) -> int:
    """How many drafts of one reply may be decoded together: as many as make a usual reply little longer.
    Where nothing was measured (small models, graphics cards) as many as the setting offers."""
    if tuning is None:
        return _BATCHES[-1]
    token = 1 / max(tuning.decode_per_second, 1e-6)
    longer = {int(size): _WRITTEN * token * (cost - 1) for size, cost in tuning.batch_cost.items()}
    return max((size for size, seconds in longer.items() if seconds <= _MOST_FOR_DRAFTS), default=1)


class _OutOfTimeError(Exception):
    """The probe's budget is used up."""


class _Probe:
    """One model being measured, with what was found out so far. Close it (or use it as a context) when done."""

    def __init__(self, path: Path, budget_seconds: float, clock: Callable[[], float]) -> None:
        self._path, self._clock = path, clock
        self._started = clock()
        self._deadline = self._started + budget_seconds
        self.trials: list[Trial] = []
        self._ubatch, self._has_flash, self._batch = _SMALL_CHUNK, True, dict[int, float]()
        self._base = (0.0, 0.0)  # seconds of a prompt and of a token with the best setting
        self._native = self._load(repack=False)
        self._load_seconds = clock() - self._started
        # Breaks off the computation that runs when the time is over; the next one sees the clock.
        self._timer = threading.Timer(budget_seconds, lambda: self._native.abort())
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> _Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._native.close()

    def attempt(self, measure: Callable[[], None]) -> None:
        """Measure something, unless and until the time is over."""
        if self.trials and self._clock() >= self._deadline:
            return
        try:
            measure()
        except _OutOfTimeError:
            log.info("The time for measuring is over; the best setting found so far is used.")

    def try_threads(self, threads: int) -> None:
        """A short prompt and a few tokens with so many threads."""
        self._native.set_threads(threads)
        self._prefill(16)  # pages come in from the disk, buffers are made
        prefill = self._prefill(_TRIAL_ROWS)
        decode = self._decode(1, start=_TRIAL_ROWS)
        self.trials.append(Trial(self._native.options.repack, threads, prefill / _TRIAL_ROWS, decode))

    def try_repacked(self) -> None:
        """The same with repacked weights, on the best number of threads. Loading them takes longer than anything
        else, and cannot be broken off."""
        best = choose(self.trials)
        if self._clock() + _REPACK_LOADS * self._load_seconds >= self._deadline:
            return
        try:
            run_trial(self._path, repack=True)
        except KnownError as error:  # on such a processor the first token would end this process
            log.info("Weights stay as stored: %s", error.what)
            return
        self._native.close()
        self._native = self._load(repack=True)
        self.try_threads(best.threads)

    def try_batches(self) -> None:
        """What a step costs with several sequences, over a step with one."""
        self._use_best()
        self._base = (self._prefill(_PREFILL_ROWS), self._decode(1, start=_PREFILL_ROWS))
        for size in _BATCHES:
            self._batch[size] = self._decode(size, start=_PREFILL_ROWS) / self._base[1]

    def try_larger_chunks(self) -> None:
        """Small chunks react sooner and need less memory; a larger one must earn its place."""
        self._native.reopen(ubatch=_LARGE_CHUNK)
        self._prefill(16)
        if self._prefill(_PREFILL_ROWS) * _TOLERANCE < self._base[0]:
            self._ubatch = _LARGE_CHUNK

    def try_plain_attention(self) -> None:
        """Flash attention skips other channels' cells; without it a prompt must be much quicker."""
        self._native.reopen(ubatch=_SMALL_CHUNK, flash_attention=False)
        self._prefill(16)
        plain = self._prefill(_PREFILL_ROWS) + self._decode(1, start=_PREFILL_ROWS)
        self._has_flash = plain * 1.2 >= sum(self._base)

    def result(self) -> Tuning:
        """The best of what was measured."""
        best = choose(self.trials)
        return Tuning(
            repack=best.repack,
            threads=best.threads,
            ubatch=self._ubatch,
            flash_attention=self._has_flash,
            parallel=choose_parallel(self._batch),
            prefill_per_second=round(1 / best.prefill_seconds, 1),
            decode_per_second=round(1 / best.decode_seconds, 1),
            batch_cost={str(size): round(cost, 3) for size, cost in self._batch.items()},
            seconds=round(self._clock() - self._started, 1),
            trials=tuple(asdict(trial) for trial in self.trials),
        )

    def _load(self, *, repack: bool) -> NativeModel:
        return NativeModel(self._path, ContextOptions(cells=1024, sequences=8, ubatch=_SMALL_CHUNK, repack=repack))

    def _use_best(self) -> None:
        best = choose(self.trials)
        if best.repack != self._native.options.repack:
            self._native.close()
            self._native = self._load(repack=best.repack)
        self._native.set_threads(best.threads)
        self._prefill(16)

    def _prefill(self, count: int) -> float:
        """Seconds for `count` tokens into an empty sequence 0."""
        self._native.clear()
        size = self._native.options.ubatch
        started = self._clock()
        for start in range(0, count, size):
            self._compute(
                [
                    BatchToken(_token(self._native, at), at, 0, at == count - 1)
                    for at in range(start, min(start + size, count))
                ]
            )
        return self._clock() - started

    def _decode(self, sequences: int, *, start: int) -> float:
        """Seconds of one step with so many sequences, all sharing what sequence 0 holds."""
        for sequence in range(1, sequences):
            self._native.share(0, sequence, start)
        times = []
        for step in range(_DECODED):
            began = self._clock()
            self._compute(
                [
                    BatchToken(_token(self._native, step + sequence), start + step, sequence, True)
                    for sequence in range(sequences)
                ]
            )
            times.append(self._clock() - began)
        if not all([self._native.remove(sequence, start) for sequence in range(sequences)]):
            self._prefill(start)  # a model with a running state has no way back but the beginning
        return sorted(times)[len(times) // 2]

    def _compute(self, rows: list[BatchToken]) -> None:
        if self.trials and self._clock() >= self._deadline:
            raise _OutOfTimeError
        while self._native.decode(rows) == ABORTED:
            if self.trials:
                raise _OutOfTimeError
            self._native.resume()


def _token(native: NativeModel, number: int) -> int:
    # Any token but a control one; different ones, so that nothing is special about them.
    return 1000 + number * 37 % min(native.vocabulary_size - 1200, 20_000) if native.vocabulary_size > 1300 else 5


def _in_a_thread_of_its_own(task: Callable[[], Tuning]) -> Tuning:
    """Run and end a thread. OpenMP keeps a team of threads for each one that ever computed with several, and while they
    are more than there are processors all wait by sleeping instead of spinning: a team left behind by the probe made
    the chat model's decoding 12 % slower for as long as the process lived (docs/ENGINE.md)."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="probe") as executor:
        return executor.submit(task).result()


def tuning_for(
    facts: KeyValueStore, path: Path, *, gpu_layers: int = 0, probe_if_missing: bool = True
) -> Tuning | None:
    """The stored result for a model on this machine. At the first start of a large one it is measured now (under a
    minute); small models run well enough as they are, and None says so, as with a graphics card in use."""
    if gpu_layers != 0 and library().llama_supports_gpu_offload():
        return None
    key = tuning_key(path)
    stored = Tuning.from_dict(facts.get(key))
    if stored is not None or not probe_if_missing or model_bytes(path) < _WORTH_PROBING:
        return stored
    log.info("First start with %s on this computer: measuring how it runs best.", path.name)
    tuning = _in_a_thread_of_its_own(partial(probe, path))
    facts.set(key, tuning.as_dict())
    log.info(
        "Measured in %.0f s: %s, %d threads, %.1f tokens/s.",
        tuning.seconds,
        "repacked" if tuning.repack else "as stored",
        tuning.threads,
        tuning.decode_per_second,
    )
    return tuning
