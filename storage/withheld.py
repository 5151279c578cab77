"""Messages out of sight and not yet gone: missing on Discord, or deleted by the owner within the grace.

They stand in a table of their own. Whatever reads `messages` cannot meet them, and moving a row there and back keeps
the index in step through the triggers of `messages`. An erasure removes them by a trigger of `erasures`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.database import Database, placeholders
from storage.people import THREAD_KINDS

# A message that fetches on so many different days did not find is erased for good.
DAYS_UNTIL_ERASED = 3
# From the owner's word to the bytes.
GRACE_SECONDS = 7 * 86_400.0
# What the owner says about messages a fetch did not find (`messages.absence`).
ASKED, KEPT = "asked", "kept"
_PART = 500
# Rows moved in one transaction: a running bot must not wait long for its turn to write.
MOVED_AT_ONCE = 2_000
# The second condition is what the partial index is made of.
_ANSWERED = "channel_id = ? AND absence <> '' AND absence = ?"


@dataclass(frozen=True, slots=True)
class AbsenceQuestion:
    """Too many messages of a channel were not found at once: were they really deleted? Only the owner knows."""

    channel_id: int
    channel_name: str
    missing: int
    kept: int
    since: float


@dataclass(frozen=True, slots=True)
class MissingMessages:
    """What fetches did not find in a channel any more and have hidden; `since` is the oldest such moment."""

    channel_id: int
    channel_name: str
    count: int
    since: float


class WithheldMessages:
    """The `withheld_messages` table and the owner's answers about absent messages."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    # ---- what a fetch does not find ---------------------------------------------------------------------

    def mark_missing(self, message_ids: Sequence[int], *, now: float | None = None) -> int:
        """Hide messages a plausible reading did not find. Returns how many were hidden."""
        moment = self._clock() if now is None else now
        with self._database.transaction() as connection:
            return _hide(
                connection,
                message_ids,
                {"withheld_at": moment, "missing_since": moment, "missed_on": json.dumps([_day(moment)])},
            )

    def missed_again(self, message_ids: Sequence[int], *, now: float | None = None) -> list[int]:
        """Hidden messages that a further fetch did not find; returns those missed on enough days to be erased."""
        day = _day(self._clock() if now is None else now)
        settled = []
        with self._database.transaction() as connection:
            for row in _rows(connection, "missing_since IS NOT NULL AND id IN", message_ids):
                days = sorted({*json.loads(row["missed_on"]), day})
                connection.execute(
                    "UPDATE withheld_messages SET missed_on = ? WHERE id = ?", (json.dumps(days), row["id"])
                )
                if len(days) >= DAYS_UNTIL_ERASED:
                    settled.append(int(row["id"]))
        return settled

    def seen(self, message_ids: Sequence[int]) -> int:
        """Discord shows these: they are missing no longer. Returns how many had been."""
        with self._database.transaction() as connection:
            missing = [int(row["id"]) for row in _rows(connection, "missing_since IS NOT NULL AND id IN", message_ids)]
            hide_again(connection, lift(connection, missing, is_seen=True))
        return len(missing)

    def missing_ids(self, channel_id: int) -> list[int]:
        """Hidden in a channel because fetches did not find them, ascending."""
        rows = self._database.rows(
            "SELECT id FROM withheld_messages WHERE channel_id = ? AND missing_since IS NOT NULL ORDER BY id",
            (channel_id,),
        )
        return [row[0] for row in rows]

    def oldest_unsettled(self, channel_id: int, *, since: float) -> int | None:
        """The oldest message hidden at or after `since` that further fetches decide about; None when there is none."""
        found = self._database.value(
            "SELECT MIN(id) FROM withheld_messages WHERE channel_id = ? AND missing_since >= ? "
            "AND confirmed_at IS NULL",
            (channel_id, since),
        )
        return None if found is None else int(found)

    def missing(self) -> list[MissingMessages]:
        """What fetches have hidden, by channel."""
        rows = self._database.rows(
            "SELECT w.channel_id, IFNULL(c.channel_name, ''), COUNT(*), MIN(w.missing_since) FROM withheld_messages "
            "AS w LEFT JOIN channel_allowlist AS c ON c.channel_id = w.channel_id WHERE w.missing_since IS NOT NULL "
            "AND w.deletion_id IS NULL GROUP BY 1 ORDER BY 2, 1"
        )
        return [MissingMessages(*row) for row in rows]

    def restore_missing(self, channel_id: int) -> int:
        """Undo: what fetches hid in a channel is back, and no fetch hides it again. Returns how many."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT id FROM withheld_messages WHERE channel_id = ? AND missing_since IS NOT NULL", (channel_id,)
            ).fetchall()
            ids = [row[0] for row in rows]
            connection.execute(
                "UPDATE withheld_messages SET missing_since = NULL, missed_on = '[]', confirmed_at = NULL "
                "WHERE channel_id = ?",
                (channel_id,),
            )
            back = release(connection, ids)
            connection.executemany(
                "UPDATE messages SET absence = ?, absent_since = NULL WHERE id = ?", [(KEPT, i) for i in back]
            )
        return len(back)

    # ---- too many at once: the owner is asked -----------------------------------------------------------

    def ask(self, channel_id: int, message_ids: Sequence[int], *, now: float | None = None) -> None:
        """The open question about a channel: these were not found, nothing was hidden. () takes the question back."""
        moment = self._clock() if now is None else now
        wanted = set(message_ids)
        with self._database.transaction() as connection:
            open_ids = {
                row[0]
                for row in connection.execute(
                    f"SELECT id FROM messages WHERE {_ANSWERED}",
                    (channel_id, ASKED),
                )
            }
            connection.executemany(
                "UPDATE messages SET absence = '', absent_since = NULL WHERE id = ?",
                [(message_id,) for message_id in open_ids - wanted],
            )
            connection.executemany(
                "UPDATE messages SET absence = ?, absent_since = ? WHERE id = ? AND absence <> ?",
                [(ASKED, moment, message_id, KEPT) for message_id in wanted - open_ids],
            )

    def questions(self) -> list[AbsenceQuestion]:
        """Every open question, by channel name."""
        rows = self._database.rows(
            "SELECT m.channel_id, IFNULL(c.channel_name, ''), COUNT(*), (SELECT COUNT(*) FROM messages AS k WHERE "
            "k.channel_id = m.channel_id), MIN(m.absent_since) FROM messages AS m LEFT JOIN channel_allowlist AS c "
            "ON c.channel_id = m.channel_id WHERE m.absence <> '' AND m.absence = ? GROUP BY 1 ORDER BY 2, 1",
            (ASKED,),
        )
        return [AbsenceQuestion(*row) for row in rows]

    def confirm(self, channel_id: int) -> int:
        """The owner: they were really deleted. Hidden at once, restorable for the grace, then erased."""
        now = self._clock()
        with self._database.transaction() as connection:
            rows = connection.execute(f"SELECT id FROM messages WHERE {_ANSWERED}", (channel_id, ASKED)).fetchall()
            ids = [row[0] for row in rows]
            connection.executemany(
                "UPDATE messages SET absence = '', absent_since = NULL WHERE id = ?", [(i,) for i in ids]
            )
            return _hide(
                connection,
                ids,
                {
                    "withheld_at": now,
                    "missing_since": now,
                    "missed_on": json.dumps([_day(now)]),
                    "confirmed_at": now,
                },
            )

    def dismiss(self, channel_id: int) -> int:
        """The owner: they stay. No fetch asks about these again."""
        return self._database.execute(
            f"UPDATE messages SET absence = ?, absent_since = NULL WHERE {_ANSWERED}",
            (KEPT, channel_id, ASKED),
        )

    def kept_ids(self, channel_id: int) -> frozenset[int]:
        """Messages that stay by the owner's word, found or not."""
        rows = self._database.rows(f"SELECT id FROM messages WHERE {_ANSWERED}", (channel_id, KEPT))
        return frozenset(row[0] for row in rows)

    # ---- for others -------------------------------------------------------------------------------------

    def due_ids(self, *, now: float) -> list[int]:
        """Missing by the owner's word for longer than the grace."""
        rows = self._database.rows(
            "SELECT id FROM withheld_messages WHERE confirmed_at <= ? ORDER BY id", (now - GRACE_SECONDS,)
        )
        return [row[0] for row in rows]

    def some_of(self, deletion_id: int) -> list[int]:
        """Up to MOVED_AT_ONCE of the messages that a deletion hides."""
        rows = self._database.rows(
            "SELECT id FROM withheld_messages WHERE deletion_id = ? LIMIT ?", (deletion_id, MOVED_AT_ONCE)
        )
        return [row[0] for row in rows]

    def since(self, moment: float) -> dict[int, set[int]]:
        """Message ids by channel that were hidden at `moment` or later: a running bot drops them from its memory."""
        found: dict[int, set[int]] = {}
        for row in self._database.rows(
            "SELECT channel_id, id FROM withheld_messages WHERE withheld_at >= ?", (moment,)
        ):
            found.setdefault(row[0], set()).add(row[1])
        return found

    def known(self, message_ids: Sequence[int]) -> set[int]:
        """Which of these are hidden."""
        return {int(row["id"]) for row in _rows(self._database.connection(), "id IN", message_ids)}

    def words_of(self, message_ids: Collection[int]) -> list[str]:
        """What these hidden messages say."""
        rows = _rows(self._database.connection(), "id IN", sorted(message_ids))
        return [words for row in rows if (words := json.loads(row["record"])["content"])]

    def count(self) -> int:
        """How many are hidden."""
        return int(self._database.value("SELECT COUNT(*) FROM withheld_messages"))


