"""Supervision: keeps one bot process alive, and starts jobs. No toolkit, no model, no Discord.

`BotController` is a state machine driven by `tick()`, about once a second. It never blocks: the panel may
call it from a worker thread. Clock, process spawning and killing are passed in, so tests replay histories.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from data.chat.liveness import is_bot_alive
from storage.errors import KnownError
from storage.incidents import IncidentKind, note_update
from storage.jobs.runner import Child, EndedJob, JobRunner
from storage.records import BotPhase, BotStatus, CommandKind, ExitCode
from storage.settings import MEMORY_LIMIT_GB
from storage.store import Store
from storage.system import processes
from storage.system.clock import through_sleep
from storage.version import program_version

__all__ = ["BotController", "Child", "ControllerState", "ControllerView", "EndedJob", "JobRunner"]
log = logging.getLogger(__name__)

HUNG_AFTER_SECONDS = 60.0  # event loop silent
START_LIMIT_SECONDS = 120.0  # from spawn to the first heartbeat
STOP_LIMIT_SECONDS = 10.0  # from the request to killing the tree
SLEEP_GAP_SECONDS = 15.0  # a longer pause between ticks means that the computer slept
CRASH_WINDOW_SECONDS = 600.0
CRASHES_UNTIL_FAILED = 8
FAILED_RETRY_SECONDS = 900.0
STABLE_AFTER_SECONDS = 600.0
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
UNREACHABLE_RETRY_SECONDS = 30.0
STARTS_PER_DAY = 100
SUPERVISOR_EVERY_SECONDS = 2.0
SAMPLE_EVERY_SECONDS = 60.0
FREED_CACHES_GRACE_SECONDS = 60.0
IDLE_BEFORE_RESTART_SECONDS = 120.0


class ControllerState(StrEnum):
    """Where the supervised bot is."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ControllerView:
    """What the panel shows about supervision; `status` is the bot's own last report."""

    state: ControllerState
    pid: int | None = None
    detail: str = ""
    cure: str = ""
    seconds_until_retry: float | None = None
    is_adopted: bool = False
    crashes: int = 0
    status: BotStatus | None = None

    @property
    def is_up(self) -> bool:
        """Whether the bot's process runs and is not on its way out."""
        return self.state in (ControllerState.STARTING, ControllerState.RUNNING)


