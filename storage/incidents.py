"""What interrupted the bot, by its cause: a crash, the computer's sleep, a lost connection, an update."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from storage.control import KeyValueStore
from storage.database import Database
from storage.text import storable

KEEP_SECONDS = 30 * 86_400


class IncidentKind(StrEnum):
    """The causes that are told apart."""

    CRASH = "crash"
    HUNG = "hung"
    SLEEP = "sleep"
    DISCONNECT = "disconnect"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Incident:
    """From when to when (seconds since 1970; None: it is not over) and, for a crash, what ended the bot."""

    id: int
    kind: IncidentKind
    at: float
    ended_at: float | None
    detail: str = ""


_VERSION_FACT = "program_version"


def note_update(incidents: Incidents, facts: KeyValueStore, version: str, *, at: float) -> None:
    """A start with another version of the program than the last one had is an update."""
    before = facts.get(_VERSION_FACT, "")
    if version and before != version:
        facts.set(_VERSION_FACT, version)
        if before:
            incidents.begin(IncidentKind.UPDATE, detail=version, at=at, ended_at=at)


class Incidents:
    """The `incidents` table."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def begin(
        self, kind: IncidentKind, *, detail: str = "", at: float | None = None, ended_at: float | None = None
    ) -> int:
        """Something interrupted the bot, now or at a moment; returns its number for `end`. ended_at: it is over."""
        moment = self._clock() if at is None else at
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM incidents WHERE at < ?", (moment - KEEP_SECONDS,))
            cursor = connection.execute(
                "INSERT INTO incidents (kind, at, ended_at, detail) VALUES (?, ?, ?, ?)",
                (kind.value, moment, ended_at, storable(detail[:300])),
            )
        return cursor.lastrowid or 0

    def end(self, incident_id: int) -> None:
        """It is back."""
        self._database.execute(
            "UPDATE incidents SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (self._clock(), incident_id)
        )

    def since(self, moment: float) -> tuple[Incident, ...]:
        """What began or was not over after `moment`, oldest first; kinds that a newer program wrote are left out."""
        rows = self._database.rows(
            "SELECT id, kind, at, ended_at, detail FROM incidents WHERE at >= ? OR ended_at >= ? ORDER BY at, id",
            (moment, moment),
        )
        known = {kind.value for kind in IncidentKind}
        return tuple(Incident(row[0], IncidentKind(row[1]), row[2], row[3], row[4]) for row in rows if row[1] in known)