# ---- rows there and back, inside a transaction ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lifted:
    """Hidden rows that were put back for the time of a write, with what hides each of them again."""

    states: dict[int, dict[str, object]]


def lift(connection: sqlite3.Connection, message_ids: Sequence[int], *, is_seen: bool) -> Lifted:
    """Put hidden messages back so that a write treats them like any other; `hide_again` follows in the transaction.

    is_seen: Discord shows them, so they are not missing. What the owner deleted stays hidden all the same.
    """
    states: dict[int, dict[str, object]] = {}
    for row in _rows(connection, "id IN", message_ids):
        state = {name: row[name] for name in _STATE}
        if is_seen:
            state |= {"missing_since": None, "missed_on": "[]", "confirmed_at": None}
        if state["missing_since"] is not None or state["deletion_id"] is not None:
            states[int(row["id"])] = state
        _put_back(connection, row)
    return Lifted(states)


def unchanged(connection: sqlite3.Connection, contents: Mapping[int, str], *, is_seen: bool) -> set[int]:
    """Hidden messages that stay hidden and whose words are those that are kept: nothing is to be written."""
    return {
        int(row["id"])
        for row in _rows(connection, "id IN", list(contents))
        if (row["deletion_id"] is not None or not is_seen)
        and not (is_seen and row["missing_since"] is not None)
        and json.loads(row["record"])["content"] == contents[row["id"]]
    }


