"""Stops end in order and in time, whatever does not let go. Bounds are added up on an injected clock."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bot import client, indexing, reply_scheduler, responder, run
from bot.stopping import LAST_RESORT_SECONDS, STOP_SECONDS, Ending, LastResort, StopRequest
from bot_controller import STOP_LIMIT_SECONDS
from storage.errors import KnownError
from storage.paths import PROJECT_ROOT
from storage.records import BotPhase, CommandKind, ExitCode
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, prepare
from tests.support.waiting import wait_for
from tests.support.wire_bot import WireBot, play


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stubborn:
    """A part of the bot that takes all the time it is given, and a little more."""

    def __init__(self, clock: Clock, order: list[str], name: str) -> None:
        self.clock, self.order, self.name = clock, order, name

    def close(self, *, timeout_seconds: float) -> bool:
        self.order.append(self.name)
        self.clock.now += timeout_seconds + 0.01
        return False

    async def drain(self, *, timeout_seconds: float) -> None:
        self.close(timeout_seconds=timeout_seconds)


def test_every_step_of_a_stop_is_bounded_and_all_of_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 8: parts that never let go; the model is freed before the others are waited for."""
    clock, order = Clock(), []
    monkeypatch.setattr("model.inference.close_model", lambda: order.append("model"))
    monkeypatch.setattr(run, "CANCEL_SECONDS", 0.05)

    async def scene() -> float:
        stop = StopRequest(clock=clock)
        services = SimpleNamespace(
            stop=stop,
            status=SimpleNamespace(update=lambda **_: order.append("said so")),
            responder=Stubborn(clock, order, "replies"),
            recall=Stubborn(clock, order, "recall"),
            storage=Stubborn(clock, order, "storage"),
            pulse=Stubborn(clock, order, "heartbeat"),
        )
        ends = asyncio.Event()

        async def discord() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                order.append("discord")
                clock.now += 2 * STOP_SECONDS
                await ends.wait()  # does not let itself be cancelled

        task = asyncio.create_task(discord())
        await asyncio.sleep(0)
        stop.ask(ExitCode.STOPPED, "test")
        started = clock.now
        await run.end_in_order(services, [task])  # type: ignore[arg-type]
        ends.set()
        await asyncio.gather(task, return_exceptions=True)
        return clock.now - 2 * STOP_SECONDS - started

    assert asyncio.run(scene()) < run.DRAIN_SECONDS + 0.1  # the others found nothing left
    assert order == ["said so", "replies", "discord", "model", "recall", "storage", "heartbeat"]


def test_the_bounds_fit_into_the_supervisors_patience() -> None:
    """Fault 7: from asking to the last resort, with the second it takes to notice and to leave."""
    assert STOP_SECONDS < LAST_RESORT_SECONDS <= STOP_LIMIT_SECONDS - 1.0
    on_discord = client.SEND_GRACE_SECONDS + client.EVENT_GRACE_SECONDS + client.CLOSE_SECONDS
    assert on_discord <= run.CANCEL_SECONDS
    assert run.DRAIN_SECONDS + responder.CANCEL_SECONDS + on_discord <= STOP_SECONDS


def test_a_step_may_take_its_time_until_the_whole_is_used_up() -> None:
    clock = Clock()

    async def scene() -> list[float]:
        stop = StopRequest(clock=clock)
        before = stop.allow(60.0)
        stop.ask(ExitCode.STOPPED, "first")
        stop.ask(ExitCode.RESTART, "second")
        assert stop.ending == Ending(ExitCode.STOPPED, "first")
        allowed = [before, stop.allow(2.0), stop.allow(60.0)]
        clock.now += STOP_SECONDS - 1.0
        allowed += [stop.allow(2.0)]
        clock.now += 60.0
        return [*allowed, stop.allow(2.0)]

    assert asyncio.run(scene()) == [60.0, 2.0, STOP_SECONDS, 1.0, 0.0]


def test_the_last_resort_acts_only_on_a_stop_that_got_stuck() -> None:
    ended, done = [], threading.Event()
    orderly, stuck = (LastResort(lambda ending: (ended.append(ending), done.set()), seconds=s) for s in (60.0, 0.01))
    orderly.arm(Ending(ExitCode.STOPPED, "orderly"))
    orderly.disarm()
    stuck.arm(Ending(ExitCode.STOPPED, "stuck"))
    assert done.wait(30)
    assert [ending.reason for ending in ended] == ["stuck"]


