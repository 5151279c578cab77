"""What the panel claims: no verdict without answers, no alarm about what never ran, no time that jumps, no commands."""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict
from typing import Any

import pytest

from gui import texts
from gui.presenters import blind_test as quiz_room
from gui.presenters import dashboard, training
from gui.presenters import format as words
from gui.presenters.plain import plain
from gui.presenters.snapshot import ControllerLook, Pulse
from gui.presenters.status import status_view
from gui.remaining import RemainingTimes
from model.evaluation import blind_test
from storage.activity import Totals
from storage.blind_test import LEAST_ANSWERS, QuizResult, RaterVerdict
from storage.environment import Environment
from storage.errors import ConfigurationError
from storage.records import Job, JobState
from storage.settings import Settings

NOW = 1_760_000_000.0


def pulse(*jobs: Job, now: float = NOW, **controller: Any) -> Pulse:
    return Pulse(now, ControllerLook(**controller), None, Settings(), jobs)


def scored(answers: int, *, right: float = 0.5) -> tuple[blind_test.Score, Job]:
    """A rater who gave this many answers, half of them about the bot."""
    key = blind_test.Key("q", "tuned", {f"{n:04d}": n % 2 == 0 for n in range(answers)})
    verdicts = tuple(
        RaterVerdict(item, is_bot if n < right * answers else not is_bot)
        for n, (item, is_bot) in enumerate(key.is_bot.items())
    )
    score = blind_test.score([QuizResult("q", "ada", verdicts, 1.0)], key)
    result = asdict(score) | {"rubric_mean": None, "reading": blind_test.reading(score)}
    return score, Job(1, "blind_test", 1, JobState.DONE, result=result)


@pytest.mark.parametrize("answers", [1, 3, LEAST_ANSWERS - 1])
def test_a_few_answers_make_no_verdict(answers: int) -> None:
    score, job = scored(answers)
    told = quiz_room.score_text(job)
    assert "%" not in told
    assert "cannot tell" not in told
    assert str(LEAST_ANSWERS) in told
    assert "too few answers" in blind_test.reading(score)


def test_enough_answers_make_one_and_say_how_sure_it_is_in_words() -> None:
    score, job = scored(LEAST_ANSWERS)
    told = quiz_room.score_text(job)
    assert "a rough figure" in told
    assert "[" not in told
    assert "20 answers by 1 person" in told
    assert "fairly sure" in quiz_room.score_text(scored(200)[1])
    assert "rough figure" in blind_test.reading(score)


def test_answers_about_one_side_only_make_no_verdict() -> None:
    key = blind_test.Key("q", "tuned", {f"{n:04d}": True for n in range(40)})
    score = blind_test.score([QuizResult("q", "ada", tuple(RaterVerdict(item, True) for item in key.is_bot), 1.0)], key)
    assert blind_test.reading(score).startswith("no verdict")


def figures(**changes: Any) -> dashboard.Figures:
    none = Totals(0, 0, 0, None, None, None, 0)
    values: dict[str, Any] = dict(
        now=NOW, day=none, week=none, latencies=(), replies_per_hour=(0,) * 24, samples=(), decisions=()
    )
    return dashboard.Figures(**(values | changes))


def uptime(samples: tuple[tuple[float, int, bool], ...]) -> tuple[str, str]:
    row = next(
        row for row in dashboard.figures_view(figures(samples=samples)).targets if row.key == texts.TARGET_UPTIME
    )
    return row.cells[1].text, row.cells[1].tone


def test_a_bot_that_never_ran_has_no_uptime_and_one_that_began_late_is_not_blamed() -> None:
    down, up = (NOW, 0, False), (NOW, 1, True)
    assert uptime((down,) * 50) == (texts.NONE, "faint")
    assert uptime((down,) * 50 + (up,) * 10) == ("100.0\u2009%", "good")
    assert uptime((up,) * 95 + (down,) * 5)[1] == "busy", "95 % is acceptable, as the row beside it says"


def test_replies_in_the_playground_are_told_beside_none_on_discord() -> None:
    assert dashboard.figures_view(figures()).hours.empty_text == texts.NO_REPLIES_DAY
    assert "9 in the playground" in dashboard.figures_view(figures(playground_replies=9)).hours.empty_text


def test_a_missing_token_is_something_to_enter_and_not_an_error() -> None:
    with pytest.raises(ConfigurationError) as missing:
        Environment().require_token()
    view = status_view(pulse(state="failed", detail=missing.value.what, cure=missing.value.cure))
    assert view.title == texts.STATE_NO_TOKEN
    assert view.tone == "busy"
    assert (view.action, view.place) == (texts.BUTTON_TOKEN, "settings/Discord")
    crashed = status_view(pulse(state="failed", detail="It crashed eight times.", cure="Look at the log."))
    assert (crashed.title, crashed.tone, crashed.place) == (texts.STATE_ERROR, "bad", "logs")


