"""The window in the tray, and what happens meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bot_controller import ControllerView
from gui.app import App
from storage.store import Store
from tests.support.panel import StillController, StillJobs, open_panel

pytestmark = pytest.mark.usefixtures("display")


class CountingController(StillController):
    """Counts the looks of supervision."""

    looks = 0

    def tick(self) -> ControllerView:
        self.looks += 1
        return super().tick()


def question(answered: list[str], *, title: str = "Deploy?") -> tuple[str, str, list[Any]]:
    later, go = (lambda: answered.append(f"{title} later")), (lambda: answered.append(f"{title} go"))
    return title, "The training is finished.", [("Later", "secondary", later), ("Deploy", "primary", go)]


def test_a_question_that_comes_up_in_the_tray_waits_and_supervision_goes_on(store: Store) -> None:
    """Fault 96: on Windows such a question was never drawn, and the panel waited for it for ever."""
    controller, answered = CountingController(store), list[str]()
    with open_panel(store, controller) as panel:
        panel.root.withdraw()
        panel.app.confirm(*question(answered))
        looks = controller.looks
        panel.wait(lambda: controller.looks > looks + 2, "supervision")
        assert not panel.app.dialog.is_open
        assert panel.app.is_hidden
        panel.app.show_window()
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.wait(lambda: panel.root.grab_current() is not None, "the question to have the keyboard")
        panel.app.dialog._buttons[-1].invoke()
        panel.wait(lambda: answered == ["Deploy? go"], "the answer")
        assert not panel.app.dialog.is_open
        assert panel.root.grab_current() is None


def test_a_question_never_takes_the_place_of_the_one_being_answered(store: Store) -> None:
    """Fault 96: two trainings end; a click meant for the first answer must not fall on the second."""
    answered = list[str]()
    with open_panel(store) as panel:
        panel.app.confirm(*question(answered, title="First?"))
        panel.app.confirm(*question(answered, title="Second?"))
        panel.app.confirm(*question(answered, title="First?"))  # asked again: once is enough
        panel.wait(lambda: panel.app.dialog.is_open, "the first question")
        assert panel.app.dialog._title.cget("text") == "First?"
        panel.app.dialog._buttons[0].invoke()
        panel.wait(lambda: panel.app.dialog.is_open and answered, "the second question")
        assert panel.app.dialog._title.cget("text") == "Second?"
        panel.app.dialog._buttons[-1].invoke()
        panel.wait(lambda: answered == ["First? later", "Second? go"], "both answers")
        panel.turn(0.2)
        assert not panel.app.dialog.is_open


def test_exit_from_the_tray_is_asked_at_once_though_another_question_waits(store: Store) -> None:
    """Fault 96."""
    answered = list[str]()
    with open_panel(store) as panel:
        panel.root.withdraw()
        panel.app.confirm(*question(answered))
        panel.app.show_window()
        panel.app.confirm(*question(answered, title="Leave?"))
        panel.wait(lambda: panel.app.dialog.is_open, "a question")
        assert panel.app.dialog._title.cget("text") == "Leave?"


def looked_at(store: Store) -> list[str]:
    """The window's state now and then in a real main loop."""
    states: list[str] = []
    app = App(store, StillController(store), StillJobs(), demo=True)
    for moment in (400, 900, 1_400):
        app.root.after(moment, lambda: states.append(app.root.state()))
    app.root.after(1_600, lambda: app.quit(leave_running=True))
    app.run()
    return states


def test_the_window_is_there_once_the_program_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 96: with what CustomTkinter does on Windows, which is to hide the window when its loop begins."""
    import customtkinter.windows.ctk_tk as toolkit

    monkeypatch.setattr(toolkit, "sys", SimpleNamespace(platform="win32"))
    assert looked_at(store) == ["normal"] * 3


def test_a_window_whose_screen_was_taken_away_comes_back_within_reach(store: Store) -> None:
    """Fault 154."""
    with open_panel(store) as panel:
        panel.root.withdraw()
        panel.root.wm_geometry("+9000+300")
        panel.app.show_window()
        panel.wait(lambda: 0 <= panel.root.winfo_x() < panel.root.winfo_screenwidth(), "the window to be seen")
