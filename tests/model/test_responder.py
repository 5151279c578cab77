"""From a conversation to a reply, with the real packaged models, a real index and a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bot.recall import Recall
from bot.responder import ModelNotReadyError, ReplyCutOffError, Responder
from data.chat.conversation import Typist
from model.catalog import offline_chat_model
from model.chat.requests import Reply, ReplyRequest
from model.embeddings import QueryEmbedder, bulk_embedder, ensure_query_gguf, query_embedder
from model.evaluation import generation, recall_lines
from model.evaluation.rows import EvaluationExample
from model.inference import ChatModel, ContextOptions, GenerationOptions
from storage.index_sync import catch_up
from storage.paths import Workspace
from storage.records import Channel, Conversation, Message, Turn
from storage.settings import (
    HISTORY_MESSAGES,
    LISTENING,
    MAX_TOKENS,
    RECALL_COUNT,
    RECALL_MIN_SIMILARITY,
    RECALL_TOKENS,
    RESPONSE_CACHE,
    STOP_STRINGS,
    SYSTEM_PROMPT,
    Settings,
)
from storage.store import Store
from storage.vectordb import VectorIndex

T = TypeVar("T")
EMBEDDING = "all-MiniLM-L6-v2"
GENERAL, SECRET, OTHER = 10, 20, 30
SETTINGS = Settings({MAX_TOKENS.key: 50, RECALL_MIN_SIMILARITY.key: 0.2})
LINES = [
    (1, GENERAL, "the printer ate my homework again"),
    (2, SECRET, "the printer password is swordfish"),
    (3, GENERAL, "pizza on friday?"),
    (4, OTHER, "printer is on fire lol"),
    (5, GENERAL, "printer printer printer"),
]


@pytest.fixture(scope="module")
def model() -> Iterator[ChatModel]:
    loaded = ChatModel(offline_chat_model(), ContextOptions(cells=3072))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three channels, one of them private, one of them off for recall; the index made by the real pipeline."""
    folder: Path = tmp_path_factory.mktemp("responder")
    with Store.open(Workspace.at(folder)) as store:
        store.channels.add(
            [
                Channel(GENERAL, "general", recall=True, is_private=False),
                Channel(SECRET, "secret", recall=True),
                Channel(OTHER, "other", recall=False, is_private=False),
            ]
        )
        store.messages.save([Message(n, channel, 7 if n != 5 else 8, "ann", text, n) for n, channel, text in LINES])
        bulk = bulk_embedder(EMBEDDING, store.workspace)
        ensure_query_gguf(EMBEDDING, store.workspace, bulk=bulk)
        index = VectorIndex.open(store.workspace.embeddings, model=EMBEDDING, dimension=384)
        catch_up(store, index, bulk.embed)
        yield store


@pytest.fixture
def recall(indexed: Store) -> Iterator[Recall]:
    embedder: QueryEmbedder = query_embedder(EMBEDDING, indexed.workspace)
    made = Recall(
        indexed,
        open_embedder=lambda: embedder,
        open_index=lambda: VectorIndex.open(indexed.workspace.embeddings, model=EMBEDDING, dimension=384),
    )
    yield made
    made.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def found(recall: Recall, channel: int, text: str = "what about the printer") -> set[int]:
    return {line.message_id for line in run(recall.lines(channel, text, SETTINGS))}


def test_a_public_channel_never_sees_a_private_line_and_no_channel_one_that_is_off(recall: Recall) -> None:
    """Fault 45."""
    assert found(recall, GENERAL) == {1, 5}
    assert found(recall, SECRET) == {1, 2, 5}
    assert found(recall, 999) == {1, 5}
    assert 2 not in found(recall, GENERAL, "the printer password is swordfish")


def test_lines_of_the_conversation_itself_are_not_recalled(recall: Recall) -> None:
    lines = run(recall.lines(GENERAL, "what about the printer", SETTINGS, exclude_ids=[1]))
    assert {line.message_id for line in lines} == {5}


