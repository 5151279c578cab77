"""Too little to train on is no success, whoever asked: the terminal, the panel, Retrain or a member of the server."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from bot.command_texts import job_text
from data.chat.quotas import plan
from data.sufficiency import NEEDED, shortage
from gui.presenters.training import TrainingFacts, training_view
from scripts import retrain
from storage.jobs.frame import exit_code_of
from storage.records import Channel, JobState, Message
from tests.support.exports import Terminal, case

prepare = importlib.import_module("scripts.2_prepare_training_data")
EVERY = dict.fromkeys(NEEDED, True)


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    terminal = Terminal(tmp_path / "workspace", capsys)
    terminal.imports(case("22") / "general.json", "--enable-channels", "all", "--visibility", "public")
    return terminal


def left_over(terminal: Terminal) -> list[Path]:
    return [path for path in terminal.root.rglob("*prepared*") if path.suffix != ".log"]


def test_case_22_two_examples_are_refused_with_what_is_needed_and_what_is_missing(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 71."""
    assert exit_code_of(lambda: prepare.main(["--workspace", str(terminal.root)])) == 1
    words = capsys.readouterr().err
    for part in (
        "too little to train on: 2 / 0 / 0 examples (train / validation / test), and at least 100 / 5 / 5 are needed",
        "Training lacks 98: its conversations hold 12 turns by 2 people, of which the quotas keep 2",
        "Validation lacks 5 and test lacks 5",
        "about 500 messages by at least three people",
    ):
        assert part in words
    assert left_over(terminal) == []
    with terminal.store() as store:
        job = store.jobs.latest("prepare")
        assert job is not None
        assert job.state is JobState.FAILED
        assert job.result == {}
        assert "too little to train on" in job_text(job), "what !train and !fetch report"
    view = training_view(TrainingFacts(12, 12, False, {"prepare": job}, (), frozenset()), now=0.0)
    assert "too little to train on" in view.dataset_note
    assert not view.can_start
    assert view.dataset == ()


def test_retrain_stops_at_the_step_that_has_too_little_and_says_why(terminal: Terminal) -> None:
    """Fault 71."""
    assert exit_code_of(lambda: retrain.main(["--workspace", str(terminal.root), "--no-fetch"])) == 1
    words = terminal.capsys.readouterr().err
    assert "The step 'prepare' failed: This is too little to train on: 2 / 0 / 0" in words
    assert left_over(terminal) == []
    with terminal.store() as store:
        job = store.jobs.latest("retrain")
        assert job is not None
        assert job.state is JobState.FAILED
        assert "too little to train on" in job_text(job)
        assert store.jobs.latest("train") is None


def test_an_older_data_set_in_the_same_folder_stays(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 71."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("{}", encoding="utf-8")
    command = ["--workspace", str(terminal.root), "--out", str(tmp_path / "out")]
    assert exit_code_of(lambda: prepare.main(command)) == 1
    assert (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8") == "{}"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


def test_many_messages_in_one_long_conversation_lack_what_is_to_be_measured(tmp_path: Path) -> None:
    """Fault 71: the parts are cut between conversations, and here is only one."""
    root = tmp_path / "server"
    terminal = Terminal(root, capsys=None)  # type: ignore[arg-type]
    with terminal.store() as store:
        store.channels.add([Channel(1, "general", learn=True, is_private=False)])
        store.messages.save(
            [
                Message(n, 1, 10 + n % 12, f"member{n % 12}", f"number {n} of many", 1_700_000_000_000 + n * 60_000)
                for n in range(1, 600)
            ]
        )
    with pytest.raises(Exception, match=r"Validation lacks 5 and test lacks 5: .* there is only one"):
        prepare.main(["--workspace", str(root)])
    everything = ["--train-share", "1", "--validation-share", "0"]
    assert exit_code_of(lambda: prepare.main(["--workspace", str(root), *everything])) == 0


@pytest.mark.parametrize(
    ("counts", "wanted", "words"),
    [
        ({"train": 100, "validation": 5, "test": 5}, {}, None),
        ({"train": 99, "validation": 5, "test": 5}, {}, "Training lacks 1: "),
        ({"train": 100, "validation": 0, "test": 0}, {"validation": False, "test": False}, None),
        ({"train": 100, "validation": 4, "test": 5}, {}, "Validation lacks 1: they get"),
        ({"train": 100, "validation": 5, "test": 0}, {}, "Test lacks 5: they get"),
    ],
)
def test_each_part_has_its_own_least(counts: dict[str, int], wanted: dict[str, bool], words: str | None) -> None:
    """Fault 71."""
    people = plan({1: 60, 2: 60, 3: 60})
    found = shortage(counts, people, sessions=40, across_border=3, wanted=EVERY | wanted)
    assert (found is None) == (words is None)
    assert found is None or (words is not None and words in found.what and found.cure)
