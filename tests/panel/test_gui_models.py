"""No trained model gets lost: each is a row, and the newest waits on Home until the owner has decided."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gui import texts
from gui.components.model_list import read_models
from gui.presenters.models import model_question, models_view
from storage.artefacts import ModelVersion, Pointer, remember_elsewhere
from storage.errors import KnownError
from storage.evaluations import all_evaluations
from storage.jobs.kinds import JobKind
from storage.jobs.results import ScoreResult
from storage.records import JobState
from storage.settings import MODEL_PATH
from storage.store import Store
from storage.trained_models import all_models, answers, delete_model, note_answer
from tests.support.panel import StillJobs, open_panel

AT = 1_790_000_000.0


def train(store: Store, stamp: str, *, made_at: float = AT, recipe: str = "lora-3b", into: Path | None = None) -> Path:
    """What a finished training leaves."""
    folder = into or store.workspace.root / "models" / "training" / stamp
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"recipe": {"name": recipe}}), encoding="utf-8")
    (folder / "adapter.gguf").write_bytes(b"GGUF adapter")
    model = folder / "voice-Q4_K_M.gguf"
    model.write_bytes(b"GGUF" + stamp.encode())
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    manifest = {"created_at": made_at, "recipe": {"name": recipe}, "files": {model.name: {"sha256": digest}}}
    (folder / "voice-Q4_K_M.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return model


def publish(store: Store, model: Path, name: str, *, deployed_at: float = AT, previous: str | None = None) -> None:
    """What a deployment leaves."""
    content = model.read_bytes()
    (store.workspace.finetuned_models / f"{name}.gguf").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    ModelVersion(name, digest, len(content), deployed_at, match_percent=79.0).write(store.workspace)
    Pointer(f"{name}.gguf", previous).write(store.workspace)


def evaluate(store: Store, model: Path, *, match: float = 83.0, pairs: int = 4) -> None:
    """What an evaluation against the model in use leaves."""
    folder = store.workspace.data / "evaluation" / model.parent.name
    folder.mkdir(parents=True)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    record = {
        "writers": [
            {"role": "people", "name": "people"},
            {
                "role": "model",
                "name": "voice",
                "match": {"percent": match},
                "figures": {"auc": {"value": 0.664}},
                "model": {"sha256": digest},
            },
            {"role": "against", "name": "old", "match": {"percent": 79.0}, "model": {"sha256": "x"}},
        ],
        "samples": [
            {
                "context": [["mira", f"who is in tonight {n}"]],
                "replies": {"people": "me", "against": f"as an assistant {n}", "model": f"me, after dinner {n}"},
            }
            for n in range(pairs)
        ],
        "is_quick": False,
    }
    (folder / "report.json").write_text(json.dumps(record), encoding="utf-8")


def view(store: Store) -> Any:
    return models_view(all_models(store), all_evaluations(store.workspace))


def question(store: Store) -> Any:
    return model_question(all_models(store), all_evaluations(store.workspace), answers(store))


def test_every_finished_training_is_a_row_and_its_version_is_the_same_model(store: Store) -> None:
    old, new = train(store, "old", made_at=AT - 500), train(store, "new")
    publish(store, old, "voice-1")
    assert [(row.name, row.state) for row in view(store).rows] == [
        ("voice-Q4_K_M", texts.MODEL_UNUSED),
        ("voice-1", texts.MODEL_IN_USE),
    ]
    assert view(store).rows[0].use == ("--model", str(new))
    assert view(store).rows[1].use == ("--use", "voice-1")


def test_a_run_that_was_cut_short_or_left_nothing_whole_is_no_model(store: Store) -> None:
    train(store, "half").unlink()
    unfinished = store.workspace.root / "models" / "training" / "going"
    unfinished.mkdir()
    (unfinished / "run.json").write_text("{}", encoding="utf-8")
    broken = train(store, "broken")
    broken.with_suffix(".manifest.json").write_text("[", encoding="utf-8")
    assert all_models(store) == ()


def test_a_training_in_a_folder_elsewhere_is_listed_too(store: Store, tmp_path: Path) -> None:
    model = train(store, "elsewhere", into=tmp_path / "my runs" / "one")
    remember_elsewhere(store.facts, store.workspace, model.parent)
    assert [each.file for each in all_models(store)] == [model]
    (model.parent / "notes.txt").write_text("mine", encoding="utf-8")
    delete_model(store, all_models(store)[0].key)
    assert not model.exists()
    assert (model.parent / "notes.txt").exists()


def test_the_question_stands_until_the_model_is_used_or_declined(store: Store) -> None:
    old, new = train(store, "old", made_at=AT - 500), train(store, "new")
    publish(store, old, "voice-1")
    evaluate(store, new)
    asked = question(store)
    assert "83" in asked.text
    assert "79" in asked.text
    assert len(asked.pairs) == 3
    assert asked.pairs[0].before.startswith("as an assistant")
    assert asked.pairs[0].now.startswith("me, after dinner")
    note_answer(store, asked.row.key)
    assert question(store) is None
    assert len(view(store).rows) == 2
    train(store, "newer", made_at=AT + 10)
    assert question(store) is not None  # another training is another question


def test_nothing_is_asked_about_what_was_used_or_is_older_than_the_model_in_use(store: Store) -> None:
    new = train(store, "new")
    publish(store, new, "voice-1")
    assert question(store) is None
    train(store, "older", made_at=AT - 10)
    assert question(store) is None


def test_an_unevaluated_model_and_one_without_quotations_are_asked_about_in_words(store: Store) -> None:
    model = train(store, "new")
    assert texts.NEW_MODEL_UNMEASURED in question(store).text
    assert question(store).pairs == ()
    evaluate(store, model, pairs=0)
    assert "83" in question(store).text
    assert question(store).pairs == ()


def test_the_model_in_use_cannot_be_deleted_whichever_way_it_is_in_use(store: Store) -> None:
    used, chosen, free = train(store, "used"), train(store, "chosen"), train(store, "free")
    publish(store, used, "voice-1")
    store.settings.set(MODEL_PATH, str(chosen), changed_by="test")
    rows = {row.file: row for row in view(store).rows}
    assert not rows[chosen].can_delete
    assert rows[free].can_delete
    for model in all_models(store):
        if model.is_in_use:
            with pytest.raises(KnownError, match="in use"):
                delete_model(store, model.key)
    assert chosen.exists()
    assert used.exists()


def score(store: Store, model: str, *, found: int, of: int, alarms: int = 10) -> None:
    """What a scored blind test leaves."""
    rates = {
        "detected": {"value": found / of, "low": found / of - 0.1, "high": found / of + 0.1, "count": of},
        "false_alarms": {"value": alarms / of, "low": alarms / of - 0.1, "high": alarms / of + 0.1, "count": of},
    }
    result = ScoreResult.from_json({"quiz_id": "q", "model": model, "reading": "they guess", **rates})
    store.jobs.finish(store.jobs.start(JobKind.BLIND_TEST).job_id, JobState.DONE, result=result)


@pytest.mark.usefixtures("display")
def test_a_model_stands_beside_its_figures_and_its_own_friends_verdict(store: Store) -> None:
    old, new = train(store, "old", made_at=AT - 500), train(store, "new")
    publish(store, old, "voice-1")
    evaluate(store, new)
    score(store, "voice-1", found=18, of=20)
    score(store, old.stem, found=1, of=20)  # every training's file has this name: it is nobody's
    with open_panel(store, demo=False, size=(900, 600)) as panel:
        room = panel.go("training")
        panel.wait(lambda: len(room.models.lines) == 2 and room.models.lines[1].row, "the models")
        first, second = room.models.lines
        assert "match 83" in first.text.cget("text")
        assert "0.66" in first.text.cget("text")
        assert not first.verdict.winfo_ismapped()
        assert "90" in second.verdict.cget("text")
        assert texts.MODEL_FRIENDS_ABOVE in second.verdict.cget("text")
        panel.reveal(second)
        if folder := os.environ.get("PANEL_PICTURES"):  # for the eye
            panel.turn(0.3)
            subprocess.run(["import", "-window", "root", f"{folder}/models.png"], check=True)
    score(store, "voice-1", found=4, of=5)
    assert "10 answers so far" in read_models(store).rows[1].verdict


def test_deleting_the_version_before_leaves_no_way_back_into_nothing(store: Store) -> None:
    old, new = train(store, "old", made_at=AT - 9), train(store, "new")
    publish(store, old, "voice-1")
    publish(store, new, "voice-2", previous="voice-1.gguf")
    before = next(model for model in all_models(store) if model.is_previous)
    delete_model(store, before.key)
    assert Pointer.read(store.workspace) == Pointer("voice-2.gguf")
    assert not old.parent.exists()
    assert view(store).previous == texts.MODEL_BEFORE_FIRST


def test_nothing_is_deleted_while_a_job_may_need_it(store: Store) -> None:
    train(store, "new")
    reporter = store.jobs.start("evaluate")
    with pytest.raises(KnownError, match="Wait"):
        delete_model(store, all_models(store)[0].key)
    store.jobs.finish(reporter.job_id, JobState.DONE)
    delete_model(store, all_models(store)[0].key)
    assert all_models(store) == ()


@pytest.mark.usefixtures("display")
def test_a_model_nobody_decided_about_waits_on_home_after_a_restart(store: Store) -> None:
    """The training ended while the window was closed."""
    old, new = train(store, "old", made_at=AT - 500), train(store, "new")
    publish(store, old, "voice-1")
    evaluate(store, new)
    job = store.jobs.start("retrain")
    store.jobs.finish(job.job_id, JobState.DONE, result={"model": str(new)})
    for _ in range(2):
        with open_panel(store, jobs=StillJobs()) as panel:
            card = panel.go("home").new_model
            panel.wait(card.winfo_ismapped, "the question")
            assert card.title.cget("text") == texts.NEW_MODEL_TITLE.format(name="voice-Q4_K_M")
            shown = [child.cget("text") for child in card.pairs.winfo_children()]
            assert shown[:2] == [texts.NEW_MODEL_BEFORE, texts.NEW_MODEL_NOW]
            assert "me, after dinner 0" in shown
    with open_panel(store, jobs=StillJobs()) as panel:
        card = panel.go("home").new_model
        panel.wait(card.winfo_ismapped, "the question")
        panel.click(card.keep)
        panel.wait(lambda: answers(store) and not card.winfo_ismapped(), "the answer")
        room = panel.go("training")
        panel.wait(lambda: len(room.models.lines) == 2, "both models")
        assert room.models.lines[0].state.cget("text") == texts.MODEL_UNUSED


@pytest.mark.usefixtures("display")
def test_not_now_and_escape_leave_the_question_where_it_was(store: Store) -> None:
    with open_panel(store, jobs=StillJobs()) as panel:
        panel.go("home")
        for number, key in enumerate(("Escape", "")):
            model = train(store, f"new{number}", made_at=AT + number)
            job = store.jobs.start("retrain")
            store.jobs.finish(job.job_id, JobState.DONE, result={"model": str(model)})
            panel.wait(lambda: panel.app.dialog.is_open, "the question")
            if key:
                panel.key(key)
            else:
                panel.click(panel.app.dialog._buttons[0])
            panel.wait(lambda: not panel.app.dialog.is_open, "its end")
        card = panel.app.window.front.new_model
        panel.wait(lambda: card.winfo_ismapped() and card.question is not None, "the card")
        assert card.question.row.file.parent.name == "new1"
        assert not answers(store)


@pytest.mark.usefixtures("display")
def test_use_compare_and_delete_are_one_click_from_the_list(store: Store) -> None:
    model = train(store, "new")
    jobs = StillJobs()
    with open_panel(store, jobs=jobs) as panel:
        room = panel.go("training")
        line = panel.wait(lambda: room.models.lines and room.models.lines[0], "the row")
        panel.wait(lambda: line.use.is_enabled and line.delete.is_enabled, "its buttons")
        panel.click(line.use)
        panel.wait(lambda: jobs.started, "the deployment")
        assert jobs.started == [("deploy", ["--model", str(model)])]
        panel.turn(0.2)
        panel.click(line.compare)
        chat = panel.wait(lambda: panel.app.window.front.key == "playground" and panel.app.window.front, "the chat")
        panel.wait(lambda: chat.bar.models.option is not None, "the choice")
        assert chat.compare.value
        assert chat.bar.is_models
        assert chat.bar.models.option.key == str(model)
        panel.go("training")
        panel.click(line.delete)
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.click(panel.app.dialog._buttons[1])
        panel.wait(lambda: not model.exists() and room.models.empty.winfo_ismapped(), "the deletion")
    assert not model.parent.exists()


@pytest.mark.usefixtures("display")
def test_a_practice_model_never_takes_a_real_ones_place_by_one_click(store: Store) -> None:
    publish(store, train(store, "old", made_at=AT - 500), "voice-1")
    train(store, "practice", recipe="cpu-smoke")
    jobs = StillJobs()
    with open_panel(store, jobs=jobs) as panel:
        card = panel.go("home").new_model
        panel.wait(card.winfo_ismapped, "the question")
        panel.click(card.use)
        panel.wait(lambda: panel.app.dialog.is_open, "the second question")
        panel.key("Return")
        panel.turn(0.2)
        assert not jobs.started
