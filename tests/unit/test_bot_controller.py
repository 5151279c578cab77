"""Supervision replayed with an injected clock and fake processes; the real ones are in test_processes.py."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from bot_controller import (
    CRASHES_UNTIL_FAILED,
    FAILED_RETRY_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    STARTS_PER_DAY,
    BotController,
    ControllerState,
    JobRunner,
)
from storage.errors import AlreadyRunningError
from storage.paths import Workspace
from storage.records import BotPhase, BotStatus, CommandKind, ExitCode, JobState
from storage.settings import MEMORY_LIMIT_GB
from storage.store import Store
from storage.system import processes


class FakeChild:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


class World:
    """A clock, the processes spawned so far, and what the bot would report."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 1000.0
        self.children: list[FakeChild] = []
        self.killed: list[int] = []
        self.alive: set[int] = set()
        self.controller = self.make_controller()

    def make_controller(self) -> BotController:
        return BotController(
            self.store,
            spawn=self.spawn,
            clock=lambda: self.now,
            wall_clock=lambda: self.now,
            is_alive=lambda pid: pid in self.alive,
            kill_tree=self.kill,
            jitter=lambda: 0.0,
        )

    def spawn(self) -> FakeChild:
        child = FakeChild(100 + len(self.children))
        self.children.append(child)
        self.alive.add(child.pid)
        return child

    def kill(self, pid: int) -> None:
        self.killed.append(pid)
        self.alive.discard(pid)
        for child in self.children:
            if child.pid == pid:
                child.code = -9

    def report(self, phase: BotPhase = BotPhase.RUNNING, **fields: object) -> None:
        pid = self.children[-1].pid
        status = BotStatus(pid=pid, phase=phase, heartbeat_at=self.now, started_at=self.now)
        self.store.status.write_bot(replace(status, **fields))  # type: ignore[arg-type]

    def exit(self, code: int, reason: str = "", cure: str = "") -> None:
        child = self.children[-1]
        child.code = code
        self.alive.discard(child.pid)
        if code >= 0:
            self.report(BotPhase.STOPPED, exit_code=code, exit_reason=reason, last_error_cure=cure)

    def wait(self, seconds: float, *, step: float = 1.0) -> ControllerState:
        end = self.now + seconds
        while self.now < end:
            self.now += min(step, end - self.now)
            self.controller.tick()
        return self.controller.view().state

    def run(self) -> None:
        self.controller.start()
        self.report()
        self.controller.tick()


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


def test_a_started_bot_is_running_once_it_says_so(world: World) -> None:
    assert world.controller.start().state is ControllerState.STARTING
    world.report(BotPhase.STARTING)
    assert world.controller.tick().state is ControllerState.STARTING
    world.report(BotPhase.RUNNING)
    assert world.controller.tick().state is ControllerState.RUNNING


def test_a_bot_that_starts_offline_counts_as_running_and_is_watched_for_hangs(world: World) -> None:
    """Faults 5 and 14."""
    world.controller.start()
    world.report(BotPhase.CONNECTING)
    assert world.controller.tick().state is ControllerState.RUNNING
    world.wait(70)
    assert world.killed == [100]


def test_a_bot_started_without_discord_stays_without_it_until_started_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: list[list[str]] = []

    def spawn(_workspace: object, _script: str, given: list[str], *, name: str) -> FakeChild:
        arguments.append(given)
        return FakeChild(len(arguments))

    monkeypatch.setattr("storage.system.processes.spawn", spawn)
    controller = BotController(store, is_alive=lambda _: False, kill_tree=lambda _: None)
    controller.start(offline=True)
    controller.restart()
    controller.force_stop()
    controller.start()
    assert arguments == [["--offline"], []]


def test_crashes_back_off_from_one_second_to_sixty_and_then_fail(world: World) -> None:
    """Fault 1."""
    world.run()
    waits = []
    for _ in range(CRASHES_UNTIL_FAILED - 1):
        world.exit(ExitCode.CRASH)
        view = world.controller.tick()
        assert view.state is ControllerState.BACKOFF
        waits.append(view.seconds_until_retry)
        world.wait(waits[-1] or 0)
        assert world.controller.view().state is ControllerState.STARTING
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_BACKOFF_SECONDS]
    world.exit(ExitCode.CRASH)
    assert world.controller.tick().state is ControllerState.FAILED
    started = len(world.children)
    assert world.wait(FAILED_RETRY_SECONDS - 2) is ControllerState.FAILED
    world.wait(3)
    assert len(world.children) == started + 1


def test_crashes_are_forgotten_after_ten_minutes_up(world: World) -> None:
    """Fault 1."""
    world.run()
    world.exit(ExitCode.CRASH)
    world.controller.tick()
    world.wait(1)
    for _ in range(70):
        world.now += 10
        world.report()
        world.controller.tick()
    assert world.controller.view().crashes == 0


