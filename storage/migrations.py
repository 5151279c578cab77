"""Schema history of both databases: append-only steps, each in one transaction with its own record."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from storage.errors import NewerSchemaError
from storage.system.files import private_opener

log = logging.getLogger(__name__)
Migration = Callable[[sqlite3.Connection], None]


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration], *, keeps_copy: bool = True
) -> None:
    """Bring the file to the newest schema; a copy is kept first. A newer file is refused untouched."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise NewerSchemaError(
            f"{path.name} was written by a newer version of this program "
            f"(schema {version}, known up to {len(migrations)}).",
            "Update the program.",
        )
    if version == len(migrations):
        return
    if version and keeps_copy:
        _keep_copy(connection, path, version)
    for number, step in enumerate(migrations[version:], start=version + 1):
        _apply(connection, number, step)
        log.info("%s: schema %d applied", path.name, number)


def _apply(connection: sqlite3.Connection, number: int, step: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        step(connection)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    target = path.with_name(f"{path.stem}.before-schema-{version + 1}{path.suffix}")
    os.close(private_opener(str(target), os.O_CREAT | os.O_WRONLY))
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript: it commits first, and the step would no longer be one transaction.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _control_1(connection: sqlite3.Connection) -> None:
    _run(
        connection,
        """
CREATE TABLE config (key TEXT PRIMARY KEY, value TEXT NOT NULL, changed_by TEXT NOT NULL, changed_at REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE bot_status (id INTEGER PRIMARY KEY CHECK (id = 1), pid INTEGER NOT NULL, heartbeat_at REAL NOT NULL,
    body TEXT NOT NULL);
CREATE TABLE supervisor (id INTEGER PRIMARY KEY CHECK (id = 1), pid INTEGER NOT NULL, heartbeat_at REAL NOT NULL);
CREATE TABLE bot_starts (id INTEGER PRIMARY KEY, started_at REAL NOT NULL, exit_code INTEGER, ended_at REAL);
CREATE INDEX bot_starts_by_time ON bot_starts (started_at);
CREATE TABLE bot_commands (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, asked_by TEXT NOT NULL,
    asked_at REAL NOT NULL, taken_by INTEGER, taken_at REAL, outcome TEXT NOT NULL DEFAULT '');
CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, pid INTEGER NOT NULL, state TEXT NOT NULL,
    progress REAL NOT NULL DEFAULT 0, step TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '{}', cancel_requested INTEGER NOT NULL DEFAULT 0, started_at REAL NOT NULL,
    finished_at REAL, heartbeat_at REAL NOT NULL);
CREATE INDEX jobs_by_state ON jobs (state, kind);
CREATE TABLE job_metrics (job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, name TEXT NOT NULL,
    step INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (job_id, name, step)) WITHOUT ROWID;
CREATE TABLE activity (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, message_id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL, author_id INTEGER NOT NULL, author_name TEXT NOT NULL, spoke INTEGER NOT NULL,
    reason TEXT NOT NULL, latency_ms REAL, first_token_ms REAL, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    prefilled_tokens INTEGER NOT NULL DEFAULT 0, reply_tokens INTEGER NOT NULL DEFAULT 0, reply_id INTEGER,
    error TEXT NOT NULL DEFAULT '');
CREATE INDEX activity_by_time ON activity (at);
CREATE INDEX activity_by_message ON activity (message_id);
CREATE TABLE activity_days (day TEXT PRIMARY KEY, seen INTEGER NOT NULL, spoken INTEGER NOT NULL,
    errors INTEGER NOT NULL, latency_ms_sum REAL NOT NULL, latency_ms_min REAL, latency_ms_max REAL,
    conversations INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE samples (at REAL PRIMARY KEY, memory_bytes INTEGER NOT NULL, is_up INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE playground (id INTEGER PRIMARY KEY AUTOINCREMENT, role TEXT NOT NULL, text TEXT NOT NULL, at REAL NOT NULL,
    answers_id INTEGER, taken_by INTEGER, details TEXT NOT NULL DEFAULT '{}', options TEXT NOT NULL DEFAULT '{}',
    error TEXT NOT NULL DEFAULT '');
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
""",
    )


def _control_2(connection: sqlite3.Connection) -> None:
    """A decision is stored when it is taken: due until its answer is out."""
    _run(
        connection,
        """
ALTER TABLE activity ADD COLUMN is_due INTEGER NOT NULL DEFAULT 0;
CREATE INDEX activity_due ON activity (is_due) WHERE is_due = 1;
""",
    )


def _messages_1(connection: sqlite3.Connection) -> None:
    # In the triggers DELETE + INSERT stand for a replace: an outer ON CONFLICT would override REPLACE.
    _run(
        connection,
        """
CREATE TABLE messages (id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, author_id INTEGER NOT NULL,
    content TEXT NOT NULL, created_ms INTEGER NOT NULL, edited_ms INTEGER, kind INTEGER NOT NULL DEFAULT 0,
    reply_to_id INTEGER, attachments TEXT NOT NULL DEFAULT '[]', stickers TEXT NOT NULL DEFAULT '[]',
    mentions TEXT NOT NULL DEFAULT '[]', is_pinned INTEGER NOT NULL DEFAULT 0, is_own INTEGER NOT NULL DEFAULT 0);
CREATE INDEX messages_by_channel ON messages (channel_id, id);
CREATE INDEX messages_by_author ON messages (author_id, id);
CREATE TABLE reactions (message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE, emoji TEXT NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (message_id, emoji)) WITHOUT ROWID;
CREATE TABLE fetch_cursors (channel_id INTEGER PRIMARY KEY, last_message_id INTEGER NOT NULL,
    is_complete INTEGER NOT NULL DEFAULT 0);
CREATE TABLE channel_allowlist (channel_id INTEGER PRIMARY KEY, channel_name TEXT NOT NULL,
    kind INTEGER NOT NULL DEFAULT 0, parent_id INTEGER, guild_id INTEGER, enabled INTEGER NOT NULL DEFAULT 0,
    recall INTEGER NOT NULL DEFAULT 0, speak INTEGER NOT NULL DEFAULT 0, is_private INTEGER NOT NULL DEFAULT 1,
    include_private INTEGER NOT NULL DEFAULT 0, rate REAL, access_lost INTEGER NOT NULL DEFAULT 0,
    added_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE members (id INTEGER PRIMARY KEY, username TEXT NOT NULL, display_name TEXT NOT NULL,
    named_by INTEGER NOT NULL DEFAULT 0, opted_out INTEGER NOT NULL DEFAULT 0, excluded INTEGER NOT NULL DEFAULT 0);
CREATE TABLE consents (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject_id INTEGER,
    answer TEXT NOT NULL, wording TEXT NOT NULL, given_by TEXT NOT NULL, given_at REAL NOT NULL);
CREATE TABLE erasures (kind TEXT NOT NULL, id INTEGER NOT NULL, erased_at REAL NOT NULL, PRIMARY KEY (kind, id))
    WITHOUT ROWID;
CREATE TABLE index_queue (seq INTEGER PRIMARY KEY AUTOINCREMENT, message_id INTEGER NOT NULL UNIQUE);
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TRIGGER queue_new AFTER INSERT ON messages WHEN NEW.is_own = 0 BEGIN
    DELETE FROM index_queue WHERE message_id = NEW.id;
    INSERT INTO index_queue (message_id) VALUES (NEW.id);
END;
CREATE TRIGGER queue_edited AFTER UPDATE OF content ON messages WHEN NEW.is_own = 0 AND NEW.content IS NOT OLD.content
BEGIN
    DELETE FROM index_queue WHERE message_id = NEW.id;
    INSERT INTO index_queue (message_id) VALUES (NEW.id);
END;
CREATE TRIGGER queue_deleted AFTER DELETE ON messages WHEN OLD.is_own = 0 BEGIN
    DELETE FROM index_queue WHERE message_id = OLD.id;
    INSERT INTO index_queue (message_id) VALUES (OLD.id);
END;
CREATE TRIGGER queue_absent AFTER UPDATE OF opted_out, excluded ON members
    WHEN NEW.opted_out IS NOT OLD.opted_out OR NEW.excluded IS NOT OLD.excluded BEGIN
    DELETE FROM index_queue WHERE message_id IN (SELECT id FROM messages WHERE author_id = NEW.id);
    INSERT INTO index_queue (message_id) SELECT id FROM messages WHERE author_id = NEW.id AND is_own = 0;
END;
""",
    )


def _messages_form_and_name_rank(connection: sqlite3.Connection) -> None:
    """How each message was written down, and how good the source of each name is; what is there counts as Discord's."""
    _run(
        connection,
        """
ALTER TABLE messages ADD COLUMN form INTEGER NOT NULL DEFAULT 2;
ALTER TABLE members ADD COLUMN name_rank INTEGER NOT NULL DEFAULT 0;
""",
    )


def _messages_withheld(connection: sqlite3.Connection) -> None:
    """Absence is not deletion: what is missing on Discord, or deleted by the owner a moment ago, is set apart."""
    # An erasure also reaches what is set apart, whoever records it.
    _run(
        connection,
        """
ALTER TABLE erasures ADD COLUMN by_owner INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN absence TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN absent_since REAL;
CREATE INDEX messages_absent ON messages (channel_id) WHERE absence <> '';
CREATE TABLE deletions (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject_id INTEGER NOT NULL,
    name TEXT NOT NULL, asked_by TEXT NOT NULL, asked_at REAL NOT NULL, switches TEXT NOT NULL DEFAULT '{}',
    UNIQUE (kind, subject_id));
CREATE TABLE withheld_messages (id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, author_id INTEGER NOT NULL,
    record TEXT NOT NULL, reactions TEXT NOT NULL DEFAULT '[]', withheld_at REAL NOT NULL, missing_since REAL,
    missed_on TEXT NOT NULL DEFAULT '[]', confirmed_at REAL, deletion_id INTEGER);
CREATE INDEX withheld_by_channel ON withheld_messages (channel_id, id);
CREATE INDEX withheld_by_author ON withheld_messages (author_id);
CREATE INDEX withheld_by_deletion ON withheld_messages (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE INDEX withheld_by_time ON withheld_messages (withheld_at);
CREATE TRIGGER erased_message AFTER INSERT ON erasures WHEN NEW.kind = 'message' BEGIN
    DELETE FROM withheld_messages WHERE id = NEW.id;
END;
CREATE TRIGGER erased_member AFTER INSERT ON erasures WHEN NEW.kind = 'member' BEGIN
    DELETE FROM withheld_messages WHERE author_id = NEW.id;
    DELETE FROM deletions WHERE kind = 'member' AND subject_id = NEW.id;
END;
CREATE TRIGGER erased_channel AFTER INSERT ON erasures WHEN NEW.kind = 'channel' BEGIN
    DELETE FROM withheld_messages WHERE channel_id = NEW.id;
    DELETE FROM deletions WHERE kind = 'channel' AND subject_id = NEW.id;
END;
""",
    )


def _messages_withdrawals(connection: sqlite3.Connection) -> None:
    """What was taken back is written down by the decision itself, for the running bot and for what cleans files."""
    _run(
        connection,
        """
CREATE TABLE withdrawals (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id INTEGER NOT NULL,
    channel_id INTEGER NOT NULL DEFAULT 0, author_id INTEGER NOT NULL DEFAULT 0, words TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL, is_swept INTEGER NOT NULL DEFAULT 0);
CREATE INDEX withdrawals_unswept ON withdrawals (at) WHERE is_swept = 0;
CREATE TRIGGER withdrawn_message AFTER DELETE ON messages
    WHEN NOT EXISTS (SELECT 1 FROM withheld_messages WHERE id = OLD.id) BEGIN
    INSERT INTO withdrawals (kind, id, channel_id, author_id, words, at)
    VALUES ('message', OLD.id, OLD.channel_id, OLD.author_id, OLD.content, (julianday('now') - 2440587.5) * 86400.0);
END;
CREATE TRIGGER withdrawn_hidden AFTER DELETE ON withheld_messages
    WHEN NOT EXISTS (SELECT 1 FROM messages WHERE id = OLD.id) BEGIN
    INSERT INTO withdrawals (kind, id, channel_id, author_id, words, at)
    VALUES ('message', OLD.id, OLD.channel_id, OLD.author_id, IFNULL(json_extract(OLD.record, '$.content'), ''),
        (julianday('now') - 2440587.5) * 86400.0);
END;
CREATE TRIGGER withdrawn_absent AFTER UPDATE OF opted_out, excluded ON members
    WHEN (NEW.opted_out OR NEW.excluded) AND NOT (OLD.opted_out OR OLD.excluded) BEGIN
    INSERT INTO withdrawals (kind, id, at, is_swept)
    VALUES ('absent', NEW.id, (julianday('now') - 2440587.5) * 86400.0, 1);
END;
CREATE TRIGGER withdrawn_newcomer AFTER INSERT ON members WHEN NEW.opted_out OR NEW.excluded BEGIN
    INSERT INTO withdrawals (kind, id, at, is_swept)
    VALUES ('absent', NEW.id, (julianday('now') - 2440587.5) * 86400.0, 1);
END;
CREATE TRIGGER withdrawn_recall AFTER UPDATE OF recall, access_lost ON channel_allowlist
    WHEN (OLD.recall AND NOT NEW.recall) OR (NEW.access_lost AND NOT OLD.access_lost) BEGIN
    INSERT INTO withdrawals (kind, id, at, is_swept)
    VALUES ('closed', NEW.channel_id, (julianday('now') - 2440587.5) * 86400.0, 1);
END;
CREATE TRIGGER withdrawn_channel AFTER DELETE ON channel_allowlist BEGIN
    INSERT INTO withdrawals (kind, id, at, is_swept)
    VALUES ('closed', OLD.channel_id, (julianday('now') - 2440587.5) * 86400.0, 1);
END;
""",
    )


def _messages_who_may_read_a_channel(connection: sqlite3.Connection) -> None:
    """What Discord says and what the owner says become two columns. For channels of a server the one value so far is
    taken for Discord's last word, which repeated itself at every start."""
    _run(
        connection,
        """
ALTER TABLE channel_allowlist ADD COLUMN discord_private INTEGER;
ALTER TABLE channel_allowlist ADD COLUMN owner_private INTEGER;
ALTER TABLE channel_allowlist ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE channel_allowlist ADD COLUMN accepted_audience TEXT NOT NULL DEFAULT '';
UPDATE channel_allowlist SET discord_private = is_private WHERE guild_id IS NOT NULL;
""",
    )


def _messages_own_replies_apart(connection: sqlite3.Connection) -> None:
    """The few own replies are found without reading messages, so that counting members' messages reads none."""
    _run(connection, "CREATE INDEX messages_own ON messages (channel_id, author_id) WHERE is_own = 1;\n")


def _messages_taken_back_after_preparing(connection: sqlite3.Connection) -> None:
    """What leaves use without being erased reaches what was made of it: members who are left out, channels that are
    learnt from no more, messages out of sight, and words that were edited."""
    moment = "(julianday('now') - 2440587.5) * 86400.0"
    learns = "({row}.enabled AND NOT {row}.access_lost AND (NOT {row}.is_private OR {row}.include_private))"
    was, is_ = learns.format(row="OLD"), learns.format(row="NEW")
    _run(
        connection,
        f"""
ALTER TABLE messages ADD COLUMN reworded_at REAL;
CREATE TRIGGER reworded AFTER UPDATE OF content ON messages
    WHEN NEW.content IS NOT OLD.content AND NEW.edited_ms IS NOT OLD.edited_ms BEGIN
    UPDATE messages SET reworded_at = {moment} WHERE id = NEW.id;
END;
DROP TRIGGER withdrawn_absent;
CREATE TRIGGER withdrawn_absent AFTER UPDATE OF opted_out, excluded ON members
    WHEN (NEW.opted_out OR NEW.excluded) AND NOT (OLD.opted_out OR OLD.excluded) BEGIN
    INSERT INTO withdrawals (kind, id, at) VALUES ('absent', NEW.id, {moment});
END;
CREATE TRIGGER withdrawn_unlearnt AFTER UPDATE OF enabled, include_private, is_private, access_lost
    ON channel_allowlist WHEN {was} AND NOT {is_} BEGIN
    INSERT INTO withdrawals (kind, id, at) VALUES ('unlearnt', NEW.channel_id, {moment});
END;
CREATE TRIGGER withdrawn_unlisted AFTER DELETE ON channel_allowlist WHEN {was} BEGIN
    INSERT INTO withdrawals (kind, id, at) VALUES ('unlearnt', OLD.channel_id, {moment});
END;
CREATE TRIGGER withdrawn_from_sight AFTER INSERT ON withheld_messages BEGIN
    INSERT INTO withdrawals (kind, id, channel_id, author_id, at)
    VALUES ('hidden', NEW.id, NEW.channel_id, NEW.author_id, {moment});
END;
""",
    )


def _control_live_and_incidents(connection: sqlite3.Connection) -> None:
    """What a reply was made of (by ids alone), the one being written, what interrupted the bot, and what a command is
    about."""
    _run(
        connection,
        """
CREATE TABLE replies (reply_id INTEGER PRIMARY KEY, channel_id INTEGER NOT NULL, answered_id INTEGER NOT NULL,
    at REAL NOT NULL, model TEXT NOT NULL DEFAULT '', parts TEXT NOT NULL DEFAULT '[]',
    context_ids TEXT NOT NULL DEFAULT '[]', recalled_ids TEXT NOT NULL DEFAULT '[]');
CREATE INDEX replies_by_owner ON replies (at) WHERE answered_id = 0;
CREATE TABLE drafts (channel_id INTEGER PRIMARY KEY, answered_id INTEGER NOT NULL, pid INTEGER NOT NULL,
    text TEXT NOT NULL, begun_at REAL NOT NULL, at REAL NOT NULL);
CREATE TABLE incidents (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, at REAL NOT NULL, ended_at REAL,
    detail TEXT NOT NULL DEFAULT '');
CREATE INDEX incidents_by_time ON incidents (at);
CREATE INDEX activity_by_channel ON activity (channel_id, id);
ALTER TABLE bot_commands ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
""",
    )


def _messages_taught(connection: sqlite3.Connection) -> None:
    """What the owner and the members think of replies. A row goes with any message it was made of, in the transaction
    in which that one goes, and with the member whose judgement it is."""
    _run(
        connection,
        """
CREATE TABLE taught (id INTEGER PRIMARY KEY AUTOINCREMENT, reply_id INTEGER NOT NULL, channel_id INTEGER NOT NULL,
    judge_id INTEGER NOT NULL, verdict INTEGER NOT NULL, reply TEXT NOT NULL, better TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '', context_ids TEXT NOT NULL DEFAULT '[]', chat TEXT NOT NULL DEFAULT '[]',
    at REAL NOT NULL, UNIQUE (reply_id, judge_id));
CREATE INDEX taught_by_time ON taught (at);
CREATE TABLE taught_sources (taught_id INTEGER NOT NULL, message_id INTEGER NOT NULL,
    PRIMARY KEY (taught_id, message_id)) WITHOUT ROWID;
CREATE INDEX taught_by_source ON taught_sources (message_id);
CREATE TRIGGER untaught AFTER DELETE ON taught BEGIN
    DELETE FROM taught_sources WHERE taught_id = OLD.id;
END;
CREATE TRIGGER untaught_message AFTER INSERT ON withdrawals WHEN NEW.kind = 'message' BEGIN
    DELETE FROM taught WHERE id IN (SELECT taught_id FROM taught_sources WHERE message_id = NEW.id);
    DELETE FROM taught WHERE reply_id = NEW.id AND judge_id <> 0;
END;
CREATE TRIGGER untaught_member AFTER INSERT ON withdrawals WHEN NEW.kind = 'member' BEGIN
    DELETE FROM taught WHERE judge_id = NEW.id;
END;
CREATE TRIGGER untaught_channel AFTER INSERT ON withdrawals WHEN NEW.kind = 'channel' BEGIN
    DELETE FROM taught WHERE channel_id = NEW.id;
END;
CREATE TRIGGER untaught_absent AFTER UPDATE OF opted_out ON members WHEN NEW.opted_out AND NEW.id <> 0 BEGIN
    DELETE FROM taught WHERE judge_id = NEW.id;
END;
CREATE TRIGGER untaught_newcomer AFTER INSERT ON members WHEN NEW.opted_out AND NEW.id <> 0 BEGIN
    DELETE FROM taught WHERE judge_id = NEW.id;
END;
""",
    )


CONTROL_MIGRATIONS: tuple[Migration, ...] = (_control_1, _control_2, _control_live_and_incidents)
MESSAGES_MIGRATIONS: tuple[Migration, ...] = (
    _messages_1,
    _messages_form_and_name_rank,
    _messages_withheld,
    _messages_who_may_read_a_channel,
    _messages_withdrawals,
    _messages_own_replies_apart,
    _messages_taken_back_after_preparing,
    _messages_taught,
)