def test_a_deletion_or_an_opt_out_counts_before_the_index_catches_up(indexed: Store, recall: Recall) -> None:
    """Faults 40 and 45: SQLite is the truth."""
    lines = run(recall.lines(GENERAL, "what about the printer", SETTINGS))
    assert run(recall.are_current(lines, GENERAL))
    indexed.members.set_opted_out(8, True)
    try:
        assert found(recall, GENERAL) == {1}
        assert not run(recall.are_current(lines, GENERAL))
    finally:
        indexed.members.set_opted_out(8, False)


def test_a_channel_turned_private_gives_nothing_from_the_next_look_up_on(indexed: Store, recall: Recall) -> None:
    """Fault 41."""
    indexed.channels.switch(GENERAL, is_private=True)
    try:
        assert found(recall, 999) == set()
    finally:
        indexed.channels.switch(GENERAL, is_private=False)


def test_a_broken_index_means_no_lines_and_still_a_reply(indexed: Store, model: ChatModel) -> None:
    """Fault 36."""

    def broken() -> VectorIndex:
        raise RuntimeError("lance error: corrupt manifest")

    responder = Responder(
        lambda: model,
        Recall(indexed, open_index=broken, open_embedder=lambda: query_embedder(EMBEDDING, indexed.workspace)),
    )
    response = run(responder.reply(GENERAL, [Turn("bo", "anyone up for a game?")], SETTINGS))
    assert response.recalled == ()
    assert response.generation.reply_tokens > 0


def test_a_reply_carries_what_explains_it(model: ChatModel, recall: Recall) -> None:
    response = run(Responder(lambda: model, recall).reply(GENERAL, [Turn("bo", "is the printer ok")], SETTINGS))
    assert {line.message_id for line in response.recalled} == {1, 5}
    assert response.generation.prompt_tokens >= response.generation.prefilled_tokens > 0
    assert response.conversation.recalled[0].name == "ann"


def test_what_was_read_along_is_not_computed_again(model: ChatModel, recall: Recall) -> None:
    responder = Responder(lambda: model, recall)
    earlier = [Turn("bo", "the printer is making that noise again"), Turn("cy", "which noise")]

    async def talk() -> tuple[int, int]:
        await responder.observe(41, earlier, SETTINGS)
        await asyncio.to_thread(model.wait_until_idle, timeout_seconds=60)
        response = await responder.reply(41, [*earlier, Turn("bo", "the bad one")], SETTINGS)
        return response.generation.prefilled_tokens, response.generation.prompt_tokens

    prefilled, prompt = run(talk())
    assert prefilled < 30 < prompt


def test_somebody_who_begins_to_write_is_no_reason_to_look_the_same_lines_up_again(
    model: ChatModel, indexed: Store, recall: Recall
) -> None:
    responder = Responder(lambda: model, recall)
    said = [Turn("bo", "the printer is making that noise again")]
    asked: list[str] = []
    look_up = recall.lines

    async def lines(channel_id: int, text: str, *arguments: Any, **options: Any) -> Any:
        asked.append(text)
        return await look_up(channel_id, text, *arguments, **options)

    async def talk() -> None:
        await responder.observe(44, said, SETTINGS)
        await responder.observe(44, said, SETTINGS, typist=Typist("cy"))
        await responder.observe(44, [*said, Turn("cy", "which noise")], SETTINGS, typist=Typist("bo"))

    recall.lines = lines  # type: ignore[method-assign]
    try:
        run(talk())
    finally:
        del recall.lines
    assert asked == [said[0].text, f"{said[0].text}\nwhich noise"]
    model.forget_channel(44)


def test_a_line_that_breaks_a_silence_is_looked_up_itself_though_its_author_was_seen_writing(
    model: ChatModel, recall: Recall
) -> None:
    responder = Responder(lambda: model, recall)

    async def talk() -> set[int]:
        await responder.observe(45, [], SETTINGS, typist=Typist("bo"))
        response = await responder.reply(45, [Turn("bo", "the printer is making that noise again")], SETTINGS)
        return {line.message_id for line in response.recalled}

    assert run(talk()) == {1, 5}
    model.forget_channel(45)


