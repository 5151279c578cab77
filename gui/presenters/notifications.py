"""What is worth telling the owner outside the window, and at which level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.incidents import cause_of
from gui.presenters.snapshot import Pulse
from storage.incidents import Incident, IncidentKind
from storage.records import ModelState

MILESTONES = (100, 500, 1000)
# After the named ones: every so many more.
MILESTONE_STEP = 1000
# More than so many notifications about interruptions in so long are noise: the last says that Home has the rest.
MOST_TOLD, TOLD_SECONDS = 3, 600.0
# A connection is lost when the computer falls asleep or just after it wakes: that is the sleep, not Discord.
_AROUND_A_SLEEP = 90.0
# With the words around it a title stays within what Windows shows.
_CAUSE_LENGTH = 34
_ENDS = (IncidentKind.CRASH, IncidentKind.HUNG)
_RANK = {"errors": 0, "important": 1, "everything": 2}


@dataclass(frozen=True, slots=True)
class Note:
    """One notification. level: the least talkative setting at which it is still told. about: what interrupted the bot,
    where that is what it tells."""

    title: str
    text: str
    tone: str
    level: str
    about: IncidentKind | None = None


def notes_between(before: Pulse | None, now: Pulse) -> tuple[Note, ...]:
    """What changed since the last reading; nothing at the first one."""
    if before is None:
        return ()
    notes = incident_notes(before.incidents, now.incidents)
    is_back = any(note.about in _ENDS for note in notes)
    old, new = before.controller.state, now.controller.state
    if old != new:
        # Its coming back was told with what had ended it.
        notes += _state_change(old, new, now) if not (new == "running" and is_back) else []
    if _model_failed(now) and not _model_failed(before):
        assert now.status is not None
        text = texts.NOTE_MODEL_TEXT.format(error=now.status.model_error)
        notes.append(Note(texts.NOTE_MODEL, text, "bad", "errors"))
    return tuple(notes)


def incident_notes(before: Sequence[Incident], now: Sequence[Incident]) -> list[Note]:
    """What was over between two readings, oldest first; a lost connection that a sleep explains is not told beside
    it."""
    over = {incident.id for incident in before if incident.ended_at is not None}
    sleeps = [incident for incident in now if incident.kind is IncidentKind.SLEEP]
    return [
        _incident_note(incident, incident.ended_at)
        for incident in now
        if incident.ended_at is not None and incident.id not in over and not _is_part_of_one(incident, sleeps)
    ]


def _is_part_of_one(incident: Incident, sleeps: Sequence[Incident]) -> bool:
    return incident.kind is IncidentKind.DISCONNECT and any(
        sleep.at - _AROUND_A_SLEEP <= incident.at <= (sleep.ended_at or sleep.at) + _AROUND_A_SLEEP for sleep in sleeps
    )


def _incident_note(incident: Incident, ended_at: float) -> Note:
    span = words.duration(max(ended_at - incident.at, 1.0))
    title = texts.NOTE_INCIDENTS[incident.kind].format(span=span, detail=incident.detail[:_CAUSE_LENGTH].rstrip())
    if incident.kind in _ENDS and incident.detail:
        title = texts.NOTE_INCIDENT_CAUSE[incident.kind].format(cause=cause_of(incident.detail, most=_CAUSE_LENGTH))
    is_update = incident.kind is IncidentKind.UPDATE
    form = texts.NOTE_INCIDENT_UPDATE if is_update else texts.NOTE_INCIDENT_TEXT
    text = form.format(since=words.clock(incident.at), span=span)
    return Note(title, text, "good" if is_update else "busy", "important", incident.kind)


class IncidentBudget:
    """How many interruptions are told: the first few in ten minutes, then one word that there are more, then none."""

    def __init__(self) -> None:
        self._told: list[float] = []

    def admit(self, note: Note, *, now: float) -> Note | None:
        """The note, or a word that there are more, or None. now: seconds of a clock that does not jump."""
        if note.about is None:
            return note
        self._told = [at for at in self._told if now - at < TOLD_SECONDS]
        if len(self._told) > MOST_TOLD:
            return None
        self._told.append(now)
        if len(self._told) <= MOST_TOLD:
            return note
        return Note(texts.NOTE_INCIDENT_MORE, texts.NOTE_INCIDENT_MORE_TEXT, "busy", "important", note.about)


def _state_change(old: str, new: str, now: Pulse) -> list[Note]:
    if new == "running":
        return [Note(texts.NOTE_STARTED, "", "good", "important")]
    if new == "failed":
        return [Note(texts.NOTE_ERROR, f"{now.controller.detail} {now.controller.cure}".strip(), "bad", "errors")]
    if new == "backoff" and all(incident.ended_at is not None for incident in now.incidents):
        # Nothing was written down that would be told when it is back.
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
