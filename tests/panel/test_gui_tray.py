"""The tray icon: with a stand-in for the library, and for real where a tray program is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gui import texts
from gui.components.system_tray import SystemTray, notify_by_command
from gui.presenters.status import StatusView
from storage.store import Store
from tests.support.panel import open_panel
from tests.support.waiting import wait_for


class FakeIcon:
    """What SystemTray uses of pystray.Icon, on a desktop whose tray has menus."""

    HAS_MENU = HAS_NOTIFICATION = True

    def __init__(self, name: str, icon: Any, title: str, menu: Any) -> None:
        self.icon, self.title, self.menu = icon, title, menu
        self.notes: list[tuple[str, str]] = []
        self.is_stopped = False

    def run(self) -> None:
        return None

    def update_menu(self) -> None:
        return None

    def notify(self, text: str, title: str) -> None:
        self.notes.append((title, text))

    def stop(self) -> None:
        self.is_stopped = True


class FakeItem:
    def __init__(
        self,
        text: str,
        action: Callable[..., Any],
        *,
        default: bool = False,
        enabled: Callable[[Any], bool] = lambda _: True,
    ) -> None:
        self.text, self.action, self.default, self._enabled = text, action, default, enabled

    @property
    def is_enabled(self) -> bool:
        return self._enabled(self)


class FakeMenu:
    SEPARATOR = None

    def __init__(self, *items: FakeItem | None) -> None:
        self.items = {item.text: item for item in items if item is not None}


@pytest.fixture
def tray(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "pystray", SimpleNamespace(Icon=FakeIcon, Menu=FakeMenu, MenuItem=FakeItem))
    called: list[str] = []
    posted: list[Callable[[], Any]] = []
    made = SystemTray(
        post=posted.append,
        menu_at=lambda x, y: None,
        actions={name: (lambda n=name: called.append(n)) for name in ("show", "start", "stop", "exit")},
    )
    assert made.start()
    made.is_available = True  # the stand-in's loop ends at once
    return SimpleNamespace(tray=made, icon=made._icon, called=called, posted=posted)


def view(tone: str, **changes: Any) -> StatusView:
    return StatusView(tone, "Running", "", (), **changes)


def test_the_menu_posts_what_was_clicked_and_follows_the_state(tray: SimpleNamespace) -> None:
    items = tray.icon.menu.items
    assert items[texts.TRAY_SHOW].default
    tray.tray.update(view("good", can_stop=True), tip="x")
    assert items[texts.TRAY_STOP].is_enabled
    assert not items[texts.TRAY_START].is_enabled
    items[texts.TRAY_STOP].action()
    assert tray.called == [], "nothing runs on the tray's thread"
    tray.posted[-1]()
    assert tray.called == ["stop"]


def test_the_state_is_told_by_colour_and_tooltip(tray: SimpleNamespace) -> None:
    tray.tray.update(view("good"), tip="running")
    running = tray.icon.icon
    tray.tray.update(view("bad"), tip="y" * 300)
    assert tray.icon.icon is not running
    assert len(tray.icon.title) <= 127


def test_notifications_go_through_the_tray_and_it_leaves_when_told(tray: SimpleNamespace) -> None:
    assert tray.tray.notify("The bot stopped", "")
    assert tray.icon.notes == [("The bot stopped", "The bot stopped")]
    tray.tray.stop()
    assert tray.icon.is_stopped
    assert not tray.tray.is_available


def test_a_long_notification_is_cut_to_what_windows_has_room_for(tray: SimpleNamespace) -> None:
    """Fault 101: the library refused longer ones, just those with an error and its cure."""
    assert tray.tray.notify("The training stopped 😀" * 9, "No room is left on the disk. 😀 " * 30)
    ((title, text),) = tray.icon.notes
    for words, units in ((title, 63), (text, 255)):
        assert units - 2 <= len(words.encode("utf-16-le")) // 2 <= units
        assert words.endswith("…")
    tray.tray.update(view("bad"), tip="😀" * 100)
    assert len(tray.icon.title.encode("utf-16-le")) // 2 <= 127
    assert tray.tray.notify("short", "as it is")
    assert tray.icon.notes[-1] == ("short", "as it is")


def test_without_a_tray_the_program_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 54: pystray raises whatever its backend raises."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise OSError("no display")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "pystray", Broken())
    made = SystemTray(post=lambda call: None, menu_at=lambda x, y: None, actions={})
    assert not made.start()
    assert not made.is_available
    made.update(view("good"), tip="x")
    made.stop()


def test_a_title_that_looks_like_an_option_stays_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    commands: list[list[str]] = []
    assert notify_by_command("--help", "text", run=lambda command, **_: commands.append(command))
    assert commands[0][-3:] == ["--", "--help", "text"]


def has_system_tray() -> bool:
    """True while a program owns the tray of the screen (freedesktop.org's system tray protocol)."""
    from Xlib.display import Display

    screen = Display()
    try:
        return bool(screen.get_selection_owner(screen.intern_atom("_NET_SYSTEM_TRAY_S0")))
    finally:
        screen.close()


@pytest.mark.skipif(shutil.which("trayer") is None, reason="no tray program is installed here")
def test_a_real_tray_hides_the_window_shows_it_again_and_opens_a_menu(store: Store, display: str) -> None:
    place = ["--edge", "bottom", "--align", "right", "--widthtype", "request", "--height", "26"]
    bar = subprocess.Popen(["trayer", *place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(has_system_tray, "the tray program to take its place")
        with open_panel(store) as panel:
            panel.wait(lambda: panel.app.tray.is_available, "the tray")
            panel.turn(1.5)
            panel.app.close_window()
            panel.wait(lambda: panel.root.state() == "withdrawn", "the window in the tray")
            x, y = panel.root.winfo_screenwidth() - 12, panel.root.winfo_screenheight() - 13
            panel.click_at(x, y)
            panel.wait(lambda: panel.root.state() == "normal", "the window back")
            panel.click_at(x, y, button=3)
            panel.turn(0.5)
            panel.key("Escape")
    finally:
        bar.terminate()
        bar.wait(10)
