"""Erasure inside messages.db and control.db: of the live ones, and of every copy, whatever its schema.

A copy may be older than the program (a backup, a file kept before a migration), so each statement runs only where its
table is. Afterwards the file is rewritten (VACUUM): freed pages, and the gaps that moving cells leaves behind, would
still hold the text, `secure_delete` or not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from storage.erasing.documents import is_quoted, repeats, without
from storage.records import DISCORD_EPOCH_MS
from storage.withdrawals import UNKNOWN_NAME, Subject

_IDS_PER_STATEMENT = 500
# Message ids -> those that are still there.
Kept = Callable[[Collection[int]], Collection[int]]


def erase_from_messages(connection: sqlite3.Connection, subject: Subject, at: float) -> list[int]:
    """Inside a transaction of a messages.db: what they said and were called goes. Returns the ids of the messages.

    Replies of the bot to what goes go too: they repeat it. Members and channels are kept out from then on.
    """
    tables = _tables(connection)
    if "messages" not in tables:
        return []
    gone = _theirs(connection, subject)
    if "withheld_messages" in tables:  # out of sight already, but not gone (storage/withheld.py)
        gone = sorted({*gone, *_theirs(connection, subject, table="withheld_messages")})
        for part in _parts(gone):
            connection.execute(f"DELETE FROM withheld_messages WHERE id IN ({_marks(part)})", part)
    if "erasures" in tables:  # every import goes by it
        connection.executemany(
            "INSERT OR IGNORE INTO erasures (kind, id, erased_at) VALUES (?, ?, ?)",
            [
                *(("member", number, at) for number in subject.members),
                *(("channel", number, until) for number, until in subject.channels.items()),
            ],
        )
    answers = [
        row[0]
        for part in _parts(gone)
        for row in connection.execute(
            f"SELECT id FROM messages WHERE is_own = 1 AND reply_to_id IN ({_marks(part)})", part
        )
    ]
    for part in _parts([*gone, *answers]):
        if "reactions" in tables:
            connection.execute(f"DELETE FROM reactions WHERE message_id IN ({_marks(part)})", part)
        connection.execute(f"DELETE FROM messages WHERE id IN ({_marks(part)})", part)
    if subject.members and "members" in tables:
        connection.executemany(
            "INSERT INTO members (id, username, display_name, opted_out) VALUES (?, '', ?, 1) "
            "ON CONFLICT (id) DO UPDATE SET username = '', display_name = excluded.display_name, opted_out = 1 "
            "WHERE username <> '' OR display_name <> excluded.display_name OR NOT opted_out",
            [(number, UNKNOWN_NAME) for number in subject.members],
        )
    for member_id in subject.members:
        rename_mentions(connection, member_id)
    if "taught" in tables:
        erase_from_taught(connection, subject, [*gone, *answers])
    return gone


def erase_from_taught(connection: sqlite3.Connection, subject: Subject, gone: Iterable[int] = ()) -> int:
    """Judgements by these members, of replies in these channels, and of what was made of their messages (`gone`) or
    says the same; returns how many went. Triggers do most of it, but a copy may have come without its withdrawals."""
    before = connection.total_changes
    for number in subject.members:
        connection.execute("DELETE FROM taught WHERE judge_id = ?", (number,))
    for number, until in subject.channels.items():
        connection.execute("DELETE FROM taught WHERE channel_id = ? AND at <= ?", (number, until))
    for part in _parts(sorted({*gone, *subject.messages})):
        connection.execute(
            "DELETE FROM taught WHERE id IN "
            f"(SELECT taught_id FROM taught_sources WHERE message_id IN ({_marks(part)}))",
            part,
        )
    repeated = [
        (row[0],)
        for row in connection.execute("SELECT id, reply, better, chat FROM taught").fetchall()
        if any(repeats(text, subject) for text in row[1:])
    ]
    connection.executemany("DELETE FROM taught WHERE id = ?", repeated)
    return connection.total_changes - before


def rename_mentions(connection: sqlite3.Connection, member_id: int) -> int:
    """Take a member's name out of the mentions in other people's messages; returns how many had it."""
    changed = []
    withheld = _rename_withheld(connection, member_id) if "withheld_messages" in _tables(connection) else 0
    for message_id, text in connection.execute(
        "SELECT id, mentions FROM messages WHERE mentions LIKE ?", (f"%[{member_id},%",)
    ):
        mentions = [[number, UNKNOWN_NAME if number == member_id else name] for number, name in json.loads(text)]
        fresh = json.dumps(mentions, ensure_ascii=False, separators=(",", ":"))
        if fresh != text:
            changed.append((fresh, message_id))
    connection.executemany("UPDATE messages SET mentions = ? WHERE id = ?", changed)
    return len(changed) + withheld


def _rename_withheld(connection: sqlite3.Connection, member_id: int) -> int:
    """The same in records that are out of sight."""
    changed = []
    for message_id, text in connection.execute(
        "SELECT id, record FROM withheld_messages WHERE record LIKE ?", (f"%[{member_id},%",)
    ):
        record = json.loads(text)
        pairs = json.loads(record.get("mentions") or "[]")
        renamed = [[number, UNKNOWN_NAME if number == member_id else name] for number, name in pairs]
        if renamed != pairs:
            record["mentions"] = json.dumps(renamed, ensure_ascii=False, separators=(",", ":"))
            changed.append((json.dumps(record, ensure_ascii=False), message_id))
    connection.executemany("UPDATE withheld_messages SET record = ? WHERE id = ?", changed)
    return len(changed)


def names_in_messages(connection: sqlite3.Connection, member_id: int) -> set[str]:
    """Everything a member is called in a messages.db: in the list of members and where others mention them."""
    found = {
        str(name)
        for row in connection.execute("SELECT username, display_name FROM members WHERE id = ?", (member_id,))
        for name in row
    }
    for (text,) in connection.execute("SELECT mentions FROM messages WHERE mentions LIKE ?", (f"%[{member_id},%",)):
        found |= {str(name) for number, name in json.loads(text) if number == member_id}
    return found - {"", UNKNOWN_NAME}


def erase_from_control(
    connection: sqlite3.Connection,
    subject: Subject,
    *,
    kept: Callable[[Collection[int]], Collection[int]] | None = None,
) -> int:
    """Inside a transaction of a control.db; returns how many lines of the test chat went.

    kept: which of these messages are still there, and so by somebody else. Without it a recalled line under one of
    the names counts as theirs.
    """
    tables = _tables(connection)
    if "activity" in tables:
        connection.executemany(
            "UPDATE activity SET author_id = 0, author_name = ? WHERE author_id = ?",
            [(UNKNOWN_NAME, number) for number in subject.members],
        )
    if "drafts" in tables:  # what is being written may repeat anything; it is told anew while it is written
        connection.execute("DELETE FROM drafts")
    if "bot_commands" in tables and "details" in _columns(connection, "bot_commands"):
        connection.execute("UPDATE bot_commands SET details = '{}' WHERE taken_by IS NOT NULL AND details <> '{}'")
    if "jobs" in tables:
        _clean_results(connection, subject)
    return _erase_from_playground(connection, subject, kept) if "playground" in tables else 0


def write_anew(connection: sqlite3.Connection) -> None:
    """No page of the file, and no frame of its journals, holds what was deleted. Not inside a transaction."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("VACUUM")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def erase_from_copy(path: Path, subject: Subject, at: float) -> bool:
    """The same in a copy that nobody has open; True when it changed. sqlite3.Error where it cannot be read.

    Journals that belong to the copy are played back into it first.
    """
    with closing(sqlite3.connect(path, isolation_level=None, timeout=15)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        before = connection.total_changes
        connection.execute("BEGIN IMMEDIATE")
        try:
            erase_from_messages(connection, subject, at)
            erase_from_control(connection, subject)
            if "withdrawals" in _tables(connection):
                connection.execute("UPDATE withdrawals SET words = '' WHERE words <> ''")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        is_changed = connection.total_changes > before
        if is_changed:
            write_anew(connection)
        return is_changed


def holds_any(path: Path, needles: Iterable[bytes]) -> bool:
    """Whether any of the needles stands in a file, read in pieces."""
    wanted = [needle for needle in needles if needle]
    longest = max(map(len, wanted), default=0)
    rest = b""
    with open(path, "rb") as file:
        while wanted and (block := file.read(1 << 22)):
            piece = rest + block
            if any(needle in piece for needle in wanted):
                return True
            rest = piece[-longest:]
    return False


def _theirs(connection: sqlite3.Connection, subject: Subject, *, table: str = "messages") -> list[int]:
    """Ids of the messages that go, ascending. Of a channel only what was said before it was erased."""
    found: set[int] = set()
    for number in subject.members:
        found |= {row[0] for row in connection.execute(f"SELECT id FROM {table} WHERE author_id = ?", (number,))}
    for number, until in subject.channels.items():
        # By the id, which is as old as the message: what is withheld has no column for its time.
        last = (int(until * 1000) - DISCORD_EPOCH_MS + 1) << 22
        said = "created_ms <= ?" if table == "messages" else "id < ?"
        limit = int(until * 1000) if table == "messages" else last
        found |= {
            row[0]
            for row in connection.execute(f"SELECT id FROM {table} WHERE channel_id = ? AND {said}", (number, limit))
        }
    for part in _parts(sorted(subject.messages)):
        found |= {row[0] for row in connection.execute(f"SELECT id FROM {table} WHERE id IN ({_marks(part)})", part)}
    return sorted(found)


def _clean_results(connection: sqlite3.Connection, subject: Subject) -> None:
    """What scripts reported: shares with names among it."""
    changed = []
    for job_id, text in connection.execute("SELECT id, result FROM jobs WHERE result <> '{}'"):
        result = json.loads(text)
        cleaned = without(result, subject)
        if cleaned != result:
            changed.append((json.dumps(cleaned), job_id))
    connection.executemany("UPDATE jobs SET result = ? WHERE id = ?", changed)


def _erase_from_playground(connection: sqlite3.Connection, subject: Subject, kept: Kept | None) -> int:
    """Answers whose details (recalled lines, prompt) hold something of theirs."""
    answers = {
        row[0]: json.loads(row[1])
        for row in connection.execute("SELECT id, details FROM playground WHERE details <> '{}'")
    }
    recalled = {entry_id: _recalled(details) for entry_id, details in answers.items()}
    asked = {number for lines in recalled.values() for number, _ in lines}
    of_others = set(kept(asked)) if kept else set()
    gone = [
        entry_id
        for entry_id, details in answers.items()
        if is_quoted(details, subject)
        or any(name in subject.names and number not in of_others for number, name in recalled[entry_id])
    ]
    connection.executemany("DELETE FROM playground WHERE id = ?", [(entry_id,) for entry_id in gone])
    return len(gone)


def _recalled(details: Any) -> list[tuple[int, str]]:
    """(message id, casefolded name) of the lines an answer was given."""
    lines = details.get("recalled") if isinstance(details, dict) else None
    return [
        (line["message_id"], str(line.get("name", "")).casefold())
        for line in lines or ()
        if isinstance(line, dict) and isinstance(line.get("message_id"), int)
    ]


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _IDS_PER_STATEMENT] for start in range(0, len(ids), _IDS_PER_STATEMENT))


def _marks(part: Sequence[int]) -> str:
    return ", ".join("?" * len(part))
