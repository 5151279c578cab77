"""The blind test: nothing but the words gives the bot away, and the scoring is fair to everybody."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import pytest

from model.evaluation import blind_test
from model.evaluation.blind_test import Key
from model.evaluation.blind_test_page import page
from storage.blind_test import (
    Quiz,
    QuizResult,
    RaterVerdict,
    quiz_folder,
    read_quiz,
    read_result,
    save_result,
    write_quiz,
)
from storage.errors import BadInputError
from storage.paths import Workspace
from tests.support.browser import chromium, open_page
from tests.support.demo_rows import demo_rows

ROOT = Path(__file__).resolve().parents[2]


def a_test(per_side: int = 20, *, seed: int = 3) -> tuple[Quiz, Key]:
    people, places = blind_test.choose_places(demo_rows(), per_side=per_side, max_tokens=120, seed=seed)
    bot = blind_test.answered(places, lambda row: f"  so about {row.id[-3:]} \n\n", per_side)
    return blind_test.make(people, bot, model="tuned", seed=seed)


def result(quiz: Quiz, rater: str, says_bot: object, *, rating: int | None = None, made_at: float = 1.0) -> QuizResult:
    """A rater whose judgement is a function of the item's id."""
    ratings = {} if rating is None else {"authenticity": rating, "length": rating}
    return QuizResult(
        quiz.id,
        rater,
        tuple(
            RaterVerdict(item.id, says_bot(item.id), ratings)  # type: ignore[operator]
            for item in quiz.items
        ),
        made_at,
    )


def test_half_of_the_replies_are_the_bots_and_no_place_comes_twice() -> None:
    quiz, key = a_test()
    assert sum(key.is_bot.values()) == 20
    assert len(quiz.items) == 40
    assert set(key.is_bot) == {item.id for item in quiz.items}
    people, places = blind_test.choose_places(demo_rows(), per_side=20, max_tokens=120, seed=1)
    assert not {row.id for row in people} & {row.id for row in places}


def test_the_order_says_nothing() -> None:
    """Over many draws the bot stands at every place of the list about equally often."""
    counts = [0] * 20
    for seed in range(300):
        quiz, key = a_test(10, seed=seed)
        for place, item in enumerate(quiz.items):
            counts[place] += key.is_bot[item.id]
    assert all(110 < count < 190 for count in counts)


def test_ids_and_clean_up_say_nothing() -> None:
    quiz, _key = a_test()
    assert all(re.fullmatch(r"[0-9a-f]{12}", item.id) for item in quiz.items)
    assert all(item.reply == blind_test.clean(item.reply) != "" for item in quiz.items)
    assert max(len(item.reply) for item in quiz.items) <= 120 * 3


def test_the_page_holds_no_clue_to_who_wrote_what() -> None:
    """Two quizzes that differ only in who wrote which text are the same page, byte for byte."""
    quiz, key = a_test()
    text = page(quiz)
    assert text == page(quiz)
    assert "tuned" not in text
    by_side = {
        side: [json.dumps(asdict(item)) for item in quiz.items if key.is_bot[item.id] is side] for side in (True, False)
    }
    shapes = {
        side: {re.sub(r'"(?:[^"\\]|\\.)*"', '""', re.sub(r", \{[^}]*\}", "", each)) for each in items}
        for side, items in by_side.items()
    }
    assert shapes[True] == shapes[False], "the same keys in the same order on both sides"
    assert sorted(json.loads(by_side[True][0])) == ["context", "id", "reply"]


def test_the_page_works_alone_and_cannot_be_broken_by_a_reply() -> None:
    quiz, _ = a_test()
    hostile = "</script><script>alert(1)</script><!-- & <b>"
    quiz = Quiz(quiz.id, quiz.title, (quiz.items[0].__class__("a" * 12, quiz.items[0].context, hostile), *quiz.items))
    scripts, outside = [], []

    class Collector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "script":
                scripts.append(dict(attrs).get("id"))
            outside.extend(value for name, value in attrs if name in ("src", "href", "action"))

    Collector().feed(page(quiz))
    assert scripts == ["quiz", "ratings", None]
    assert not outside


def test_a_quiz_comes_back_from_its_file(tmp_path: Path) -> None:
    quiz, key = a_test()
    write_quiz(quiz, tmp_path / "quiz.json")
    assert read_quiz(tmp_path / "quiz.json") == quiz
    blind_test.save(quiz, key, tmp_path / "made")
    assert blind_test.read_key(tmp_path / "made" / "key.json") == key
    assert "is_bot" not in (tmp_path / "made" / "quiz.json").read_text(encoding="utf-8")


