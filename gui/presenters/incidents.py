"""What interrupted the bot, in words. Pure."""

from __future__ import annotations

import time

from gui import texts
from gui.presenters import format as words
from storage.incidents import Incident, IncidentKind


def incident_text(incident: Incident) -> str:
    """'Wed 03:12 it ended by itself (out of memory) and was back in 3 s'."""
    when = time.strftime("%a %H:%M", time.localtime(incident.at))
    what = texts.INCIDENTS[incident.kind].format(detail=incident.detail)
    if incident.kind is IncidentKind.UPDATE:
        return texts.INCIDENT_ENDED.format(when=when, what=what)
    if incident.detail:
        what = texts.INCIDENT_DETAIL.format(what=what, detail=cause_of(incident.detail))
    if incident.ended_at is None:
        return texts.INCIDENT_OPEN.format(when=when, what=what)
    is_end = incident.kind in (IncidentKind.CRASH, IncidentKind.HUNG)
    form = texts.INCIDENT_BACK if is_end else texts.INCIDENT_FOR
    return form.format(when=when, what=what, span=words.duration(max(incident.ended_at - incident.at, 1.0)))


def cause_of(detail: str, *, most: int = 60) -> str:
    """What ended it, in at most so many characters: the process is known, and the logs have the rest."""
    if "MemoryError" in detail or "out of memory" in detail.lower():
        return texts.CAUSE_MEMORY
    if "signal 9" in detail:
        return texts.CAUSE_KILLED
    cause = detail.removeprefix("The bot process ").removesuffix("; see the log.").rstrip(".")
    return cause if len(cause) <= most else cause[: most - 1].rstrip() + "…"
