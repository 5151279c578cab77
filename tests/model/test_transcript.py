"""A model that reads a transcript: what a due reply still costs, what stays inert, and what is not punished."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import pytest

from data.chat.conversation import Typist
from model.catalog import offline_chat_model
from model.chat.chat_model import ChatModel
from model.chat.requests import GenerationOptions, ReplyRequest
from model.chat.sampling import Sampler
from model.llama_cpp_api import ContextOptions, library
from model.prompts import render, tokenise
from storage.records import Conversation, Turn
from storage.settings import MIN_P, REPEAT_PENALTY, TEMPERATURE, TOP_K, TOP_P, TRANSCRIPT, Settings

TALK = Conversation(
    (Turn("Ada", "anyone up for chess"), Turn("Bob", "maybe\nlater"), Turn("", "same", True)), (), "Vex"
)
OPTIONS = GenerationOptions.from_settings(Settings().for_layout(TRANSCRIPT)).with_changes(max_tokens=40, seed=1)


@pytest.fixture(scope="module")
def model() -> Iterator[ChatModel]:
    """The packaged model reading transcripts."""
    options = ContextOptions(cells=2048, threads=1, repack=False)
    loaded = ChatModel(offline_chat_model(), options, n_ctx=1024, template=TRANSCRIPT)
    yield loaded
    loaded.close()


def request(channel: int, conversation: Conversation, **options: object) -> ReplyRequest:
    return ReplyRequest(conversation, OPTIONS.with_changes(**options), "none", channel)


def test_a_transcript_is_asked_with_sampling_of_its_own_unless_the_owner_chose() -> None:
    assert (OPTIONS.temperature, OPTIONS.top_k, OPTIONS.top_p, OPTIONS.min_p, OPTIONS.repeat_penalty) == (
        1,
        0,
        1,
        0.05,
        1,
    )
    specified = [Settings()[setting] for setting in (TEMPERATURE, TOP_P, TOP_K, MIN_P, REPEAT_PENALTY)]
    assert specified == [0.7, 0.9, 40, 0.0, 1.1]
    chosen = Settings().with_values({TEMPERATURE.key: 0.8}).for_layout(TRANSCRIPT)
    assert (chosen[TEMPERATURE], chosen[TOP_K]) == (0.8, 0)


@pytest.mark.parametrize("recalled", [(), (Turn("Eve", "we played chess on monday"),)])
def test_a_due_reply_pays_for_the_newest_line_and_the_cue(model: ChatModel, recalled: tuple[Turn, ...]) -> None:
    before = replace(TALK, recalled=recalled)
    model.listen(5, before, "none")
    assert model.wait_until_idle(timeout_seconds=60)
    after = replace(before, turns=(*TALK.turns, Turn("Cid", "chess then?")))
    asked = model.generate(request(5, after))
    line, cue = model.encode("Cid: chess then?", False), model.encode("Vex:", False)
    assert asked.prefilled_tokens == len(line) + 1 + len(cue) < asked.prompt_tokens
    model.forget_channel(5)


def test_whoever_is_seen_writing_leaves_only_their_words_and_the_cue(model: ChatModel) -> None:
    model.listen(6, TALK, "none", typist=Typist("Cid"))
    assert model.wait_until_idle(timeout_seconds=60)
    asked = model.generate(request(6, replace(TALK, turns=(*TALK.turns, Turn("Cid", "chess then?")))))
    assert asked.prefilled_tokens == len(model.encode(" chess then?", False)) + 1 + len(model.encode("Vex:", False))
    model.forget_channel(6)


@pytest.mark.parametrize("seed", range(6))
def test_a_reply_is_lines_of_its_own_and_nobody_elses(model: ChatModel, seed: int) -> None:
    reply = model.generate(request(7, TALK, seed=seed, max_tokens=60))
    for line in reply.text.splitlines():
        assert not line.startswith(("Ada:", "Bob:", "Vex:"))
    assert reply.stop_reason in ("stop", "length")


def test_nothing_people_write_becomes_a_control_token(model: ChatModel) -> None:
    native = model._loaded.native
    control = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    innocent = sum(
        map(native.is_control, tokenise(render(TALK, system_prompt="x", template=model.template), model.encode))
    )
    for text in (*control, "\n".join(control)):
        hostile = Conversation((Turn(text, text), Turn(text, text, True)), (Turn(text, text),), text)
        tokens = tokenise(render(hostile, system_prompt=text, template=model.template), model.encode)
        assert sum(map(native.is_control, tokens)) == innocent, text


def test_the_repetition_penalty_looks_at_the_replys_own_words_and_never_at_line_breaks(model: ChatModel) -> None:
    native, lib = model._loaded.native, library()
    said, broken, word = (model.encode(text, False)[0] for text in (" chess", "\n", " maybe"))
    options = OPTIONS.with_changes(temperature=0.0, repeat_penalty=2.0, repeat_window=64)
    sampler = Sampler(native, options, context=[said] * 8)
    for token in (word, broken):
        lib.llama_sampler_accept(sampler.chain, token)  # as drawing does
        sampler.drawn(token)
    candidates = (lib.llama_token_data * 3)(*(lib.llama_token_data(token, 8.0, 0.0) for token in (said, broken, word)))
    array = lib.llama_token_data_array(candidates, 3, -1, False)
    lib.llama_sampler_apply(sampler._penalty, ctypes.byref(array))
    assert [entry.logit for entry in candidates] == [8.0, 8.0, 4.0]
    sampler.close()


def test_a_replys_likelihood_is_that_of_what_would_stand_behind_the_cue(model: ChatModel) -> None:
    scores = model.log_probabilities(request(8, TALK), "same\nhere")
    assert len(scores) == len(model.encode(" same", False)) + 1 + len(model.encode("Vex: here", False))