def test_wilson_intervals_are_those_of_the_textbook() -> None:
    found = blind_test.rate(8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    assert blind_test.rate(0, 0).high == 1.0


def test_somebody_who_sees_through_it_detects_all_and_alarms_never() -> None:
    quiz, key = a_test()
    score = blind_test.score([result(quiz, "ada", key.is_bot.get)], key)
    assert score.detected.value == 1
    assert score.false_alarms.value == 0
    assert score.agreement is None
    assert "can tell" in blind_test.reading(score)


def test_crying_bot_at_everything_is_no_detection() -> None:
    quiz, key = a_test()
    score = blind_test.score([result(quiz, "ada", lambda _id: True)], key)
    assert score.detected.value == 1
    assert score.false_alarms.value == 1
    assert blind_test.reading(score).startswith("raters cannot tell")


def test_agreement_is_one_when_all_agree_and_low_when_all_guess() -> None:
    quiz, key = a_test()
    same = blind_test.score([result(quiz, name, key.is_bot.get) for name in ("ada", "bo", "cy")], key)
    assert same.agreement == pytest.approx(1)
    guesses = [result(quiz, name, lambda item, k=k: int(item[k], 16) % 2 == 0) for k, name in enumerate("abc")]
    mixed = blind_test.score(guesses, key)
    assert mixed.agreement is not None
    assert abs(mixed.agreement) < 0.4
    assert mixed.detected.count == 60


def test_the_rubric_has_a_mean_for_each_side_and_may_be_left_out() -> None:
    quiz, key = a_test()
    score = blind_test.score([result(quiz, "ada", key.is_bot.get, rating=4)], key)
    assert score.rubric["authenticity"] == (4, 4)
    assert score.rubric["vocabulary"] == (None, None)
    assert score.rubric_mean == 4


def test_the_newest_result_of_a_rater_counts_and_other_tests_do_not() -> None:
    quiz, key = a_test()
    old = result(quiz, "ada", lambda _id: True, made_at=1)
    new = result(quiz, "ada", key.is_bot.get, made_at=2)
    foreign = QuizResult("another", "bo", new.verdicts)
    score = blind_test.score([new, old, foreign], key)
    assert len(score.raters) == 1
    assert score.false_alarms.value == 0
    assert len(score.notes) == 2
    with pytest.raises(BadInputError):
        blind_test.score([foreign], key)


@pytest.mark.parametrize(
    "content",
    [
        "nothing",
        "[]",
        '{"quiz_id": "a", "rater": "b", "verdicts": [{"item_id": "x", "is_bot": "yes"}]}',
        '{"quiz_id": "a", "rater": "b", "verdicts": [{"item_id": "x", "is_bot": true, "ratings": {"length": 9}}]}',
    ],
)
def test_a_result_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError, match="not a blind-test result"):
        read_result(tmp_path / "r.json")


def test_results_of_the_panel_are_scored_by_the_command(workspace: Workspace) -> None:
    quiz, key = a_test()
    folder = quiz_folder(workspace, quiz.id)
    blind_test.save(quiz, key, folder)
    saved = save_result(result(quiz, "Zoë / 1", key.is_bot.get, rating=5), folder)
    assert read_result(saved).rater == "Zoë / 1"
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "scripts" / "4_evaluate_personality.py"),
            "--workspace",
            str(workspace.root),
            "--score",
            str(folder / "results" / "*.json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "found the bot 100%" in done.stdout
    assert "rubric of the bot  5.00" in done.stdout


def test_a_test_needs_enough_places() -> None:
    with pytest.raises(BadInputError, match="places"):
        blind_test.choose_places(demo_rows()[:6], per_side=50, max_tokens=120)


def test_the_bot_may_stay_silent_where_it_likes() -> None:
    rows = demo_rows()[:10]
    spoken = blind_test.answered(rows, lambda row: "" if row is rows[0] else "hm", 3)
    assert [row for row, _ in spoken] == rows[1:4]


@pytest.mark.skipif(chromium() is None, reason="no Chromium here")
def test_in_a_real_browser_the_test_is_done_with_the_keyboard_alone(tmp_path: Path) -> None:
    quiz, key = a_test(5)
    html = blind_test.save(quiz, key, tmp_path / "quiz")
    asyncio.run(_do_with_keyboard(html, quiz, key, tmp_path))
    found = read_result(next(tmp_path.glob("*.json")))
    assert found.rater == "ada"
    assert len(found.verdicts) == 10
    assert all(verdict.is_bot == key.is_bot[verdict.item_id] for verdict in found.verdicts)
    assert found.verdicts[0].ratings == {"authenticity": 5, "naturalness": 4}
    assert blind_test.score([found], key).detected.value == 1


async def _do_with_keyboard(html: Path, quiz: Quiz, key: Key, downloads: Path) -> None:
    async with open_page(html.as_uri(), downloads=downloads) as tab:
        await tab.until("document.readyState==='complete' && document.activeElement.id==='rater'")
        for letter in "ada":
            await tab.key(letter)
        await tab.key("Enter")
        await tab.until("!document.getElementById('item').hidden")
        assert await tab.js("document.getElementById('next').disabled"), "no verdict, no next"
        for number, item in enumerate(quiz.items):
            await tab.until(f"document.getElementById('reply').textContent==={json.dumps(item.reply)}")
            await tab.key("b" if key.is_bot[item.id] else "h")
            if number == 0:
                await tab.key("5")
                await tab.key("4")
            if number == 1:  # back and forth loses nothing
                await tab.key("ArrowLeft")
                assert await tab.js("document.getElementById('count').textContent") == "Reply 1 of 10"
                await tab.key("ArrowRight")
            await tab.key("Enter")
        await tab.until("document.activeElement.id==='save'")
        await tab.js("location.reload()")
        await tab.until("document.readyState==='complete' && !document.getElementById('item').hidden")
        await tab.key("Enter")
        await tab.until("document.activeElement.id==='save'")
        await tab.key("Enter")
        await tab.until("!document.getElementById('saved').hidden")
        for _ in range(200):
            if list(downloads.glob("*.json")):
                break
            await asyncio.sleep(0.05)