@pytest.mark.parametrize("why", ["memory freed", "switched off"])
def test_lines_looked_up_before_a_rest_are_not_those_of_a_later_talk(
    model: ChatModel, recall: Recall, why: str
) -> None:
    responder = Responder(lambda: model, recall)
    settings = SETTINGS
    printer = [Turn("bo", "the printer is making that noise again")]
    pizza = [Turn("cy", "pizza on friday?"), Turn("bo", "which pizza")]

    async def talk() -> set[int]:
        await responder.observe(47, printer, settings)
        resting = settings.with_values({LISTENING.key: why != "switched off"})
        if why == "memory freed":
            await asyncio.to_thread(model.release().result, 60)
        await responder.observe(47, pizza[:1], resting)
        assert model.is_released is (why == "memory freed")
        return {line.message_id for line in (await responder.reply(47, pizza, resting)).recalled}

    assert 3 in run(talk())
    assert not model.is_released
    model.forget_channel(47)


def test_an_evaluation_asks_the_model_what_the_live_bot_asks(model: ChatModel, indexed: Store, recall: Recall) -> None:
    talk = (
        Turn("bob", "my printer is eating paper\nis it haunted"),
        Turn("Bot", "probably", True),
        Turn("mia", "mine too"),
        Turn("bob", "who fixes printers here"),
    )
    settings = SETTINGS.with_values({RECALL_COUNT.key: 2})
    responder = Responder(lambda: model, recall)
    asked: list[ReplyRequest] = []

    class Witness:
        """The model itself, and what it was asked."""

        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def submit(self, request: ReplyRequest) -> Any:
            asked.append(request)
            return model.submit(request)

    responder.model = Witness  # type: ignore[assignment]

    async def live() -> None:
        await responder.observe(GENERAL, talk[:-1], settings)
        await responder.reply(GENERAL, talk, settings)

    run(live())
    training = [
        EvaluationExample(str(number), channel, "s", Conversation((Turn("ann", text),)), "x")
        for number, channel, text in LINES
        if channel == GENERAL
    ]
    embed = bulk_embedder(EMBEDDING, indexed.workspace).embed
    place = EvaluationExample("place", GENERAL, "t", Conversation(talk), "nobody")
    lines = recall_lines.recalled_for(
        [place],
        recall_lines.training_lines(training, embed),
        embed,
        count=2,
        min_similarity=settings[RECALL_MIN_SIMILARITY],
    )
    voice = generation.GenerationSetup(
        GenerationOptions.from_settings(settings),
        settings[SYSTEM_PROMPT],
        settings[HISTORY_MESSAGES],
        settings[RECALL_TOKENS],
        lines,
    )
    measured = generation.request_at(model, place, voice)
    assert measured.conversation.recalled
    assert measured.conversation == asked[0].conversation
    assert replace(measured.options, seed=None) == asked[0].options
    assert (measured.system_prompt, measured.keep_turns) == (asked[0].system_prompt, asked[0].keep_turns)


class Eraser:
    """The model itself; while it writes for the first time, a message is deleted."""

    def __init__(self, model: ChatModel, store: Store, message_id: int) -> None:
        self._model, self._store, self._message_id = model, store, message_id
        self.asked: list[ReplyRequest] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def submit(self, request: ReplyRequest) -> Any:
        self.asked.append(request)
        self._store.messages.delete([self._message_id])
        return self._model.submit(request)


def test_a_reply_written_from_a_recalled_line_that_is_deleted_meanwhile_is_written_again(
    model: ChatModel, indexed: Store, recall: Recall
) -> None:
    """Fault 40: the index may still hold it; the second reply is not written from it."""
    indexed.messages.save([Message(77, GENERAL, 7, "ann", "the printer in the cellar is haunted by a duck", 77)])
    bulk = bulk_embedder(EMBEDDING, indexed.workspace)
    index = VectorIndex.open(indexed.workspace.embeddings, model=EMBEDDING, dimension=384)
    catch_up(indexed, index, bulk.embed)
    eraser = Eraser(model, indexed, 77)
    response = run(
        Responder(lambda: eraser, recall).reply(  # type: ignore[arg-type, return-value]
            GENERAL, [Turn("bo", "is the printer in the cellar haunted")], SETTINGS
        )
    )
    first, second = ([turn.text for turn in request.conversation.recalled] for request in eraser.asked)
    assert any("duck" in text for text in first)
    assert not any("duck" in text for text in second)
    assert 77 not in {line.message_id for line in response.recalled}
    catch_up(indexed, index, bulk.embed)


