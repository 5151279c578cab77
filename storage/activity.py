"""What the bot saw and did: one row a message, rolled into daily totals after 30 days."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Database
from storage.records import Activity
from storage.text import storable

KEEP_SECONDS = 30 * 86_400
_COLUMNS = (
    "at, message_id, channel_id, author_id, author_name, spoke, reason, latency_ms, first_token_ms, "
    "prompt_tokens, prefilled_tokens, reply_tokens, reply_id, error, is_due"
)
ENDED_EARLY = "the bot ended while it was being answered"


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures of a time span; latencies in milliseconds, None where there was no reply."""

    seen: int = 0
    spoken: int = 0
    errors: int = 0
    latency_mean_ms: float | None = None
    latency_min_ms: float | None = None
    latency_max_ms: float | None = None
    conversations: int = 0


class ActivityLog:
    """The `activity`, `activity_days` and `samples` tables."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, entries: Sequence[Activity]) -> None:
        """Store a batch in one transaction."""
        with self._database.transaction() as connection:
            _insert(connection, entries)

    def newest_ids(self, channel_ids: Sequence[int]) -> dict[int, int]:
        """The newest message decided about in each of these channels, as far as rows are kept."""
        rows = self._database.rows("SELECT channel_id, MAX(message_id) AS newest FROM activity GROUP BY channel_id")
        newest = {row["channel_id"]: int(row["newest"]) for row in rows}
        return {channel_id: newest[channel_id] for channel_id in channel_ids if channel_id in newest}

    def add_note(self, message_id: int, note: str) -> None:
        """Say one thing more in the reason of a decision that was stored."""
        self._database.execute(
            "UPDATE activity SET reason = reason || '; ' || ? "
            "WHERE id = (SELECT MAX(id) FROM activity WHERE message_id = ?)",
            (note, message_id),
        )

    def settle(self, entries: Sequence[Activity]) -> None:
        """Complete the rows of decisions stored as due, in one transaction; one that could not be stored is added."""
        with self._database.transaction() as connection:
            for e in entries:
                # Not the author: a member may have been forgotten meanwhile.
                found = connection.execute(
                    "UPDATE activity SET spoke = ?, reason = ?, latency_ms = ?, first_token_ms = ?, prompt_tokens = ?, "
                    "prefilled_tokens = ?, reply_tokens = ?, reply_id = ?, error = ?, is_due = 0 "
                    "WHERE message_id = ? AND is_due = 1",
                    (
                        int(e.spoke),
                        e.reason,
                        e.latency_ms,
                        e.first_token_ms,
                        e.prompt_tokens,
                        e.prefilled_tokens,
                        e.reply_tokens,
                        e.reply_id,
                        storable(e.error),
                        e.message_id,
                    ),
                )
                if not found.rowcount:
                    _insert(connection, [e])

    def close_due(self) -> int:
        """What an earlier process left unanswered says so from now on; returns how many. For the start of a bot."""
        return self._database.execute(
            "UPDATE activity SET is_due = 0, error = ?, reason = reason || '; ' || ? WHERE is_due = 1",
            (ENDED_EARLY, ENDED_EARLY),
        )

    def due(self) -> int:
        """Messages whose answer is not out yet."""
        return int(self._database.value("SELECT COUNT(*) FROM activity WHERE is_due = 1"))

    def recent(self, *, limit: int = 50, channel_id: int | None = None, only_spoken: bool = False) -> list[Activity]:
        """Newest first; of one channel, or only what was answered (or is about to be), when asked for."""
        where = "WHERE 1" + (" AND channel_id = ?" if channel_id is not None else "")
        where += " AND (spoke = 1 OR is_due = 1)" if only_spoken else ""
        values = [limit] if channel_id is None else [channel_id, limit]
        return [
            _activity(row)
            for row in self._database.rows(f"SELECT {_COLUMNS} FROM activity {where} ORDER BY id DESC LIMIT ?", values)
        ]

    def channel_ids_since(self, moment: float) -> list[int]:
        """Channels something was heard in after `moment`, the liveliest first."""
        rows = self._database.rows(
            "SELECT channel_id FROM activity WHERE at >= ? GROUP BY channel_id ORDER BY COUNT(*) DESC", (moment,)
        )
        return [row[0] for row in rows]

    def about(self, message_id: int) -> Activity | None:
        """The newest decision about a message, found by the message or by the reply to it."""
        row = self._database.row(
            f"SELECT {_COLUMNS} FROM activity WHERE message_id = ? OR reply_id = ? ORDER BY id DESC LIMIT 1",
            (message_id, message_id),
        )
        return _activity(row) if row else None

    def totals_since(self, moment: float) -> Totals:
        """Figures since `moment`; at most the 30 days kept in full."""
        row = self._database.row(
            "SELECT COUNT(*) AS seen, IFNULL(SUM(spoke), 0) AS spoken, IFNULL(SUM(error <> ''), 0) AS errors, "
            "AVG(latency_ms) AS mean, MIN(latency_ms) AS low, MAX(latency_ms) AS high, "
            "COUNT(DISTINCT CASE WHEN spoke THEN channel_id || '/' || author_id || '/' || CAST(at / 3600 AS INTEGER) "
            "END) AS conversations FROM activity WHERE at >= ?",
            (moment,),
        )
        assert row is not None  # an aggregate always has one row
        return Totals(
            row["seen"], row["spoken"], row["errors"], row["mean"], row["low"], row["high"], row["conversations"]
        )

    def latencies_since(self, moment: float) -> list[float]:
        """Reply times in milliseconds, ascending."""
        rows = self._database.rows(
            "SELECT latency_ms FROM activity WHERE at >= ? AND latency_ms IS NOT NULL ORDER BY latency_ms", (moment,)
        )
        return [row[0] for row in rows]

    def replies_per_hour(self, *, hours: int) -> list[int]:
        """Replies in each of the last `hours` hours, oldest first."""
        now = self._clock()
        counts = [0] * hours
        rows = self._database.rows("SELECT at FROM activity WHERE at > ? AND spoke = 1", (now - hours * 3600,))
        for row in rows:
            age = int((now - row["at"]) // 3600)
            if 0 <= age < hours:
                counts[hours - 1 - age] += 1
        return counts

    def total_replies(self) -> int:
        """Replies ever sent, for milestones."""
        kept = self._database.value("SELECT COUNT(*) FROM activity WHERE spoke = 1")
        rolled = self._database.value("SELECT IFNULL(SUM(spoken), 0) FROM activity_days")
        return int(kept) + int(rolled)

    def add_sample(self, *, memory_bytes: int, is_up: bool) -> None:
        """One point of the memory and uptime curves."""
        self._database.execute(
            "INSERT OR REPLACE INTO samples (at, memory_bytes, is_up) VALUES (?, ?, ?)",
            (self._clock(), memory_bytes, int(is_up)),
        )

    def samples_since(self, moment: float) -> list[tuple[float, int, bool]]:
        """(time, memory in bytes, bot was up), oldest first."""
        return [
            (row["at"], row["memory_bytes"], bool(row["is_up"]))
            for row in self._database.rows(
                "SELECT at, memory_bytes, is_up FROM samples WHERE at >= ? ORDER BY at", (moment,)
            )
        ]

    def uptime_by_hour(self, since: float) -> dict[int, tuple[int, int]]:
        """Per hour after `since` (0 the first): how many samples there are, and in how many the bot was up."""
        rows = self._database.rows(
            "SELECT CAST((at - ?) / 3600 AS INTEGER), COUNT(*), SUM(is_up) FROM samples WHERE at >= ? GROUP BY 1",
            (since, since),
        )
        return {row[0]: (int(row[1]), int(row[2])) for row in rows}

    def names_of(self, author_id: int) -> set[str]:
        """What a member was called in the rows that are kept."""
        rows = self._database.rows("SELECT DISTINCT author_name FROM activity WHERE author_id = ?", (author_id,))
        return {row[0] for row in rows if row[0]}

    def forget_author(self, author_id: int) -> int:
        """Take a member's name and id out of the record; the counts stay."""
        return self._database.execute(
            "UPDATE activity SET author_id = 0, author_name = 'someone' WHERE author_id = ?", (author_id,)
        )

    def roll_up(self) -> int:
        """Turn rows older than 30 days into daily totals; returns how many rows went. A day goes as a whole."""
        cutoff = (self._clock() - KEEP_SECONDS) // 86_400 * 86_400
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO activity_days (day, seen, spoken, errors, latency_ms_sum, latency_ms_min, latency_ms_max, "
                "conversations) SELECT date(at, 'unixepoch'), COUNT(*), SUM(spoke), SUM(error <> ''), "
                "IFNULL(SUM(latency_ms), 0), MIN(latency_ms), MAX(latency_ms), "
                "COUNT(DISTINCT CASE WHEN spoke THEN channel_id || '/' || author_id END) "
                "FROM activity WHERE at < ? GROUP BY 1 ON CONFLICT (day) DO NOTHING",
                (cutoff,),
            )
            connection.execute("DELETE FROM samples WHERE at < ?", (cutoff,))
            return connection.execute("DELETE FROM activity WHERE at < ?", (cutoff,)).rowcount


def _insert(connection: sqlite3.Connection, entries: Sequence[Activity]) -> None:
    connection.executemany(
        f"INSERT INTO activity ({_COLUMNS}) VALUES (?{', ?' * 14})",
        [
            (
                e.at,
                e.message_id,
                e.channel_id,
                e.author_id,
                storable(e.author_name),
                int(e.spoke),
                e.reason,
                e.latency_ms,
                e.first_token_ms,
                e.prompt_tokens,
                e.prefilled_tokens,
                e.reply_tokens,
                e.reply_id,
                storable(e.error),
                int(e.is_due),
            )
            for e in entries
        ],
    )


def _activity(row: sqlite3.Row) -> Activity:
    values: dict[str, Any] = {name: row[name] for name in _COLUMNS.split(", ")}
    return Activity(**(values | {"spoke": bool(row["spoke"]), "is_due": bool(row["is_due"])}))
