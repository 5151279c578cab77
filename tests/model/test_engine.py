"""Channels in one context: nobody sees anybody else's tokens, whatever happens in between.

A small model with random weights: every token of the context moves its next-token distribution, so a foreign token in a
channel's cells shows. The yardstick is a second, fresh context that computes the channel's tokens in one go.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.chat.engine import ContextFullError, Engine, Interrupted
from model.llama_cpp_api import BatchToken, ContextOptions, NativeModel
from scripts.dev.make_benchmark_model import TINY, write_model

OPTIONS = ContextOptions(cells=640, sequences=8, threads=1, ubatch=16)
SYSTEM = list(range(300, 364))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny qwen2 with random weights and a made-up vocabulary, in 32 bits: arithmetic noise is tiny."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_model(path, TINY, is_exact=True)
    return path


@pytest.fixture
def native(model_file: Path) -> Iterator[NativeModel]:
    opened = NativeModel(model_file, OPTIONS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fresh(model_file: Path) -> Iterator[NativeModel]:
    """The reference: cleared before every use, everything in one sequence."""
    opened = NativeModel(model_file, replace(OPTIONS, cells=1024, sequences=2, ubatch=64))
    yield opened
    opened.close()


def distribution(logits: np.ndarray) -> np.ndarray:
    wide = np.exp(logits.astype(np.float64) - logits.max())
    return wide / wide.sum()


def divergence(left: np.ndarray, right: np.ndarray) -> float:
    """Kullback-Leibler divergence of two next-token distributions, in nats."""
    return float((left * (np.log(left + 1e-30) - np.log(right + 1e-30))).sum())


def one_shot(native: NativeModel, tokens: list[int]) -> np.ndarray:
    native.clear()
    size = native.options.ubatch
    for start in range(0, len(tokens), size):
        part = tokens[start : start + size]
        rows = [
            BatchToken(token, start + index, 0, start + index == len(tokens) - 1) for index, token in enumerate(part)
        ]
        assert native.decode(rows) == 0
    return distribution(native.logits(len(part) - 1))


def of_channel(engine: Engine, channel: int, tokens: list[int]) -> np.ndarray:
    engine.prefill(channel, tokens, shared=len(SYSTEM))
    return distribution(engine.native.logits(engine.last_row))


def words(rng: random.Random, channel: int, count: int) -> list[int]:
    """Tokens only this channel ever uses: its canaries."""
    return [400 + channel * 100 + rng.randrange(100) for _ in range(count)]


def noise_floor(native: NativeModel, fresh: NativeModel, rng: random.Random) -> float:
    """How far the same tokens diverge when only the chunk size differs."""
    floors = []
    for _ in range(5):
        tokens = SYSTEM + words(rng, 1, 80)
        floors.append(divergence(one_shot(fresh, tokens), one_shot(native, tokens)))
    return max(floors)


@pytest.mark.parametrize("seed", range(8))
def test_no_channel_ever_sees_anothers_tokens(native: NativeModel, fresh: NativeModel, seed: int) -> None:
    """Random interleavings of talking, answering together, trimming, parking, cancelling, aborting and expiring."""
    rng = random.Random(seed)
    floor = noise_floor(native, fresh, rng)
    native.clear()
    engine = Engine(native, park_bytes=rng.choice([0, 40_000, 4 << 20]))
    history: dict[int, list[int]] = {channel: SYSTEM + words(rng, channel, 8) for channel in range(9)}
    for _ in range(60):
        channel = rng.randrange(9)
        act = rng.choice(
            ["say", "say", "answer", "trim", "tail", "park", "cancel", "abort", "forget", "system", "check"]
        )
        if act == "say":
            history[channel] += words(rng, channel, rng.randint(1, 30))
            engine.prefill(channel, history[channel], shared=len(SYSTEM), wants_logits=rng.random() < 0.5)
        elif act == "answer":
            together = rng.sample(range(9), rng.randint(1, 3))
            for number, one in enumerate(together):
                engine.prefill(one, history[one], shared=len(SYSTEM), pinned=together[:number])
            for _ in range(rng.randint(1, 6)):
                step = [(one, words(rng, one, 1)[0]) for one in together]
                engine.step(step)
                for one, token in step:
                    history[one].append(token)
        elif act == "trim":
            history[channel] = SYSTEM + history[channel][len(SYSTEM) + rng.randint(0, 40) :] + words(rng, channel, 1)
        elif act == "tail":
            history[channel] = history[channel][: max(len(SYSTEM) + 1, len(history[channel]) - rng.randint(1, 20))]
        elif act == "park":
            if channel in engine.channels:
                engine._park(channel)
        elif act == "cancel":
            left = rng.randint(0, 2)
            stops = iter([False] * left)
            with pytest.raises(Interrupted):
                engine.prefill(
                    channel,
                    history[channel] + words(rng, channel, 70),
                    shared=len(SYSTEM),
                    is_stopped=lambda: next(stops, True),  # noqa: B023
                )
        elif act == "abort":
            native.abort()  # nobody wants to stop: the work is done again
            engine.prefill(channel, history[channel] + words(rng, channel, 20), shared=len(SYSTEM))
        elif act == "forget":
            engine.forget(channel)
        elif act == "system":
            other = [350 + rng.randrange(40) for _ in range(64)]
            engine.prefill(channel, other + words(rng, channel, 5), shared=len(other))
        if len(history[channel]) > 260:
            history[channel] = SYSTEM + history[channel][-60:]
        for cached in engine.channels:
            foreign = [
                token for token in engine.cached_tokens(cached) if token >= 400 and (token - 400) // 100 != cached
            ]
            assert not foreign
        if act in ("check", "park", "answer", "abort", "cancel", "system"):
            expected = one_shot(fresh, history[channel])
            assert divergence(expected, of_channel(engine, channel, history[channel])) < 20 * floor + 1e-8
    for channel, tokens in history.items():
        assert divergence(one_shot(fresh, tokens), of_channel(engine, channel, tokens)) < 20 * floor + 1e-8


def test_one_foreign_token_would_show(native: NativeModel, fresh: NativeModel) -> None:
    """The yardstick of the test above is fine enough."""
    rng = random.Random(1)
    floor = noise_floor(native, fresh, rng)
    tokens = SYSTEM + words(rng, 1, 100)
    spoilt = [*tokens[:120], 999, *tokens[121:]]
    assert divergence(one_shot(fresh, tokens), one_shot(fresh, spoilt)) > 2 * (20 * floor + 1e-8)


def test_the_shared_start_is_computed_once(native: NativeModel) -> None:
    engine = Engine(native)
    rng = random.Random(2)
    assert engine.prefill(1, SYSTEM + words(rng, 1, 10), shared=len(SYSTEM)) == len(SYSTEM) + 10
    assert engine.prefill(2, SYSTEM + words(rng, 2, 10), shared=len(SYSTEM)) == 10
    engine.forget(1)
    engine.forget(2)
    assert engine.prefill(3, SYSTEM + words(rng, 3, 10), shared=len(SYSTEM)) == 10


def test_a_parked_channel_comes_back_without_computing(native: NativeModel) -> None:
    engine = Engine(native, park_bytes=8 << 20)
    rng = random.Random(3)
    tokens = SYSTEM + words(rng, 1, 100)
    engine.prefill(1, tokens, shared=len(SYSTEM))
    engine._park(1)
    assert engine.channels == []
    assert engine.parked_bytes > 0
    assert engine.prefill(1, [*tokens, 401], shared=len(SYSTEM)) == 1


def test_many_channels_make_room_for_one_another_and_memory_stays_bounded(native: NativeModel) -> None:
    engine = Engine(native, park_bytes=200_000)
    rng = random.Random(4)
    for number in range(80):
        engine.prefill(number % 40, SYSTEM + words(rng, number % 10, 120), shared=len(SYSTEM))
        assert engine.parked_bytes <= 200_000
        assert len(engine.channels) < OPTIONS.sequences


def test_quiet_channels_are_forgotten_after_a_while(native: NativeModel) -> None:
    now = [0.0]
    engine = Engine(native, clock=lambda: now[0])
    engine.prefill(1, [*SYSTEM, 401], shared=len(SYSTEM))
    now[0] = 100.0
    engine.prefill(2, [*SYSTEM, 501], shared=len(SYSTEM))
    assert engine.expire(older_than=50.0) == [1]
    assert engine.channels == [2]


def test_a_prompt_larger_than_the_context_is_a_clear_error_and_leaves_the_engine_usable(native: NativeModel) -> None:
    engine = Engine(native)
    with pytest.raises(ContextFullError):
        engine.prefill(1, [500] * 900)
    engine.forget(1)
    assert engine.prefill(2, [*SYSTEM, 401]) == len(SYSTEM) + 1


def test_an_adapter_changes_the_model_and_taking_it_off_restores_it(native: NativeModel, tmp_path: Path) -> None:
    import gguf

    rng = np.random.default_rng(0)
    path = tmp_path / "adapter.gguf"
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for part, shape in (("lora_a", (4, TINY.width)), ("lora_b", (TINY.width, 4))):
        writer.add_tensor(f"blk.0.attn_output.weight.{part}", rng.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tokens = [*SYSTEM, 401, 402]
    plain = one_shot(native, tokens)
    native.set_adapter(path)
    assert divergence(plain, one_shot(native, tokens)) > 1e-4
    native.set_adapter(None)
    assert divergence(plain, one_shot(native, tokens)) < 1e-6


def test_an_abort_from_another_thread_stops_a_long_computation(native: NativeModel) -> None:
    engine = Engine(native)
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        native.abort()

    threading.Timer(0.02, stop).start()
    with pytest.raises(Interrupted):  # noqa: PT012 - whichever round the stop falls into
        for number in range(10_000):
            engine.prefill(number % 3, [401 + number % 50] * 500, is_stopped=stopped.is_set)
    assert engine.prefill(1, [*SYSTEM, 401]) > 0
