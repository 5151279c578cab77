"""Real processes and signals: launcher, bot, a real llama.cpp model, no Discord."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

import bot_controller
from bot_controller import BotController, ControllerState
from data.chat.audience import open_sources
from model.catalog import offline_chat_model
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import BotPhase, BotStatus, Channel, CommandKind, ExitCode, Message, ModelState
from storage.settings import EMBEDDING_MODEL, MAX_TOKENS, MODEL_PATH
from storage.store import Store
from storage.system import processes
from tests.support.endings import freeze
from tests.support.waiting import LIMIT_SECONDS, wait_for

T = TypeVar("T")


@pytest.fixture
def talking(store: Store) -> Iterator[Store]:
    """A workspace whose bot can talk: the packaged model, a public channel, a few messages."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    store.settings.set(EMBEDDING_MODEL, "all-MiniLM-L6-v2", changed_by="test")
    store.settings.set(MAX_TOKENS, 50, changed_by="test")
    store.channels.add([Channel(1, "general", learn=True, recall=True, is_private=False)])
    store.messages.save([Message(n, 1, 7, "ann", f"line {n}", n) for n in range(1, 6)])
    yield store
    status = store.status.read_bot()
    if status is not None and status.exit_code is None:
        processes.kill_tree(status.pid)


def ready(store: Store, *, other_than: int = 0) -> BotStatus | None:
    status = store.status.read_bot()
    is_ready = (
        status is not None
        and status.exit_code is None
        and status.phase is BotPhase.RUNNING
        and status.model_state is ModelState.READY
        and status.pid != other_than
    )
    return status if is_ready else None


def ask(store: Store, text: str) -> str:
    question = store.playground.ask(text)
    answer = wait_for(lambda: store.playground.answer_to(question))
    assert answer.error == ""
    return answer.text


def run_until(controller: BotController, condition: Callable[[], T | None]) -> T:
    def look() -> T | None:
        controller.tick()
        return condition()

    return wait_for(look)


def test_a_supervised_bot_answers_survives_a_kill_and_stops_when_asked(talking: Store) -> None:
    controller = BotController(talking, offline=True)
    controller.start()
    first = run_until(controller, lambda: ready(talking))
    assert ask(talking, "anyone up for a game?")
    os.kill(first.pid, 9)
    second = run_until(controller, lambda: ready(talking, other_than=first.pid))
    assert ask(talking, "still there?")
    controller.stop()
    run_until(controller, lambda: controller.view().state is ControllerState.STOPPED)
    last = talking.status.read_bot()
    assert last is not None
    assert (last.pid, last.exit_code) == (second.pid, ExitCode.STOPPED)
    assert not processes.is_alive(second.pid)


