"""What people see of long work, and how scripts end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from storage.errors import AlreadyRunningError, BadInputError, CancelledError
from storage.jobs.frame import EXIT_CANCELLED, EXIT_FAILED, exit_code_of, job
from storage.jobs.terminal import TerminalProgress, duration
from storage.paths import Workspace
from storage.records import JobState
from storage.store import Store


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(Workspace.at(tmp_path)) as opened:
        yield opened


def test_rate_and_remaining_time_follow_the_pace_of_the_work() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = TerminalProgress(stream=stream, clock=clock)
    for done in range(0, 5001, 500):
        progress.report(done / 10_000, "Reading", done=done, unit="messages")
        clock.now += 10
    last = stream.getvalue().splitlines()[-1]
    assert "50 %" in last
    assert "Reading" in last
    assert "5,000 messages" in last
    assert "50/s" in last
    assert "1 min 40 s left" in last


def test_a_figure_that_grows_in_a_steps_own_words_makes_no_line_of_its_own() -> None:
    """Fault 160: a download of 2 GB wrote 2,000 lines into the panel's log."""
    stream, now = io.StringIO(), [0.0]
    progress = TerminalProgress(stream=stream, clock=lambda: now[0])
    for megabyte in range(2_000):
        now[0] += 0.01
        progress.report(megabyte / 2_000, f"{megabyte:,} of 2,000 MB")
    assert len(stream.getvalue().splitlines()) <= 5
    progress.report(0.9999, "checking 1%")
    assert "checking" in stream.getvalue()


def test_a_step_that_stands_still_counts_down_and_then_promises_nothing() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = TerminalProgress(stream=stream, clock=clock)
    for percent in (0, 10, 20):
        progress.report(percent / 100, "Preparing")
        clock.now += 10
    for _ in range(2):
        progress.report(0.2, "Measuring")
        clock.now += 25
    first, second = stream.getvalue().splitlines()[-2:]
    assert "1 min 10 s left" in first
    assert "left" not in second
    progress.report(0.3, "Measuring")
    assert "left" in stream.getvalue().splitlines()[-1]


def test_loading_and_what_an_earlier_run_did_say_nothing_about_the_time_left() -> None:
    """A training gone on with in the middle, after a long look at the disk: half of it is left, at 1 % in 5 s."""
    clock, stream = Clock(), io.StringIO()
    progress = TerminalProgress(stream=stream, clock=clock)
    progress.report(0.0, "Loading")
    clock.now += 100
    for percent in range(50, 54):
        progress.report(percent / 100, "SFT")
        clock.now += 5
    told = stream.getvalue().splitlines()[1:]
    assert "left" not in told[0]
    assert "4 min 0" in told[1]
    assert "3 min 5" in told[-1]


def test_a_part_of_the_work_fills_its_part_of_the_bar() -> None:
    stream = io.StringIO()
    progress = TerminalProgress(stream=stream, clock=Clock())
    progress.part(0.5, 1.0)(0.5, "Indexing")
    assert "75 %" in stream.getvalue()


def test_without_a_terminal_the_bar_does_not_flood_the_output() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = TerminalProgress(stream=stream, clock=clock)
    for step in range(1000):
        progress.report(step / 1000, "Reading")
        clock.now += 0.01
    assert len(stream.getvalue().splitlines()) < 5


def test_durations_read_as_people_say_them() -> None:
    assert [duration(8.9), duration(200), duration(7500)] == ["8 s", "3 min 20 s", "2 h 05 min"]


def test_a_job_row_carries_progress_and_result(store: Store) -> None:
    with job(store, "import", stream=io.StringIO()) as progress:
        progress.report(0.4, "Reading")
        assert store.jobs.active()[0].progress == 0.4
        progress.result = {"new": 3}
    latest = store.jobs.latest("import")
    assert latest is not None
    assert latest.state is JobState.DONE
    assert latest.result == {"new": 3}


def test_cancelling_the_row_ends_the_work(store: Store) -> None:
    with pytest.raises(CancelledError), job(store, "import", stream=io.StringIO()) as progress:  # noqa: PT012
        store.jobs.request_cancel(store.jobs.active()[0].id)
        progress.report(0.5, "Reading")
    latest = store.jobs.latest("import")
    assert latest is not None
    assert latest.state is JobState.CANCELLED


def test_the_second_job_of_a_kind_says_who_runs(store: Store) -> None:
    first, second = job(store, "import", stream=io.StringIO()), job(store, "import", stream=io.StringIO())
    with first, pytest.raises(AlreadyRunningError, match="already running"), second:
        pass


def test_a_known_error_is_one_sentence_and_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise BadInputError("chat.jsonl:3: no author.", "Export it again.")

    assert exit_code_of(main) == EXIT_FAILED
    assert capsys.readouterr().err == "Error: chat.jsonl:3: no author. Export it again.\n"


@pytest.mark.parametrize(
    ("kind", "said"),
    [("evaluate", "start it again to continue"), ("train", "--resume"), ("prepare", "from the beginning")],
)
def test_whoever_stops_a_job_hears_how_it_is_gone_on_with(
    store: Store, capsys: pytest.CaptureFixture[str], kind: str, said: str
) -> None:
    def interrupted() -> None:
        with job(store, kind, stream=io.StringIO()):
            raise KeyboardInterrupt

    assert exit_code_of(interrupted) == EXIT_CANCELLED
    assert said in capsys.readouterr().err

    def cancelled() -> None:
        with job(store, kind, stream=io.StringIO()) as progress:
            store.jobs.request_cancel(store.jobs.active()[0].id)
            progress.report(0.5, "Working")

    assert exit_code_of(cancelled) == EXIT_CANCELLED
    assert said in capsys.readouterr().err


def test_ctrl_c_and_cancel_end_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    def cancelled() -> int:
        raise CancelledError("Cancelled by the owner.")

    assert exit_code_of(interrupted) == exit_code_of(cancelled) == EXIT_CANCELLED
    assert "Traceback" not in capsys.readouterr().err
