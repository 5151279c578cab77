"""The bot's own watchdog: a hung event loop is noticed, written down and ended, or replaced when nobody watches."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.live_status import LiveStatus
from bot.watchdog import CHECK_SECONDS, HUNG_AFTER_SECONDS, Watchdog
from storage.paths import PROJECT_ROOT
from storage.records import BotPhase, CommandKind, ExitCode
from storage.store import Store
from storage.system.processes import is_alive
from tests.support.waiting import wait_for

# A real bot whose main work blocks the event loop, once; the limits are scaled from 60 s to 2 s.
HANGING_BOT = """
import os, sys, time
sys.path.insert(0, {root!r})
from bot import run, watchdog
watchdog.HUNG_AFTER_SECONDS, watchdog.CHECK_SECONDS = 2.0, 0.3
if "HUNG_BEFORE" not in os.environ:
    os.environ["HUNG_BEFORE"] = "yes"
    async def hang_here(services, *, is_offline):
        while True:
            time.sleep(0.01)
    run._main_work = hang_here
sys.exit(run.main())
"""


@pytest.fixture
def hanging(store: Store, tmp_path: Path) -> subprocess.Popen[bytes]:
    script = tmp_path / "hanging_bot.py"
    script.write_text(HANGING_BOT.format(root=str(PROJECT_ROOT)), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "HUNG_BEFORE"}
    return subprocess.Popen(
        [sys.executable, str(script), "--offline", "--workspace", str(store.workspace.root)],
        cwd=PROJECT_ROOT,
        env=environment,
    )


def test_a_hung_bot_that_is_watched_ends_with_its_code_and_the_place_it_hung_at(
    store: Store, hanging: subprocess.Popen[bytes]
) -> None:
    """Fault 5: a busy loop on the event loop."""
    store.status.write_supervisor(os.getpid())
    while hanging.poll() is None:
        store.status.write_supervisor(os.getpid())
        time.sleep(0.2)
    assert hanging.returncode == ExitCode.HUNG
    status = store.status.read_bot()
    assert status is not None
    assert (status.exit_code, status.phase) == (ExitCode.HUNG, BotPhase.STOPPED)
    assert "hang_here" in (store.workspace.logs / "bot.stacks.log").read_text(encoding="utf-8")


def test_a_hung_bot_that_nobody_watches_becomes_a_new_one(store: Store, hanging: subprocess.Popen[bytes]) -> None:
    """Fault 5: its lock does not keep the new one out. With exec it keeps its process id; Windows has none."""
    status = wait_for(
        lambda: ((s := store.status.read_bot()) and s.exit_code is None and s.phase is BotPhase.RUNNING and s) or None
    )
    assert (status.pid == hanging.pid) == (os.name != "nt")
    store.commands.ask(CommandKind.STOP, asked_by="test")
    assert hanging.wait(90) == (ExitCode.HUNG if os.name == "nt" else ExitCode.STOPPED)
    wait_for(lambda: not is_alive(status.pid))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_sleep_of_the_computer_is_not_taken_for_a_hang(store: Store) -> None:
    """Fault 6: an injected clock jumps eight hours; only silence after the grace counts."""
    clock, ended = Clock(), []
    status = LiveStatus(mode="offline", monotonic=clock)
    watchdog = Watchdog(store, status, stacks_file=store.workspace.logs / "s.log", end=ended.append, clock=clock)
    status.stamp()
    clock.now += 8 * 3600
    assert not watchdog.check()
    for _ in range(int(HUNG_AFTER_SECONDS / CHECK_SECONDS) - 1):
        clock.now += CHECK_SECONDS
        assert not watchdog.check()
    clock.now += 2 * CHECK_SECONDS
    assert watchdog.check()
    assert ended == [False]
