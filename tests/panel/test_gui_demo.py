"""The demo's first start: the window at once, the set-up as its content, then the Playground."""

from __future__ import annotations

import pytest

from bot_controller import JobRunner
from gui import texts
from storage.jobs.kinds import JobKind
from storage.records import JobState
from storage.store import Store
from tests.support.panel import StillController, StillJobs, open_panel

pytestmark = pytest.mark.usefixtures("display")


def test_the_set_up_runs_in_the_window_and_cancel_ends_it(store: Store) -> None:
    """Fault 175: the real set-up as its own process; the bot waits for it."""
    controller = StillController(store)
    with open_panel(store, controller, JobRunner(store), needs_demo_server=True) as panel:
        room = panel.app.window.front
        assert room.key == "demo_setup"
        running = panel.wait(lambda: store.jobs.active(), "the set-up to report", seconds=60)[0]
        panel.wait(lambda: room.line.winfo_ismapped() and room.line.cancel.is_enabled, "its line")
        panel.app.go("playground")
        panel.turn(0.1)
        assert panel.app.window.front is room
        panel.click(room.line.cancel)
        panel.wait(lambda: not store.jobs.get(running.id).is_active, "the set-up to end", seconds=30)
        assert store.jobs.get(running.id).state is JobState.CANCELLED
        panel.wait(room.again.winfo_ismapped, "a way to go on")
        assert texts.DEMO_SETUP_STOPPED in room.trouble.what.cget("text")
        assert controller.asked == []


def test_a_failed_set_up_says_why_and_a_good_one_opens_the_playground(store: Store) -> None:
    """Fault 175."""
    controller, jobs = StillController(store), StillJobs()
    with open_panel(store, controller, jobs, needs_demo_server=True) as panel:
        room = panel.app.window.front
        failed = store.jobs.start(JobKind.DEMO)
        store.jobs.finish(failed.job_id, JobState.FAILED, error="The disk is full. Make room.")
        panel.wait(room.again.winfo_ismapped, "the failure")
        assert "The disk is full" in room.trouble.cure.cget("text")
        panel.click(room.again)
        panel.wait(lambda: jobs.started == [(JobKind.DEMO, [])] * 2, "the second try")
        done = store.jobs.start(JobKind.DEMO)
        store.jobs.finish(done.job_id, JobState.DONE)
        panel.wait(lambda: panel.app.window.front.key == "playground", "the Playground")
        assert controller.asked == ["start"]
