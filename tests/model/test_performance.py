"""Performance: what is computed, kept and bounded, with the packaged model. Counts and shares, never seconds.

Seconds differ from machine to machine; scripts/benchmark.py and the evaluation report measure them on yours.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import psutil
import pytest

from model.catalog import offline_chat_model
from model.evaluation import memory
from model.evaluation.generation import Answer, speed_of
from model.inference import ChatModel, GenerationOptions, ReplyRequest, close_model, get_model
from storage.records import Conversation, Turn

SHORT = GenerationOptions(max_tokens=6, seed=1)


@pytest.fixture(scope="module")
def model() -> Iterator[ChatModel]:
    yield get_model(offline_chat_model(), n_ctx=512)
    close_model()


def ask(model: ChatModel, *lines: str, channel: int = 1) -> ReplyRequest:
    turns = tuple(Turn(f"m{number}", line) for number, line in enumerate(lines))
    return ReplyRequest(Conversation(turns), SHORT, "Chat like you normally would.", channel)


def test_the_model_is_loaded_once_per_process(model: ChatModel) -> None:
    assert get_model(offline_chat_model(), n_ctx=512) is model


def test_a_reply_costs_at_most_what_was_allowed(model: ChatModel) -> None:
    reply = model.generate(ask(model, "tell me everything"))
    assert 0 < reply.reply_tokens <= SHORT.max_tokens
    assert reply.first_token_ms <= reply.total_ms


def test_a_second_reply_in_a_channel_computes_only_what_is_new(model: ChatModel) -> None:
    model.generate(ask(model, "the printer is broken again and nobody says a word about it", channel=11))
    second = model.generate(
        ask(model, "the printer is broken again and nobody says a word about it", "who broke it", channel=11)
    )
    assert second.prefilled_tokens < second.prompt_tokens / 2


def test_reading_along_leaves_little_to_compute_for_the_reply(model: ChatModel) -> None:
    heard = Conversation((Turn("mia", "anyone seen my keys"), Turn("tom", "check the fridge")))
    model.listen(12, heard, "Chat like you normally would.")
    assert model.wait_until_idle(timeout_seconds=120)
    reply = model.generate(
        ReplyRequest(
            Conversation((*heard.turns, Turn("mia", "found them"))), SHORT, "Chat like you normally would.", 12
        )
    )
    assert reply.prefilled_tokens < reply.prompt_tokens / 2


def test_memory_does_not_grow_with_every_reply(model: ChatModel) -> None:
    for number in range(4):
        model.generate(ask(model, f"warm up {number}", channel=20 + number % 2))
    before = psutil.Process().memory_info().rss
    for number in range(12):
        model.generate(ask(model, f"say something about number {number}", channel=20 + number % 2))
    grown = psutil.Process().memory_info().rss - before
    assert grown < 60 << 20, f"{grown / 2**20:.0f} MiB more after 12 replies"


def test_percentiles_and_rates_come_from_what_was_measured() -> None:
    answers = [Answer(str(number), "x", 11, 1000.0, 1000.0 + 100.0 * number) for number in range(1, 101)]
    speed = speed_of(answers, load_seconds=2.0, memory_bytes=5)
    assert speed.p50_ms == pytest.approx(6050)
    assert speed.p95_ms == pytest.approx(10505)
    assert speed.first_token_ms == 1000
    assert speed.replies_counted == 100
    assert speed.tokens_per_second == pytest.approx(1000 / (sum(range(1, 101)) / 10))


def test_the_memory_part_reads_training_texts_as_a_stream() -> None:
    """A million training lines must not be held in memory at once."""

    def lines(count: int) -> Iterator[str]:
        for number in range(count):
            yield f"line {number} says that nobody ever washes the red cup after lunch"

    tracemalloc.start()
    try:
        found = memory.measure(["nobody ever washes the red cup after lunch, ever"], lines(20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.longest_run == 8
    assert peak < 2 << 20
