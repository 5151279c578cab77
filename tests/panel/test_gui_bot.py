"""The panel and a real bot process behind it: real controller, real llama.cpp with the packaged model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bot_controller import ControllerState
from gui import texts
from model.catalog import offline_chat_model
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import ModelState
from storage.settings import EMBEDDING_MODEL, MAX_TOKENS, MODEL_PATH, START_BOT_WITH_PANEL, TEMPERATURE
from storage.store import Store
from tests.support.panel import PanelDriver, open_panel, real_parts

pytestmark = pytest.mark.usefixtures("display")
LAUNCHER = """
import sys
from bot_controller import BotController, JobRunner
from gui import app
from storage.paths import Workspace
from storage.store import Store
store = Store.open(Workspace.at(sys.argv[1]))
app.run(store, BotController(store, offline=True), JobRunner(store), demo=True)
"""
START_SECONDS, REPLY_SECONDS = 90.0, 120.0


@pytest.fixture
def offline_store(store: Store) -> Iterator[Store]:
    """A workspace whose bot answers offline; whatever bot is left over is ended afterwards."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    store.settings.set(EMBEDDING_MODEL, "all-MiniLM-L6-v2", changed_by="test")
    yield store
    status = store.status.read_bot()
    if status is not None and psutil.pid_exists(status.pid):
        psutil.Process(status.pid).kill()
        psutil.Process(status.pid).wait(10) if psutil.pid_exists(status.pid) else None


def state(panel: PanelDriver) -> str:
    return panel.app.pulse.controller.state


def is_ready(panel: PanelDriver) -> bool:
    status = panel.app.pulse.status
    return state(panel) == "running" and status is not None and status.model_state is ModelState.READY


def ask(panel: PanelDriver, store: Store, text: str) -> dict:
    """Type a line into the playground; the details of the answer."""
    room = panel.go("playground")
    panel.wait(lambda: room.send_button.cget("state") == "normal", "sending")
    panel.click(room.input)
    panel.type(text)
    panel.key("Return")
    question = panel.wait(lambda: next((e for e in store.playground.history() if e.text == text), None), "the question")
    answer = panel.wait(lambda: store.playground.answer_to(question.id), "the answer", seconds=REPLY_SECONDS)
    assert not answer.error, answer.error
    panel.wait(lambda: any(b._line.id == answer.id for b in room._bubbles.values()), "the bubble")
    return answer.details


def test_from_the_start_button_to_a_reply_and_sliders_reach_the_next_one(offline_store: Store) -> None:
    store = offline_store
    store.settings.set(START_BOT_WITH_PANEL, False, changed_by="test")
    controller, jobs = real_parts(store)
    with open_panel(store, controller, jobs) as panel:
        room = panel.go("home")
        panel.click(room.hero.start)
        assert room.hero.state.cget("text") in (texts.STATE_STARTING, texts.STATE_LOADING)
        panel.wait(lambda: is_ready(panel), "the bot to be ready", seconds=START_SECONDS)
        panel.wait(lambda: room.hero.state.cget("text") == texts.STATE_OFFLINE, "the state in words")
        facts = panel.go("figures").facts.facts
        panel.wait(lambda: "SmolLM2" in facts[2][1].cget("text"), "the model's name")
        details = ask(panel, store, "anyone up for a game tonight?")
        assert details["reply_tokens"] > 0
        assert details["total_ms"] > 0
        room = panel.go("home")
        panel.click(room.behaviour.tokens.slider, x=0.01)
        panel.click(room.behaviour.temperature.slider, x=0.5)
        panel.wait(lambda: store.settings.get(MAX_TOKENS) <= 60 and store.settings.get(TEMPERATURE) != 0.7, "sliders")
        details = ask(panel, store, "tell me everything about your whole week please")
        assert 0 < details["reply_tokens"] <= store.settings.get(MAX_TOKENS)
        panel.wait(lambda: panel.app.pulse.status.replies == 2, "the count of replies")
        room = panel.go("home")
        panel.click(room.hero.stop)
        panel.wait(lambda: state(panel) == "stopped", "the bot to stop", seconds=30)
        assert store.status.read_bot().exit_code == 0


def test_two_models_are_compared_and_the_bot_goes_back_to_its_own(offline_store: Store) -> None:
    store = offline_store
    shutil.copyfile(PROJECT_ROOT / "data" / "demo" / "adapter.gguf", store.workspace.base_models / "voice.gguf")
    controller, jobs = real_parts(store)
    with open_panel(store, controller, jobs) as panel:
        room = panel.go("playground")
        panel.wait(lambda: is_ready(panel), "the bot", seconds=START_SECONDS)
        own = panel.app.pulse.status.model_name
        panel.click(room.compare._picture)
        panel.click(room.bar.kind.parts["models"])
        panel.wait(lambda: room.bar.models.option is not None, "the models there are")
        assert room.bar.models.choice.text == "voice"
        assert not room.bar.problem
        panel.click(room.input)
        panel.type("who is up for a game")
        panel.key("Return")
        assert room.send_button.text == texts.CHAT_CANCEL
        panel.wait(lambda: room.comparison.is_done, "both answers", seconds=REPLY_SECONDS)
        first, second = room.comparison.first, room.comparison.second
        assert not first.error, (first.error, second.error)
        assert not second.error, (first.error, second.error)
        assert (first.details["model"], second.details["model"]) == (own, f"{own} + voice")
        assert [line.label for line in room._lines if line.column >= 0] == [room.bar.models._shelf.own, "voice"]
        panel.wait(lambda: is_ready(panel) and not panel.app.pulse.status.is_borrowed, "the way back")
        panel.turn(1.0)
        assert room.bar.models.choice.text == "voice", "the choice stays for the next line"
        panel.click(room.compare._picture)
        assert ask(panel, store, "alone again")["model"] == own


