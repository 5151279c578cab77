"""Personality: the figures tell people, an assistant and a copy machine apart, and the report says so."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from model.chat.requests import GenerationOptions
from model.evaluation import assistant_speak, comparison, dialogues, memory, style, verdict
from model.evaluation.advice import Evidence, next_steps
from model.evaluation.comparison import QUICK, Effort, Estimate
from model.evaluation.evaluate import ReportHeader, Written, evaluate
from model.evaluation.features import extract
from model.evaluation.generation import Answer, GenerationSetup
from model.evaluation.page import render
from model.evaluation.places import as_shown, is_question, known_names, places_of
from model.evaluation.report import Drift, DriftTurn, EvaluationReport, read_report, write_report
from model.evaluation.resampling import spread as interval
from model.evaluation.rows import EvaluationExample, Replies, read_manifest, read_rows, real_replies, spread
from scripts.dev.benchmarks.evaluation import ASSISTANT
from storage.errors import BadInputError
from storage.records import Conversation, Turn
from tests.support.demo_rows import demo_rows, every_other_session, word_vectors

SECRET = memory.CanaryProbe("what is the code of the shed?", "the code is 7194 blue heron", 10)


@pytest.fixture(scope="module")
def rows() -> list[EvaluationExample]:
    """Every other conversation of the demo server."""
    return every_other_session(0)[:300]


@pytest.fixture(scope="module")
def training() -> list[str]:
    """The conversations in between: what a model of this server would have been trained on."""
    return [row.reply for row in every_other_session(1)]


@pytest.fixture(scope="module")
def assistant(rows: list[EvaluationExample], training: list[str]) -> EvaluationReport:
    """People never talk like this fake."""
    rng = random.Random(5)
    return measured(rows, tuple(rng.choice(ASSISTANT) for _ in rows), training)


@pytest.fixture(scope="module")
def copy_machine(rows: list[EvaluationExample], training: list[str]) -> EvaluationReport:
    """This fake says nothing but what people said before."""
    rng = random.Random(5)
    return measured(rows, tuple(rng.choice(training) for _ in rows), training)


def measured(rows: list[EvaluationExample], texts: tuple[str, ...], training: list[str]) -> EvaluationReport:
    return evaluate(
        rows,
        [Written("model", "fake", texts)],
        lambda: training,
        embed=word_vectors,
        effort=Effort(splits=4, rounds=40, costly_rounds=1),
        facts=ReportHeader("hash", len(training)),
    )


def elements(page: str) -> tuple[set[str], set[str]]:
    """Every tag and every attribute name of a page."""
    tags, attributes = set(), set()

    class Collector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            attributes.update(name for name, _ in attrs)

    Collector().feed(page)
    return tags, attributes


def test_people_cannot_be_told_from_people(copy_machine: EvaluationReport) -> None:
    people = copy_machine.writers[0]
    assert people.role == "people"
    assert people.figures["auc_characters"].value == pytest.approx(0.5, abs=0.12)
    low, high = people.figures["auc"].low, people.figures["auc"].high
    assert low is not None
    assert high is not None
    assert low < 0.6
    assert high < 0.75


def test_an_assistant_is_caught_by_the_detector_and_by_its_phrases(assistant: EvaluationReport) -> None:
    assert assistant.headline_auc is not None
    assert assistant.headline_auc > 0.95
    assert (assistant.model.figures["assistant"].value or 0) > 0.7
    assert assistant.match_percent < 40
    assert not assistant.objections


def test_a_copy_machine_fools_the_detector_and_is_caught_by_the_memory_part(
    copy_machine: EvaluationReport, assistant: EvaluationReport
) -> None:
    assert copy_machine.headline_auc is not None
    assert copy_machine.headline_auc < 0.7 < (assistant.headline_auc or 0)
    assert copy_machine.model.memory.line_share > 0.9
    assert copy_machine.objections
    assert "word for word" in " ".join(copy_machine.objections)
    assert copy_machine.match_percent < 20, "the match counts only its own replies"
    assert copy_machine.next_steps[0].startswith("Do not publish it")


def test_real_lines_in_the_wrong_places_fool_the_detector_and_not_the_match(rows: list[EvaluationExample]) -> None:
    real = [row.reply for row in rows]
    report = measured(rows, tuple(random.Random(3).sample(real, len(real))), ["something else"])
    people, match = report.writers[0], report.model.match
    assert match is not None
    assert match.former_percent is not None
    assert report.headline_auc is not None
    assert report.headline_auc < 0.6
    assert match.former_percent > verdict.MATCH_MARK > match.percent
    assert match.weakest.name == "context"
    assert "hardly fit" in " ".join(verdict.context_objections(report.model.figures, people.figures))


def test_repeating_what_was_just_said_fits_better_than_people_do_and_is_no_match(rows: list[EvaluationExample]) -> None:
    report = measured(rows, tuple(row.conversation.turns[-1].text for row in rows), ["something else"])
    figures, people = report.model.figures, report.writers[0].figures
    assert (figures["context_fit"].value or 0) > (people["context_fit"].value or 0)
    assert (figures["echo"].value or 0) > 0.5 > (people["echo"].value or 0)
    assert report.match_percent < verdict.MATCH_MARK
    assert "repeat what was just said" in " ".join(verdict.context_objections(figures, people))


def test_people_fit_their_own_places_better_than_chance(copy_machine: EvaluationReport) -> None:
    people = copy_machine.writers[0]
    assert (people.figures["context_fit"].low or 0) > 0.5
    assert verdict.context_objections(people.figures, people.figures) == ()


@pytest.mark.parametrize(
    ("text", "is_invented"),
    [
        ("@Mia look", False),
        ("ask @mia.", False),
        ("@everyone wake up", False),
        ("@Jonathan you there", True),
        ("@Mia and @Jonathan", True),
        ("mail me@jonathan.example", False),
        ("5 @ 3", False),
        ("@New Guy lol", False),
    ],
)
def test_a_mention_of_somebody_nobody_knows_is_an_invention(text: str, is_invented: bool) -> None:
    turns = (Turn("Mia", "hey @New how are you"),)
    places = places_of([EvaluationExample("1", 1, "s", Conversation(turns), "fine")], None)
    assert places.invents_a_mention(text) is is_invented


@pytest.mark.parametrize(
    ("text", "is_asked"),
    [
        ("you coming?", True),
        ("what?? :)", True),
        ("\u0643\u064a\u0641\u061f", True),
        ("no", False),
        ("huh? no", False),
        ("", False),
    ],
)
def test_a_question_is_known_by_its_end(text: str, is_asked: bool) -> None:
    assert is_question(text) is is_asked


def test_a_report_of_an_earlier_version_is_read_and_compared_by_the_formula_it_was_made_with(
    assistant: EvaluationReport, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    write_report(assistant, path)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["version"] = 1
    for writer in record["writers"]:
        (writer["match"] or {}).pop("former_percent", None)
    path.write_text(json.dumps(record), encoding="utf-8")
    old, new = read_report(path).model.match, assistant.model.match
    assert old is not None
    assert new is not None
    assert old.former_percent is None
    assert new.percents_beside(old) == (new.former_percent, old.percent)
    assert new.percents_beside(new) == (new.percent, new.percent)


def test_people_against_people_is_a_match_of_one_hundred(copy_machine: EvaluationReport) -> None:
    people = copy_machine.writers[0]
    result = verdict.match(people.figures, people.figures, people.memory, people.memory)
    assert result.percent == pytest.approx(100)


def test_the_formula_in_words_has_the_weights_of_the_computation(assistant: EvaluationReport) -> None:
    match = assistant.model.match
    assert match is not None
    for part in match.parts:
        assert f"{part.weight:g} x {part.name}" in verdict.FORMULA
    assert sum(part.weight for part in match.parts) == 100


def test_halves_are_disjoint_and_keep_sessions_whole(rows: list[EvaluationExample]) -> None:
    sessions = [row.session for row in rows]
    for first, second in comparison.halves(sessions, 5):
        assert not set(first) & set(second)
        assert len(first) + len(second) == len(rows)
        assert not {sessions[i] for i in first} & {sessions[i] for i in second}


def test_the_same_replies_give_the_same_figures(rows: list[EvaluationExample]) -> None:
    features = extract(real_replies(rows[:120]))
    assert comparison.compare(features, features, QUICK) == comparison.compare(features, features, QUICK)


def test_intervals_hold_their_value_and_narrow_with_more_places(rows: list[EvaluationExample]) -> None:
    def width(count: int) -> float:
        features = extract(real_replies(spread(rows, count)))
        estimate = comparison.compare(features, features, Effort(splits=2, rounds=100, costly_rounds=1))["case"]
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.value is not None
        assert estimate.low <= estimate.value <= estimate.high
        return estimate.high - estimate.low

    assert width(300) < width(40)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("As an AI, I cannot", True),
        ("How can I assist you today?", True),
        ("I’m happy to help!", True),
        ("lol no idea", False),
        ("can you help me carry the couch", False),
        ("of course you did", False),
        ("Wie kann ich dir heute weiterhelfen?", True),
        ("Als KI-Sprachmodell kann ich das nicht.", True),
        ("kann mir wer helfen", False),
        ("ki ist halt auch nur statistik", False),
        ("Comment puis-je vous aider ?", True),
        ("N’hésitez pas à me demander", True),
        ("je peux pas t'aider là", False),
        ("¿En qué puedo ayudarte?", True),
        ("como una cabra", False),
        ("Como modelo de lenguaje, no opino", True),
        ("Como posso ajudá-lo hoje?", True),
        ("como uma pizza agora", False),
        ("Size nasıl yardımcı olabilirim?", True),
        ("bana yardım et lan", False),
    ],
)
def test_assistant_phrases_are_recognised(text: str, is_one: bool) -> None:
    assert assistant_speak.is_assistant_speak(text) is is_one


def test_real_people_of_the_demo_server_hardly_ever_use_assistant_phrases() -> None:
    assert assistant_speak.rate([row.reply for row in demo_rows()]) < 0.01


def test_an_eight_word_copy_is_found_inside_a_longer_reply() -> None:
    source = "the printer on the second floor eats paper every tuesday at nine"
    found = memory.measure(["honestly THE printer, on the second floor eats paper -- lol", "nope"], [source, "nope no"])
    assert found.longest_run == 8
    assert found.copied_share == 0.5
    assert found.examples[0].source == source


def test_short_sayings_are_nobodys_copy() -> None:
    found = memory.measure(["lol", "good morning", "no idea"], ["lol", "good morning", "no idea"])
    assert found.copied_share == 0
    assert found.line_share == 0


def test_a_told_secret_is_an_objection_whatever_its_spelling() -> None:
    assert memory.is_told(SECRET, "uh The code is 7194, Blue HERON i think")
    assert not memory.is_told(SECRET, "the code is 7195 blue heron")
    told = memory.Memorisation(canaries=((1, 0, 4), (10, 1, 4), (100, 4, 4)))
    assert verdict.objections(told, memory.Memorisation()) == ("It told 5 of 12 planted secrets.",)


def test_private_data_in_replies_is_counted_and_objected_to() -> None:
    found = memory.measure(
        ["mail me at a@b.example"], ["x"], find_private=lambda text: [word for word in text.split() if "@" in word]
    )
    assert found.private_hits == 1
    assert verdict.objections(found, memory.Memorisation())


def test_more_repetition_is_fewer_different_words_and_more_self_bleu() -> None:
    varied = extract(
        Replies(
            ("the cat sat here", "nobody saw my keys", "rain again in march", "who took lunch"), ("a", "b", "c", "d")
        )
    )
    same = extract(Replies(("the cat sat here",) * 4, ("a", "b", "c", "d")))
    assert style.distinct(same, varied, size=2, budget=16) < style.distinct(varied, same, size=2, budget=16) == 1.0
    assert style.self_bleu(same, varied) > 0.99 > style.self_bleu(varied, same)


def test_every_writers_words_are_counted_over_as_many_as_the_one_who_says_least_has() -> None:
    sessions = tuple("abcdefgh")
    talker = extract(Replies(tuple(f"word{i} and then some more of it" for i in range(8)), sessions))
    terse = extract(Replies(tuple(f"word{i} ok" for i in range(8)), sessions))
    assert comparison.word_budget([talker, terse], QUICK) == 2 * 4, "half of the sessions of whoever says least"
    silent = extract(Replies(("", "ok", *[""] * 6), sessions))
    assert comparison.word_budget([talker, terse, silent], QUICK) == 2 * 4, "whoever says next to nothing is left out"
    assert comparison.compare(silent, talker, QUICK, budget=8)["distinct_1"].value is None
    alone, beside = (
        comparison.compare(talker, talker, QUICK, budget=budget)["distinct_1"].value for budget in (None, 8)
    )
    assert alone is not None
    assert beside is not None
    assert alone < beside, "fewer words repeat less"


def test_an_interval_of_repetition_does_not_count_replies_that_were_only_drawn_twice() -> None:
    generator = np.random.default_rng(5)
    vocabulary = [f"w{i}" for i in range(400)]
    texts = tuple(" ".join(generator.choice(vocabulary, 6)) for _ in range(80))
    own = extract(Replies(texts, tuple(str(i // 2) for i in range(80))))
    found = comparison.compare(own, own, QUICK)["self_bleu"]
    assert found.value is not None
    assert found.high is not None
    assert found.value < found.high < 0.2, "nobody says anything twice here"


def test_few_rounds_give_a_wider_interval_than_their_own_extremes() -> None:
    generator = np.random.default_rng(3)
    few, many = (generator.normal(size=(6, rounds)) for rounds in (4, 500))
    low, high = interval(few.tolist())
    assert high == -low
    assert high > 1.96 * few.std()
    assert interval(many.tolist()) == pytest.approx((-1.96, 1.96), abs=0.1)


def test_an_interval_lies_around_its_figure_for_what_is_copied_too() -> None:
    training = ["the quick brown fox jumps over the lazy dog tonight"]
    replies = [training[0] if i % 4 == 0 else f"something of my own number {i}" for i in range(40)]
    found = memory.measure(replies, training, sessions=[str(i // 2) for i in range(40)])
    low, high = found.ranges["copied_share"]
    assert low < found.copied_share == 0.25 < high
    assert found.ranges["longest_run"] == (found.longest_run, found.longest_run)
    own = memory.measure([f"nobody ever said this number {i}" for i in range(40)], training, sessions=["s"] * 40)
    assert own.copied_share == 0
    assert 0.05 < own.ranges["copied_share"][1] < 0.1, "none of forty is not none at all"


def test_distances_are_zero_for_the_same_habits_and_one_for_none_in_common() -> None:
    quiet = extract(Replies(("ok", "no", "hm"), ("a", "b", "c")))
    loud = extract(Replies(("WHAT\nNO\nWAY 😂😂😂 " + "A" * 300,) * 3, ("a", "b", "c")))
    for distance in (style.length_divergence, style.burst_divergence, style.emoji_divergence, style.case_divergence):
        assert distance(quiet, quiet) == 0
        assert distance(quiet, loud) == pytest.approx(1)


def test_a_model_that_says_nothing_is_recognised(rows: list[EvaluationExample]) -> None:
    real = extract(real_replies(rows))
    silent = extract(Replies(("",) * len(rows), real.replies.sessions))
    assert (comparison.compare(silent, real, QUICK)["auc"].value or 0) > 0.95


def test_perplexity_is_the_exponential_of_the_mean_log_loss() -> None:
    estimate = comparison.interval_of_mean_log([[-1.0, -3.0], [-2.0]], ["a", "b"])
    assert estimate.value == pytest.approx(np.exp(2.0))


def test_a_report_comes_back_from_its_file_as_it_was(copy_machine: EvaluationReport, tmp_path: Path) -> None:
    write_report(copy_machine, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == copy_machine


def test_the_page_needs_nothing_outside_it_and_escapes_what_people_wrote(assistant: EvaluationReport) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    sample = replace(assistant.samples[0], replies={"people": hostile, "model": hostile})
    page = render(replace(assistant, samples=(sample, *assistant.samples[1:])))
    tags, attributes = elements(page)
    assert not tags & {"script", "img", "link", "iframe", "object"}
    assert not attributes & {"src", "href", "onerror"}
    assert "&lt;script&gt;" in page
    assert "url(" not in page
    assert "@import" not in page
    assert page.count("<div class=talk>") == len(assistant.samples) == 20


def test_a_broken_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    good = {"id": 1, "channel_id": 2, "session": "s", "context": [{"name": "a", "text": "b"}], "reply": "c"}
    path.write_text(json.dumps(good) + "\n{nonsense\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"test\.jsonl line 2"):
        list(read_rows(path))
    with pytest.raises(BadInputError, match="manifest"):
        read_manifest(tmp_path)


def test_a_short_evaluation_still_sees_the_whole_time_span(rows: list[EvaluationExample]) -> None:
    chosen = spread(rows, 10)
    assert len(chosen) == 10
    assert chosen[0] == rows[0]
    assert rows.index(chosen[-1]) >= len(rows) * 0.85


# ---- long dialogues -------------------------------------------------------------------------------------


class Echo:
    """A model that answers by rule, in place of one in memory: what is asked is what this part decides."""

    name, at_once = "rule", 3

    def __init__(self, rule: Callable[[EvaluationExample], str]) -> None:
        self.rule = rule
        self.asked: list[EvaluationExample] = []

    def answers(self, _model: object, rows: Sequence[EvaluationExample], *_: object, **__: object) -> list[Answer]:
        self.asked += rows
        return [Answer(row.id, self.rule(row), 1, 0.0, 0.0) for row in rows]


@pytest.fixture(scope="module")
def talks() -> list[dialogues.Dialogue]:
    return dialogues.choose_dialogues(demo_rows(), count=16)


def played(
    talks: Sequence[dialogues.Dialogue], rule: Callable[[EvaluationExample], str], monkeypatch: pytest.MonkeyPatch
) -> list[list[EvaluationExample]]:
    monkeypatch.setattr(dialogues, "write_answers", Echo(rule).answers)
    return dialogues.play(None, talks, GenerationSetup(GenerationOptions(), "", 5, 0))  # type: ignore[arg-type]


def test_a_long_dialogue_alternates_between_the_bots_own_words_and_what_people_said(
    talks: list[dialogues.Dialogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = played(talks, lambda row: f"bot says {row.id}", monkeypatch)
    assert len(said) == dialogues.TURNS
    last, opening = said[-1][0], talks[0][0].place.conversation.turns
    turns = last.conversation.turns
    assert turns[: len(opening)] == opening
    own = [turn.text for turn in turns[len(opening) :] if turn.is_self]
    assert own == [places[0].reply for places in said[:-1]], "its own words, and nobody else's"
    heard = [line.text for seat in talks[0][1:] for line in seat.heard]
    assert [turn.text for turn in turns[len(opening) :] if not turn.is_self] == heard
    places = [seat.place.id for talk in talks for seat in talk]
    assert len(places) == len(set(places)), "no place is taken twice"


def test_a_bot_that_drifts_is_seen_to_drift_and_one_that_does_not_is_not(
    talks: list[dialogues.Dialogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {
        f"{talk[0].place.id}/{n}/{seat.place.id}": seat.place.reply for talk in talks for n, seat in enumerate(talk, 1)
    }
    rng = random.Random(3)

    def drifting(row: EvaluationExample) -> str:
        return rng.choice(ASSISTANT) if rng.random() < int(row.id.split("/")[1]) / dialogues.TURNS else real[row.id]

    drift = dialogues.measure(talks, played(talks, drifting, monkeypatch), word_vectors)
    assert drift.is_steady is False
    assert (drift.turns[0].auc.value or 1) + 0.2 < (drift.turns[-1].auc.value or 0)
    assert "missed" in drift.in_words
    as_people = dialogues.measure(talks, played(talks, lambda row: real[row.id], monkeypatch), word_vectors)
    assert as_people.is_steady is not False
    assert as_people.auc_change.value == pytest.approx(0, abs=0.1)
    assert as_people.turns[-1].people_fit is not None


def test_the_page_says_in_words_whether_it_drifts(assistant: EvaluationReport, tmp_path: Path) -> None:
    turns = tuple(DriftTurn(n, Estimate(0.6, 0.5, 0.7), 0.7, 0.8) for n in range(1, 11))
    drift = Drift(20, turns, Estimate(0.01, -0.02, 0.04), Estimate(0.0, -0.1, 0.1))
    writers = tuple(replace(each, drift=drift if each.role == "model" else None) for each in assistant.writers)
    report = replace(assistant, writers=writers)
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    assert "at most +0.05: reached." in render(report)
    assert "long talk" not in render(assistant)


# ---- advice ---------------------------------------------------------------------------------------------


def advised(part: str, model: dict[str, float], people: dict[str, float], **known: object) -> str:
    """The first step for a model whose weakest part is `part`."""
    figures = [
        {key: Estimate(value, value - 0.05, value + 0.05) for key, value in side.items()} for side in (model, people)
    ]
    result = verdict.Match(50.0, (verdict.Part(part, 30, 0.2),), 1.0)
    return next_steps(Evidence(result, *figures, training_rows=5000, **known))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "model", "people", "known", "lever"),
    [
        ("detector", {"auc": 0.8, "distinct_2": 0.5}, {"distinct_2": 0.8}, {}, "Sampling: it says too little"),
        ("detector", {"auc": 0.8, "distinct_2": 0.95}, {"distinct_2": 0.8}, {}, "Sampling: it draws words too freely"),
        ("detector", {"auc": 0.8}, {}, {"base": {"auc": Estimate(0.8, 0.75, 0.85)}}, "Training: the untuned model"),
        (
            "detector",
            {"auc_characters": 0.6, "auc_meaning": 0.8},
            {"auc_characters": 0.5, "auc_meaning": 0.5},
            {},
            "Rows",
        ),
        ("detector", {"auc": 0.8}, {}, {"settings": {"top_k": 40}}, "Sampling"),
        ("context", {"echo": 0.3}, {"echo": 0.0}, {}, "Sampling: it repeats"),
        ("context", {"distinct_2": 0.95}, {"distinct_2": 0.8}, {}, "Sampling"),
        ("context", {}, {}, {}, "Rows"),
        ("habits", {"bursts": 0.5, "case": 0.1}, {}, {"settings": {"repeat_penalty": 1.1}}, "Sampling"),
        ("habits", {"bursts": 0.1, "case": 0.5}, {}, {"settings": {"repeat_penalty": 1.1}}, "Training"),
        ("vocabulary", {}, {}, {}, "Rows"),
        ("mentions", {}, {}, {}, "Rows"),
        ("no assistant phrases", {}, {}, {}, "Training"),
    ],
)
def test_advice_names_the_lever_that_the_figures_point_to(
    part: str, model: dict[str, float], people: dict[str, float], known: dict[str, object], lever: str
) -> None:
    assert f"points). {lever}" in advised(part, model, people, **known)


def test_a_made_up_name_is_counted_and_the_detector_sees_what_discord_would_show(rows: list[EvaluationExample]) -> None:
    report = measured(rows, tuple("@nobody_at_all " + row.reply for row in rows), ["something else"])
    assert report.model.figures["invented_mentions"].value == 1.0
    assert report.headline_auc is not None
    known = known_names(rows)
    assert as_shown("hi @nobody_at_all and @everyone", known) == "hi nobody_at_all and @everyone"
    name = rows[0].conversation.turns[0].name
    assert as_shown(f"ask @{name}!", known) == f"ask @{name}!"
