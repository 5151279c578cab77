"""The ends a system announces: signals, a console's window closed, logging off, no sleep until then."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bot.stopping import STOP_SECONDS, StopRequest
from bot_controller import BotController, ControllerState, ControllerView
from gui import terminal
from storage.control import PANEL_WANTED
from storage.errors import KnownError
from storage.paths import PROJECT_ROOT
from storage.settings import KEEP_AWAKE
from storage.store import Store
from storage.system import desktop
from storage.system.console import CLOSE_SECONDS, handle_event, stop_signals, when_console_closes
from storage.system.power import KeepAwake
from storage.system.session_end import WINDOW_CLASS, WM_ENDSESSION, WM_QUERYENDSESSION, answer


@pytest.mark.parametrize("event", [2, 5, 6])  # the window, logging off, shutting down
def test_a_closed_console_asks_for_the_end_and_waits_for_it(event: int) -> None:
    """Fault 102: Windows ends the process as soon as the handler returns."""
    done: list[object] = []
    assert handle_event(event, lambda: done.append("asked"), sleep=done.append)
    assert done == ["asked", CLOSE_SECONDS]


def test_an_end_that_cannot_be_asked_for_is_waited_for_all_the_same() -> None:
    """Fault 102."""

    def fails() -> None:
        raise RuntimeError("the loop is closed")

    waits: list[float] = []
    assert handle_event(2, fails, sleep=waits.append)
    assert waits == [CLOSE_SECONDS]


def test_control_c_stays_pythons() -> None:
    asked: list[int] = []
    assert not handle_event(0, lambda: asked.append(1))
    assert not handle_event(1, lambda: asked.append(1))
    assert not asked


def test_the_sessions_end_is_never_refused_and_heeded_once_it_is_sure() -> None:
    """Fault 153: refusing holds up the whole shutdown; ending at the question may be for nothing."""
    ended: list[str] = []
    assert answer(WM_QUERYENDSESSION, False, lambda: ended.append("asked")) == 1
    assert answer(WM_ENDSESSION, False, lambda: ended.append("called off")) == 0
    assert not ended
    assert answer(WM_ENDSESSION, True, lambda: ended.append("ending")) == 0
    assert ended == ["ending"]
    assert answer(0x0F, True, lambda: ended.append("painting")) is None


ENDS = """
import sys, threading
from pathlib import Path
from storage.system.console import when_console_closes
ended = threading.Event()
when_console_closes(ended.set)
print("listening", flush=True)
sys.exit(0 if ended.wait(60) else 3)
"""


@pytest.mark.skipif(sys.platform != "win32", reason="Windows has messages for it, other systems signals")
def test_windows_shutting_down_reaches_a_program_that_has_loaded_user32() -> None:
    """Fault 153."""
    import ctypes
    from ctypes import wintypes

    user32: Any = ctypes.windll.user32  # type: ignore[attr-defined,unused-ignore]
    child = subprocess.Popen([sys.executable, "-c", ENDS], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == "listening\n"
    kind = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.HWND, wintypes.LPARAM)  # type: ignore[attr-defined,unused-ignore]
    told: list[int] = []

    def look(window: int, _: int) -> bool:
        name, owner = ctypes.create_unicode_buffer(100), wintypes.DWORD()
        user32.GetClassNameW(window, name, 100)
        user32.GetWindowThreadProcessId(window, ctypes.byref(owner))
        if name.value == WINDOW_CLASS and owner.value == child.pid:
            user32.PostMessageW(window, WM_ENDSESSION, 1, 0)
            told.append(window)
        return True

    deadline = time.monotonic() + 30
    while not told and time.monotonic() < deadline:
        user32.EnumWindows(kind(look), 0)
        time.sleep(0.05)
    assert child.wait(timeout=60) == 0


def test_listening_for_it_is_possible_on_every_system() -> None:
    when_console_closes(lambda: None)


def test_a_stop_fits_into_the_time_windows_allows() -> None:
    """Fault 102: five seconds there, where a stop may otherwise take longer."""
    now = 100.0
    closed, asked = StopRequest(clock=lambda: now), StopRequest(clock=lambda: now)
    closed.ask(0, "closed", within=CLOSE_SECONDS - 1.0)
    asked.ask(0, "asked")
    assert closed.allow(60.0) == CLOSE_SECONDS - 1.0
    assert asked.allow(60.0) == STOP_SECONDS


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_a_closed_terminal_is_a_stop_unless_the_owner_said_otherwise() -> None:
    """Fault 102: nohup is heeded."""
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} == set(stop_signals())
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)


class Awake(KeepAwake):
    """Remembers what was wanted."""

    def __init__(self) -> None:
        super().__init__(platform="none", plugged_in=lambda: True)
        self.wanted: list[bool] = []

    def update(self, *, wanted: bool) -> None:
        self.wanted.append(wanted)

    def close(self) -> None:
        self.wanted.append(False)


def test_a_headless_launcher_keeps_the_computer_awake_while_the_bot_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 104."""
    monkeypatch.setattr(terminal, "TICK_SECONDS", 0.01)
    states = [ControllerState.STARTING, ControllerState.RUNNING, ControllerState.FAILED]

    class Controller(BotController):
        def start(self, *, offline: bool = False) -> ControllerView:
            return ControllerView(ControllerState.STARTING)

        def tick(self) -> ControllerView:
            view = ControllerView(states.pop(0))
            if not states:
                store.facts.set(PANEL_WANTED, 2e12)
            return view

    awake = Awake()
    store.settings.set(KEEP_AWAKE, True, changed_by="test")
    handlers = {number: signal.getsignal(number) for number in stop_signals()}
    try:
        assert terminal.supervise(store, Controller(store), tell=lambda _: None, awake=awake) == 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert awake.wanted == [True, True, False, False]


def test_a_file_nothing_can_open_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 104: Windows raises there too."""
    (tmp_path / "report.unheard-of").write_text("x")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KnownError, match="No program"):
        desktop.open_path(tmp_path / "report.unheard-of")
