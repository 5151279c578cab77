"""The blind test in the control panel: the same quiz, the same result files, by mouse or keyboard."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from gui import texts
from gui.presenters import blind_test as quiz
from model.evaluation import blind_test
from storage.blind_test import (
    Quiz,
    QuizItem,
    QuizLine,
    QuizResult,
    RaterVerdict,
    quiz_folder,
    quizzes,
    read_code,
    read_result,
    result_code,
)
from storage.errors import BadInputError
from storage.records import Job, JobState
from storage.store import Store
from tests.support.panel import StillJobs, open_panel

QUIZ = Quiz(
    "abc",
    "Bot or human?",
    tuple(QuizItem(f"{number:012x}", (QuizLine("mia", f"line {number}"),), f"reply {number}") for number in range(3)),
)
KEY = blind_test.Key("abc", "tuned", {QUIZ.items[0].id: True, QUIZ.items[1].id: False, QUIZ.items[2].id: True})


def test_there_is_no_next_before_a_verdict() -> None:
    run = quiz.QuizRun(QUIZ, "ada")
    assert quiz.forward(run) == run
    assert not quiz.view(run).can_go_on
    marked = quiz.mark(run, True)
    assert quiz.view(marked).is_bot is True
    assert quiz.forward(marked).at == 1


def test_going_back_and_changing_ones_mind_keeps_the_ratings() -> None:
    run = quiz.rate_next(quiz.rate_next(quiz.mark(quiz.QuizRun(QUIZ, "ada"), True), 5), 2)
    run = quiz.mark(quiz.backward(quiz.forward(run)), False)
    shown = quiz.view(run)
    assert shown.is_bot is False
    assert dict(shown.ratings) == {"authenticity": 5, "naturalness": 2}


def test_a_rating_without_a_verdict_is_not_kept() -> None:
    assert quiz.rate(quiz.QuizRun(QUIZ, "ada"), "length", 3).verdicts == {}


def test_the_result_scores_like_one_from_the_page() -> None:
    run = quiz.QuizRun(QUIZ, "ada")
    for item in QUIZ.items:
        run = quiz.forward(quiz.mark(run, KEY.is_bot[item.id]))
    assert run.is_at_end
    score = blind_test.score([quiz.result(run, now=5.0)], KEY)
    assert score.detected.value == 1
    assert score.false_alarms.value == 0


def test_a_finished_scoring_is_told_in_words() -> None:
    many = Quiz("abc", "", tuple(QuizItem(f"{number:012x}", (), "reply") for number in range(24)))
    key = blind_test.Key("abc", "tuned", {item.id: number % 2 == 0 for number, item in enumerate(many.items)})
    run = quiz.QuizRun(many, "ada")
    for item in many.items:
        run = quiz.forward(quiz.mark(run, key.is_bot[item.id]))
    score = blind_test.score([quiz.result(run, now=5.0)], key)
    job = Job(
        1,
        "blind_test",
        1,
        JobState.DONE,
        result=asdict(score) | {"rubric_mean": 4.25, "reading": blind_test.reading(score)},
    )
    told = quiz.score_text(job)
    assert "100\u2009% were found out" in told
    assert "4.2" in told
    assert "24 answers by 1 person" in told
    assert quiz.score_text(None) == ""
    assert quiz.score_text(Job(1, "blind_test", 1, JobState.DONE)) == ""


@pytest.mark.usefixtures("display")
def test_the_quiz_is_done_in_the_window_with_the_keyboard(store: Store) -> None:
    folder = quiz_folder(store.workspace, "abc")
    blind_test.save(QUIZ, KEY, folder)
    jobs = StillJobs()
    with open_panel(store, jobs=jobs) as panel:
        room = panel.go("blind_test")
        panel.wait(lambda: room.begin.cget("state") == "normal", "the quiz that was found")
        panel.click(room.rater)
        panel.type("ada")
        panel.key("Return")
        panel.wait(lambda: room.run is not None and room.reply.cget("text") == "reply 0", "the first reply")
        panel.key("b", "4", "Right", "h", "Right", "Left", "Right")
        panel.wait(lambda: room.count.cget("text") == texts.BLIND_COUNT.format(at=3, count=3), "the third reply")
        panel.click(room.bot)  # a tap is an answer: the last one ends the game
        saved = panel.wait(lambda: list((folder / "results").glob("*.json")), "the result file")
        panel.wait(lambda: jobs.started and jobs.started[-1][0] == "blind_test", "the scoring")
        panel.wait(room.reveal.winfo_ismapped, "the reveal")
        assert room.reveal.cget("text") == texts.BLIND_REVEAL.format(right=3, count=3)
    result = read_result(Path(saved[0]))
    assert result.rater == "ada"
    assert [verdict.is_bot for verdict in result.verdicts] == [True, False, True]
    assert result.verdicts[0].ratings == {"authenticity": 4}
    assert "--score" in jobs.started[-1][1]
    assert quizzes(store.workspace)


@pytest.mark.usefixtures("display")
def test_a_friends_code_is_pasted_and_one_cut_short_is_refused_in_words(store: Store) -> None:
    folder = quiz_folder(store.workspace, "abc")
    blind_test.save(QUIZ, KEY, folder)
    verdicts = tuple(RaterVerdict(item.id, False) for item in QUIZ.items)
    code = result_code(QuizResult("abc", "mia", verdicts, 5.0), QUIZ)
    jobs = StillJobs()
    with open_panel(store, jobs=jobs) as panel:
        room = panel.go("blind_test")
        room.code.set_text(code[: len(code) // 2])
        panel.click(room.add_code)
        panel.wait(lambda: "That is not a whole result code." in panel.app.toasts.titles, "the refusal")
        assert not list((folder / "results").glob("*.json"))
        room.code.set_text(f"my result: {code}")
        panel.click(room.add_code)
        panel.wait(room.reveal.winfo_ismapped, "how mia did")
        assert room.reveal.cget("text") == texts.BLIND_REVEAL_BY.format(name="mia", right=1, count=3)
        assert "reply 0" in room.fooled.cget("text")
        panel.wait(lambda: jobs.started, "the scoring")
    (saved,) = (folder / "results").glob("*.json")
    assert read_result(saved).rater == "mia"


def test_a_code_of_another_test_or_without_answers_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    blind_test.save(QUIZ, KEY, folder)
    empty = result_code(QuizResult("abc", "mia", (), 5.0), QUIZ)
    for code in ("", "hello", "BT1.", "BT1.e30", empty):
        with pytest.raises(BadInputError):
            read_code(code, [folder / "quiz.json"])
    whole = result_code(QuizResult("abc", "mia", (RaterVerdict(QUIZ.items[1].id, True, {"length": 4}),), 5.0), QUIZ)
    result, _ = read_code(whole, [folder / "quiz.json"])
    assert result.verdicts == (RaterVerdict(QUIZ.items[1].id, True, {"length": 4}),)
    with pytest.raises(BadInputError, match="not here any more"):
        read_code(whole, [])
