"""The set-up in a window: the real one, with real pip in real environments, pressed as its owner would."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
import tkinter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import bootstrap
from scripts.installation.environment import PrivateEnvironment
from scripts.installation.failures import SetupError, ShownError
from scripts.installation.progress import InstallProgress
from scripts.installation.window import SetupWindow
from storage.system.streams import ensure_streams, is_nowhere
from tests.support.projects import DEADLINE_SECONDS, Project, make_endless_source, wait_for, wait_until_gone

pytestmark = pytest.mark.usefixtures("display")
GROUPS = ("runtime", "offline")


@pytest.fixture(autouse=True)
def shelf(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip takes packages from the project's shelf alone, in this process too."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project.shelf)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def no_garbage_of_windows() -> Iterator[None]:
    """Tcl ends a process in which another thread, as the one that installs, frees an interpreter: earlier windows are
    freed before it begins, and this test's when it is over."""
    gc.collect()
    yield
    gc.collect()


@pytest.fixture
def opened() -> Iterator[Callable[..., SetupWindow[Any]]]:
    """Opens windows that are gone after the test, whatever came of it."""
    windows: list[SetupWindow[Any]] = []

    def open_window(project: Project, work: Callable[[InstallProgress], Any] | None = None) -> SetupWindow[Any]:
        def install(progress: InstallProgress) -> str:
            PrivateEnvironment(project.folder, progress=progress).complete(GROUPS)
            return "installed"

        log = project.folder / ".venv" / "install.log"
        windows.append(SetupWindow(work or install, log=log, offer_shortcut=True))
        return windows[-1]

    yield open_window
    for window in windows:
        with contextlib.suppress(tkinter.TclError):  # gone already
            window.root.destroy()


def when(window: SetupWindow[Any], is_so: Callable[[], object], then: Callable[[], object]) -> None:
    """Do something in the window's own loop as soon as something is so; the test fails where it never is."""
    deadline = time.monotonic() + DEADLINE_SECONDS

    def look() -> None:
        if is_so():
            then()
        elif time.monotonic() < deadline:
            window.root.after(20, look)
        else:
            window.root.destroy()

    window.root.after(20, look)


def test_the_window_shows_what_is_done_and_goes_when_it_is_done(
    project: Project, opened: Callable[..., SetupWindow[Any]]
) -> None:
    """Fault 150."""
    window, seen = opened(project), list[str]()
    show = window._show

    def remember(kind: str, value: Any) -> None:
        show(kind, value)
        seen.append(str(value))

    window._show = remember  # type: ignore[method-assign]
    assert window.run() == "installed"
    assert any("Installing the bot's libraries" in text for text in seen)
    assert "(1, 2)" in seen
    assert window.wants_shortcut
    assert (project.site_packages / "omega.py").exists()


def test_cancel_ends_pip_and_its_compilers(
    project: Project, opened: Callable[..., SetupWindow[Any]], tmp_path: Path
) -> None:
    """Fault 150: the window's cross and Escape do the same."""
    started = tmp_path / "started"
    make_endless_source(project.shelf, "endless", "1.0", started)
    project.require(runtime="endless==1.0", offline="omega==1.0")
    window = opened(project)
    when(window, lambda: started.exists() and started.read_text(), lambda: window.leave.invoke())
    with pytest.raises(KeyboardInterrupt):
        window.run()
    wait_until_gone(int(wait_for(started)))


def test_a_failure_says_what_and_try_again_goes_on(project: Project, opened: Callable[..., SetupWindow[Any]]) -> None:
    """Fault 150."""
    wheel, away = project.shelf / "omega-1.0-py3-none-any.whl", project.folder / "away.whl"
    wheel.rename(away)
    window, said = opened(project), list[str]()

    def has_failed() -> bool:
        return bool(window.again.winfo_ismapped())

    def cure() -> None:
        said.append(window.sentence["text"])
        away.rename(wheel)
        window.again.invoke()

    when(window, has_failed, cure)
    assert window.run() == "installed"
    assert "There is no omega==1.0 for Python" in said[0]
    assert "press Try again" in said[0]


def test_a_failure_that_is_given_up_is_not_said_twice(
    project: Project, opened: Callable[..., SetupWindow[Any]]
) -> None:
    def fail(_: InstallProgress) -> None:
        raise SetupError("The disk became full: make room.")

    window = opened(project, fail)
    when(window, window.again.winfo_ismapped, lambda: window.leave.invoke())
    with pytest.raises(ShownError, match="make room"):
        window.run()


def test_what_nobody_foresaw_is_shown_and_kept(project: Project, opened: Callable[..., SetupWindow[Any]]) -> None:
    """Fault 150: on a thread of its own it would otherwise leave the window waiting for ever."""

    def fail(_: InstallProgress) -> None:
        raise RuntimeError("a quite new kind of trouble")

    window, said = opened(project, fail), list[str]()

    def close() -> None:
        said.append(window.sentence["text"])
        window.leave.invoke()

    when(window, window.again.winfo_ismapped, close)
    with pytest.raises(ShownError):
        window.run()
    assert "a quite new kind of trouble" in said[0]
    assert "RuntimeError" in (project.folder / ".venv" / "install.log").read_text(encoding="utf-8")


def test_only_a_start_of_the_panel_that_nobody_sees_a_terminal_of_gets_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 150: under pythonw there are no streams; desktop entries say it with a word."""
    for words, stderr, expected in (
        (["launcher.py"], sys.stderr, False),
        (["launcher.py", "--windowed"], sys.stderr, True),
        (["launcher.py"], None, True),
        (["launcher.py", "--headless"], None, False),
        (["launcher.py", "--windowed", "--doctor"], None, False),
    ):
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setattr(sys, "stderr", stderr)
        assert bootstrap.is_windowed() is expected, words


def test_a_start_without_streams_is_still_known_as_one_once_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    ensure_streams()
    assert sys.stderr is not None
    assert is_nowhere(sys.stderr)
    sys.stderr.close()
