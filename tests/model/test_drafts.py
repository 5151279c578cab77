"""Several drafts of one reply, written together on the same cells, of which one is said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model.catalog import offline_chat_model
from model.chat.chat_model import ChatModel
from model.chat.generation import NO_SCORER, TOO_SLOW
from model.chat.tuning import Tuning, affordable_drafts
from model.draft_scorer import DraftScorer, find_scorer, read_scorer, scorer_path
from model.evaluation.draft_fit import LEAST_PLACES, fit_scorer
from model.evaluation.rows import EvaluationExample
from model.inference import GenerationOptions, ReplyRequest
from model.llama_cpp_api import ContextOptions
from storage.records import Conversation, Turn
from storage.settings import DRAFTS, Settings

SYSTEM = "You are a regular on this server. Be yourself, keep it short."
TALK = Conversation((Turn("Ada", "hi all"), Turn("Bob", "anyone up for a game tonight?")))
OPTIONS = GenerationOptions(seed=5, temperature=1.0, max_tokens=50, stop=(), may_end=False)
LONGEST, SHORTEST = DraftScorer({"length": 50.0}), DraftScorer({"length": -50.0})


@pytest.fixture(scope="module")
def model() -> Iterator[ChatModel]:
    loaded = ChatModel(offline_chat_model(), ContextOptions(cells=2048, threads=1), n_ctx=1024, most_drafts=4)
    yield loaded
    loaded.close()


@pytest.fixture
def scored(model: ChatModel) -> ChatModel:
    """The model with a scorer that takes the longest draft; what was computed before is forgotten."""
    model.ask(lambda: setattr(model._loaded, "scorer", LONGEST))
    model.free_caches()
    return model


def asked(channel: int = 1, *, drafts: int = 4, **changes: object) -> ReplyRequest:
    fields = {key: changes.pop(key) for key in ("is_sayable", "on_text", "deadline_seconds") if key in changes}
    return ReplyRequest(TALK, OPTIONS.with_changes(drafts=drafts, **changes), SYSTEM, channel, **fields)  # type: ignore[arg-type]


def alone(model: ChatModel, count: int = 4) -> list[str]:
    """What the drafts are when each is written by itself."""
    texts = []
    for number in range(count):
        model.free_caches()
        texts.append(model.generate(asked(drafts=1, seed=5 + number)).text)
    model.free_caches()
    return texts


def sequences(model: ChatModel) -> list[object]:
    return list(model.ask(lambda: model._loaded.engine.channels))


def test_the_draft_that_the_scorer_wants_is_said_and_the_reply_tells_of_it(scored: ChatModel) -> None:
    written: list[str] = []
    reply = scored.generate(asked(is_sayable=lambda text: not written.append(text)))
    assert len(written) == 4
    assert len(set(written)) > 1
    assert len(reply.text) == max(map(len, written))
    assert reply.chosen == "the best of 4 drafts"
    scored.ask(lambda: setattr(scored._loaded, "scorer", SHORTEST))
    scored.free_caches()
    assert len(scored.generate(asked(drafts=2)).text) <= len(reply.text)


def test_a_draft_is_what_would_be_written_without_the_others(scored: ChatModel) -> None:
    told: list[str] = []
    written: list[str] = []
    scored.generate(asked(temperature=0.0, is_sayable=lambda text: not written.append(text), on_text=told.append))
    assert len(set(written)) == 1  # without chance all of them are the same
    assert told[-1] == written[0]
    assert alone(scored, 1)[0]


def test_the_channel_goes_on_with_the_chosen_draft_and_no_other_cells_stay(scored: ChatModel) -> None:
    reply = scored.generate(asked(7))
    assert sequences(scored) == [7]
    kept = scored.ask(lambda: scored._loaded.engine.cached_tokens(7))
    said = "".join(
        scored.ask(lambda: [scored._loaded.native.piece(token).decode("utf-8", "replace") for token in kept])
    )
    assert reply.text[:20] in said


def test_what_would_not_be_sent_is_not_chosen_while_another_draft_may_be(scored: ChatModel) -> None:
    written: list[str] = []
    scored.generate(asked(is_sayable=lambda text: not written.append(text)))
    longest = max(written, key=len)
    scored.free_caches()
    reply = scored.generate(asked(is_sayable=lambda text: text != longest))
    assert reply.text != longest
    scored.free_caches()
    assert scored.generate(asked(is_sayable=lambda text: False)).text  # refused later, with the reason


def test_a_cancelled_reply_with_drafts_stops_at_once_and_leaves_no_cells(scored: ChatModel) -> None:
    future = scored.submit(asked(8, max_tokens=400, stop=()))
    while not scored._worker.running:
        time.sleep(0.002)
    assert future.cancel()
    assert future.result(timeout=10).stop_reason == "cancelled"
    assert scored.wait_until_idle(timeout_seconds=10)
    assert set(sequences(scored)) <= {8}


def test_what_is_forgotten_while_drafts_are_written_leaves_nothing_of_them(scored: ChatModel) -> None:
    future = scored.submit(asked(9))
    while not scored._worker.running:
        time.sleep(0.002)
    scored.forget_channel(9)
    future.result(timeout=60)
    assert scored.wait_until_idle(timeout_seconds=10)
    assert sequences(scored) == []


def test_drafts_that_do_not_fit_are_given_up_and_the_reply_is_written_all_the_same() -> None:
    small = ChatModel(offline_chat_model(), ContextOptions(cells=256, threads=1), n_ctx=240, most_drafts=4)
    try:
        small.ask(lambda: setattr(small._loaded, "scorer", LONGEST))
        # A name no model writes: another's line would end the reply before its time.
        talk = Conversation((Turn("\ue000\ue001\ue002", "hi all"),))
        reply = small.generate(replace(asked(max_tokens=100), conversation=talk))
        assert reply.text
        assert reply.chosen != "the best of 4 drafts"
        assert reply.stop_reason in ("stop", "length")
        assert small.ask(lambda: small._loaded.engine.channels) == [1]
    finally:
        small.close()


def test_without_a_scorer_or_the_means_there_is_one_draft_and_the_reply_says_why(model: ChatModel) -> None:
    model.ask(lambda: setattr(model._loaded, "scorer", None))
    reply = model.generate(asked())
    assert reply.chosen == NO_SCORER
    assert model.generate(asked(drafts=1)).chosen == ""
    slow = ChatModel(offline_chat_model(), ContextOptions(cells=512, threads=1), n_ctx=400, most_drafts=1)
    try:
        slow.ask(lambda: setattr(slow._loaded, "scorer", LONGEST))
        assert slow.generate(asked()).chosen == TOO_SLOW
    finally:
        slow.close()


def test_only_a_machine_that_writes_several_about_as_quickly_as_one_affords_drafts() -> None:
    def measured(tokens_per_second: float) -> Tuning:
        return Tuning(False, 2, 64, True, 1, 50.0, tokens_per_second, {"2": 1.5, "4": 2.5}, 1.0)

    assert affordable_drafts(measured(80.0)) == 4
    assert affordable_drafts(measured(20.0)) == 2
    assert affordable_drafts(measured(4.0)) == 1
    assert affordable_drafts(None) == 4


def test_drafts_are_off_unless_the_owner_switches_them_on() -> None:
    assert GenerationOptions.from_settings(Settings()).drafts == 1
    assert GenerationOptions.from_settings(Settings({DRAFTS.key: "4"})).drafts == 4


def places(count: int) -> list[EvaluationExample]:
    questions = ("who took the pizza?", "is the server down?", "chess tonight?")
    return [
        EvaluationExample(
            str(number),
            1,
            f"s{number // 4}",
            Conversation((Turn("Ada", questions[number % 3]),)),
            ("nah not me lol", "yep server down again", "chess sounds good")[number % 3],
        )
        for number in range(count)
    ]


def test_a_fitted_scorer_prefers_what_people_say_and_what_belongs_here_and_survives_its_file(tmp_path: Path) -> None:
    rows = places(LEAST_PLACES)
    fitted = fit_scorer(rows, ["I am a helpful assistant. How may I help you today?"] * len(rows))
    assert fitted is not None
    model = tmp_path / "voice-Q4_K_M.gguf"
    fitted.write(scorer_path(model))
    again = read_scorer(scorer_path(model))
    assert again is not None
    lines = ["is the server down?"]
    assert again.score(lines, "yep lol") > again.score(lines, "I am a helpful assistant.")
    assert again.score(lines, "yep server down again") > again.score(["chess tonight?"], "yep server down again")
    assert again.places == LEAST_PLACES
    assert find_scorer(model, None) == scorer_path(model)
    assert not any(word in scorer_path(model).read_text() for word in ("pizza", "server", "Ada"))


def test_too_few_places_fit_no_scorer_and_a_spoiled_file_is_none(tmp_path: Path) -> None:
    rows = places(LEAST_PLACES - 1)
    assert fit_scorer(rows, ["hello there"] * len(rows)) is None
    for content in ("", "[]", '{"format": 1, "weights": {"a": "b"}}', '{"format": 99, "weights": {"a": 1}}'):
        (tmp_path / "x.drafts.json").write_text(content)
        assert read_scorer(tmp_path / "x.drafts.json") is None
    assert read_scorer(tmp_path / "missing.json") is None
