"""Where processes meet: settings, the bot's status row, the supervisor's row, and commands to the bot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_type_hints

from storage.database import Database
from storage.records import BotPhase, BotStatus, Command, CommandKind, ModelState, Supervisor
from storage.settings import CHAT, REGISTRY, Setting, Settings, T, parse_stored
from storage.stored_json import fits, read_json, tell
from storage.text import storable

Clock = Callable[[], float]
# Two processes read the same clock a moment apart.
_CLOCK_SLACK_SECONDS = 5.0


class SettingsStore:
    """Settings in the `config` table: read on every message, written by the panel and by commands."""

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def read(self) -> Settings:
        """Every setting as of now."""
        rows = self._database.rows("SELECT key, value FROM config")
        layout = self._database.value("SELECT value FROM facts WHERE key = ?", (LAYOUT_FACT,))
        stored = ((row["key"], row["value"]) for row in rows)
        return parse_stored(stored, layout=read_json(layout, f"the fact '{LAYOUT_FACT}'", CHAT))

    def get(self, setting: Setting[T]) -> T:
        """One setting as of now."""
        return self.read()[setting]

    def set(self, setting: Setting[T], raw: Any, *, changed_by: str) -> T:
        """Check and store a value; SettingError names the range. Returns the stored value."""
        value = setting.parse(raw)
        self._database.execute(
            "INSERT INTO config (key, value, changed_by, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET value = excluded.value, changed_by = excluded.changed_by, changed_at = excluded.changed_at",
            (setting.key, json.dumps(value), changed_by, self._clock()),
        )
        return value

    def reset(self, *settings: Setting[Any]) -> None:
        """Back to the defaults, all of them or none."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM config WHERE key = ?", [(setting.key,) for setting in settings])

    def changed_by(self) -> dict[str, str]:
        """Who set what, by key."""
        return {row["key"]: row["changed_by"] for row in self._database.rows("SELECT key, changed_by FROM config")}

    def stored(self) -> dict[str, Any]:
        """Only what was chosen, by key."""
        settings = self.read()
        return {key: settings[setting] for key, setting in REGISTRY.items() if settings.is_set(setting)}


class StatusBoard:
    """The bot's row (`bot_status`), the supervisor's row, and the history of starts."""

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def write_bot(self, status: BotStatus) -> None:
        """Replace the bot's row. `heartbeat_at` is the event loop's stamp, not the time of writing."""
        self._database.execute(
            "INSERT INTO bot_status (id, pid, heartbeat_at, body) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET pid = excluded.pid, heartbeat_at = excluded.heartbeat_at, body = excluded.body",
            (status.pid, status.heartbeat_at, json.dumps(asdict(status))),
        )

    def read_bot(self) -> BotStatus | None:
        """The last report of the newest bot, running or not; None before the first start, or when it cannot be read."""
        body = self._database.value("SELECT body FROM bot_status WHERE id = 1")
        if body is None:
            return None
        return _status(read_json(body, "The bot's own row (bot_status)", {}))

    def write_supervisor(self, pid: int) -> None:
        """Tell the bot's watchdog that somebody watches."""
        self._database.execute(
            "INSERT INTO supervisor (id, pid, heartbeat_at) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET pid = excluded.pid, heartbeat_at = excluded.heartbeat_at",
            (pid, self._clock()),
        )

    def clear_supervisor(self, pid: int) -> None:
        """Leave in order, unless somebody else took over."""
        self._database.execute("DELETE FROM supervisor WHERE id = 1 AND pid = ?", (pid,))

    def read_supervisor(self) -> Supervisor | None:
        """Who watches the bot, and when it last said so; None where nobody ever did."""
        row = self._database.row("SELECT pid, heartbeat_at FROM supervisor WHERE id = 1")
        return Supervisor(row["pid"], row["heartbeat_at"]) if row else None

    def record_start(self) -> int:
        """Count a start of the bot; returns its number."""
        return self._database.insert("INSERT INTO bot_starts (started_at) VALUES (?)", (self._clock(),))

    def record_end(self, start_id: int, exit_code: int | None) -> None:
        """Note how a recorded start ended; None where the exit code is not known."""
        self._database.execute(
            "UPDATE bot_starts SET exit_code = ?, ended_at = ? WHERE id = ?", (exit_code, self._clock(), start_id)
        )

    def starts_since(self, moment: float) -> int:
        """How often the bot was started after `moment`, over all launchers."""
        # Rows from the future are from before the clock was set back, by how much nobody knows: they do not count.
        query = "SELECT COUNT(*) FROM bot_starts WHERE started_at > ? AND started_at <= ?"
        return int(self._database.value(query, (moment, self._clock() + _CLOCK_SLACK_SECONDS)))


