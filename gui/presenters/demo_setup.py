"""What stands in the window while the sample server is set up, and when that stopped. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gui import texts
from gui.presenters.dashboard import JobView
from gui.presenters.plain import plain
from storage.jobs.kinds import JobKind
from storage.records import Job, JobState


@dataclass(frozen=True, slots=True)
class DemoSetupView:
    """job: the set-up at work, None when it is not. what, cure: why it is not; empty while it is."""

    job: JobView | None
    what: str = ""
    cure: str = ""


def demo_setup_view(views: tuple[JobView, ...], ended: Job | None) -> DemoSetupView:
    """views: what runs or was asked for. ended: the newest set-up that came to an end."""
    at_work = next((view for view in views if view.kind == JobKind.DEMO), None)
    if at_work is not None:
        return DemoSetupView(at_work if at_work.text else replace(at_work, text=texts.STATE_STARTING + "…"))
    if ended is None or ended.state is JobState.CANCELLED:
        return DemoSetupView(None, texts.DEMO_SETUP_STOPPED, texts.DEMO_SETUP_STOPPED_CURE)
    return DemoSetupView(None, texts.DEMO_SETUP_FAILED, plain(ended.error))