class BotController:
    """Starts, watches, restarts and stops the bot of one workspace."""

    def __init__(
        self,
        store: Store,
        *,
        offline: bool = False,
        spawn: Callable[[], Child] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        is_alive: Callable[[int], bool] = processes.is_alive,
        kill_tree: Callable[[int], None] = processes.kill_tree,
        ask_to_end: Callable[[int], None] = processes.ask_to_end,
        jitter: Callable[[], float] = random.random,
        sleep_clock: Callable[[], float] = through_sleep,
    ) -> None:
        self._store = store
        self._always_offline = self._offline = offline
        self._spawn = spawn or self._spawn_bot
        self._clock = clock
        self._wall_clock = wall_clock
        self._is_alive = is_alive
        self._kill_tree = kill_tree
        self._ask_to_end = ask_to_end
        self._jitter = jitter
        self._state = ControllerState.STOPPED
        self._detail, self._cure = "", ""
        self._child: Child | None = None
        self._pid: int | None = None
        self._start_id: int | None = None
        self._spawned_wall = 0.0
        self._since = clock()
        self._retry_at: float | None = None
        self._start_after_stop = False
        self._crashes: deque[float] = deque()
        self._last_tick = clock()
        self._sleep_clock = sleep_clock
        self._last_awake = sleep_clock()
        self._incident: int | None = None  # what the bot is not back from yet
        self._heartbeat = (0.0, clock())  # the bot's stamp, and when it was first seen here
        self._last_supervisor = float("-inf")
        self._last_sample = float("-inf")
        self._asked_to_free_at: float | None = None
        self._status: BotStatus | None = None
        self._disk_trouble = ""

    # ---- what a person asks for ---------------------------------------------------------------------

    def start(self, *, offline: bool = False) -> ControllerView:
        """Start the bot, or take over one that already runs. Harmless when it is up.

        offline: without Discord, until somebody starts it again; restarts after a crash keep to it.
        """
        if self._state in (ControllerState.STARTING, ControllerState.RUNNING):
            return self.view()
        self._offline = self._always_offline or offline
        if self._state is ControllerState.STOPPING:
            self._start_after_stop = True
            return self.view()
        self._crashes.clear()
        if not self.adopt():
            self._start_process()
        return self.view()

    def adopt(self) -> bool:
        """Take over a bot that runs without us (started by another launcher, a service, a terminal)."""
        status = self._read_status()
        if status is None or not is_bot_alive(status, now=self._wall_clock()) or not self._is_alive(status.pid):
            return False
        self._child, self._pid, self._start_id = None, status.pid, None
        self._spawned_wall = status.started_at
        self._enter(ControllerState.RUNNING, f"Took over the running bot (process {status.pid}).")
        self._heartbeat = (status.heartbeat_at, self._clock())
        return True

    def stop(self) -> ControllerView:
        """Ask the bot to finish its reply and end; after 10 s its process tree is killed."""
        self._start_after_stop = False
        if self._state in (ControllerState.BACKOFF, ControllerState.FAILED):
            self._enter(ControllerState.STOPPED, "Stopped.")
        elif self._state in (ControllerState.STARTING, ControllerState.RUNNING):
            if not self._written(lambda: self._store.commands.ask(CommandKind.STOP, asked_by="panel")):
                self._ask_by_signal()
            self._enter(ControllerState.STOPPING, "Finishing the current reply.")
        return self.view()

    def restart(self) -> ControllerView:
        """Stop, then start once more."""
        if self._state in (ControllerState.STARTING, ControllerState.RUNNING):
            self.stop()
            self._start_after_stop = True
            return self.view()
        return self.start()

    def free_model(self) -> ControllerView:
        """Ask the bot to give its model's memory back until the next reply. Harmless when it is down."""
        if self._state is ControllerState.RUNNING:
            self._written(lambda: self._store.commands.ask(CommandKind.FREE_MODEL, asked_by="panel"))
        return self.view()

    def force_stop(self) -> ControllerView:
        """Kill the bot's process tree now."""
        self._start_after_stop = False
        if self._pid is not None and self._state in (
            ControllerState.STARTING,
            ControllerState.RUNNING,
            ControllerState.STOPPING,
        ):
            self._kill_tree(self._pid)
            self._reap()
        self._finish(None)
        self._enter(ControllerState.STOPPED, "Stopped by force.")
        return self.view()

    def close(self, *, leave_running: bool) -> None:
        """Shut down the supervisor: leave the bot running under its own watchdog, or stop it."""
        if not leave_running:
            self.stop()
        self._written(lambda: self._store.status.clear_supervisor(os.getpid()))

    # ---- the heartbeat of supervision ---------------------------------------------------------------

    def tick(self) -> ControllerView:
        """Look at everything once and act; call about once a second."""
        now = self._clock()
        awake = self._sleep_clock()
        asleep = max(now - self._last_tick, awake - self._last_awake)
        if asleep > SLEEP_GAP_SECONDS:
            self._forgive_sleep(now, asleep)
        self._last_tick, self._last_awake = now, awake
        status = self._read_status()
        handler = {
            ControllerState.STARTING: self._tick_starting,
            ControllerState.RUNNING: self._tick_running,
            ControllerState.STOPPING: self._tick_stopping,
            ControllerState.BACKOFF: self._tick_waiting,
            ControllerState.FAILED: self._tick_waiting,
            ControllerState.STOPPED: self._tick_stopped,
        }[self._state]
        handler(now, status)
        self._report(now, status)
        return self.view()

    def view(self) -> ControllerView:
        """The state as of the last tick or request."""
        wait = max(0.0, self._retry_at - self._clock()) if self._retry_at is not None else None
        return ControllerView(
            self._state,
            self._pid,
            self._detail,
            self._cure,
            wait,
            self._child is None and self._pid is not None,
            len(self._crashes),
            self._read_status(),
        )

    def _tick_stopped(self, _now: float, status: BotStatus | None) -> None:
        # Somebody may have started a bot by hand: it is shown and stoppable all the same.
        if status is not None and status.exit_code is None and status.phase is not BotPhase.STOPPED:
            self.adopt()

    def _tick_starting(self, now: float, status: BotStatus | None) -> None:
        if self._ended():
            self._on_exit(now, status)
        elif self._is_ours(status) and status is not None:
            self._pid = status.pid  # on Windows the child we started is only a launcher of the real process
            self._heartbeat = (status.heartbeat_at, now)
            if status.phase is not BotPhase.STARTING:
                # Offline at start is running too: the bot itself keeps trying, and a hang must be noticed.
                self._enter(ControllerState.RUNNING, "Running.")
            elif now - self._since > START_LIMIT_SECONDS:
                self._replace_hung(now, "The bot did not finish starting")
        elif now - self._since > START_LIMIT_SECONDS:
            self._replace_hung(now, "The bot did not report within two minutes of its start")

    def _tick_running(self, now: float, status: BotStatus | None) -> None:
        if self._ended():
            self._on_exit(now, status)
            return
        if status is not None and status.heartbeat_at != self._heartbeat[0]:
            self._heartbeat = (status.heartbeat_at, now)
        elif now - self._heartbeat[1] > HUNG_AFTER_SECONDS:
            self._replace_hung(now, "The bot stopped responding")
            return
        if self._crashes and now - self._since > STABLE_AFTER_SECONDS:
            self._crashes.clear()
        self._watch_memory(now, status)

    def _tick_stopping(self, now: float, status: BotStatus | None) -> None:
        if self._ended():
            self._finish(status.exit_code if status else None)
            self._enter(ControllerState.STOPPED, "Stopped.")
            self._start_again_if_asked()
        elif now - self._since > STOP_LIMIT_SECONDS:
            log.warning("The bot did not stop within %.0f s: its process tree is killed", STOP_LIMIT_SECONDS)
            if self._pid is not None:
                self._kill_tree(self._pid)
            self._reap()
            self._finish(None)
            self._enter(ControllerState.STOPPED, "Did not stop in time and was ended by force.")
            self._start_again_if_asked()

    def _tick_waiting(self, now: float, _status: BotStatus | None) -> None:
        if self._retry_at is not None and now >= self._retry_at and not self.adopt():
            self._start_process()

    def _start_again_if_asked(self) -> None:
        if self._start_after_stop:
            self._start_after_stop = False
            self._start_process()

    # ---- endings ------------------------------------------------------------------------------------

    def _on_exit(self, now: float, status: BotStatus | None) -> None:
        code = self._exit_code(status)
        reason = status.exit_reason if status is not None and self._is_ours(status) else self._last_words()
        cure = status.last_error_cure if status is not None and self._is_ours(status) else ""
        self._finish(code)
        log.info("The bot ended with code %s %s", code, reason)
        if code == ExitCode.STOPPED:
            self._enter(ControllerState.STOPPED, reason or "Stopped.")
        elif code == ExitCode.RESTART:
            self._start_process()
        elif code == ExitCode.CONFIGURATION:
            self._enter(ControllerState.FAILED, reason or "The configuration is not right.", cure=cure)
        elif code == ExitCode.UNREACHABLE:
            self._wait(now, UNREACHABLE_RETRY_SECONDS, reason or "Discord cannot be reached.")
        else:
            # On a full disk the bot can leave no word; what the disk refused this process is the likely reason.
            self._on_crash(now, reason or self._disk_trouble or _describe(code))

    def _on_crash(self, now: float, reason: str, kind: IncidentKind = IncidentKind.CRASH) -> None:
        self._written(lambda: self._begin_incident(kind, reason))
        while self._crashes and now - self._crashes[0] > CRASH_WINDOW_SECONDS:
            self._crashes.popleft()
        self._crashes.append(now)
        if len(self._crashes) >= CRASHES_UNTIL_FAILED:
            self._enter(
                ControllerState.FAILED,
                f"Crashed {len(self._crashes)} times in ten minutes: {reason}",
                cure="Look at the log; the next try is in 15 minutes, or press Start.",
            )
            self._retry_at = now + FAILED_RETRY_SECONDS
            return
        backoff = min(FIRST_BACKOFF_SECONDS * 2 ** (len(self._crashes) - 1), LONGEST_BACKOFF_SECONDS)
        # Up to a quarter less, so that several supervised programs do not restart in step.
        self._wait(now, backoff * (1 - 0.25 * self._jitter()), reason)

    def _replace_hung(self, now: float, what: str) -> None:
        log.error("%s: its process tree is killed", what)
        if self._pid is not None:
            self._kill_tree(self._pid)
        self._reap()
        self._finish(ExitCode.HUNG)
        self._on_crash(now, f"{what} and was ended.", IncidentKind.HUNG)

    def _wait(self, now: float, seconds: float, detail: str) -> None:
        self._enter(ControllerState.BACKOFF, detail)
        self._retry_at = now + seconds

    # ---- processes ----------------------------------------------------------------------------------

    def _start_process(self) -> None:
        if self._starts_today() >= STARTS_PER_DAY:
            self._enter(
                ControllerState.FAILED,
                f"Started {STARTS_PER_DAY} times within a day; not trying further.",
                cure="Look at the log for what goes wrong, then press Start tomorrow or restart the program.",
            )
            self._retry_at = self._clock() + FAILED_RETRY_SECONDS
            return
        self._spawned_wall = self._wall_clock()
        self._written(self._record_start)
        # Before the spawn: the new bot must see that somebody watches it.
        self._written(lambda: self._store.status.write_supervisor(os.getpid()))
        self._enter(ControllerState.STARTING, "Starting.")
        try:
            self._child = self._spawn()
        except (OSError, KnownError) as error:
            self._finish(None)
            self._on_crash(self._clock(), f"The bot process could not be started: {error}")
            return
        self._pid = self._child.pid
        self._heartbeat = (0.0, self._clock())

    def _spawn_bot(self) -> Child:
        arguments = ["--offline"] if self._offline else []
        return processes.spawn(self._store.workspace, "bot/run.py", arguments, name="bot")

    def _last_words(self) -> str:
        """What a bot that ended before it could write its status row said on its raw output."""
        return processes.tail_of(processes.raw_output_file(self._store.workspace, "bot"), lines=1)[:300]

    def _ended(self) -> bool:
        if self._child is not None:
            return self._child.poll() is not None
        return self._pid is None or not self._is_alive(self._pid)

    def _exit_code(self, status: BotStatus | None) -> int | None:
        if self._is_ours(status) and status is not None and status.exit_code is not None:
            return status.exit_code
        return self._child.poll() if self._child is not None else None

    def _is_ours(self, status: BotStatus | None) -> bool:
        # Half a second of slack: the row's start time and ours come from two processes' clock readings.
        return status is not None and (status.pid == self._pid or status.started_at >= self._spawned_wall - 0.5)

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()

    def _finish(self, code: int | None) -> None:
        if (start_id := self._start_id) is not None:
            self._written(lambda: self._store.status.record_end(start_id, code))
        self._start_id, self._child, self._pid = None, None, None
        self._asked_to_free_at = None

    def _enter(self, state: ControllerState, detail: str, *, cure: str = "") -> None:
        if state is not self._state:
            log.info("%s -> %s: %s", self._state, state, detail)
        self._state, self._detail, self._cure = state, detail, cure
        if state in (ControllerState.RUNNING, ControllerState.STOPPED) and (number := self._incident) is not None:
            self._incident = None
            self._written(lambda: self._store.incidents.end(number))
        self._since, self._retry_at = self._clock(), None

    def _forgive_sleep(self, now: float, seconds: float) -> None:
        # After a sleep nobody has had time to stamp anything: every limit starts over.
        log.info("The computer slept: waiting for the bot's next heartbeat")
        self._heartbeat = (self._heartbeat[0], now)
        self._since = now
        if self._state is ControllerState.RUNNING:
            wall = self._wall_clock()
            self._written(lambda: self._store.incidents.begin(IncidentKind.SLEEP, at=wall - seconds, ended_at=wall))

    # ---- memory, samples, the supervisor's own heartbeat ----------------------------------------------

    def _watch_memory(self, now: float, status: BotStatus | None) -> None:
        if status is None:
            return
        try:
            limit = self._store.settings.get(MEMORY_LIMIT_GB) * 1e9
        except KnownError as error:
            self._tell(error)
            return
        if status.memory_bytes <= limit:
            self._asked_to_free_at = None
        elif self._asked_to_free_at is None:
            log.warning("The bot uses %.1f GB: freeing its caches", status.memory_bytes / 1e9)
            self._written(lambda: self._store.commands.ask(CommandKind.FREE_CACHES, asked_by="supervisor"))
            self._asked_to_free_at = now
        elif now - self._asked_to_free_at > FREED_CACHES_GRACE_SECONDS and self._is_idle(status):
            log.warning("The bot still uses %.1f GB and is idle: restarting it", status.memory_bytes / 1e9)
            self.restart()

    def _is_idle(self, status: BotStatus) -> bool:
        last = status.last_reply_at or status.started_at
        return status.queue_length == 0 and self._wall_clock() - last > IDLE_BEFORE_RESTART_SECONDS

    def _report(self, now: float, status: BotStatus | None) -> None:
        if now - self._last_supervisor >= SUPERVISOR_EVERY_SECONDS:
            self._last_supervisor = now
            if self._written(lambda: self._store.status.write_supervisor(os.getpid())):
                self._disk_trouble = ""
            processes.cap_file(processes.raw_output_file(self._store.workspace, "bot"))
        if now - self._last_sample >= SAMPLE_EVERY_SECONDS:
            self._last_sample = now
            is_up = self._state is ControllerState.RUNNING
            # A bot that is meant to be stopped is not downtime.
            if self._state is not ControllerState.STOPPED:
                used = status.memory_bytes if status is not None and is_up else 0
                self._written(lambda: self._store.activity.add_sample(memory_bytes=used, is_up=is_up))

    # ---- a disk that is full, read-only or gone: the bot is watched all the same ------------------------

    def _read_status(self) -> BotStatus | None:
        """The bot's row; the last one that could be read while the disk has trouble."""
        try:
            self._status = self._store.status.read_bot()
        except KnownError as error:
            self._tell(error)
        return self._status

    def _written(self, write: Callable[[], object]) -> bool:
        try:
            write()
        except KnownError as error:
            self._tell(error)
            return False
        return True

    def _tell(self, error: KnownError) -> None:
        if error.what != self._disk_trouble:  # once per trouble, not once a second
            log.error("%s The bot is watched all the same.", error.text())
        self._disk_trouble = error.what

    def _record_start(self) -> None:
        self._start_id = self._store.status.record_start()
        note_update(self._store.incidents, self._store.facts, program_version(), at=self._wall_clock())

    def _begin_incident(self, kind: IncidentKind, reason: str) -> None:
        if self._incident is None:  # several crashes in a row are one interruption
            self._incident = self._store.incidents.begin(kind, detail=reason, at=self._wall_clock())

    def _starts_today(self) -> int:
        try:
            return self._store.status.starts_since(self._wall_clock() - 86_400)
        except KnownError as error:
            self._tell(error)
            return 0

    def _ask_by_signal(self) -> None:
        """The command could not be stored: where there are signals the bot takes one for the same wish."""
        if self._pid is not None:
            self._ask_to_end(self._pid)


def _describe(code: int | None) -> str:
    """What ended the bot, for the panel."""
    return f"The bot process {processes.describe_exit(code)}" + ("; see the log." if code else ".")