# A real bot whose model takes for ever to load, on a thread that nobody can interrupt.
STUCK_BOT = """
import sys, time
sys.path.insert(0, {root!r})
from bot import run, stopping
import model.inference
model.inference.get_model = lambda *arguments, **options: (print("loading", flush=True), time.sleep(600))
stopping.LAST_RESORT_SECONDS = 0.5
stopping.LastResort.__init__.__kwdefaults__["seconds"] = 0.5
run.leave(run.main())
"""


def test_a_bot_that_is_stuck_in_a_native_call_ends_all_the_same(store: Store, tmp_path: Path) -> None:
    """Fault 7: with its exit code, its reason on record and whole databases; the limit is scaled from 9 s to 0.5 s."""
    from storage.settings import MODEL_PATH

    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    script = tmp_path / "stuck_bot.py"
    script.write_text(STUCK_BOT.format(root=str(PROJECT_ROOT)), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), "--offline", "--workspace", str(store.workspace.root)],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as bot:
        assert bot.stdout is not None
        assert bot.stdout.readline() == "loading\n"
        wait_for(lambda: (s := store.status.read_bot()) and s.phase is BotPhase.RUNNING)
        store.commands.ask(CommandKind.STOP, asked_by="test")
        assert bot.wait(90) == ExitCode.STOPPED
    status = store.status.read_bot()
    assert status is not None
    assert (status.exit_code, status.exit_reason) == (ExitCode.STOPPED, "Stopped by test.")
    assert store.control_db.check() == store.messages_db.check() == "ok"
    assert "takes too long" in (store.workspace.logs / "bot.log").read_text(encoding="utf-8")


def test_indexing_ends_at_its_next_step_when_the_bot_stops() -> None:
    """Fault 8: a thousand waiting messages do not hold up a stop; they stay in the queue."""
    asked: list[int] = []

    def embed(texts: list[str]) -> Any:
        asked.append(len(texts))
        return np.zeros((len(texts), 3), np.float32)

    embedder = SimpleNamespace(embed=embed)
    vectors = indexing._embedded(["x"] * 20, embedder, lambda: False)
    assert vectors.shape == (20, 3)
    assert asked == [8, 8, 4]
    with pytest.raises(KnownError, match="stopping"):
        indexing._embedded(["x"] * 1000, embedder, lambda: len(asked) > 4)
    assert len(asked) == 5


# ---- on Discord ------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Any:
    world = World()
    world.add_channel("general", channel_id=1000)
    world.add_member(MIRA, "Mira")
    with DiscordServer(world) as running:
        yield running


def test_a_reply_that_is_being_sent_goes_out_before_the_connection_closes(store: Store, server: DiscordServer) -> None:
    """Fault 8: the second half of a reply, while others that wait are dropped with their reason."""
    prepare(store.workspace, server)

    async def scene(bot: WireBot) -> None:
        await bot.online()
        asked = await asyncio.to_thread(server.say, 1000, MIRA, f"<@{BOT_ID}> hi")
        await bot.until(lambda: server.world.sent, what="the first half")
        late = await asyncio.to_thread(server.say, 1000, MIRA, f"<@{BOT_ID}> and now?")
        await bot.until(lambda: store.activity.about(late), what="the next decision")
        bot.services.stop.ask(ExitCode.STOPPED, "test")
        after = await asyncio.to_thread(server.say, 1000, MIRA, f"<@{BOT_ID}> still there?")
        await bot.until(lambda: store.activity.about(after), what="the last decision")
        bot.task.cancel()
        await asyncio.gather(bot.task, return_exceptions=True)
        assert [sent.content for sent in server.world.sent] == ["one", "two"]
        await asyncio.wrap_future(bot.services.storage.post(lambda: None))
        rows = [store.activity.about(number) for number in (asked, late, after)]
        assert [row is not None and (row.spoke, row.is_due) for row in rows] == [(True, False), *[(False, False)] * 2]
        assert rows[1] is not None
        assert reply_scheduler.STOPPED in rows[1].reason
        assert rows[2] is not None
        assert rows[2].reason == "the bot is stopping"

    play(store, server, scene, "one\ntwo")


def test_a_part_of_the_bot_that_was_cancelled_ends_it_in_order_and_is_named() -> None:
    async def ended() -> Ending:
        task = asyncio.create_task(asyncio.sleep(60), name="inbox")
        task.cancel()
        await asyncio.wait([task])
        return run._ended_by(run._error_of(task))

    ending = asyncio.run(ended())
    assert ending.code == ExitCode.CRASH
    assert "inbox" in ending.reason