def test_no_more_than_a_hundred_starts_a_day_even_across_launchers(world: World) -> None:
    """Fault 1."""
    for _ in range(STARTS_PER_DAY):
        world.store.status._clock = lambda: world.now  # the history must carry the replayed time
        world.store.status.record_start()
    assert world.make_controller().start().state is ControllerState.FAILED
    assert world.children == []


def test_a_configuration_error_is_shown_and_never_retried(world: World) -> None:
    """Fault 2."""
    world.run()
    world.exit(ExitCode.CONFIGURATION, "No token.", "Enter it in Settings.")
    view = world.controller.tick()
    assert (view.state, view.detail, view.cure) == (ControllerState.FAILED, "No token.", "Enter it in Settings.")
    world.wait(4000, step=10)
    assert len(world.children) == 1


def test_a_bot_that_ends_before_it_can_report_is_quoted(world: World) -> None:
    """Fault 2: a line of .env that makes no sense."""
    world.controller.start()
    processes.raw_output_file(world.store.workspace, "bot").write_text(
        "SERVER_ID in .env should be a Discord id.\n", encoding="utf-8"
    )
    world.children[-1].code = ExitCode.CONFIGURATION
    view = world.controller.tick()
    assert (view.state, view.detail) == (ControllerState.FAILED, "SERVER_ID in .env should be a Discord id.")


def test_a_restart_request_starts_exactly_once_and_is_no_crash(world: World) -> None:
    """Fault 3."""
    world.run()
    world.exit(ExitCode.RESTART)
    view = world.controller.tick()
    assert (view.state, len(world.children), view.crashes) == (ControllerState.STARTING, 2, 0)


@pytest.mark.parametrize("situation", ["running", "starting", "backoff"])
def test_what_the_owner_stopped_stays_stopped(world: World, situation: str) -> None:
    """Fault 4."""
    world.controller.start()
    if situation != "starting":
        world.report()
        world.controller.tick()
    if situation == "backoff":
        world.exit(ExitCode.CRASH)
        world.controller.tick()
    world.controller.stop()
    if situation != "backoff":
        world.exit(ExitCode.STOPPED)
    assert world.wait(100) is ControllerState.STOPPED
    assert len(world.children) == 1


def test_force_stop_kills_the_tree_and_stays_stopped(world: World) -> None:
    """Fault 4."""
    world.run()
    assert world.controller.force_stop().state is ControllerState.STOPPED
    assert world.killed == [100]
    assert world.wait(100) is ControllerState.STOPPED
    assert len(world.children) == 1


def test_a_silent_bot_is_replaced_within_ninety_seconds(world: World) -> None:
    """Fault 5."""
    world.run()
    world.wait(70)
    assert world.killed == [100]
    world.wait(5)
    assert len(world.children) == 2


def test_a_start_that_never_reports_is_given_up_after_two_minutes(world: World) -> None:
    """Fault 5."""
    world.controller.start()
    world.wait(119)
    assert world.killed == []
    world.wait(3)
    assert world.killed == [100]


def test_a_sleep_of_eight_hours_earns_grace_instead_of_a_kill(world: World) -> None:
    """Fault 6."""
    world.run()
    world.now += 8 * 3600
    world.controller.tick()
    world.wait(55)
    assert world.killed == []
    world.report()
    assert world.wait(30) is ControllerState.RUNNING


def test_a_bot_that_ignores_stop_is_killed_after_ten_seconds(world: World) -> None:
    """Fault 7."""
    world.run()
    world.controller.stop()
    command = world.store.commands.take(pid=1)
    assert command is not None
    assert command.kind is CommandKind.STOP
    assert world.wait(9) is ControllerState.STOPPING
    assert world.wait(3) is ControllerState.STOPPED
    assert world.killed == [100]


def test_the_models_memory_is_asked_back_only_of_a_running_bot(world: World) -> None:
    world.controller.free_model()
    world.run()
    world.controller.free_model()
    command = world.store.commands.take(pid=1)
    assert command is not None
    assert command.kind is CommandKind.FREE_MODEL
    assert world.store.commands.take(pid=1) is None


def test_restart_waits_for_the_old_bot_before_the_new_one_starts(world: World) -> None:
    world.run()
    world.controller.restart()
    world.controller.tick()
    assert len(world.children) == 1
    world.exit(ExitCode.STOPPED)
    world.controller.tick()
    assert (world.controller.view().state, len(world.children)) == (ControllerState.STARTING, 2)


def test_a_new_launcher_adopts_the_running_bot(world: World) -> None:
    """Fault 9."""
    world.run()
    successor = world.make_controller()
    view = successor.start()
    assert (view.state, view.pid, view.is_adopted) == (ControllerState.RUNNING, 100, True)
    assert len(world.children) == 1


