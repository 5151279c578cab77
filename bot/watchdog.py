"""A thread that notices when the event loop hangs, writes down where, and ends or replaces the process."""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from bot.live_status import LiveStatus
from data.chat.liveness import is_supervised
from storage.errors import KnownError
from storage.records import BotPhase, ExitCode
from storage.store import Store
from storage.system.processes import is_alive, replace_this

CHECK_SECONDS = 5.0
HUNG_AFTER_SECONDS = 60.0
log = logging.getLogger(__name__)


def is_watched(store: Store) -> bool:
    """True while a launcher watches this bot: its stamp is fresh, and its process is there. The stamp alone would stay
    fresh for as long as the clock was set back."""
    supervisor = store.status.read_supervisor()
    return supervisor is not None and is_supervised(supervisor, now=time.time()) and is_alive(supervisor.pid)


class Watchdog:
    """Checks the loop's stamp; after 60 s of silence it acts. A sleep of the computer earns 60 s of grace."""

    def __init__(
        self,
        store: Store,
        status: LiveStatus,
        *,
        stacks_file: Path,
        end: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._status = status
        self._stacks_file = stacks_file
        self._end = end or end_process
        self._clock = clock
        self._stopped = threading.Event()
        self._last_check = clock()
        self._grace_until = 0.0

    def start(self) -> None:
        """Begin to watch, in a daemon thread."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the watch; the thread is gone within one look."""
        self._stopped.set()

    def check(self) -> bool:
        """One look; True when the loop was found hung and the process is being ended."""
        now = self._clock()
        if now - self._last_check > 3 * CHECK_SECONDS:
            self._grace_until = now + HUNG_AFTER_SECONDS  # we slept too: not the loop's fault
        self._last_check = now
        if now < self._grace_until or self._status.seconds_since_stamp() < HUNG_AFTER_SECONDS:
            return False
        self._act()
        return True

    def is_supervised(self) -> bool:
        """True while a launcher watches this bot."""
        try:
            return is_watched(self._store)
        except KnownError:
            return False

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            if self.check():
                return

    def _act(self) -> None:
        log.critical(
            "The event loop has been silent for %.0f s; stacks are in %s", HUNG_AFTER_SECONDS, self._stacks_file.name
        )
        with open(self._stacks_file, "a", encoding="utf-8") as file:
            faulthandler.dump_traceback(file=file, all_threads=True)
        supervised = self.is_supervised()
        reason = f"The event loop hung for {HUNG_AFTER_SECONDS:.0f} s."
        try:
            self._store.status.write_bot(
                replace(self._status.snapshot(), phase=BotPhase.STOPPED, exit_code=ExitCode.HUNG, exit_reason=reason)
            )
        except KnownError as error:
            log.error("The exit could not be recorded: %s", error.text())
        self._end(supervised)


def end_process(supervised: bool, *, code: int = ExitCode.HUNG) -> NoReturn:
    """Exit at once for the supervisor to start it again; without one, become a new process ourselves."""
    if supervised:
        os._exit(code)
    replace_this(code=code)
