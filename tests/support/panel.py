"""The real panel under test: the test turns its loop and presses its widgets (xdotool, or Tk events without it)."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bot_controller import BotController, ControllerState, ControllerView, JobRunner
from storage.records import BotStatus
from storage.store import Store
from tests.support.tk_hands import TkHands

PATIENCE_SECONDS = 20.0
SIZE = (900, 600)


class StillController:
    """A controller without a process, for tests of the window itself; remembers what it was asked."""

    def __init__(self, store: Store) -> None:
        self.state, self.asked = ControllerState.STOPPED, list[str]()
        self.status: BotStatus | None = None
        self._store = store

    def tick(self) -> ControllerView:
        if self.status is not None:
            self._store.status.write_bot(self.status)
        return ControllerView(self.state)

    def become(self, state: ControllerState, status: BotStatus | None = None) -> None:
        self.state, self.status = state, status

    def start(self, *, offline: bool = False) -> None:
        self.asked.append("start offline" if offline else "start")

    def stop(self) -> None:
        self.asked.append("stop")
        self.state = ControllerState.STOPPED

    def restart(self) -> None:
        self.asked.append("restart")

    def free_model(self) -> None:
        self.asked.append("free")

    def force_stop(self) -> None:
        self.asked.append("force")

    def close(self, *, leave_running: bool) -> None:
        self.asked.append(f"close {leave_running}")


class StillJobs:
    """Remembers which jobs were started and cancelled."""

    def __init__(self) -> None:
        self.started: list[tuple[str, list[str]]] = []
        self.cancelled: list[str] = []

    def tick(self) -> list[Any]:
        return []

    def setting_up(self) -> tuple[Any, ...]:
        return ()

    def start(self, kind: str, arguments: list[str]) -> None:
        self.started.append((kind, list(arguments)))

    def cancel(self, kind: str) -> None:
        self.cancelled.append(kind)


class PanelDriver:
    """Turns the window's loop, waits for conditions, and presses things with a real mouse and keyboard."""

    def __init__(self, app: Any) -> None:
        self.app, self.root = app, app.root
        self._hands = TkHands(app.root) if shutil.which("xdotool") is None else None

    def turn(self, seconds: float) -> None:
        """Let the loop run for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.app._is_closing:
            self.root.update()
            time.sleep(0.004)

    def wait(self, condition: Callable[[], Any], what: str = "", *, seconds: float = PATIENCE_SECONDS) -> Any:
        """Until the condition holds; the assertion names what did not come."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.app._is_closing:
                self.root.update()
            value = condition()
            if value:
                return value
            time.sleep(0.004)
        raise AssertionError(f"still waiting for {what or condition}")

    def click(self, widget: Any, *, x: float = 0.5, y: float = 0.5, button: int = 1) -> None:
        """A real click at a place inside the widget (0-1 of its size).

        Aims again until the widget stands still under the pointer: on a busy machine the window manager places the
        window, and a text that has just arrived moves its neighbours, after the aim was taken.
        """
        self.root.update()
        self.reveal(widget)
        aim = self._place(widget, x, y)
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            self._point(*aim)
            last, aim = aim, self._place(widget, x, y)
            if aim == last:
                break
        self._press(button)

    def click_at(self, x: int, y: int, *, button: int = 1) -> None:
        self._point(x, y)
        self._press(button)

    @staticmethod
    def _place(widget: Any, x: float, y: float) -> tuple[int, int]:
        return (
            widget.winfo_rootx() + int(widget.winfo_width() * x),
            widget.winfo_rooty() + int(widget.winfo_height() * y),
        )

    def _point(self, x: int, y: int) -> None:
        self.do("mousemove", str(x), str(y))
        self.turn(0.05)

    def _press(self, button: int) -> None:
        self.do("click", str(button))
        self.turn(0.15)

    def reveal(self, widget: Any) -> None:
        """Scroll the page, as a person would."""
        from gui.components.scroll import ScrollArea

        parent = widget
        while parent is not None:
            if isinstance(parent, ScrollArea):
                parent.reveal(widget)
                self.root.update()
                return
            parent = parent.master

    def type(self, text: str) -> None:
        self.do("type", "--delay", "8", text)
        self.turn(0.1)

    def key(self, *names: str) -> None:
        for name in names:
            self.do("key", name)
            self.turn(0.08)

    def do(self, *arguments: str) -> None:
        """Run xdotool beside the loop: it may wait for the window to react. Without one, Tk's own events."""
        if self._hands is not None:
            self._hands.do(*arguments)
            self.root.update()
            return
        process = subprocess.Popen(["xdotool", *arguments], stdout=subprocess.DEVNULL)
        while process.poll() is None:
            self.root.update()
            time.sleep(0.002)

    def go(self, room: str) -> Any:
        """Open a room and wait until it is built."""
        self.app.go(room)
        return self.wait(
            lambda: self.app.window.front is not None and self.app.window.front.key == room and self.app.window.front,
            f"the room {room}",
        )


@contextmanager
def open_panel(
    store: Store,
    controller: Any = None,
    jobs: Any = None,
    *,
    demo: bool = True,
    needs_demo_server: bool = False,
    size: tuple[int, int] = SIZE,
) -> Iterator[PanelDriver]:
    """The real window with a real loop; `demo=False` is a workspace of one's own (first run, no automatic start)."""
    from gui.app import App

    app = App(
        store, controller or StillController(store), jobs or StillJobs(), demo=demo, needs_demo_server=needs_demo_server
    )
    driver = PanelDriver(app)
    app.root.geometry(f"{size[0]}x{size[1]}+0+0")
    app.root.after(1, app._tick)
    app.root.after(10, app._settle)
    try:
        driver.wait(lambda: app.window.front is not None and app.pulse is not None, "the first room")
        app.root.focus_force()
        driver.turn(0.1)
        yield driver
    finally:
        if not app._is_closing:
            app.quit(leave_running=True)


def real_parts(store: Store) -> tuple[BotController, JobRunner]:
    """The controller and job runner the launcher uses, without Discord."""
    return BotController(store, offline=True), JobRunner(store)
