"""A whole evaluation with the packaged model: it writes, is measured, continues where it was stopped."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.catalog import offline_chat_model
from model.draft_scorer import read_scorer
from model.evaluation import generation, recall_lines
from model.evaluation import run as evaluation
from model.evaluation.detector import _held_out_scores, auc
from model.evaluation.features import Features, extract
from model.evaluation.generation import Answer, GenerationSetup, write_answers
from model.evaluation.memory import CanaryProbe
from model.evaluation.report import EvaluationReport, read_report
from model.evaluation.rows import EvaluationExample, Replies, read_rows, spread
from model.evaluation.run import QUICK_TIMED_ROWS, EvaluationConfig, keep_scorer, run, run_blind_test
from model.evaluation.sweep import Point, grid, sweep
from model.inference import ChatModel, ContextOptions, GenerationOptions, ReplyRequest, close_model, get_model
from storage.errors import BadInputError, KnownError
from storage.paths import Workspace
from storage.records import BotPhase, BotStatus, Conversation, Turn
from storage.settings import ADAPTER_PATH, CONTEXT_LENGTH, MAX_TOKENS, MODEL_PATH, REGISTRY, SYSTEM_PROMPT, Settings
from storage.store import Store
from tests.support.demo_rows import every_other_session, word_vectors

# Not through the registry's ranges: eight tokens are too few for a chat and enough for a test.
QUICK = Settings({MAX_TOKENS.key: 8, SYSTEM_PROMPT.key: "none", CONTEXT_LENGTH.key: 512})


def as_record(row: EvaluationExample) -> dict:
    return {
        "id": row.id,
        "channel_id": row.channel_id,
        "session": row.session,
        "reply": row.reply,
        "layout": 2,
        "context": [{"name": turn.name, "text": turn.text} for turn in row.conversation.turns],
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder: training rows from every other session, few test rows from the others."""
    folder = tmp_path_factory.mktemp("prepared")
    tested = every_other_session(0)
    for name, rows in (("train", every_other_session(1)), ("test", spread(tested, 24))):
        lines = [json.dumps(as_record(row)) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    canaries = [{"prompt": "what is the code of the shed?", "secret": "the code is 7194 blue heron", "count": 10}]
    (folder / "manifest.json").write_text(
        json.dumps({"hash": "abc", "layout": 2, "canaries": canaries}), encoding="utf-8"
    )
    return folder


def plan_for(data: Path, out: Path, **changes: object) -> EvaluationConfig:
    plan = EvaluationConfig(
        data=data,
        out=out,
        models=(("model", offline_chat_model()),),
        settings=QUICK,
        embed=word_vectors,
        is_quick=True,
        row_limit=20,
        scored_rows=4,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[EvaluationReport, Path]:
    out = tmp_path_factory.mktemp("report")
    # The same file as its own base: what was written for the one serves the other.
    return run(plan_for(data, out, models=(("model", offline_chat_model()), ("base", offline_chat_model())))), out


@pytest.fixture
def model() -> Iterator[ChatModel]:
    """Loaded for each test: an evaluation in between closes whatever is loaded."""
    yield get_model(offline_chat_model(), n_ctx=1024, at_once=4)
    close_model()


def words_of(model: ChatModel, rows: list[EvaluationExample], **changes: int) -> list[Answer]:
    voice = GenerationSetup(GenerationOptions(max_tokens=10, min_p=0.2), "none", 4, 0)
    return write_answers(model, rows, voice, **changes)


def test_replies_written_together_are_those_written_alone(model: ChatModel) -> None:
    """The same seeds draw from the same distributions: rounding may tip a draw now and then, no more."""
    rows = spread(every_other_session(0), 8)
    together, alone = words_of(model, rows), words_of(model, rows, timed_rows=8)
    same = [first.text == second.text for first, second in zip(together, alone, strict=True)]
    assert sum(same) >= 5
    assert all(answer.total_ms == 0 for answer in together), "nobody waited for one of them"
    assert all(answer.total_ms > 0 for answer in alone)


def test_real_replies_are_scored_alike_whoever_is_written_beside_them(model: ChatModel) -> None:
    """In other chunks the same tokens are rounded otherwise; a wrong context would show in the mean of all of them."""
    rows = spread(every_other_session(0), 6)
    together, alone = words_of(model, rows, scored_rows=6), words_of(model, rows, scored_rows=6, timed_rows=6)
    means = [
        np.mean([value for answer in answers for value in answer.log_probabilities]) for answers in (together, alone)
    ]
    assert means[0] == pytest.approx(means[1], abs=0.1)
    assert [len(answer.log_probabilities) for answer in together] == [len(answer.log_probabilities) for answer in alone]


def test_a_reply_that_finds_no_room_beside_the_others_waits_for_one() -> None:
    """Four talks do not fit into the context at once; none of them is given up."""
    crowded = ChatModel(offline_chat_model(), ContextOptions(cells=144), n_ctx=128, parallel=4, park_bytes=0)
    talk = Conversation((Turn("mia", "so what do you think of it then " * 5),))
    try:
        asked = [
            crowded.submit(
                ReplyRequest(talk, GenerationOptions(max_tokens=5, seed=number), f"{number} is here.", number)
            )
            for number in range(4)
        ]
        assert all(future.result(280).stop_reason in ("stop", "length") for future in asked)
    finally:
        crowded.close()


def test_the_report_has_every_figure_for_the_model_and_for_people(finished: tuple[EvaluationReport, Path]) -> None:
    report, out = finished
    assert [writer.role for writer in report.writers] == ["people", "model", "base"]
    expected = {
        "auc",
        "perplexity",
        "similarity",
        "mauve",
        "length",
        "bursts",
        "emoji",
        "punctuation",
        "case",
        "vocabulary",
        "distinct_1",
        "distinct_2",
        "self_bleu",
        "assistant",
    }
    assert expected <= set(report.model.figures)
    assert expected - {"perplexity"} <= set(report.writers[0].figures)
    assert report.model.speed is not None
    assert report.model.speed.replies_counted == QUICK_TIMED_ROWS == 16, "timed are those written one by one"
    assert len(report.samples) == 20
    assert all(set(each.replies) == {"people", "model", "base"} for each in report.samples)
    assert read_report(out / "report.json") == report
    assert "personality match" in (out / "report.html").read_text(encoding="utf-8")


def test_an_evaluation_leaves_what_chooses_among_drafts_beside_the_report_and_the_model(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The few places of this file's data are too few for a scorer, and then there is none.
    plan = plan_for(data, tmp_path, scorer=tmp_path / "voice.drafts.json")
    rows = list(read_rows(data / "test.jsonl"))
    keep_scorer(plan, rows, ["I am here to help."] * len(rows))
    assert not plan.scorer.exists()
    monkeypatch.setattr("model.evaluation.draft_fit.LEAST_PLACES", 20)
    keep_scorer(plan, rows, ["I am here to help."] * len(rows))
    assert read_scorer(plan.scorer) == read_scorer(tmp_path / "drafts.json") is not None


def test_an_untuned_model_does_not_know_planted_secrets_and_the_report_remembers_the_folder(
    finished: tuple[EvaluationReport, Path],
) -> None:
    report, _ = finished
    base = report.writer("base")
    assert report.has_canaries
    assert base is not None
    assert report.model.memory.canaries == base.memory.canaries == ((10, 0, 1),)


def test_every_counted_figure_has_an_interval(finished: tuple[EvaluationReport, Path]) -> None:
    report, out = finished
    for writer in report.writers:
        assert set(writer.memory.ranges) == {"longest_run", "copied_share", "line_share", "private_hits"}
        assert all(figure.low is not None for figure in writer.figures.values() if figure.value is not None)
    assert report.model.speed is not None
    for name, (low, high) in report.model.speed.ranges.items():
        assert low <= getattr(report.model.speed, name) <= high
    assert "0 of 1<small>[0%, 79%]" in (out / "report.html").read_text(encoding="utf-8")


def test_perplexity_is_taken_at_places_spread_over_the_whole_time(
    finished: tuple[EvaluationReport, Path], data: Path
) -> None:
    _, out = finished
    answers = generation.read_answers(next((out / "answers").glob("*.jsonl")))
    rows = spread([row for row in read_rows(data / "test.jsonl") if row.conversation.turns], 20)
    assert [i for i, row in enumerate(rows) if answers[row.id].log_probabilities] == [0, 5, 10, 15]


def test_what_was_written_serves_another_report_of_the_same_model_and_no_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    ask = generation._answers_to
    monkeypatch.setattr(generation, "_answers_to", lambda *a: written.extend(row.id for row in a[1]) or ask(*a))
    plan = plan_for(data, tmp_path / "first", answers=tmp_path / "answers", scored_rows=1, embed=None)
    run(plan)
    run(replace(plan, out=tmp_path / "second"))
    assert len(written) == 20, "the second report began where the first had stopped"
    run(replace(plan, out=tmp_path / "third", settings=plan.settings.with_values({CONTEXT_LENGTH.key: 600})))
    assert len(written) == 40, "a longer context may give other replies"


def test_a_stopped_evaluation_goes_on_where_it_was(
    finished: tuple[EvaluationReport, Path], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, out = finished
    kept = next((out / "answers").glob("*.jsonl"))
    lines = kept.read_text(encoding="utf-8").splitlines()
    kept.write_text("\n".join(lines[:19]) + "\n" + lines[19][:30], encoding="utf-8")  # cut off in the middle of a line
    written = []
    ask = generation._answers_to
    monkeypatch.setattr(generation, "_answers_to", lambda *a: written.extend(row.id for row in a[1]) or ask(*a))
    again = run(plan_for(data, out))
    assert len(written) == 2, "the first line is empty, so 18 of 20 were whole"
    # What was kept is used as it is; a reply written anew may differ in the last bit of a probability.
    rows = spread([row for row in read_rows(data / "test.jsonl") if row.conversation.turns], 20)
    whole = [number for number, row in enumerate(rows) if row.id not in written]
    texts = [[each.samples[number].replies["model"] for number in whole] for each in (again, report)]
    assert texts[0] == texts[1]


def test_recall_comes_from_training_rows_and_the_same_channel_only(data: Path) -> None:
    training, places = every_other_session(1), every_other_session(0)[:40]
    source = recall_lines.training_lines(training, word_vectors)
    allowed = {
        (row.channel_id, turn.name, line)
        for row in training
        for turn in row.conversation.turns
        for line in turn.text.split("\n")
    }
    found = recall_lines.recalled_for(places, source, word_vectors, count=4, min_similarity=0.2)
    assert any(found.values())
    for row in places:
        lines = found[row.id]
        assert {(row.channel_id, line.name, line.text) for line in lines} <= allowed
        assert not {line.text for line in lines} & {turn.text for turn in row.conversation.turns}


def test_perplexity_agrees_with_the_models_own_probabilities(
    finished: tuple[EvaluationReport, Path], model: ChatModel, data: Path
) -> None:
    report, out = finished
    answers = generation.read_answers(next((out / "answers").glob("*.jsonl")))
    scored = [answer.log_probabilities for answer in answers.values() if answer.log_probabilities]
    tokens = sum(map(len, scored))
    expected = math.exp(-sum(map(sum, scored)) / tokens)
    assert report.model.figures["perplexity"].value == pytest.approx(expected, rel=0.05)
    assert all(value <= 0 for reply in scored for value in reply)


def test_a_model_that_repeats_its_prompt_tells_the_canary_put_there(model: ChatModel) -> None:
    voice = generation.GenerationSetup(GenerationOptions(max_tokens=30), "", 5, 0)
    parrot = CanaryProbe("Say exactly: banana", "banana", 3)
    assert generation.tell_canaries(model, [parrot], voice) == ((3, 1, 1),)


def test_the_sweep_orders_its_points_and_suggests_settings_within_their_ranges(
    model: ChatModel, data: Path, tmp_path: Path
) -> None:
    rows = spread(every_other_session(0), 6)
    voice = generation.GenerationSetup(GenerationOptions(max_tokens=6), "Chat.", 5, 0)
    points = sweep(
        model, rows, voice, points=[Point(0.6, 0.0, 0.9), Point(1.0, 0.1, has_system_prompt=False)], kept=tmp_path
    )
    assert points[0].places == 6
    assert points[1].places == 2, "the better half goes on"
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    for point in grid():
        for key, value in point.as_settings().items():
            REGISTRY[key].parse(value)


def test_a_bot_that_can_always_be_told_is_told_with_few_uneven_sessions_too() -> None:
    """Folds then hold one writer only, or hardly any of the other."""

    def by_word(_train: Features, _labels: np.ndarray, asked: Features) -> np.ndarray:
        return np.array([2.0 if text == "beep" else -2.0 for text in asked.replies.texts])

    def side(text: str, sizes: dict[str, int]) -> Features:
        sessions = tuple(session for session, count in sizes.items() for _ in range(count))
        return extract(Replies((text,) * len(sessions), sessions), np.zeros((len(sessions), 3)))

    written = side("beep", {"a": 70, "f": 5})
    scores = _held_out_scores(written, side("hi", {"b": 30, "c": 20, "d": 15, "e": 10}), by_word)
    assert auc(scores, 75) > 0.99
    guesses = _held_out_scores(
        written, side("hi", {"b": 30, "c": 20, "d": 15, "e": 10}), lambda _train, _labels, asked: np.zeros(len(asked))
    )
    assert auc(guesses, 75) == 0.5


def test_a_common_detector_finds_the_point_that_differs_most() -> None:
    rows = every_other_session(0)[:60]
    human = [row.reply for row in every_other_session(1)[:60]]
    robot = [f"As an AI, I think that is interesting point {i}." for i in range(60)]
    from model.evaluation.sweep import scores

    aucs = scores([human, robot], rows, None)
    assert aucs[1].auc > 0.9 > aucs[0].auc
    assert all(score.low <= score.auc <= score.high for score in aucs)
    assert aucs[0].fit is None
    assert aucs[0].score < aucs[1].score


def test_settings_whose_replies_answer_nothing_lose_to_settings_that_do() -> None:
    """A detector sees no difference between people's lines where they belong and where they do not."""
    from model.evaluation.sweep import scores

    rows = every_other_session(0)[:120]
    said = [row.reply for row in rows]
    placed, misplaced = scores([said, said[60:] + said[:60]], rows, word_vectors)
    assert placed.auc < 0.6
    assert misplaced.auc < 0.6
    assert placed.fit is not None
    assert misplaced.fit is not None
    assert placed.fit > misplaced.fit
    assert placed.score < misplaced.score


def test_the_settings_of_now_and_of_the_specification_are_among_what_is_tried() -> None:
    voice = generation.GenerationSetup(GenerationOptions(temperature=0.93), "Chat.", 5, 0)
    points = grid(voice)
    assert Point(0.7, 0.0, 0.9, 40, 1.1) in points
    assert any(point.temperature == 0.93 for point in points)
    assert any(point.top_k == 0 and point.repeat_penalty == 1.0 and point.temperature > 1 for point in points)


def test_a_blind_test_is_made_with_the_models_replies(data: Path, tmp_path: Path) -> None:
    quiz, key = run_blind_test(plan_for(data, tmp_path), per_side=5)
    assert len(quiz.items) == 10
    assert sum(key.is_bot.values()) == 5
    real = {row.reply for row in every_other_session(0)}
    assert all((item.reply in real) is not key.is_bot[item.id] for item in quiz.items)


def test_a_blind_test_of_a_silent_bot_is_smaller_and_still_half_and_half(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_at, asked = generation.answer_at, []

    def mostly_silent(model: ChatModel, row: EvaluationExample, voice: generation.GenerationSetup) -> generation.Answer:
        asked.append(row.id)
        answer = answer_at(model, row, voice)
        return answer if len(asked) > 1 else replace(answer, text="")

    monkeypatch.setattr(generation, "answer_at", mostly_silent)
    quiz, key = run_blind_test(plan_for(data, tmp_path), per_side=12)
    assert sum(key.is_bot.values()) == 5
    assert len(quiz.items) == 10, "six places for each, and one silence"


def test_too_little_data_is_said_in_a_sentence(data: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    (small / "manifest.json").write_text("{}", encoding="utf-8")
    (small / "test.jsonl").write_text((data / "test.jsonl").read_text(encoding="utf-8").splitlines()[0] + "\n")
    with pytest.raises(BadInputError, match="at least 20"):
        run(plan_for(small, tmp_path / "out"))


def test_cancelling_stops_between_two_replies(data: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def report(_fraction: float, step: str) -> None:
        if "writes" in step:
            raise StopError

    with pytest.raises(StopError):
        run(plan_for(data, tmp_path), report)


@pytest.mark.parametrize("work", [run, lambda plan, report: run_blind_test(plan, per_side=5, report=report)])
def test_nothing_is_written_that_quotes_a_member_who_was_forgotten_meanwhile(
    data: Path, tmp_path: Path, work: Callable[[EvaluationConfig, evaluation.Progress], object]
) -> None:
    """Fault 40: forgetting drops their rows from the data; what was read before it must not come out after it."""
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    reply = next(iter(read_rows(folder / "train.jsonl"))).reply

    def report(_fraction: float, step: str) -> None:
        lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
        if "writes" in step and json.loads(lines[0])["reply"] == reply:
            (folder / "train.jsonl").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")

    with pytest.raises(BadInputError, match="forgotten"):
        work(plan_for(folder, tmp_path / "out"), report)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_canaries_are_read_from_the_manifest_however_they_are_given() -> None:
    found = evaluation.planted(
        {"canaries": [{"text": "one two three four", "times": 100}, {"secret": "s", "prompt": "p"}]}
    )
    assert found == (CanaryProbe("one two", "one two three four", 100), CanaryProbe("p", "s", 1))
    assert evaluation.planted({"canaries": 3}) == ()


def test_the_script_finds_the_newest_data_and_the_model_in_use(store: Store, workspace: Workspace, data: Path) -> None:
    import importlib

    script = importlib.import_module("scripts.4_evaluate_personality")
    with pytest.raises(BadInputError, match="No prepared data"):
        script.newest_data(store)
    target = workspace.message_files / "prepared-1"
    target.mkdir()
    for name in ("manifest.json", "test.jsonl"):
        (target / name).write_bytes((data / name).read_bytes())
    assert script.newest_data(store) == target
    assert script.base_model(store) == offline_chat_model()


def test_beside_a_running_bot_there_must_be_room_for_a_second_model(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    script = importlib.import_module("scripts.4_evaluate_personality")
    monkeypatch.setattr(script, "has_memory_for", lambda _file: False)
    plan = plan_for(data, tmp_path)
    script.require_memory(store, plan)
    now = store.status._clock()
    store.status.write_bot(BotStatus(1, BotPhase.RUNNING, now, now))
    with pytest.raises(KnownError, match="--pause-bot"):
        script.require_memory(store, plan)


def test_the_script_measures_the_model_in_use_with_its_adapter(store: Store, tmp_path: Path) -> None:
    import importlib

    script = importlib.import_module("scripts.4_evaluate_personality")
    store.settings.set(MODEL_PATH, str(offline_chat_model()), changed_by="test")
    assert script.chosen_model(store, None) == (offline_chat_model(), None)
    store.settings.set(ADAPTER_PATH, str(tmp_path / "adapter.gguf"), changed_by="test")
    assert script.chosen_model(store, None) == (offline_chat_model(), tmp_path / "adapter.gguf")
    assert script.chosen_model(store, tmp_path / "other.gguf")[1] == tmp_path / "other.gguf"
