"""What the owner and the members think of the bot's replies: the `taught` table, from which the next training learns.

A row holds the reply in words (it may be deleted on Discord and still teach) and the conversation by ids, so members'
words are read where they are kept when training data is made. It quotes members all the same, so it goes with any
message it was made of, with the member whose judgement it is, and with its channel: triggers do that in the very
transaction (storage/migrations.py). A member who opts out takes their judgements along.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum

from storage.database import Database, placeholders
from storage.records import PLAYGROUND_CHANNEL, Turn
from storage.stored_json import read_json
from storage.text import storable

# Whose judgement it is, beside members' ids.
OWNER = 0


class Opinion(IntEnum):
    """What was thought of a reply."""

    BAD = -1
    GOOD = 1


@dataclass(frozen=True, slots=True)
class JudgedReply:
    """A reply as it can be judged. context_ids: the conversation it answers, oldest first; source_ids: every message
    it was made of; chat: the same conversation in words, of the test chat, whose lines are the owner's."""

    reply_id: int
    channel_id: int
    text: str
    model: str = ""
    context_ids: tuple[int, ...] = ()
    source_ids: tuple[int, ...] = ()
    chat: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Taught:
    """One judgement. judge_id: a member's, or OWNER. better: what should have been said instead, '' for no word."""

    id: int
    reply_id: int
    channel_id: int
    judge_id: int
    verdict: Opinion
    reply: str
    better: str
    model: str
    context_ids: tuple[int, ...]
    chat: tuple[Turn, ...]
    at: float

    @property
    def is_owners(self) -> bool:
        """Whether it is the owner's own word."""
        return self.judge_id == OWNER

    @property
    def is_of_test_chat(self) -> bool:
        """Whether it is about a reply in the test chat."""
        return self.channel_id == PLAYGROUND_CHANNEL


@dataclass(frozen=True, slots=True)
class TaughtCounts:
    """How much was taught: by the owner, and by members' reactions."""

    good: int = 0
    bad: int = 0
    better: int = 0
    by_members: int = 0

    @property
    def total(self) -> int:
        """All of it together."""
        return self.good + self.bad + self.better + self.by_members


class Teaching:
    """The `taught` table. One judgement per reply and judge; the newest word counts."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def judge(self, reply: JudgedReply, verdict: Opinion, *, judge_id: int = OWNER, better: str = "") -> bool:
        """Remember a judgement; False for a member who opted out, of whom nothing is kept."""
        with self._database.transaction() as connection:
            if judge_id != OWNER and _has_left(connection, judge_id):
                return False
            connection.execute("DELETE FROM taught WHERE reply_id = ? AND judge_id = ?", (reply.reply_id, judge_id))
            cursor = connection.execute(
                "INSERT INTO taught (reply_id, channel_id, judge_id, verdict, reply, better, model, context_ids, chat, "
                "at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    reply.reply_id,
                    reply.channel_id,
                    judge_id,
                    int(verdict),
                    storable(reply.text),
                    storable(better.strip()),
                    storable(reply.model),
                    json.dumps(reply.context_ids),
                    storable(json.dumps([[t.name, t.text, t.is_self] for t in reply.chat], ensure_ascii=False)),
                    self._clock(),
                ),
            )
            sources = {*reply.context_ids, *reply.source_ids}
            connection.executemany(
                "INSERT INTO taught_sources (taught_id, message_id) VALUES (?, ?)",
                [(cursor.lastrowid, number) for number in sources],
            )
        return True

    def withdraw(self, reply_id: int, *, judge_id: int = OWNER, verdict: Opinion | None = None) -> None:
        """Take a judgement back; only that verdict, when one is given."""
        self._database.execute(
            "DELETE FROM taught WHERE reply_id = ? AND judge_id = ? AND IFNULL(?, verdict) = verdict",
            (reply_id, judge_id, verdict),
        )

    def of_owner(self, reply_ids: Collection[int]) -> dict[int, Taught]:
        """The owner's judgements of some replies, by the reply."""
        ids = list(reply_ids)
        rows = self._database.rows(
            f"SELECT * FROM taught WHERE judge_id = {OWNER} AND reply_id IN ({placeholders(ids)})", ids
        )
        return {row["reply_id"]: _taught(row) for row in rows}

    def members_balance(self, reply_ids: Collection[int]) -> dict[int, tuple[int, int]]:
        """(liked by, disliked by) how many members, by the reply; those nobody reacted to are absent."""
        ids = list(reply_ids)
        rows = self._database.rows(
            "SELECT reply_id, SUM(verdict > 0), SUM(verdict < 0) FROM taught "
            f"WHERE judge_id <> {OWNER} AND reply_id IN ({placeholders(ids)}) GROUP BY 1",
            ids,
        )
        return {row[0]: (int(row[1]), int(row[2])) for row in rows}

    def all(self, *, limit: int = 10_000) -> list[Taught]:
        """Newest first."""
        return [_taught(row) for row in self._database.rows("SELECT * FROM taught ORDER BY id DESC LIMIT ?", (limit,))]

    def counts_since(self, moment: float) -> TaughtCounts:
        """How much was taught after `moment` (seconds since 1970)."""
        row = self._database.row(
            f"SELECT SUM(judge_id = {OWNER} AND verdict > 0 AND better = ''), "
            f"SUM(judge_id = {OWNER} AND verdict < 0 AND better = ''), "
            f"SUM(judge_id = {OWNER} AND better <> ''), SUM(judge_id <> {OWNER}) FROM taught WHERE at > ?",
            (moment,),
        )
        return TaughtCounts(*(int(value or 0) for value in row)) if row is not None else TaughtCounts()

    def newest(self) -> int:
        """Number of the newest judgement, 0 when there is none."""
        return int(self._database.value("SELECT IFNULL(MAX(id), 0) FROM taught") or 0)


def _has_left(connection: sqlite3.Connection, member_id: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM members WHERE id = ? AND opted_out UNION ALL "
        "SELECT 1 FROM erasures WHERE kind = 'member' AND id = ?",
        (member_id, member_id),
    )
    return found.fetchone() is not None


def _taught(row: sqlite3.Row) -> Taught:
    chat = read_json(row["chat"], "What was taught", [])
    return Taught(
        row["id"],
        row["reply_id"],
        row["channel_id"],
        row["judge_id"],
        Opinion.GOOD if row["verdict"] > 0 else Opinion.BAD,
        row["reply"],
        row["better"],
        row["model"],
        tuple(n for n in read_json(row["context_ids"], "What was taught", []) if isinstance(n, int)),
        tuple(Turn(str(t[0]), str(t[1]), bool(t[2])) for t in chat if isinstance(t, list) and len(t) == 3),
        row["at"],
    )
