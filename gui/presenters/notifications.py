"""What is worth telling the owner outside the window, and at which level."""

from __future__ import annotations

from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.snapshot import Pulse
from storage.records import ModelState

MILESTONES = (100, 500, 1000)
# After the named ones: every so many more.
MILESTONE_STEP = 1000
_RANK = {"errors": 0, "important": 1, "everything": 2}


@dataclass(frozen=True, slots=True)
class Note:
    """One notification. level: the least talkative setting at which it is still told."""

    title: str
    text: str
    tone: str
    level: str


def notes_between(before: Pulse | None, now: Pulse) -> tuple[Note, ...]:
    """What changed since the last reading; nothing at the first one."""
    if before is None:
        return ()
    notes = []
    old, new = before.controller.state, now.controller.state
    if old != new:
        notes += _state_change(old, new, now)
    if _model_failed(now) and not _model_failed(before):
        assert now.status is not None
        text = texts.NOTE_MODEL_TEXT.format(error=now.status.model_error)
        notes.append(Note(texts.NOTE_MODEL, text, "bad", "errors"))
    return tuple(notes)


def _state_change(old: str, new: str, now: Pulse) -> list[Note]:
    if new == "running":
        return [Note(texts.NOTE_STARTED, "", "good", "important")]
    if new == "failed":
        return [Note(texts.NOTE_ERROR, f"{now.controller.detail} {now.controller.cure}".strip(), "bad", "errors")]
    if new == "backoff":
        return [Note(texts.NOTE_RESTARTED, now.controller.detail, "busy", "important")]
    if new == "stopped" and old != "stopped":
        return [Note(texts.NOTE_STOPPED, "", "idle", "important")]
    return []


def _model_failed(pulse: Pulse) -> bool:
    return pulse.is_alive and pulse.status is not None and pulse.status.model_state is ModelState.FAILED


def milestone(replies: int, *, told: int) -> int:
    """The newest milestone reached and not told yet, 0 when there is none."""
    reached = [mark for mark in MILESTONES if mark <= replies]
    if replies >= MILESTONES[-1] + MILESTONE_STEP:
        reached.append(replies // MILESTONE_STEP * MILESTONE_STEP)
    return reached[-1] if reached and reached[-1] > told else 0


def milestone_note(count: int) -> Note:
    """The note about a round number of replies."""
    shown = words.whole(count)
    return Note(
        texts.NOTE_MILESTONE.format(count=shown), texts.NOTE_MILESTONE_TEXT.format(count=shown), "good", "everything"
    )


def is_told(note: Note, level: str) -> bool:
    """Whether the owner's notification level lets this one through."""
    return _RANK[note.level] <= _RANK.get(level, 2)