def test_an_import_that_brought_messages_has_not_failed() -> None:
    partly = Job(1, "import", 1, JobState.FAILED, error="Imported: 2 files. Not imported: 1.", result={"files": [{}]})
    assert dashboard.finished_text(partly)[:2] == ("busy", "Importing messages: not everything")
    nothing = Job(1, "import", 1, JobState.FAILED, error="No file is an export.")
    assert dashboard.finished_text(nothing)[:2] == ("bad", "Importing messages: failed")


def test_the_computer_card_says_one_time_and_one_verdict() -> None:
    found = {"hardware": {"gpu_name": "", "cpu_cores": 2}, "can_run": True, "seconds": 720, "reason": "no GPU"}

    def card(**changes: Any) -> str:
        job = Job(1, "preflight", 1, JobState.DONE, result=found | changes)
        view = training.training_view(training.TrainingFacts(0, 9, True, {"preflight": job}, (), frozenset()), now=NOW)
        return " ".join([*(f"{fact.label} {fact.value}" for fact in view.computer), view.computer_note])

    practice = card(recipe="cpu-smoke")
    assert "12 min" in practice
    assert "practice model" in practice
    assert "very long" not in practice
    assert "no GPU. " in practice, "sentences end before the next begins"
    assert "very long" in card(recipe="lora-3b", seconds=90_000)
    assert "very long" not in card(recipe="lora-3b")


def follow(times: RemainingTimes, clock: list[float], job: Job, seconds: float) -> float | None:
    clock[0] += seconds
    return times.follow(pulse(job, now=NOW + clock[0])).get(job.id)


def running(progress: float, *, kind: str = "train", started: float = 0.0) -> Job:
    return Job(1, kind, 1, JobState.RUNNING, progress, "step", started_at=NOW + started)


def test_nothing_is_guessed_before_there_is_something_to_go_by() -> None:
    clock = [0.0]
    times = RemainingTimes(clock=lambda: clock[0])
    assert follow(times, clock, running(0.5), 4.0) is None
    assert follow(times, clock, running(0.02), 60.0) is None
    assert follow(times, clock, running(0.04), 1.0) is None
    assert follow(times, clock, running(0.06), 20.0) is not None


def test_a_training_gone_on_with_is_judged_by_what_it_does_now() -> None:
    """Half of it was done before; the other half takes 100 s a tenth."""
    clock = [0.0]
    times = RemainingTimes(clock=lambda: clock[0])
    told = [follow(times, clock, running(progress), 20.0) for progress in (0.0, 0.5, 0.52, 0.54)]
    assert told[:2] == [None, None]
    assert told[2:] == [pytest.approx(480), pytest.approx(460)]


def test_the_time_left_never_jumps_when_the_pace_changes() -> None:
    """Unpacking took a minute for a tenth; then each step takes ten times as long."""
    clock = [0.0]
    times = RemainingTimes(clock=lambda: clock[0])
    told = [follow(times, clock, running(0.1), 60.0)]
    told.extend(follow(times, clock, running(0.1 + number / 60_000), 0.5) for number in range(600))
    steps = [abs(after - before) for before, after in itertools.pairwise(told) if before and after]
    assert max(steps) < 60
    assert told[-1] > 3 * told[0]


def test_a_round_of_steps_says_nothing_until_it_trains() -> None:
    clock = [100.0]
    times = RemainingTimes(clock=lambda: clock[0])
    whole = Job(1, "retrain", 1, JobState.RUNNING, 0.04, "fetch", started_at=NOW)
    fetch = Job(2, "fetch", 1, JobState.RUNNING, 0.9, "fetch", started_at=NOW)
    assert 1 not in times.follow(pulse(whole, fetch, now=NOW + 100))
    train = Job(3, "train", 1, JobState.RUNNING, 0.1, "train", started_at=NOW)
    assert times.follow(pulse(whole, train, now=NOW + 100))[1] == pytest.approx(900 + 250)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(20, "under a minute"), (125, "2 min"), (1300, "20 min"), (3400, "55 min"), (8000, "2 h 15 min"), (30_000, "8 h")],
)
def test_a_time_left_is_said_no_finer_than_it_can_be_known(seconds: float, said: str) -> None:
    assert words.about(seconds) == said


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("The disk is full. Run python scripts/download_model.py again.", "The disk is full."),
        ("It has not been evaluated. Run scripts/4_evaluate_personality.py first.", "It has not been evaluated."),
        ("Prepare without --canaries and train again.", ""),
        ("Version 1.2 of x.gguf is here. It works.", "Version 1.2 of x.gguf is here. It works."),
        ("Give a well-known name - or two -- and go on.", "Give a well-known name - or two -- and go on."),
        ("Get it with pip install x.", ""),
    ],
)
def test_sentences_for_a_terminal_are_not_shown_in_the_panel(said: str, shown: str) -> None:
    assert plain(said) == shown


def test_no_text_of_the_panel_names_a_script_or_a_flag() -> None:
    found = [
        (name, text)
        for name, value in vars(texts).items()
        if name.isupper()
        for text in (value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,))
        if isinstance(text, str) and re.search(r"(?<![\w-])--[a-z]|scripts/|\w\.py\b|\bpython \w", text)
    ]
    assert not found
