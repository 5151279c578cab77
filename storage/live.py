"""What the bot hears, decides, writes and says, for whoever watches: read from the databases alone.

`replies` holds what a reply was made of by ids, so nothing in it outlives a message: words are always looked up where
people's messages are, and what was deleted, hidden or said by somebody who left has none. `drafts` holds the reply that
is being written in a channel, while somebody watches and no longer than it is written.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.activity import ActivityLog
from storage.database import Database, placeholders
from storage.messages import MessageStore
from storage.people import Members
from storage.records import Activity, Message
from storage.stored_json import read_json
from storage.teaching import JudgedReply
from storage.text import storable

KEEP_SECONDS = 30 * 86_400
# Drafts are written while the fact below was stamped by a panel within so many seconds.
WATCHED_SECONDS = 5.0
WATCHED_FACT = "live_watched_at"
_PARTS_WITHIN_MS = 300_000
# Who spoke, where the owner said something as the bot.
SAID_BY_OWNER = 0


@dataclass(frozen=True, slots=True)
class ReplyNote:
    """What a reply was made of. reply_id: of its first message; parts: of all. answered_id: the message it answers,
    SAID_BY_OWNER for none. context_ids: the conversation the model read, oldest first; recalled_ids: lines looked up.
    """

    reply_id: int
    channel_id: int
    answered_id: int
    at: float
    model: str = ""
    parts: tuple[int, ...] = ()
    context_ids: tuple[int, ...] = ()
    recalled_ids: tuple[int, ...] = ()

    @property
    def message_ids(self) -> tuple[int, ...]:
        """All messages it consists of."""
        return self.parts or (self.reply_id,)


@dataclass(frozen=True, slots=True)
class Draft:
    """The reply being written in a channel by a bot process, as far as it is written. Times: seconds since 1970."""

    channel_id: int
    answered_id: int
    pid: int
    text: str
    begun_at: float
    at: float


@dataclass(frozen=True, slots=True)
class LiveEntry:
    """One thing that was said. text: None where the words are not kept, were deleted or are by somebody who left.

    decision: what was made of a member's message. note: what the bot's own was made of; one of both is there.
    """

    at: float
    id: int
    channel_id: int
    name: str
    text: str | None
    decision: Activity | None = None
    note: ReplyNote | None = None
    seconds: float | None = None

    @property
    def is_own(self) -> bool:
        """Whether the bot said it."""
        return self.note is not None


@dataclass(frozen=True, slots=True)
class LiveReading:
    """Entries, oldest first, and what is being written. mark: equal when nothing has changed since."""

    entries: tuple[LiveEntry, ...]
    drafts: tuple[Draft, ...]
    mark: tuple[Any, ...] = ()


class ReplyNotes:
    """The `replies` and `drafts` tables."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, note: ReplyNote) -> None:
        """Remember what a reply was made of; the newest word counts."""
        self._database.execute(
            "INSERT OR REPLACE INTO replies (reply_id, channel_id, answered_id, at, model, parts, context_ids, "
            "recalled_ids) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                note.reply_id,
                note.channel_id,
                note.answered_id,
                note.at,
                storable(note.model),
                *(json.dumps(ids) for ids in (note.parts, note.context_ids, note.recalled_ids)),
            ),
        )

    def get(self, reply_ids: Collection[int]) -> dict[int, ReplyNote]:
        """Notes by the reply's first message."""
        ids = list(reply_ids)
        rows = self._database.rows(f"SELECT * FROM replies WHERE reply_id IN ({placeholders(ids)})", ids)
        return {row["reply_id"]: _note(row) for row in rows}

    def holding(self, message_id: int) -> ReplyNote | None:
        """The note of the reply that a message is a part of: its parts are sent within a minute or two."""
        rows = self._database.rows(
            "SELECT * FROM replies WHERE reply_id BETWEEN ? AND ? ORDER BY reply_id DESC",
            (message_id - (_PARTS_WITHIN_MS << 22), message_id),
        )
        return next((note for row in rows if message_id in (note := _note(row)).message_ids), None)

    def said_by_owner(self, *, channel_id: int | None = None, limit: int = 50) -> list[ReplyNote]:
        """What the owner said as the bot, newest first."""
        where, values = ("", []) if channel_id is None else (" AND channel_id = ?", [channel_id])
        rows = self._database.rows(
            f"SELECT * FROM replies WHERE answered_id = 0{where} ORDER BY at DESC LIMIT ?", [*values, limit]
        )
        return [_note(row) for row in rows]

    def forget_old(self) -> int:
        """Drop notes older than what is shown; returns how many."""
        return self._database.execute("DELETE FROM replies WHERE at < ?", (self._clock() - KEEP_SECONDS,))

    # ---- drafts -------------------------------------------------------------------------------------

    def write_drafts(self, drafts: Iterable[Draft]) -> None:
        """Replace what is being written in these channels."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO drafts (channel_id, answered_id, pid, text, begun_at, at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(d.channel_id, d.answered_id, d.pid, storable(d.text), d.begun_at, d.at) for d in drafts],
            )

    def drop_draft(self, channel_id: int) -> None:
        """What was being written there is finished, or came to nothing."""
        self._database.execute("DELETE FROM drafts WHERE channel_id = ?", (channel_id,))

    def drop_drafts(self) -> None:
        """At the start of a bot: nothing is being written."""
        if self._database.row("SELECT 1 FROM drafts LIMIT 1") is not None:
            self._database.execute("DELETE FROM drafts")

    def drafts(self) -> tuple[Draft, ...]:
        """What is being written."""
        rows = self._database.rows("SELECT channel_id, answered_id, pid, text, begun_at, at FROM drafts")
        return tuple(Draft(*row) for row in rows)

    def mark(self) -> tuple[Any, ...]:
        """Changes whenever a decision, a reply or a draft does."""
        row = self._database.row(
            "SELECT (SELECT MAX(id) FROM activity), (SELECT COUNT(*) FROM activity WHERE is_due = 1), "
            "(SELECT MAX(reply_id) FROM replies), (SELECT MAX(at) FROM replies WHERE answered_id = 0), "
            "(SELECT COUNT(*) FROM drafts), (SELECT MAX(at) FROM drafts)"
        )
        return tuple(row) if row is not None else ()


class LiveFeed:
    """What is shown of both databases; reads only."""

    def __init__(self, notes: ReplyNotes, activity: ActivityLog, messages: MessageStore, members: Members) -> None:
        self._notes, self._activity, self._messages, self._members = notes, activity, messages, members

    def read(
        self,
        *,
        limit: int = 40,
        channel_id: int | None = None,
        only_spoken: bool = False,
        newest_withdrawal: int = 0,
        unless: tuple[Any, ...] = (),
    ) -> LiveReading | None:
        """The newest `limit` messages with the replies to them; None when the mark is still `unless`.

        newest_withdrawal: part of the mark, since what was taken back changes what may be shown.
        """
        mark = (*self._notes.mark(), newest_withdrawal, channel_id, only_spoken)
        if mark == unless:
            return None
        heard = self._activity.recent(limit=limit, channel_id=channel_id, only_spoken=only_spoken)
        said = self._notes.said_by_owner(channel_id=channel_id, limit=limit)
        if heard:
            said = [note for note in said if note.at >= heard[-1].at]
        notes = self._notes.get({row.reply_id for row in heard if row.reply_id})
        return LiveReading(self._entries(heard, notes, said), self._notes.drafts(), mark)

    def entry(self, reply_id: int) -> LiveEntry | None:
        """One reply, None when it is not in sight any more."""
        note = self._notes.get([reply_id]).get(reply_id)
        row = self._activity.about(reply_id)
        if note is None and row is not None and row.reply_id:
            note = _bare_note(row)
        if note is None:
            return None
        words = self._messages.get(note.message_ids)
        return _own_entry(note, words, row)

    def judged(self, note: ReplyNote) -> JudgedReply | None:
        """A reply as it can be judged; None when the model did not write it, or it is not there any more."""
        if note.answered_id == SAID_BY_OWNER or not note.context_ids:
            return None
        words = self._messages.get(note.message_ids)
        text = "\n".join(words[number].content for number in note.message_ids if number in words)
        sources = (note.answered_id, *note.recalled_ids)
        return (
            JudgedReply(note.reply_id, note.channel_id, text, note.model, note.context_ids, sources) if text else None
        )

    def lines(self, message_ids: Sequence[int]) -> list[tuple[str, str]]:
        """(name, words) of messages that may be shown, in the order asked for."""
        kept, absent = self._messages.get(message_ids), self._members.absent_ids()
        shown = [kept[number] for number in message_ids if number in kept]
        return [(m.author_name, m.content) for m in shown if m.author_id not in absent and m.content]

    def _entries(
        self, heard: Sequence[Activity], notes: dict[int, ReplyNote], said: Sequence[ReplyNote]
    ) -> tuple[LiveEntry, ...]:
        replies = {row.reply_id: row for row in reversed(heard) if row.reply_id}
        own = [*(notes.get(number) or _bare_note(row) for number, row in replies.items()), *said]
        ids = [row.message_id for row in heard] + [number for note in own for number in note.message_ids]
        words, absent = self._messages.get(ids), self._members.absent_ids()
        entries = [_heard_entry(row, words.get(row.message_id), absent) for row in heard]
        entries += [entry for note in own if (entry := _own_entry(note, words, replies.get(note.reply_id))) is not None]
        return tuple(sorted(entries, key=lambda entry: (entry.at, entry.id)))


def _heard_entry(row: Activity, message: Message | None, absent: Collection[int]) -> LiveEntry:
    is_shown = message is not None and message.author_id not in absent
    text = _words(message) if message is not None and is_shown else None
    name = message.author_name if message is not None and is_shown else row.author_name
    return LiveEntry(row.at, row.message_id, row.channel_id, name or row.author_name, text, decision=row)


def _own_entry(note: ReplyNote, words: dict[int, Message], row: Activity | None) -> LiveEntry | None:
    parts = [words[number] for number in note.message_ids if number in words]
    if not parts:
        return None
    text = "\n".join(_words(part) for part in parts)
    seconds = row.latency_ms / 1000 if row is not None and row.latency_ms is not None else None
    return LiveEntry(
        max(note.at, row.at if row is not None else 0.0),
        note.reply_id,
        note.channel_id,
        parts[0].author_name,
        text,
        decision=row,
        note=note,
        seconds=seconds,
    )


def _words(message: Message) -> str:
    return message.content or " ".join(f"[{name}]" for name in (*message.attachments, *message.stickers))


def _bare_note(row: Activity) -> ReplyNote:
    """Of a reply of which nothing but its decision is known."""
    assert row.reply_id is not None
    return ReplyNote(row.reply_id, row.channel_id, row.message_id, row.at + (row.latency_ms or 0.0) / 1000)


def _note(row: sqlite3.Row) -> ReplyNote:
    return ReplyNote(
        row["reply_id"],
        row["channel_id"],
        row["answered_id"],
        row["at"],
        row["model"],
        *(_ids(row[name]) for name in ("parts", "context_ids", "recalled_ids")),
    )


def _ids(text: str) -> tuple[int, ...]:
    return tuple(number for number in read_json(text, "What a reply was made of", []) if isinstance(number, int))
