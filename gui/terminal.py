"""The panel without a screen: one line per change of state, and a chat in the terminal."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TextIO

from bot_controller import BotController, ControllerState, ControllerView
from storage.control import PANEL_WANTED
from storage.errors import KnownError
from storage.records import BotPhase, ModelState, PlaygroundEntry
from storage.settings import KEEP_AWAKE
from storage.store import Store
from storage.system.console import stop_signals, when_console_closes
from storage.system.power import KeepAwake
from storage.system.streams import is_terminal

log = logging.getLogger(__name__)
TICK_SECONDS = 1.0
POLL_SECONDS = 0.1
READY_LIMIT_SECONDS = 300.0
ANSWER_LIMIT_SECONDS = 180.0


def describe(view: ControllerView) -> str:
    """The state in one line, as the terminal shows it."""
    text = f"{view.state}: {view.detail}".rstrip(": ")
    if view.cure:
        text += f" {view.cure}"
    if view.seconds_until_retry is not None:
        text += f" Next try in {view.seconds_until_retry:.0f} s."
    status = view.status
    if view.state is ControllerState.RUNNING and status is not None:
        text += f" Model: {_model_words(status.model_state, status.model_name, status.model_error)}."
        if status.mode == "discord":
            text += " Discord: connected." if status.is_connected else " Discord: not connected."
    return text


def _model_words(state: ModelState, name: str, error: str) -> str:
    if state is ModelState.FAILED:
        return error.rstrip(".")
    return name if state is ModelState.READY else "loading"


class Ticker:
    """Drives the controller from a thread of its own and tells each change of state."""

    def __init__(self, controller: BotController, *, tell: Callable[[str], None]) -> None:
        self._controller = controller
        self._tell = tell
        self._stopped = threading.Event()
        self._last = ""
        self._thread = threading.Thread(target=self._run, name="supervision", daemon=True)

    def start(self) -> None:
        """Begin to print the bot's state, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop printing; returns once the thread has ended, 5 s at most."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            view = self._controller.tick()
            words = describe(view)
            key = f"{view.state}{view.detail}{words.split('Next try')[0]}"
            if key != self._last:
                self._last = key
                self._tell(words)


def supervise(
    store: Store, controller: BotController, *, tell: Callable[[str], None], awake: KeepAwake | None = None
) -> int:
    """Keep the bot alive until SIGTERM or Ctrl+C, then stop it in order. Returns an exit code.

    When somebody opens the panel, it takes over: the bot goes on and this process ends.
    """
    asked = threading.Event()
    seen = _panel_wanted(store)
    for number in stop_signals():
        signal.signal(number, lambda *_: asked.set())
    when_console_closes(asked.set)
    awake = awake or KeepAwake()
    tell(describe(controller.start()))
    last = ""
    while not asked.wait(TICK_SECONDS):
        view = controller.tick()
        try:
            is_awake_wanted, panel_asked_at = store.settings.get(KEEP_AWAKE), _panel_wanted(store)
        except KnownError as error:  # a full or closed disk: the bot is watched all the same
            log.debug("Settings not read: %s", error)
            is_awake_wanted, panel_asked_at = True, seen
        awake.update(wanted=view.is_up and is_awake_wanted)
        words = describe(view)
        if words.split("Next try")[0] != last:
            last = words.split("Next try")[0]
            tell(words)
        if panel_asked_at and panel_asked_at != seen:  # another wish than an old one, whatever the clock said then
            controller.close(leave_running=True)
            awake.close()
            tell("The control panel takes over.")
            return 0
    tell("Stopping the bot.")
    stop_and_wait(controller)
    awake.close()
    tell("Stopped.")
    return 0


def _panel_wanted(store: Store) -> float:
    """When somebody last asked for the panel; 0.0 when nobody waits for an answer, or it cannot be read."""
    try:
        return float(store.facts.get(PANEL_WANTED, 0.0))
    except KnownError as error:
        log.debug("Not read: %s", error)
        return 0.0


def stop_and_wait(controller: BotController) -> None:
    """Stop the bot and see it end (by force after ten seconds)."""
    controller.stop()
    while controller.tick().state is ControllerState.STOPPING:
        time.sleep(POLL_SECONDS)
    controller.close(leave_running=True)


def chat(
    store: Store,
    controller: BotController,
    *,
    lines: TextIO | None = None,
    out: TextIO | None = None,
    tell: Callable[[str], None],
) -> int:
    """Talk to the bot line by line; ends with the input. Returns an exit code: 1 when the bot did not come up."""
    lines, out = lines or sys.stdin, out or sys.stdout
    is_person = is_terminal(lines)
    ticker = Ticker(controller, tell=tell)
    for number in stop_signals():
        signal.signal(number, signal.default_int_handler)
    controller.start()
    ticker.start()
    when_console_closes(controller.stop)
    try:
        trouble = _wait_until_ready(controller)
        if trouble:
            tell(trouble)
            return 1
        if is_person:
            tell("Say something; an empty line or Ctrl+D ends the chat.")
        return _converse(store, controller, _inputs(lines, is_person, out), out, is_person, tell)
    except KeyboardInterrupt:
        return 130
    finally:
        ticker.stop()
        stop_and_wait(controller)


def _converse(
    store: Store,
    controller: BotController,
    inputs: Iterable[str],
    out: TextIO,
    is_person: bool,
    tell: Callable[[str], None],
) -> int:
    failures = 0
    for line in inputs:
        answer = _ask(store, controller, line)
        if answer is None or answer.error:
            failures += 1
            tell(answer.error if answer else "No answer came; see logs/bot.log in the workspace.")
            continue
        for part in answer.text.split("\n"):
            out.write(f"{'bot> ' if is_person else ''}{part}\n")
        out.flush()
    return 1 if failures else 0


def _inputs(lines: TextIO, is_person: bool, out: TextIO) -> Iterable[str]:
    while True:
        if is_person:
            out.write("you> ")
            out.flush()
        line = lines.readline()
        if not line or (is_person and not line.strip()):
            return
        if line.strip():
            yield line.strip()


def _wait_until_ready(controller: BotController) -> str:
    deadline = time.monotonic() + READY_LIMIT_SECONDS
    while time.monotonic() < deadline:
        view = controller.view()
        status = view.status
        if view.state is ControllerState.FAILED:
            return f"{view.detail} {view.cure}".strip()
        if view.state is ControllerState.RUNNING and status is not None and status.phase is BotPhase.RUNNING:
            if status.model_state is ModelState.READY:
                return ""
            if status.model_state is ModelState.FAILED:
                return status.model_error
        time.sleep(POLL_SECONDS)
    return "The bot did not get ready; see logs/bot.log in the workspace."


def _ask(store: Store, controller: BotController, line: str) -> PlaygroundEntry | None:
    question = store.playground.ask(line)
    deadline = time.monotonic() + ANSWER_LIMIT_SECONDS
    while time.monotonic() < deadline:
        answer = store.playground.answer_to(question)
        if answer is not None:
            return answer
        if controller.view().state is ControllerState.FAILED:
            return None
        time.sleep(POLL_SECONDS)
    return None
