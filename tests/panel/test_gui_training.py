"""The training room: what it says and asks, and what its buttons start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot_controller import ControllerState
from gui import texts
from gui.presenters import pipeline, training
from storage.errors import KnownError
from storage.jobs.results import PreflightResult, PrepareResult
from storage.jobs.runner import JobRunner
from storage.paths import Workspace
from storage.records import Job, JobMetric, JobState, Message
from storage.store import Store
from storage.trained_models import all_models
from tests.integration.test_colab_files import brought
from tests.support.panel import StillController, StillJobs, open_panel
from tests.support.training_data import write_prepared_folder

NOW = 1_760_000_000.0
LONG_AGO_MS = 1_700_000_000_000


def job(kind: str, result: dict[str, Any] | None = None, state: JobState = JobState.DONE, **changes: Any) -> Job:
    return Job(1, kind, 1, state, result=result or {}, **changes)


def test_the_training_room_says_what_comes_first() -> None:
    facts = training.TrainingFacts(0, 0, False, {}, (), frozenset())
    view = training.training_view(facts, now=NOW)
    assert not view.can_retrain
    assert view.retrain == texts.RETRAIN_NONE
    assert view.curve.is_empty
    assert view.evaluation_note == texts.EVALUATION_NONE


def test_a_computer_without_a_gpu_is_offered_colab() -> None:
    found = job("preflight", {"recipe": "cpu-smoke", "hardware": {"gpu_name": "", "cpu_cores": 2}, "can_run": True})
    facts = training.TrainingFacts(0, 9, True, {"preflight": found}, (), frozenset())
    view = training.training_view(facts, now=NOW)
    assert view.offers_colab


def test_the_loss_curve_follows_the_newest_phase() -> None:
    """Metrics come sorted by name, as the store gives them."""
    first = [JobMetric("loss", step, 3.0 - step / 100) for step in range(1, 9)]
    first += [JobMetric("eval_loss", step, 9.0) for step in range(1, 9)]
    later = [JobMetric("dpo_loss", step, 0.69 - step / 100) for step in range(1, 5)]
    later += [JobMetric("dpo_eval_loss", step, 9.0) for step in range(1, 5)]
    assert training.loss_curve(first[:1]).is_empty
    sft, just_begun, dpo = (
        training.loss_curve(sorted(metrics, key=lambda metric: (metric.name, metric.step)))
        for metrics in (first, first + later[:1], first + later)
    )
    assert 2.9 <= sft.high < 9
    assert just_begun == sft
    assert sft.end_text == "step 8"
    assert dpo.high <= 1
    assert dpo.end_text == "DPO step 4"


def test_deploying_is_asked_once_training_is_evaluated() -> None:
    done = job("retrain", {"model": "/models/new.gguf", "evaluation": {"match_percent": 81.4}})
    question = training.deploy_question(done)
    assert question is not None
    assert "81" in question.text
    assert question.gguf == "/models/new.gguf"
    assert training.deploy_question(job("retrain", {"model": "x"}, JobState.FAILED)) is None


def test_a_refused_model_can_be_used_all_the_same_where_the_objections_are_the_owners_to_judge() -> None:
    refused = job("deploy", {"model": "x.gguf", "objections": ["It has not been evaluated."]}, JobState.FAILED)
    question = training.force_question(refused)
    assert question is not None
    assert question.gguf == "x.gguf"
    assert "not been evaluated" in question.text
    assert training.force_question(job("deploy", {}, JobState.FAILED)) is None
    assert training.force_question(job("deploy", {"model": "x.gguf", "objections": ["x"]})) is None
    assert training.deploy_question(job("train", {"model": "x"})) is None


def test_an_evaluation_without_a_model_says_what_to_do_first(workspace: Workspace) -> None:
    with pytest.raises(KnownError, match="Train one first"):
        training.job_arguments("evaluate", {}, workspace, now=NOW)
    model = workspace.finetuned_models / "one.gguf"
    model.write_bytes(b"GGUF")
    folder = workspace.message_files / "prepared-1"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    trained = job("train", {"export": {"gguf": str(model)}})
    assert training.job_arguments("evaluate", {"train": trained}, workspace, now=NOW) == [
        "--model",
        str(model),
        "--data",
        str(folder),
    ]
    (workspace.finetuned_models / "current.json").write_text('{"file": "another.gguf"}', encoding="utf-8")
    assert training.job_arguments("evaluate", {"train": trained}, workspace, now=NOW)[4:] == ["--against", "current"]


def test_a_training_that_left_no_file_is_not_evaluated_as_the_one_before(workspace: Workspace) -> None:
    older = job("retrain", {"model": str(workspace.root / "older.gguf")})
    with pytest.raises(KnownError, match="left no model file"):
        training.job_arguments(
            "evaluate", {"train": job("train", {"export": None}), "retrain": older}, workspace, now=NOW
        )


def preflight(store: Store, **found: Any) -> None:
    """A look at the hardware that found these."""
    with store.jobs.running("preflight") as job:
        job.result = PreflightResult(**found)


@pytest.mark.usefixtures("display")
def test_retraining_says_what_it_makes_and_decides_itself_whether_the_bot_pauses(store: Store) -> None:
    store.messages.save([Message(1 << 22, 1, 10, "mira", "hello", LONG_AGO_MS)])
    preflight(
        store,
        recipe="qlora-8gb",
        base="Qwen/Qwen2.5-3B",
        seconds=3 * 3600.0,
        memory_bytes=9_100_000_000,
        free_bytes=8_000_000_000,
        pausing_the_bot_helps=True,
    )
    controller, jobs = StillController(store), StillJobs()
    controller.become(ControllerState.RUNNING)
    with open_panel(store, controller, jobs) as panel:
        room = panel.go("training")
        panel.wait(lambda: room.retrain.button.is_enabled, "the messages to be counted")
        panel.click(room.retrain.button)
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        said = panel.app.dialog._text.cget("text")
        for part in ("Qwen2.5-3B", "about 3 h", "9.1 GB", texts.PLAN_PAUSES):
            assert part in said, said
        panel.click(panel.app.dialog._buttons[1])
        panel.wait(lambda: jobs.started, "the start")
    assert jobs.started == [("retrain", ["--pause-bot"])]


def test_a_practice_model_is_called_one_before_it_is_made(store: Store) -> None:
    preflight(store, recipe="cpu-smoke", base="HuggingFaceTB/SmolLM2-135M-Instruct", seconds=600.0)
    plan = pipeline.retrain_plan(store.jobs.latest("preflight"), None, has_packages=False, now=NOW)
    assert plan.is_practice
    assert plan.go == texts.PLAN_GO_PRACTICE
    assert "practice model from SmolLM2-135M-Instruct" in plan.text
    assert texts.PLAN_PACKAGES in plan.text
    unknown = pipeline.retrain_plan(None, None, has_packages=True, now=NOW)
    assert texts.PLAN_TIME_UNKNOWN in unknown.text
    assert unknown.arguments == ()


@pytest.mark.usefixtures("display")
def test_a_round_is_five_steps_one_bar_and_one_cancel(store: Store) -> None:
    store.messages.save([Message(1 << 22, 1, 10, "mira", "hello", LONG_AGO_MS)])
    jobs = StillJobs()
    with open_panel(store, jobs=jobs) as panel, store.jobs.running("retrain") as job:
        room = panel.go("training")
        with store.jobs.running("prepare") as step:
            step.result = PrepareResult(counts={"train": 7835})
        with store.jobs.running("train") as step:
            job.report(0.3, "train: step 4 of 40")
            step.report(0.1, "step 4 of 40")
            panel.wait(lambda: room.retrain.view.is_running, "the round")
            panel.wait(lambda: room.retrain.view.steps[2].note == "step 4 of 40", "the step under way")
            assert [each.state for each in room.retrain.view.steps] == ["skipped", "done", "now", "next", "next"]
            assert room.retrain.view.steps[1].note == "7\u2009835 examples"
            assert not room.jobs.winfo_ismapped(), "no second bar for its step"
            assert not room.retrain.button.winfo_ismapped()
            home = panel.go("home")
            panel.wait(lambda: home.jobs.winfo_ismapped() and len(home.jobs.lines) == 1, "one line on Home too")
            room = panel.go("training")
            panel.click(room.retrain.cancel)
            panel.wait(lambda: jobs.cancelled == ["retrain"], "the cancel")


class NeverEnding:
    """A child process that goes on until it is ended."""

    def __init__(self) -> None:
        self.pid, self.code = 4711, None

    def poll(self) -> int | None:
        return self.code


def test_a_set_up_is_told_and_cancelled_and_a_long_step_does_not_keep_its_owner_waiting(store: Store) -> None:
    """Fault 174."""
    child, ended, now = NeverEnding(), list[int](), [0.0]
    runner = JobRunner(store, spawn=lambda *_: child, runs=lambda *_: True, end=ended.append, clock=lambda: now[0])
    runner.start("retrain")
    assert [each.kind for each in runner.setting_up()] == ["retrain"]
    runner.cancel("retrain")
    assert ended == [child.pid]
    assert runner.setting_up() == ()
    runner.start("retrain")
    round_of, step = store.jobs.start("retrain"), store.jobs.start("train")
    assert runner.setting_up() == ()
    runner.cancel("retrain")
    runner.tick()
    assert store.jobs.get(round_of.job_id).is_active, "it may still stop by itself"
    now[0] += 5.0
    runner.tick()
    assert {store.jobs.get(each.job_id).state for each in (round_of, step)} == {JobState.CANCELLED}
    assert len(ended) == 2


def test_colab_needs_no_terminal_there_or_back(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_prepared_folder(store.workspace.message_files / "prepared", rows=4)
    (tmp_path / "away").mkdir()
    monkeypatch.setattr("gui.components.training.filedialog.askdirectory", lambda **_: str(tmp_path / "away"))
    voice = brought(tmp_path / "Downloads")
    looked = store.jobs.start("preflight")
    found = {"recipe": "cpu-smoke", "hardware": {"gpu_name": "", "cpu_cores": 2}, "can_run": True}
    store.jobs.finish(looked.job_id, JobState.DONE, result=found)
    monkeypatch.setattr("gui.components.training.filedialog.askopenfilename", lambda **_: str(voice))
    with open_panel(store) as panel:
        room = panel.go("training")
        panel.wait(lambda: room.computer.buttons[1].is_enabled, "the offer")
        panel.click(room.from_colab)
        panel.wait(lambda: len(all_models(store)) == 1, "the model")
        panel.click(room.computer.buttons[1])
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.click(panel.app.dialog._buttons[-1])
        panel.wait(lambda: (tmp_path / "away" / "prepared.zip").is_file(), "the files")