class CommandQueue:
    """`bot_commands`: rows asked for by others, each executed at most once."""

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    def ask(self, kind: CommandKind, *, asked_by: str, details: dict[str, Any] | None = None) -> int:
        """Queue a command for the running bot; returns its id. details: what it is about, as in `Command`."""
        return self._database.insert(
            "INSERT INTO bot_commands (kind, asked_by, asked_at, details) VALUES (?, ?, ?, ?)",
            (kind.value, asked_by, self._clock(), storable(json.dumps(details or {}, ensure_ascii=False))),
        )

    def discard_older(self, *, pid: int) -> int:
        """At the start of a bot: commands meant for an earlier one are never executed. Returns how many."""
        return self._database.execute(
            "UPDATE bot_commands SET taken_by = ?, taken_at = ?, outcome = 'discarded', details = '{}' "
            "WHERE taken_by IS NULL",
            (pid, self._clock()),
        )

    def take(self, *, pid: int) -> Command | None:
        """Claim the oldest waiting command, or None. The read comes first: it is idle nearly always."""
        waiting = (
            "SELECT id, kind, asked_by, asked_at, details FROM bot_commands WHERE taken_by IS NULL ORDER BY id LIMIT 1"
        )
        if self._database.row(waiting) is None:
            return None
        with self._database.transaction() as connection:
            row = connection.execute(waiting).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE bot_commands SET taken_by = ?, taken_at = ? WHERE id = ?", (pid, self._clock(), row["id"])
            )
        details = read_json(row["details"], "The details of a command", {})
        return Command(row["id"], CommandKind(row["kind"]), row["asked_by"], row["asked_at"], details)

    def finish(self, command_id: int, outcome: str) -> None:
        """Record how a command ended, for whoever asked; what it was about is forgotten."""
        self._database.execute(
            "UPDATE bot_commands SET outcome = ?, details = '{}' WHERE id = ?", (outcome, command_id)
        )

    def outcome(self, command_id: int) -> str:
        """'' while the command waits or runs."""
        return str(self._database.value("SELECT outcome FROM bot_commands WHERE id = ?", (command_id,)) or "")


def _status(values: dict[str, Any]) -> BotStatus | None:
    """A status row's values; None when one that must be there is missing. What does not fit is left at its default."""
    hints = get_type_hints(BotStatus)
    fitting = {key: value for key, value in values.items() if key in hints and fits(value, hints[key])}
    try:
        return BotStatus(
            **fitting
            | {
                "phase": BotPhase(fitting["phase"]),
                "model_state": ModelState(fitting.get("model_state", ModelState.NONE)),
            }
        )
    except (KeyError, TypeError):
        if values:
            tell("The bot's own row (bot_status)", "fields are missing")
        return None


# Under this name the bot keeps its event loop's lag while it is measured (bot/lag.py).
# The prompt layout of the model that was loaded last: its sampling defaults are shown and used.
LAYOUT_FACT = "prompt_layout"
LOOP_LAG_FACT = "loop_lag_ms"

# When somebody last opened the panel although a launcher was running: a headless one makes room, a window shows itself
# and answers with 0.
PANEL_WANTED = "panel_wanted_at"
# How many messages the backup held that was brought back for the panel, until the panel has told it.
RESTORED = "restored"


class KeyValueStore:
    """Small named values that are neither settings nor rows of their own (probe results, reminders)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: Any = None) -> Any:
        """The value; `default` where there is none, or none of the default's kind."""
        text = self._database.value("SELECT value FROM facts WHERE key = ?", (key,))
        return read_json(text, f"The fact '{key}'", default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value that JSON can hold, in place of the old one."""
        self._database.execute(
            "INSERT INTO facts (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, json.dumps(value)),
        )