def test_a_frozen_bot_is_replaced(talking: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 5, with the limit scaled from 60 s to 3 s."""
    monkeypatch.setattr(bot_controller, "HUNG_AFTER_SECONDS", 3.0)
    controller = BotController(talking, offline=True)
    controller.start()
    first = run_until(controller, lambda: ready(talking))
    freeze(first.pid)
    second = run_until(controller, lambda: ready(talking, other_than=first.pid))
    assert not processes.is_alive(first.pid)
    controller.force_stop()
    wait_for(lambda: not processes.is_alive(second.pid))


def test_a_stop_during_generation_ends_in_order(talking: Store) -> None:
    """Fault 8."""
    controller = BotController(talking, offline=True)
    controller.start()
    run_until(controller, lambda: ready(talking))
    question = talking.playground.ask("tell me everything about your week")
    wait_for(lambda: talking.control_db.value("SELECT taken_by FROM playground WHERE id = ?", (question,)))
    controller.stop()
    run_until(controller, lambda: controller.view().state is ControllerState.STOPPED)
    last = talking.status.read_bot()
    assert last is not None
    assert last.exit_code == ExitCode.STOPPED
    assert talking.playground.answer_to(question) is not None
    assert talking.control_db.check() == "ok"


def test_a_restart_command_ends_with_the_restart_code(talking: Store) -> None:
    """Fault 3."""
    bot = subprocess.Popen(
        [sys.executable, "bot/run.py", "--offline", "--workspace", str(talking.workspace.root)], cwd=PROJECT_ROOT
    )
    wait_for(lambda: ready(talking))
    talking.status.write_supervisor(os.getpid())
    talking.commands.ask(CommandKind.RESTART, asked_by="test")
    assert bot.wait(LIMIT_SECONDS) == ExitCode.RESTART


def test_another_model_in_the_settings_is_taken_without_a_restart_and_a_wrong_one_is_not(talking: Store) -> None:
    talking.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    bot = subprocess.Popen(
        [sys.executable, "bot/run.py", "--offline", "--workspace", str(talking.workspace.root)], cwd=PROJECT_ROOT
    )
    first = wait_for(lambda: ready(talking))
    other = talking.workspace.finetuned_models / "another voice.gguf"
    shutil.copyfile(offline_chat_model(), other)
    talking.settings.set(MODEL_PATH, str(other), changed_by="test")
    wait_for(lambda: (s := ready(talking)) and s.model_name == "another voice")
    talking.settings.set(MODEL_PATH, "nowhere.gguf", changed_by="test")
    wait_for(lambda: (s := ready(talking)) and "nowhere.gguf" in s.last_error)
    assert ask(talking, "are you still there?")
    talking.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    last = wait_for(lambda: ((s := ready(talking)) and s.model_name == first.model_name and s) or None)
    assert (last.pid, last.last_error) == (first.pid, "")
    talking.commands.ask(CommandKind.STOP, asked_by="test")
    assert bot.wait(LIMIT_SECONDS) == ExitCode.STOPPED


def test_the_models_memory_is_freed_on_request_and_the_next_question_loads_it_again(talking: Store) -> None:
    bot = subprocess.Popen(
        [sys.executable, "bot/run.py", "--offline", "--workspace", str(talking.workspace.root)], cwd=PROJECT_ROOT
    )
    wait_for(lambda: ready(talking))
    assert ask(talking, "are you there?")
    full = wait_for(lambda: ready(talking)).memory_bytes
    talking.commands.ask(CommandKind.FREE_MODEL, asked_by="test")
    # Most of the file's 88 MiB were read into memory; how much an allocator gives back at once is its own affair.
    wait_for(lambda: (s := ready(talking)) and s.is_resting and full - s.memory_bytes > 32 << 20)
    assert ask(talking, "and now?")
    wait_for(lambda: (s := ready(talking)) and not s.is_resting)
    talking.commands.ask(CommandKind.STOP, asked_by="test")
    assert bot.wait(LIMIT_SECONDS) == ExitCode.STOPPED


def test_without_a_supervisor_a_restart_command_makes_a_new_bot_of_the_old_one(talking: Store) -> None:
    """Fault 3."""
    bot = subprocess.Popen(
        [sys.executable, "bot/run.py", "--offline", "--workspace", str(talking.workspace.root)], cwd=PROJECT_ROOT
    )
    first = wait_for(lambda: ready(talking))
    talking.commands.ask(CommandKind.RESTART, asked_by="test")
    second = wait_for(lambda: ((s := ready(talking)) is not None and s.started_at > first.started_at and s) or None)
    talking.commands.ask(CommandKind.STOP, asked_by="test")
    # Windows has no exec: there the old process says that it restarted, and the new one is another.
    assert bot.wait(LIMIT_SECONDS) == (ExitCode.RESTART if os.name == "nt" else ExitCode.STOPPED)
    wait_for(lambda: not processes.is_alive(second.pid))


def test_a_second_bot_says_who_runs_and_ends(talking: Store) -> None:
    """Fault 10."""
    command = [sys.executable, "bot/run.py", "--offline", "--workspace", str(talking.workspace.root)]
    first = subprocess.Popen(command, cwd=PROJECT_ROOT)
    wait_for(lambda: ready(talking))
    second = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert second.returncode == ExitCode.CRASH
    assert str(first.pid) in second.stderr
    first.terminate()  # Windows has no way to ask
    assert os.name == "nt" or first.wait(LIMIT_SECONDS) == ExitCode.STOPPED


def test_a_missing_model_is_told_and_the_bot_stays_up(talking: Store) -> None:
    """Fault 50."""
    talking.settings.set(MODEL_PATH, "nowhere.gguf", changed_by="test")
    bot = subprocess.Popen(
        [sys.executable, "bot/run.py", "--offline", "--workspace", str(talking.workspace.root)], cwd=PROJECT_ROOT
    )
    status = wait_for(lambda: ((s := talking.status.read_bot()) and s.model_state is ModelState.FAILED and s) or None)
    assert "nowhere.gguf" in status.model_error
    assert bot.poll() is None
    talking.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    talking.commands.ask(CommandKind.RELOAD_MODEL, asked_by="test")
    wait_for(lambda: ready(talking))
    talking.commands.ask(CommandKind.STOP, asked_by="test")
    assert bot.wait(LIMIT_SECONDS) == ExitCode.STOPPED


class TestLauncher:
    def launch(self, workspace: Workspace) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "launcher.py", "--headless", "--offline", "--workspace", str(workspace.root)],
            cwd=PROJECT_ROOT,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def test_a_killed_launcher_leaves_the_bot_and_the_next_one_adopts_it(self, talking: Store) -> None:
        """Fault 9."""
        launcher = self.launch(talking.workspace)
        status = wait_for(lambda: ready(talking))
        launcher.kill()
        launcher.communicate()
        assert ask(talking, "are you still here?")
        successor = self.launch(talking.workspace)
        assert successor.stderr is not None
        assert str(status.pid) in successor.stderr.readline()
        assert ask(talking, "and now?")
        successor.terminate()
        successor.communicate(timeout=LIMIT_SECONDS)
        if os.name != "nt":  # there it is ended, not asked, and the bot goes on
            assert successor.returncode == 0
            wait_for(lambda: not processes.is_alive(status.pid))

    def test_a_second_launcher_is_refused(self, talking: Store) -> None:
        """Fault 10."""
        launcher = self.launch(talking.workspace)
        wait_for(lambda: ready(talking))
        second = self.launch(talking.workspace)
        _, words = second.communicate(timeout=LIMIT_SECONDS)
        assert second.returncode == 1
        assert str(launcher.pid) in words
        launcher.terminate()
        launcher.communicate(timeout=LIMIT_SECONDS)


def test_the_demo_answers_every_line_it_is_given(tmp_path: Path) -> None:
    command = [sys.executable, "launcher.py", "--demo", "--headless", "--workspace", str(tmp_path / "demo")]
    done = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        input="anyone up for a game tonight?\nlol same\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    with Store.open(Workspace.at(tmp_path / "demo")) as store:
        answers = [entry for entry in store.playground.history() if entry.role == "bot"]
        assert len(answers) == 2
        assert all(entry.text for entry in answers)
        allowed = set(open_sources(store.channels.all()))
        recalled = [line for entry in answers for line in entry.details["recalled"]]
        assert recalled
        assert {line["channel_id"] for line in recalled} <= allowed
        assert json.dumps(answers[0].details["prompt"])