def hide_again(connection: sqlite3.Connection, lifted: Lifted) -> None:
    """The other half of `lift`."""
    for message_id, state in lifted.states.items():
        _hide(connection, [message_id], state)


def hide_pending(connection: sqlite3.Connection, message_ids: Sequence[int], *, now: float) -> int:
    """Hide those that an owner's deletion still in its grace covers, by author or channel."""
    covering = _pending(connection)
    if not covering:
        return 0
    hidden = 0
    for start in range(0, len(message_ids), _PART):
        part = message_ids[start : start + _PART]
        rows = connection.execute(
            f"SELECT id, channel_id, author_id FROM messages WHERE id IN ({placeholders(part)})", part
        ).fetchall()
        for row in rows:
            deletion = _covered_by(covering, row)
            if deletion is not None:
                hidden += _hide(connection, [row["id"]], {"withheld_at": now, "deletion_id": deletion})
    return hidden


def hide_some(connection: sqlite3.Connection, column: str, value: int, *, deletion_id: int, now: float) -> int:
    """Hide up to MOVED_AT_ONCE messages of one author or channel, or one message, for a deletion by the owner.

    Returns how many; 0 when none is left in sight. What is hidden as missing is taken over.
    """
    assert column in ("id", "author_id", "channel_id")
    connection.execute(
        f"UPDATE withheld_messages SET deletion_id = ? WHERE {column} = ? AND deletion_id IS NULL",
        (deletion_id, value),
    )
    found = connection.execute(f"SELECT id FROM messages WHERE {column} = ? LIMIT ?", (value, MOVED_AT_ONCE))
    return _hide(connection, [row[0] for row in found], {"withheld_at": now, "deletion_id": deletion_id})


def release_some(connection: sqlite3.Connection) -> tuple[int, int]:
    """Take up to MOVED_AT_ONCE hidden messages from deletions that were undone; put back what nothing else hides.

    Returns how many were looked at, 0 when none is left, and how many are back.
    """
    rows = connection.execute(
        "SELECT id, channel_id, author_id FROM withheld_messages WHERE deletion_id IS NOT NULL "
        "AND deletion_id NOT IN (SELECT id FROM deletions) LIMIT ?",
        (MOVED_AT_ONCE,),
    ).fetchall()
    others = _pending(connection)
    for row in rows:
        connection.execute(
            "UPDATE withheld_messages SET deletion_id = ? WHERE id = ?", (_covered_by(others, row), row["id"])
        )
    return len(rows), len(release(connection, [row["id"] for row in rows]))


