"""What was taken back: deleted messages, erased members and channels, people who left and channels that were closed.

The `withdrawals` table of messages.db is filled in the transaction of the decision itself (mostly by triggers), so no
way of deleting can forget to tell. Two readers go by it: the running bot, which drops what it holds in memory, and
`storage.forgetting.sweep`, which removes the same from every file. Until it has, a row keeps the names or the words
to look for; then it loses them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from storage.database import Database, placeholders

# A clean row is of use to a bot that has not looked yet; one that was away reads everything again anyway.
KEEP_SECONDS = 86_400.0


class WithdrawalKind(StrEnum):
    """What a row is about; `id` is the member's, channel's or message's."""

    MESSAGE = "message"
    MEMBER = "member"
    CHANNEL = "channel"
    # The stored lines stay and are not used: they leave what was made of them, and memory.
    ABSENT = "absent"
    UNLEARNT = "unlearnt"
    HIDDEN = "hidden"
    # Only what is in memory.
    CLOSED = "closed"


SET_ASIDE = (WithdrawalKind.ABSENT, WithdrawalKind.UNLEARNT, WithdrawalKind.HIDDEN)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One row. `channel_id` and `author_id` are 0 where they do not apply."""

    seq: int
    kind: WithdrawalKind
    id: int
    channel_id: int
    author_id: int
    at: float


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose or what is looked for in files and copies.

    channels: with the moment up to which their messages go. names: casefolded, as the members were ever called.
    words: what the messages said. `through`: the newest row this was made of.
    """

    members: frozenset[int] = frozenset()
    channels: Mapping[int, float] = field(default_factory=dict)
    messages: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    through: int = 0

    def __bool__(self) -> bool:
        return bool(self.members or self.channels or self.messages)

    @property
    def is_of_members(self) -> bool:
        """True when whole people or channels go, whose words may stand anywhere without a mark."""
        return bool(self.members or self.channels)


class Withdrawals:
    """The `withdrawals` table."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def newest(self) -> int:
        """Number of the newest row, 0 when there is none."""
        return int(self._database.value("SELECT IFNULL(MAX(seq), 0) FROM withdrawals") or 0)

    def since(self, seq: int, *, limit: int = 10_000) -> list[Withdrawal]:
        """Rows after `seq`, oldest first."""
        return [
            Withdrawal(row[0], WithdrawalKind(row[1]), row[2], row[3], row[4], row[5])
            for row in self._database.rows(
                "SELECT seq, kind, id, channel_id, author_id, at FROM withdrawals WHERE seq > ? ORDER BY seq LIMIT ?",
                (seq, limit),
            )
        ]

    def oldest_unswept(self) -> float | None:
        """When the longest waiting row was written; None when every file is in step."""
        value = self._database.value("SELECT MIN(at) FROM withdrawals WHERE is_swept = 0")
        return None if value is None else float(value)

    def unswept(self) -> Subject:
        """Everything that files may still hold."""
        return subject_of(self._database.rows(f"{_SELECT_SUBJECT} WHERE is_swept = 0 ORDER BY seq"))

    def set_aside(self, *, through: int) -> dict[WithdrawalKind, set[int]]:
        """Ids of what left use up to a row, by kind, and is not erased: files made of it may still hold it."""
        found: dict[WithdrawalKind, set[int]] = {kind: set() for kind in SET_ASIDE}
        for row in self._database.rows(
            f"SELECT kind, id FROM withdrawals WHERE is_swept = 0 AND seq <= ? AND kind IN ({placeholders(SET_ASIDE)})",
            (through, *(kind.value for kind in SET_ASIDE)),
        ):
            found[WithdrawalKind(row[0])].add(row[1])
        return found

    def after(self, seq: int) -> Subject:
        """Everything withdrawn after `seq`, swept or not: for work that read the messages before."""
        return subject_of(self._database.rows(f"{_SELECT_SUBJECT} WHERE seq > ? ORDER BY seq", (seq,)))

    def drop_words(self, subject: Subject) -> None:
        """The files are clean: what was looked for must not stand here for longer."""
        self._database.execute("UPDATE withdrawals SET words = '' WHERE seq <= ? AND words <> ''", (subject.through,))

    def mark_swept(self, subject: Subject) -> None:
        """Nothing of these is left anywhere. Rows of yesterday go."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE withdrawals SET is_swept = 1 WHERE seq <= ?", (subject.through,))
            connection.execute(
                "DELETE FROM withdrawals WHERE is_swept = 1 AND at < ? AND seq < (SELECT MAX(seq) FROM withdrawals)",
                (self._clock() - KEEP_SECONDS,),
            )


_SELECT_SUBJECT = "SELECT seq, kind, id, words, at FROM withdrawals"


def subject_of(rows: Iterable[Sequence[Any]]) -> Subject:
    """(seq, kind, id, words, at) rows as one subject."""
    ids: dict[str, set[int]] = {kind: set() for kind in WithdrawalKind}
    channels: dict[int, float] = {}
    names: set[str] = set()
    words: list[str] = []
    through = 0
    for seq, kind, number, text, at in rows:
        through = max(through, seq)
        ids[kind].add(number)
        if kind == WithdrawalKind.CHANNEL:
            channels[number] = max(at, channels.get(number, 0.0))
        elif kind == WithdrawalKind.MEMBER and text:
            names |= {str(name).casefold() for name in json.loads(text)}
        elif kind == WithdrawalKind.MESSAGE and text:
            words.append(text)
    return Subject(
        frozenset(ids[WithdrawalKind.MEMBER]),
        channels,
        frozenset(ids[WithdrawalKind.MESSAGE]),
        frozenset(names),
        tuple(words),
        through,
    )


def withdraw_member(connection: sqlite3.Connection, member_id: int, names: Iterable[str], at: float) -> None:
    """Inside the transaction that erases a member; `names`: everything they were called, to find old rows by."""
    kept = sorted({name for name in names if name.strip() and name != UNKNOWN_NAME})
    _insert(connection, WithdrawalKind.MEMBER, member_id, json.dumps(kept, ensure_ascii=False), at)


def withdraw_channel(connection: sqlite3.Connection, channel_id: int, at: float) -> None:
    """Inside the transaction that erases a channel; `at`: up to when."""
    _insert(connection, WithdrawalKind.CHANNEL, channel_id, "", at)


# How somebody without a name is shown everywhere.
UNKNOWN_NAME = "someone"


def _insert(connection: sqlite3.Connection, kind: WithdrawalKind, number: int, words: str, at: float) -> None:
    connection.execute(
        "INSERT INTO withdrawals (kind, id, words, at) VALUES (?, ?, ?, ?)", (kind.value, number, words, at)
    )
