"""What is told without being asked for: changes of state, finished jobs, milestones, the retrain reminder."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from gui import texts
from gui.presenters.dashboard import finished_text
from gui.presenters.notifications import IncidentBudget, Note, is_told, milestone, milestone_note, notes_between
from gui.presenters.people import has_open_question
from gui.presenters.pipeline import retrain_plan
from gui.presenters.plain import plain
from gui.presenters.snapshot import Pulse
from gui.presenters.training import deploy_question, force_question, is_due, retrain_note
from storage.deletions import erase_due
from storage.forgetting import sweep_if_free
from storage.jobs.kinds import JobKind
from storage.jobs.results import FetchResult
from storage.records import Job
from storage.retrain_schedule import take_due
from storage.settings import NOTIFICATION_LEVEL, NOTIFICATIONS, RETRAIN_REMINDER, SOUND, Settings
from storage.store import Store

REMINDERS_SECONDS = 60.0


class Teller(Protocol):
    """What the news needs of the panel."""

    store: Store
    root: Any
    tray: Any

    pulse: Pulse | None

    @property
    def is_hidden(self) -> bool:
        """Whether the window is out of sight, so that a note has to go to the desktop."""

    def ask(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], Any] | None = None,
        *,
        failed: Callable[[Exception], Any] | None = None,
        slow: bool = False,
    ) -> None:
        """Do `work` on a worker, then hand its result or its exception over on the window's thread."""

    def toast(self, title: str, body: str = "", *, tone: str = "idle") -> None:
        """Show a short note in the corner."""

    def confirm(self, title: str, text: str, answers: list[tuple[str, str, Callable[[], Any] | None]]) -> None:
        """Ask something; each answer is its words, its look and what it does."""

    def start_job(self, kind: str, args: list[str] | None = None) -> None:
        """Start a job."""

    def go(self, room: str) -> None:
        """Put a room in front."""


class Notifier:
    """Compares readings and tells what is worth it: in the window, on the desktop, with a sound."""

    def __init__(self, panel: Teller) -> None:
        self._panel = panel
        self._seen: set[int] | None = None
        self._reminders_at = 0.0
        self._budget = IncidentBudget()

    def follow(self, before: Pulse | None, now: Pulse) -> None:
        """A new reading."""
        self._tell_finished(now)
        for found in notes_between(before, now):
            note = self._budget.admit(found, now=time.monotonic())
            if note is not None:
                self.notify(note, now.settings)
        if time.monotonic() - self._reminders_at > REMINDERS_SECONDS:
            self._reminders_at = time.monotonic()
            store, reminder = self._panel.store, now.settings[RETRAIN_REMINDER]
            self._panel.ask(
                lambda: (read_reminders(store, reminder), take_due(store, now=time.time())),
                lambda found: self._remind(found[0], found[1], now.settings),
                slow=True,
            )

    def _remind(self, notes: tuple[Note, ...], is_night_for_training: bool, settings: Settings) -> None:
        for note in notes:
            self.notify(note, settings)
        if is_night_for_training:  # as was decided before: nobody is there to be asked
            panel = self._panel
            panel.ask(
                lambda: retrain_plan(panel.store.jobs.latest(JobKind.PREFLIGHT), panel.pulse, now=time.time()),
                lambda plan: panel.start_job(JobKind.RETRAIN, list(plan.arguments)),
            )

    def notify(self, note: Note, settings: Settings) -> None:
        """In the window, and on the desktop as far as the owner's settings allow."""
        panel = self._panel
        panel.toast(note.title, note.text, tone=note.tone)
        if not settings[NOTIFICATIONS] or not is_told(note, settings[NOTIFICATION_LEVEL]):
            return
        if panel.is_hidden or panel.root.focus_displayof() is None:
            panel.ask(lambda: panel.tray.notify(note.title, note.text))
        if settings[SOUND]:
            panel.root.bell()

    def _tell_finished(self, pulse: Pulse) -> None:
        ended = {job.id: job for job in pulse.finished}
        if self._seen is None:
            self._seen = set(ended)
        for job_id in sorted(ended.keys() - self._seen):
            self._seen.add(job_id)
            tone, title, body = finished_text(ended[job_id])
            self.notify(Note(title, body, tone, "errors" if tone == "bad" else "important"), pulse.settings)
            self._ask_after(ended[job_id])

    def _ask_after(self, job: Job) -> None:
        panel = self._panel
        if (question := deploy_question(job)) is not None:
            # Home's card holds the question with its figures and replies until it is answered.
            panel.confirm(
                texts.DEPLOY_TITLE,
                question.text,
                [
                    (texts.DEPLOY_LATER, "secondary", None),
                    (texts.DEPLOY_LOOK, "primary", lambda: panel.go("home")),
                ],
            )
        elif has_open_question(job):
            panel.confirm(
                texts.ABSENT_TITLE,
                "\n".join(filter(None, (plain(sentence) for sentence in FetchResult.of(job).attention))),
                [
                    (texts.ABSENT_LATER, "secondary", None),
                    (texts.ABSENT_SHOW, "primary", lambda: panel.go("people")),
                ],
            )
        elif (question := force_question(job)) is not None:
            deploy = partial(panel.start_job, JobKind.DEPLOY, ["--model", question.gguf, "--force"])
            panel.confirm(
                texts.FORCE_TITLE,
                question.text,
                [(texts.FORCE_NO, "secondary", None), (texts.FORCE_GO, "danger", deploy)],
            )


def read_reminders(store: Store, reminder: int) -> tuple[Note, ...]:
    """Milestones and the retrain reminder that are due; each is told once.

    The panel's own housekeeping too, whether or not a bot ever runs: what the owner deleted a week ago is erased, and
    what was taken back a minute ago leaves every file.
    """
    erase_due(store)
    oldest = store.withdrawals.oldest_unswept()
    if oldest is not None and time.time() - oldest >= REMINDERS_SECONDS:
        sweep_if_free(store)
    notes = []
    reached = milestone(store.activity.total_replies(), told=int(store.facts.get("milestone_told", 0)))
    if reached:
        store.facts.set("milestone_told", reached)
        notes.append(milestone_note(reached))
    prepared = store.jobs.latest(JobKind.PREPARE)
    if reminder and prepared is not None:
        new = store.messages.count_since(prepared.started_at)
        told_job, told_at = store.facts.get("retrain_told", (0, 0))
        told = int(told_at) if told_job == prepared.id else 0
        if is_due(new, reminder=reminder, told_at=told):
            store.facts.set("retrain_told", [prepared.id, new])
            notes.append(retrain_note(new))
    return tuple(notes)