def release(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[int]:
    """Put back those of the messages that nothing hides any more; returns their ids."""
    free = list(_rows(connection, "missing_since IS NULL AND deletion_id IS NULL AND id IN", message_ids))
    for row in free:
        _put_back(connection, row)
    return [int(row["id"]) for row in free]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a database hides and why, to be hidden the same in another state of it (a restored backup)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    deletions: tuple[tuple[object, ...], ...]
    in_sight: frozenset[int]


def snapshot(connection: sqlite3.Connection) -> Snapshot:
    """The hidden messages, and the owner's deletions that can still be undone."""
    cursor = connection.execute("SELECT * FROM withheld_messages")
    return Snapshot(
        tuple(column[0] for column in cursor.description),
        tuple(tuple(row) for row in cursor),
        tuple(tuple(row) for row in connection.execute(f"SELECT {_DELETION} FROM deletions")),
        frozenset(row[0] for row in connection.execute("SELECT id FROM messages")),
    )


def apply(connection: sqlite3.Connection, newest: Snapshot) -> None:
    """Hide here what is hidden there and show what is in sight there: the newest word counts, not the backup's.

    Erasures must have been applied before; what they name does not come back this way.
    """
    connection.execute("DELETE FROM deletions")
    connection.executemany(f"INSERT INTO deletions ({_DELETION}) VALUES (?, ?, ?, ?, ?, ?, ?)", newest.deletions)
    here = connection.execute("SELECT * FROM withheld_messages").fetchall()
    for row in here:
        if row["id"] in newest.in_sight:
            _put_back(connection, row)
    for row in newest.rows:
        state = dict(zip(newest.columns, row, strict=True))
        connection.execute("DELETE FROM messages WHERE id = ?", (state["id"],))
        connection.execute(
            f"INSERT OR REPLACE INTO withheld_messages ({', '.join(newest.columns)}) VALUES ({placeholders(row)})", row
        )


_DELETION = "id, kind, subject_id, name, asked_by, asked_at, switches"
_STATE = ("withheld_at", "missing_since", "missed_on", "confirmed_at", "deletion_id")


def _hide(connection: sqlite3.Connection, message_ids: Sequence[int], state: dict[str, object]) -> int:
    """Move rows with their reactions out of `messages`; the trigger takes them out of the index."""
    hidden = 0
    for message_id in message_ids:
        row = connection.execute("SELECT * FROM messages WHERE id = ?", (message_id,)).fetchone()
        if row is None:
            continue
        reactions = connection.execute(
            "SELECT emoji, count FROM reactions WHERE message_id = ? ORDER BY emoji", (message_id,)
        ).fetchall()
        values = {
            "id": message_id,
            "channel_id": row["channel_id"],
            "author_id": row["author_id"],
            # By name: a column added later travels along.
            "record": json.dumps(dict(row), ensure_ascii=False),
            "reactions": json.dumps([list(pair) for pair in reactions], ensure_ascii=False),
            **state,
        }
        connection.execute(
            f"INSERT OR REPLACE INTO withheld_messages ({', '.join(values)}) VALUES ({placeholders(values)})",
            list(values.values()),
        )
        connection.execute("DELETE FROM messages WHERE id = ?", (message_id,))
        hidden += 1
    return hidden


def _put_back(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    record = json.loads(row["record"])
    connection.execute(
        f"INSERT OR IGNORE INTO messages ({', '.join(record)}) VALUES ({placeholders(record)})", list(record.values())
    )
    connection.executemany(
        "INSERT OR IGNORE INTO reactions (message_id, emoji, count) VALUES (?, ?, ?)",
        [(row["id"], emoji, count) for emoji, count in json.loads(row["reactions"])],
    )
    connection.execute("DELETE FROM withheld_messages WHERE id = ?", (row["id"],))


def _pending(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    """The owner's deletions in their grace by what they cover; a channel's covers its threads."""
    pending = connection.execute("SELECT id, kind, subject_id FROM deletions ORDER BY id DESC").fetchall()
    covering = {(row["kind"], row["subject_id"]): row["id"] for row in pending}
    for row in pending:
        if row["kind"] == "channel":
            threads = connection.execute(
                "SELECT channel_id, kind FROM channel_allowlist WHERE parent_id = ?", (row["subject_id"],)
            )
            covering |= {("channel", thread[0]): row["id"] for thread in threads if thread[1] in THREAD_KINDS}
    return covering


def _covered_by(deletions: dict[tuple[str, int], int], row: sqlite3.Row) -> int | None:
    for kind, column in (("member", "author_id"), ("channel", "channel_id"), ("message", "id")):
        if (kind, row[column]) in deletions:
            return deletions[kind, row[column]]
    return None


def _rows(connection: sqlite3.Connection, condition: str, message_ids: Sequence[int]) -> Iterable[sqlite3.Row]:
    found: list[sqlite3.Row] = []
    for start in range(0, len(message_ids), _PART):
        part = list(message_ids[start : start + _PART])
        found += connection.execute(
            f"SELECT * FROM withheld_messages WHERE {condition} ({placeholders(part)})", part
        ).fetchall()
    return found


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))