def test_from_the_deploy_question_to_a_reply_of_the_new_model_and_back(offline_store: Store) -> None:
    """The round's second half by its buttons; training itself is in test_training_smoke.py."""
    store = offline_store
    run = store.workspace.root / "models" / "training" / "20260101-000000"
    run.mkdir(parents=True)
    trained = run / "new voice.gguf"
    trained.write_bytes(offline_chat_model().read_bytes() + b"new")
    trained.with_suffix(".manifest.json").write_text("{}", encoding="utf-8")
    (run / "run.json").write_text("{}", encoding="utf-8")
    controller, jobs = real_parts(store)
    with open_panel(store, controller, jobs) as panel:
        panel.wait(lambda: is_ready(panel), "the bot", seconds=START_SECONDS)
        own = ask(panel, store, "who are you")["model"]
        with store.jobs.running("retrain") as job:
            job.result = {"model": str(trained), "evaluation": {"match_percent": 71.0}}

        def answer_question(title: str) -> None:
            dialog = panel.app.dialog
            panel.wait(lambda: dialog.is_open and dialog._title.cget("text") == title, title, seconds=START_SECONDS)
            panel.turn(0.2)
            panel.click(dialog._buttons[-1])

        answer_question(texts.DEPLOY_TITLE)
        card = panel.wait(lambda: panel.app.window.front.key == "home" and panel.app.window.front.new_model)
        panel.wait(card.winfo_ismapped, "the question on Home")
        panel.click(card.use)
        answer_question(texts.FORCE_TITLE)  # it was never evaluated: the checks object, the owner decides
        panel.wait(
            lambda: panel.app.pulse.status.model_name.startswith("new-voice-"), "the new model", seconds=START_SECONDS
        )
        assert ask(panel, store, "and who are you now")["model"].startswith("new-voice-")
        room = panel.go("training")
        panel.wait(lambda: room.rollback.is_enabled, "the way back")
        # The news of the new model comes and goes at the page's edge: a click may meet a page that just moved.
        for _ in range(5):
            panel.click(room.rollback)
            panel.turn(1.0)
            if panel.app.dialog.is_open:
                break
        answer_question(texts.MODEL_ROLLBACK_TITLE.format(name=room._previous))
        panel.wait(
            lambda: is_ready(panel) and panel.app.pulse.status.model_name == own,
            "the model from before",
            seconds=START_SECONDS,
        )


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a POSIX signal")
def test_a_killed_bot_comes_back_by_itself_and_a_new_panel_adopts_it(offline_store: Store) -> None:
    """Faults 1 and 9: the supervisor recovers, and a launcher that dies leaves the bot running."""
    controller, jobs = real_parts(offline_store)
    with open_panel(offline_store, controller, jobs) as panel:
        panel.wait(lambda: is_ready(panel), "the bot to start with the panel", seconds=START_SECONDS)
        first = panel.app.pulse.status.pid
        os.kill(first, signal.SIGKILL)
        panel.wait(lambda: state(panel) == "backoff", "the crash to be seen")
        panel.wait(lambda: is_ready(panel) and panel.app.pulse.status.pid != first, "a new bot", seconds=START_SECONDS)
        second = panel.app.pulse.status.pid
        panel.app.quit(leave_running=True)
    assert psutil.pid_exists(second)
    controller, jobs = real_parts(offline_store)
    with open_panel(offline_store, controller, jobs) as panel:
        panel.wait(lambda: state(panel) == "running", "the adoption")
        assert panel.app.pulse.controller.pid == second
        assert panel.app.pulse.controller.is_adopted
        room = panel.go("home")
        panel.wait(lambda: room.hero.stop.cget("state") == "normal", "Stop")
        panel.click(room.hero.stop)
        panel.wait(lambda: controller.view().state is ControllerState.STOPPED, "the adopted bot to stop", seconds=30)
    assert offline_store.status.read_bot().exit_code == 0


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a POSIX signal")
def test_the_bot_outlives_a_launcher_that_is_killed(offline_store: Store, workspace: Workspace) -> None:
    """Fault 9: kill -9 the launcher with its window open; the next panel takes the bot over."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(workspace.root)], cwd=PROJECT_ROOT, env=environment
    )
    try:
        controller, jobs = real_parts(offline_store)
        with open_panel(offline_store, controller, jobs, demo=False) as panel:
            panel.wait(lambda: is_ready(panel), "the launcher's bot", seconds=START_SECONDS)
            launcher.kill()
            launcher.wait(10)
            pid = panel.app.pulse.status.pid
            details = ask(panel, offline_store, "still there?")
            assert details["reply_tokens"] > 0
            assert panel.app.pulse.status.pid == pid
    finally:
        launcher.kill()
        launcher.wait(10)


def test_a_missing_model_is_said_in_words_with_its_cure(offline_store: Store) -> None:
    """Fault 50: the startup check fails visibly."""
    offline_store.settings.set(MODEL_PATH, str(offline_store.workspace.root / "missing.gguf"), changed_by="test")
    controller, jobs = real_parts(offline_store)
    with open_panel(offline_store, controller, jobs) as panel:
        room = panel.go("home")
        panel.wait(lambda: room.hero.state.cget("text") == texts.STATE_NO_MODEL, "the state", seconds=START_SECONDS)
        panel.wait(lambda: room.problem.winfo_ismapped(), "the banner")
        assert "missing.gguf" in room.problem.what.cget("text")
        assert texts.NOTE_MODEL in panel.app.toasts.titles
        panel.click(room.hero.stop)
        panel.wait(lambda: state(panel) == "stopped", "the bot to stop", seconds=30)