def test_what_was_being_looked_up_when_something_was_deleted_is_not_read_along(
    model: ChatModel, recall: Recall
) -> None:
    """Fault 40: the turns were taken before the deletion."""
    responder = Responder(lambda: model, recall)

    async def talk() -> None:
        observing = asyncio.create_task(responder.observe(43, [Turn("bo", "my code is 4711")], SETTINGS))
        await asyncio.sleep(0)  # it waits for the look-up by now
        responder.forget(43)
        await observing

    run(talk())
    assert model.ask(lambda: model._loaded.engine.cached_tokens(43)) == []
    assert 43 not in responder._standing


def test_a_question_is_read_while_its_author_may_still_be_writing(model: ChatModel, recall: Recall) -> None:
    responder = Responder(lambda: model, recall)
    turns = [Turn("bo", "the printer is making that noise again"), Turn("cy", "which noise")]

    async def talk() -> tuple[int, set[int]]:
        await responder.prepare(42, turns, SETTINGS)
        await asyncio.to_thread(model.wait_until_idle, timeout_seconds=60)
        response = await responder.reply(42, turns, SETTINGS)
        return response.generation.prefilled_tokens, {line.message_id for line in response.recalled}

    assert run(talk()) == (1, {1, 5})


def test_a_reply_that_was_cut_off_is_an_error_and_not_half_a_line(recall: Recall) -> None:
    """What the model gives back when its time is over, or when it is replaced, in the middle of a reply."""

    class CutOff:
        count_tokens = staticmethod(len)
        layout = "chat template"

        def submit(self, request: ReplyRequest) -> Future[Reply]:
            future: Future[Reply] = Future()
            future.set_result(Reply("I think th", 20, 10, 3, 5.0, 9.0, "cancelled"))
            return future

    model: Any = CutOff()
    with pytest.raises(ReplyCutOffError, match="cut off"):
        run(Responder(lambda: model, recall).reply(43, [Turn("bo", "hi")], SETTINGS))


def test_each_reply_looks_its_lines_up_anew(model: ChatModel, recall: Recall) -> None:
    """Also where nothing is read along: the lines of one question must not stay for the next."""
    responder = Responder(lambda: model, recall)

    async def ask(text: str) -> set[int]:
        await responder.prepare(44, [Turn("bo", text)], SETTINGS)
        return {line.message_id for line in (await responder.reply(44, [Turn("bo", text)], SETTINGS)).recalled}

    assert run(ask("is the printer ok")) == {1, 5}
    assert 3 in run(ask("pizza on friday?"))


def test_an_identical_question_gets_the_same_answer_only_with_the_response_cache_on(
    model: ChatModel, recall: Recall
) -> None:
    responder = Responder(lambda: model, recall)
    turns = [Turn("bo", "say one word")]

    def is_repeated(is_on: bool) -> bool:
        settings = SETTINGS.with_values({RESPONSE_CACHE.key: is_on, STOP_STRINGS.key: json.dumps([" ", ".", "\n"])})
        first, second = (run(responder.reply(46, turns, settings)).generation for _ in range(2))
        assert first.stop_reason == "stop"
        assert not first.is_cached
        return second.is_cached and second.text == first.text

    assert not is_repeated(False)
    assert is_repeated(True)


def test_recall_can_be_switched_off(recall: Recall) -> None:
    assert run(recall.lines(GENERAL, "printer", SETTINGS.with_values({RECALL_COUNT.key: 0}))) == ()


def test_without_a_model_the_error_says_where_to_look(recall: Recall) -> None:
    with pytest.raises(ModelNotReadyError, match="panel"):
        run(Responder(lambda: None, recall).reply(GENERAL, [Turn("bo", "hi")], SETTINGS))


def test_draining_lets_a_reply_finish_and_cancels_what_takes_too_long(model: ChatModel, recall: Recall) -> None:
    """Fault 8."""
    responder = Responder(lambda: model, recall)

    async def scene(timeout: float) -> asyncio.Task[Any]:
        task = asyncio.create_task(responder.reply(GENERAL, [Turn("bo", "tell me a long story")], SETTINGS))
        await asyncio.sleep(0)
        await responder.drain(timeout_seconds=timeout)
        return task

    assert run(scene(60.0)).exception() is None
    assert run(scene(0.0)).cancelled()
