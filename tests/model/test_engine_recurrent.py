"""Models with a running state (recurrent and hybrid): it cannot be cut back or shared, so it is computed anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.chat.conversation import Typist
from model.chat.chat_model import ChatModel
from model.chat.engine import Engine, Interrupted
from model.chat.requests import GenerationOptions, ReplyRequest
from model.llama_cpp_api import ContextOptions, NativeModel
from storage.records import Conversation, Turn
from tests.support.model_files import recurrent_model

OPTIONS = ContextOptions(cells=512, sequences=6, threads=1, ubatch=16)
FIRST, OTHER = list(range(300, 390)), list(range(900, 960))


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recurrent_model(tmp_path_factory.mktemp("mamba") / "mamba.gguf")


@pytest.fixture
def native(model_file: Path) -> Iterator[NativeModel]:
    opened = NativeModel(model_file, OPTIONS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fresh(model_file: Path) -> Iterator[NativeModel]:
    """The yardstick: every prompt computed into an empty context."""
    opened = NativeModel(model_file, replace(OPTIONS, sequences=2))
    yield opened
    opened.close()


def expected(fresh: NativeModel, tokens: list[int]) -> np.ndarray:
    fresh.clear()
    engine = Engine(fresh)
    engine.prefill("only", tokens)
    return fresh.logits(engine.last_row)


def prefilled(engine: Engine, channel: str, tokens: list[int]) -> np.ndarray:
    engine.prefill(channel, tokens, shared=60)
    assert engine.cached_tokens(channel) == tokens
    return engine.native.logits(engine.last_row)


def test_its_memory_says_no_to_a_cut_and_that_answer_is_read(native: NativeModel, fresh: NativeModel) -> None:
    """Fault 87: a tail that was thought removed stayed and coloured everything after it."""
    assert native.has_running_state
    engine = Engine(native)
    assert np.allclose(prefilled(engine, "a", FIRST), expected(fresh, FIRST), atol=1e-3)
    changed = [*FIRST[:50], *OTHER]
    assert np.allclose(prefilled(engine, "a", changed), expected(fresh, changed), atol=1e-3)
    assert np.allclose(prefilled(engine, "a", changed), expected(fresh, changed), atol=1e-3)
    assert not np.allclose(expected(fresh, FIRST), expected(fresh, changed), atol=1e-2)


def test_what_follows_costs_only_itself(native: NativeModel) -> None:
    """Fault 87: going on is what a running state is good at."""
    engine = Engine(native)
    engine.prefill("a", FIRST, wants_logits=False)
    assert engine.prefill("a", [*FIRST, *OTHER]) == len(OTHER)


def test_channels_do_not_share_a_start_and_see_nothing_of_one_another(native: NativeModel, fresh: NativeModel) -> None:
    """Fault 87."""
    engine = Engine(native)
    prompts = {name: [*FIRST[:64], *range(1000 + 50 * number, 1030 + 50 * number)] for number, name in enumerate("abc")}
    for name, tokens in prompts.items():
        assert np.allclose(prefilled(engine, name, tokens), expected(fresh, tokens), atol=1e-3)
    engine.step([(name, 77) for name in prompts])
    for row, tokens in enumerate(prompts.values()):
        assert np.allclose(native.logits(row), expected(fresh, [*tokens, 77]), atol=1e-3)


def test_more_channels_than_sequences_are_parked_and_come_back_whole(native: NativeModel, fresh: NativeModel) -> None:
    """Fault 87."""
    engine = Engine(native)
    for name in "abcdefgh":
        prefilled(engine, name, [*FIRST, ord(name)])
    back = [*FIRST, ord("a"), *OTHER[:20]]
    assert np.allclose(prefilled(engine, "a", back), expected(fresh, back), atol=1e-3)


def test_an_abort_in_the_middle_leaves_nothing_wrong_behind(native: NativeModel, fresh: NativeModel) -> None:
    """Fault 87: begun again from the start, or given up with what is really there."""
    engine = Engine(native)
    tokens = [200 + number % 700 for number in range(400)]
    for wait in (0.0, 0.002, 0.01):
        timer = threading.Timer(wait, native.abort)
        timer.start()
        engine.prefill("a", tokens)
        timer.join()
        assert np.allclose(native.logits(engine.last_row), expected(fresh, tokens), atol=1e-3)
        engine.forget("a")
    native.abort()
    with pytest.raises(Interrupted):
        engine.prefill("a", tokens, is_stopped=lambda: True)
    native.resume()
    held = engine.cached_tokens("a")
    assert held == tokens[: len(held)]
    assert np.allclose(prefilled(engine, "a", tokens), expected(fresh, tokens), atol=1e-3)


def test_a_step_that_is_aborted_is_done_again_on_the_same_words(native: NativeModel, fresh: NativeModel) -> None:
    """Fault 87."""
    engine = Engine(native)
    for name in "ab":
        engine.prefill(name, [*FIRST, ord(name)])
    for _ in range(5):
        native.abort()
        engine.step([("a", 77), ("b", 78)])
        native.resume()
    assert np.allclose(native.logits(1), expected(fresh, [*FIRST, ord("b"), 78, 78, 78, 78, 78]), atol=1e-3)


def test_a_chat_model_of_that_kind_reads_along_and_answers_as_often_as_it_is_asked(model_file: Path) -> None:
    """Fault 87."""
    model = ChatModel(model_file, ContextOptions(cells=1024, threads=1, sequences=4), n_ctx=512, template="chatml")
    try:
        turns = [Turn("Ada", "hi all")]
        options = GenerationOptions(max_tokens=8, stop=(), may_end=False, seed=1)
        for number in range(4):
            turns.append(Turn("Bob", f"line {number}"))
            model.listen(number % 2, Conversation(tuple(turns)), "s", typist=Typist("Ada", False))
            reply = model.generate(ReplyRequest(Conversation(tuple(turns)), options, "s", number % 2))
            assert reply.reply_tokens == 8
            turns.append(Turn("", "ok", True))
        assert model.wait_until_idle(timeout_seconds=60)
    finally:
        model.close()