def test_an_adopted_bot_that_dies_is_started_again(world: World) -> None:
    """Fault 9."""
    world.run()
    world.controller = world.make_controller()
    world.controller.start()
    world.alive.discard(100)
    world.wait(3)
    assert len(world.children) == 2


def test_a_bot_started_by_hand_is_shown(world: World) -> None:
    world.alive.add(77)
    world.store.status.write_bot(BotStatus(77, BotPhase.RUNNING, world.now, world.now))
    assert world.controller.tick().pid == 77


def test_an_unreachable_discord_is_retried_without_counting_a_crash(world: World) -> None:
    world.run()
    world.exit(ExitCode.UNREACHABLE, "Discord cannot be reached.")
    view = world.controller.tick()
    assert (view.state, view.crashes) == (ControllerState.BACKOFF, 0)
    world.wait(61)
    assert len(world.children) == 2


def test_a_native_crash_is_named(world: World) -> None:
    """Fault 23."""
    world.run()
    world.exit(0xC0000005 if sys.platform == "win32" else -11)
    detail = world.controller.tick().detail
    assert "native crash" in detail or "crashed in native code" in detail


def test_too_much_memory_frees_caches_first_and_restarts_when_idle(world: World) -> None:
    world.run()
    world.store.settings.set(MEMORY_LIMIT_GB, 1.0, changed_by="test")
    for _ in range(200):
        world.now += 1
        world.store.status.write_bot(BotStatus(100, BotPhase.RUNNING, world.now, 1000.0, memory_bytes=2 * 10**9))
        world.controller.tick()
        if world.controller.view().state is ControllerState.STOPPING:
            break
    kinds = []
    while command := world.store.commands.take(pid=1):
        kinds.append(command.kind)
    assert kinds == [CommandKind.FREE_CACHES, CommandKind.STOP]


class TestJobRunner:
    def make(self, store: Store, children: list[FakeChild]) -> JobRunner:
        def spawn(kind: str, arguments: object) -> FakeChild:
            children.append(FakeChild(500 + len(children)))
            return children[-1]

        return JobRunner(store, spawn=spawn, runs=lambda pid, at: False)

    def test_one_job_of_a_kind_at_a_time(self, store: Store) -> None:
        children: list[FakeChild] = []
        runner = self.make(store, children)
        runner.start("fetch")
        with pytest.raises(AlreadyRunningError):
            runner.start("fetch")
        runner.start("backup")
        assert len(children) == 2

    def test_a_script_that_dies_before_its_row_exists_is_shown_as_failed(self, store: Store) -> None:
        children: list[FakeChild] = []
        runner = self.make(store, children)
        runner.start("fetch")
        children[0].code = 2
        ended = runner.tick()
        assert [(e.kind, e.return_code) for e in ended] == [("fetch", 2)]
        job = store.jobs.latest("fetch")
        assert job is not None
        assert job.state is JobState.FAILED
        assert job.error

    def test_cancel_reaches_the_running_job(self, store: Store) -> None:
        reporter = store.jobs.start("fetch")
        self.make(store, []).cancel("fetch")
        assert reporter.is_cancel_requested()

    def test_the_row_of_a_killed_job_keeps_nobody_from_starting_it_again(self, store: Store) -> None:
        """Fault 109: nobody was there to close the row."""
        killed = store.jobs.start("fetch")
        runner = self.make(store, [])
        assert "fetch" not in runner.active_kinds()
        runner.start("fetch")
        job = store.jobs.get(killed.job_id)
        assert job is not None
        assert job.state is JobState.LOST

    def test_a_job_is_its_process_not_whoever_has_its_number_now(self, store: Store) -> None:
        """Fault 109: process numbers are given out again."""
        old = store.jobs.start("fetch")
        store.control_db.execute("UPDATE jobs SET started_at = 1000, heartbeat_at = 1000")
        JobRunner(store).tick()
        job = store.jobs.get(old.job_id)
        assert job is not None
        assert job.state is JobState.LOST, "this test's process began long after 1970"

    def test_a_job_whose_process_vanished_is_lost_not_running(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reporter = store.jobs.start("train")
        store.control_db.execute("UPDATE jobs SET heartbeat_at = heartbeat_at - 60")
        self.make(store, []).tick()
        job = store.jobs.get(reporter.job_id)
        assert job is not None
        assert job.state is JobState.LOST


def test_a_killed_job_is_closed_although_its_row_is_from_the_future(workspace: Workspace) -> None:
    """Fault 114: the clock was set back since."""
    now = [10_000.0]
    with Store.open(workspace, clock=lambda: now[0]) as store:
        store.jobs.start("fetch")
        now[0] = 1_000.0
        assert [job.kind for job in store.jobs.mark_lost(runs=lambda _pid, _at: False)] == ["fetch"]
