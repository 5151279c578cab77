"""The owner's test chat: questions by the panel or terminal, answers by the bot."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from storage.database import Database
from storage.records import PlaygroundEntry
from storage.stored_json import read_json
from storage.text import storable

OWNER = "owner"
# What the owner is called in the conversation that the model reads.
OWNER_NAME = "friend"
BOT = "bot"
# Asked by a program that wants to know whether the model speaks; not part of the owner's chat.
CHECK = "check"
_COLUMNS = "id, role, text, at, answers_id, details, options, error"


class PlaygroundStore:
    """The `playground` table."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def ask(self, text: str, *, options: dict[str, Any] | None = None, role: str = OWNER) -> int:
        """Queue a line for the bot; `options` override settings by key for this reply. Returns its id.

        With the role CHECK it stands alone: no part of the chat before or after it, and not shown.
        """
        return self._database.insert(
            "INSERT INTO playground (role, text, at, options) VALUES (?, ?, ?, ?)",
            (role, storable(text), self._clock(), json.dumps(options or {})),
        )

    def ask_instead(self, question_id: int, text: str, *, options: dict[str, Any] | None = None) -> int:
        """Withdraw a question with its answers and ask another in one step: regenerate, compare."""
        with self._database.transaction():
            self.withdraw(question_id)
            return self.ask(text, options=options)

    def is_asked(self, question_id: int) -> bool:
        """False once the owner withdrew the question."""
        return self._database.row("SELECT 1 FROM playground WHERE id = ?", (question_id,)) is not None

    def take(self, *, pid: int) -> PlaygroundEntry | None:
        """The oldest question nobody took; claimed for this bot. None when there is none (the usual case).

        A question a dead bot had taken without answering is taken again, and marked `was_taken`.
        """
        waiting = (
            f"SELECT {_COLUMNS}, taken_by FROM playground AS q WHERE role <> ? AND IFNULL(taken_by, 0) <> ? "
            "AND NOT EXISTS (SELECT 1 FROM playground AS a WHERE a.answers_id = q.id) ORDER BY id LIMIT 1"
        )
        if self._database.row(waiting, (BOT, pid)) is None:
            return None
        with self._database.transaction() as connection:
            row = connection.execute(waiting, (BOT, pid)).fetchone()
            if row is None:
                return None
            connection.execute("UPDATE playground SET taken_by = ? WHERE id = ?", (pid, row["id"]))
        return replace(_entry(row), was_taken=row["taken_by"] is not None)

    def answer(self, question_id: int, text: str, *, details: dict[str, Any] | None = None, error: str = "") -> int:
        """Store the bot's answer (or why there is none); 0 when the question was withdrawn meanwhile."""
        with self._database.transaction():
            if not self.is_asked(question_id):
                return 0
            return self._database.insert(
                "INSERT INTO playground (role, text, at, answers_id, details, error) VALUES (?, ?, ?, ?, ?, ?)",
                (BOT, storable(text), self._clock(), question_id, json.dumps(details or {}), storable(error)),
            )

    def answer_to(self, question_id: int) -> PlaygroundEntry | None:
        """The newest answer to a question, None while there is none."""
        row = self._database.row(
            f"SELECT {_COLUMNS} FROM playground WHERE answers_id = ? ORDER BY id DESC LIMIT 1", (question_id,)
        )
        return _entry(row) if row else None

    def history(self, *, limit: int = 100, before_id: int | None = None) -> list[PlaygroundEntry]:
        """The newest `limit` lines, oldest first; only those before `before_id` when given. Checks are left out."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM playground WHERE id < ? AND role <> ? AND IFNULL(answers_id, 0) NOT IN "
            "(SELECT id FROM playground WHERE role = ?) ORDER BY id DESC LIMIT ?",
            (before_id if before_id is not None else 2**62, CHECK, CHECK, limit),
        )
        return [_entry(row) for row in reversed(rows)]

    def withdraw(self, entry_id: int) -> None:
        """Remove a line and the answers to it (regenerate, clear)."""
        self._database.execute("DELETE FROM playground WHERE id = ? OR answers_id = ?", (entry_id, entry_id))

    def clear(self) -> None:
        """Start over."""
        self._database.execute("DELETE FROM playground")


def _entry(row: sqlite3.Row) -> PlaygroundEntry:
    return PlaygroundEntry(
        row["id"],
        row["role"],
        row["text"],
        row["at"],
        row["answers_id"],
        read_json(row["details"], "Details of a test chat", {}),
        read_json(row["options"], "Options of a test chat", {}),
        row["error"],
    )
