"""What the owner deletes by hand: out of sight at once, restorable for seven days, then erased.

A member's own word (`!forgetme`) and a deletion on Discord know no grace; they do not come through here. Whoever does
housekeeping calls `erase_due`: the bot, the panel, the next fetch.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from storage import withheld
from storage.database import Database
from storage.errors import AlreadyRunningError
from storage.forgetting import forget_member, mark_models
from storage.people import SWITCHES, THREAD_KINDS
from storage.store import Store
from storage.system.locks import FileLock
from storage.text import storable

log = logging.getLogger(__name__)
# What deleting a channel switches off, so that it does not fill again; an undo puts them back.
_SWITCHES = ("learn", "recall")
_SUBJECTS = {"member": "author_id", "channel": "channel_id", "message": "id"}


class DeletionKind(StrEnum):
    """What was deleted."""

    MEMBER = "member"
    CHANNEL = "channel"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion by the owner that can still be undone. `messages` are hidden; `due_at`: when the bytes go."""

    id: int
    kind: DeletionKind
    subject_id: int
    name: str
    asked_by: str
    asked_at: float
    messages: int

    @property
    def due_at(self) -> float:
        """When the grace is over and the messages go, in seconds since 1970."""
        return self.asked_at + withheld.GRACE_SECONDS


class Deletions:
    """The `deletions` table."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._database: Database = store.messages_db
        self._clock = clock

    def delete_member(self, member_id: int, *, by: str) -> Deletion:
        """Hide everything of one member, and what they still write, until it is erased or undone."""
        member = self._store.members.get(member_id)
        name = (member.display_name or member.username) if member else ""
        deletion = self._delete(DeletionKind.MEMBER, member_id, name, by)
        mark_models(self._store.workspace, self._clock(), reason="a member was deleted")
        return deletion

    def delete_channel(self, channel_id: int, *, by: str) -> Deletion:
        """Hide everything kept of a channel and of its threads, and switch Learn and Recall off there."""
        channel = self._store.channels.get(channel_id)
        before = {name: bool(getattr(channel, name)) for name in _SWITCHES} if channel else {}
        return self._delete(DeletionKind.CHANNEL, channel_id, channel.name if channel else "", by, before)

    def delete_message(self, message_id: int, *, by: str) -> Deletion:
        """Hide one message."""
        return self._delete(DeletionKind.MESSAGE, message_id, "", by)

    def all(self) -> list[Deletion]:
        """Everything that can still be undone, the newest first."""
        rows = self._database.rows(
            "SELECT d.id, d.kind, d.subject_id, d.name, d.asked_by, d.asked_at, (SELECT COUNT(*) FROM "
            "withheld_messages AS w WHERE w.deletion_id = d.id) FROM deletions AS d ORDER BY d.asked_at DESC, d.id DESC"
        )
        return [Deletion(row[0], DeletionKind(row[1]), *row[2:]) for row in rows]

    def undo(self, deletion_id: int) -> int:
        """Bring back what a deletion hid; returns how many messages. 0 when its time was over."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT subject_id, switches FROM deletions WHERE id = ?", (deletion_id,)
            ).fetchone()
            if row is None:
                return 0
            connection.execute("DELETE FROM deletions WHERE id = ?", (deletion_id,))
            switches = {name: value for name, value in json.loads(row["switches"]).items() if name in SWITCHES}
            if switches:
                self._store.channels.switch(row["subject_id"], **switches)
        return self._release()

    def complete(self) -> None:
        """Finish what a kill cut short: hide what a deletion covers, and put back what an undone one hid."""
        for deletion in self.all():
            self._hide(deletion.id, deletion.kind, deletion.subject_id)
        self._release()

    def _delete(
        self, kind: DeletionKind, subject_id: int, name: str, by: str, switches: dict[str, bool] | None = None
    ) -> Deletion:
        # The decision first: from then on whatever is stored of it is hidden, and `complete` can finish the rest.
        with self._database.transaction() as connection:
            is_new = connection.execute(
                "INSERT INTO deletions (kind, subject_id, name, asked_by, asked_at, switches) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, subject_id) DO NOTHING",
                (kind.value, subject_id, storable(name), by, self._clock(), json.dumps(switches or {})),
            ).rowcount
            if is_new and switches:
                self._store.channels.switch(subject_id, **dict.fromkeys(switches, False))
            deletion_id = connection.execute(
                "SELECT id FROM deletions WHERE kind = ? AND subject_id = ?", (kind.value, subject_id)
            ).fetchone()[0]
        self._hide(deletion_id, kind, subject_id)
        return next(deletion for deletion in self.all() if deletion.id == deletion_id)

    def _hide(self, deletion_id: int, kind: DeletionKind, subject_id: int) -> None:
        for subject in self._subjects(kind, subject_id):
            while True:
                with self._database.transaction() as connection:
                    if not withheld.hide_some(
                        connection, _SUBJECTS[kind.value], subject, deletion_id=deletion_id, now=self._clock()
                    ):
                        break

    def _release(self) -> int:
        back = 0
        while True:
            with self._database.transaction() as connection:
                looked_at, released = withheld.release_some(connection)
            back += released
            if not looked_at:
                return back

    def _subjects(self, kind: DeletionKind, subject_id: int) -> list[int]:
        if kind is not DeletionKind.CHANNEL:
            return [subject_id]
        rows = self._database.rows("SELECT channel_id, kind FROM channel_allowlist WHERE parent_id = ?", (subject_id,))
        return [subject_id, *(row[0] for row in rows if row[1] in THREAD_KINDS)]


def erase_due(store: Store, *, clock: Callable[[], float] = time.time) -> int:
    """Erase for good what the owner deleted, or called deleted, seven days ago; returns how many messages.

    A member's words leave every file too (`storage.forgetting`). Safe to repeat: cut short, the next call goes on;
    while another process is at it, it is left to that one.
    """
    now = clock()
    try:
        with FileLock(store.workspace.locks / "erasing.lock", holder="Erasing").acquire():
            Deletions(store, clock=clock).complete()
            return _erase_due(store, clock, now)
    except AlreadyRunningError:
        return 0


def _begin_at_the_latest_now(store: Store, now: float) -> None:
    """A grace that begins in the future was stored before the clock was set back; it would last for as much longer."""
    store.messages_db.execute("UPDATE deletions SET asked_at = ? WHERE asked_at > ?", (now, now))
    store.messages_db.execute("UPDATE withheld_messages SET confirmed_at = ? WHERE confirmed_at > ?", (now, now))


def _erase_due(store: Store, clock: Callable[[], float], now: float) -> int:
    _begin_at_the_latest_now(store, now)
    erased = store.messages.delete(store.withheld.due_ids(now=now), erased_at=now)
    deletions = Deletions(store, clock=clock)
    for deletion in deletions.all():
        if deletion.due_at > now:
            continue
        if deletion.kind is DeletionKind.MEMBER:
            # Their withheld messages and the deletion's own row go with the erasure, by triggers.
            forget_member(store, deletion.subject_id, clock=clock)
            erased += deletion.messages
            continue
        while ids := store.withheld.some_of(deletion.id):
            erased += store.messages.delete(ids, erased_at=now, by_owner=True)
        store.messages_db.execute("DELETE FROM deletions WHERE id = ?", (deletion.id,))
    if erased:
        log.info("Deleted by the owner a week ago and now erased: %d messages", erased)
    return erased
