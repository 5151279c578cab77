"""What people said: `messages` and `reactions`, and the queue that keeps the index in step."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from storage import withheld
from storage.database import Database, placeholders
from storage.records import Mention, Message, MessageForm, Reaction, first_snowflake, snowflake_ms
from storage.stored_json import read_json
from storage.text import storable
from storage.versions import is_edit, kept_of, unrepeated

_COLUMNS = (
    "id",
    "channel_id",
    "author_id",
    "content",
    "created_ms",
    "edited_ms",
    "kind",
    "reply_to_id",
    "attachments",
    "stickers",
    "mentions",
    "is_pinned",
    "is_own",
    "form",
)
_CHANGEABLE = (
    "content",
    "edited_ms",
    "kind",
    "reply_to_id",
    "attachments",
    "stickers",
    "mentions",
    "is_pinned",
    "form",
)
_SELECT = (
    f"SELECT {', '.join('m.' + name for name in _COLUMNS)}, p.display_name, p.username FROM messages AS m "
    "LEFT JOIN members AS p ON p.id = m.author_id"
)
_UPSERT = f"""INSERT INTO messages ({", ".join(_COLUMNS)}) VALUES (?{", ?" * (len(_COLUMNS) - 1)})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _CHANGEABLE)}
WHERE {" OR ".join(f"{name} IS NOT excluded.{name}" for name in _CHANGEABLE)}"""

# A shorter line means nothing alone.
QUOTABLE_CHARACTERS = 15
# A page may have been read just before a message of it was deleted.
REVIVED_AFTER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Saved:
    """What storing a batch changed. edited: messages whose newer words came in, as their members wrote them."""

    new: int
    edited: int


@dataclass(frozen=True, slots=True)
class QueuedChange:
    """A message whose index entry is out of date; `message` is None when it must leave the index."""

    seq: int
    message_id: int
    message: Message | None


class MessageStore:
    """The truth about messages. Every write joins a transaction that is already open, if any."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def save(
        self,
        messages: Sequence[Message],
        *,
        cursor: tuple[int, int, bool] | None = None,
        is_from_server: bool = False,
    ) -> Saved:
        """Insert or update a page in one transaction; `cursor` = (channel id, last message id, complete).

        Erased messages and everything by erased members stay out, whatever the source says; what is withheld stays
        withheld. Of a message that is known already the newer words stay (storage.versions). is_from_server: this is
        the server's present state, read whole: a message that was missing is there again, and no reactions means that
        none are left.
        """
        now = time.time()
        with self.database.transaction() as connection:
            if is_from_server:
                _revive(connection, messages, before=now - REVIVED_AFTER_SECONDS)
            incoming = unrepeated(_without_erased(connection, messages))
            contents = {message.id: storable(message.content) for message in incoming}
            hidden = withheld.unchanged(connection, contents, is_seen=is_from_server)
            incoming = [message for message in incoming if message.id not in hidden]
            ids = [message.id for message in incoming]
            lifted = withheld.lift(connection, ids, is_seen=is_from_server)
            known = self.get(ids)
            _save_members(connection, incoming)
            kept = [kept_of(known[m.id], m) if m.id in known else m for m in incoming]
            connection.executemany(_UPSERT, [_values(message) for message in kept])
            _save_reactions(connection, kept, set(known), is_whole=is_from_server)
            withheld.hide_again(connection, lifted)
            withheld.hide_pending(connection, ids, now=now)
            if cursor is not None:
                connection.execute(
                    "INSERT INTO fetch_cursors (channel_id, last_message_id, is_complete) VALUES (?, ?, ?) "
                    "ON CONFLICT (channel_id) DO UPDATE SET last_message_id = MAX(last_message_id, "
                    "excluded.last_message_id), is_complete = excluded.is_complete",
                    (cursor[0], cursor[1], int(cursor[2])),
                )
        edited = sum(is_edit(known[message.id], message) for message in kept if message.id in known)
        return Saved(new=len(kept) - len(known), edited=edited)

    def delete(self, message_ids: Sequence[int], *, erased_at: float | None = None, by_owner: bool = False) -> int:
        """Remove messages; their ids are remembered, so that no backup or import brings them back.

        by_owner: here, not on Discord; then not even Discord itself brings them back.
        """
        now = time.time() if erased_at is None else erased_at
        removed = 0
        with self.database.transaction() as connection:
            for message_id in message_ids:
                for table in ("messages", "withheld_messages"):
                    removed += connection.execute(f"DELETE FROM {table} WHERE id = ?", (message_id,)).rowcount
                connection.execute(
                    "INSERT OR IGNORE INTO erasures (kind, id, erased_at, by_owner) VALUES ('message', ?, ?, ?)",
                    (message_id, now, int(by_owner)),
                )
        return removed

    def holds(self, message_ids: Sequence[int]) -> set[int]:
        """Which of these are kept here, in sight or withheld."""
        with self.database.transaction() as connection:
            found = _ids_in(connection, "messages", message_ids)
            return found | _ids_in(connection, "withheld_messages", message_ids)

    def get(self, message_ids: Sequence[int]) -> dict[int, Message]:
        """Messages by id, reactions included; missing ids are absent."""
        found: dict[int, Message] = {}
        for start in range(0, len(message_ids), 500):
            part = list(message_ids[start : start + 500])
            rows = self.database.rows(f"{_SELECT} WHERE m.id IN ({placeholders(part)})", part)
            found |= {message.id: message for message in self._with_reactions(rows)}
        return found

    def known_ids(self, message_ids: Collection[int]) -> set[int]:
        """Which of these messages are kept."""
        found: set[int] = set()
        asked = sorted(message_ids)
        for start in range(0, len(asked), 500):
            part = asked[start : start + 500]
            rows = self.database.rows(f"SELECT id FROM messages WHERE id IN ({placeholders(part)})", part)
            found |= {row[0] for row in rows}
        return found

    def ids_in(self, channel_id: int) -> set[int]:
        """Every message kept of one channel."""
        return {row[0] for row in self.database.rows("SELECT id FROM messages WHERE channel_id = ?", (channel_id,))}

    def recent(self, channel_id: int, *, limit: int, before_id: int | None = None) -> list[Message]:
        """The newest messages of a channel, oldest first."""
        rows = self.database.rows(
            f"{_SELECT} WHERE m.channel_id = ? AND m.id < ? ORDER BY m.id DESC LIMIT ?",
            (channel_id, before_id if before_id is not None else 2**62, limit),
        )
        return self._with_reactions(rows)[::-1]

    def between(self, channel_ids: Sequence[int], *, start_ms: int, end_ms: int, limit: int) -> list[Message]:
        """The newest messages of these channels from a time on and before another, by their ids; oldest first.

        Times in ms since 1970. limit: how many at most, of all channels together.
        """
        rows = list[sqlite3.Row]()
        for channel_id in channel_ids:
            rows += self.database.rows(
                f"{_SELECT} WHERE m.channel_id = ? AND m.id >= ? AND m.id < ? ORDER BY m.id DESC LIMIT ?",
                (channel_id, first_snowflake(start_ms), first_snowflake(end_ms), limit),
            )
        newest = sorted(rows, key=lambda row: -row["id"])[:limit]
        return self._with_reactions(newest)[::-1]

    def times_of(self, author_id: int, *, since_ms: int, limit: int) -> list[int]:
        """When a member wrote, in ms since 1970, newest first; by an index alone."""
        rows = self.database.rows(
            "SELECT id FROM messages WHERE author_id = ? AND id >= ? ORDER BY id DESC LIMIT ?",
            (author_id, first_snowflake(since_ms), limit),
        )
        return [snowflake_ms(row[0]) for row in rows]

    def quotable_by(self, author_id: int, channel_ids: Sequence[int], *, limit: int) -> list[Message]:
        """The newest messages of a member in these channels that hold some words, newest first."""
        rows = self.database.rows(
            f"{_SELECT} WHERE m.author_id = ? AND m.channel_id IN ({placeholders(channel_ids)}) AND m.is_own = 0 "
            "AND length(m.content) >= ? ORDER BY m.id DESC LIMIT ?",
            (author_id, *channel_ids, QUOTABLE_CHARACTERS, limit),
        )
        return self._with_reactions(rows)

    def with_reactions(self, *, limit: int) -> list[Message]:
        """The newest messages that somebody reacted to, newest first."""
        return self._with_reactions(
            self.database.rows(
                f"{_SELECT} WHERE m.id IN (SELECT DISTINCT message_id FROM reactions ORDER BY message_id DESC LIMIT ?) "
                "AND m.is_own = 0 ORDER BY m.id DESC",
                (limit,),
            )
        )

    def newest_worded(self, *, limit: int) -> list[Message]:
        """The newest messages of members with words in them, of all channels, newest first."""
        return self._with_reactions(
            self.database.rows(f"{_SELECT} WHERE m.is_own = 0 AND m.content <> '' ORDER BY m.id DESC LIMIT ?", (limit,))
        )

    def in_channel(self, channel_id: int, *, after_id: int = 0, page_rows: int = 2000) -> Iterator[list[Message]]:
        """Every message of a channel by id, page by page, no read open in between."""
        for page in self.database.pages(
            f"{_SELECT} WHERE m.channel_id = {int(channel_id)} AND m.id > ? ORDER BY m.id LIMIT ?",
            after=(after_id,),
            key=("id",),
            page_rows=page_rows,
        ):
            yield self._with_reactions(page)

    def in_channel_raw(
        self, channel_id: int, *, page_rows: int = 4000
    ) -> Iterator[tuple[list[sqlite3.Row], dict[int, list[Reaction]]]]:
        """Like `in_channel` with rows as SQLite gives them and their reactions: four times as fast for a million.

        Columns: id, author_id, content, created_ms, reply_to_id, attachments, stickers, mentions (JSON texts), is_own.
        """
        for page in self.database.pages(
            "SELECT id, author_id, content, created_ms, reply_to_id, attachments, stickers, mentions, is_own "
            f"FROM messages WHERE channel_id = {int(channel_id)} AND id > ? ORDER BY id LIMIT ?",
            after=(0,),
            key=("id",),
            page_rows=page_rows,
        ):
            reactions: dict[int, list[Reaction]] = {}
            for row in self.database.rows(
                "SELECT r.message_id, r.emoji, r.count FROM reactions AS r JOIN messages AS m "
                "ON m.id = r.message_id WHERE m.channel_id = ? AND r.message_id BETWEEN ? AND ? ORDER BY 1, 2",
                (channel_id, page[0]["id"], page[-1]["id"]),
            ):
                reactions.setdefault(row[0], []).append(Reaction(row[1], row[2]))
            yield page, reactions

    def count(self) -> int:
        """How many messages of members are kept."""
        # Own replies have an index of their own: no message is read to be counted.
        return int(
            self.database.value(
                "SELECT (SELECT COUNT(*) FROM messages) - (SELECT COUNT(*) FROM messages WHERE is_own = 1)"
            )
        )

    def count_by(self, author_id: int) -> int:
        """How many messages of one member are kept; from an index alone, a million take milliseconds."""
        return int(self.database.value("SELECT COUNT(*) FROM messages WHERE author_id = ?", (author_id,)))

    def is_said(self, text: str) -> bool:
        """True when the text stands in any message, letter for letter; looks at all of them."""
        return bool(self.database.value("SELECT EXISTS(SELECT 1 FROM messages WHERE instr(content, ?))", (text,)))

    def count_since(self, moment: float) -> int:
        """How many of them were written after `moment` (seconds since 1970), by their ids."""
        first_id = first_snowflake(int(moment * 1000))
        return int(self.database.value("SELECT COUNT(*) FROM messages WHERE id >= ? AND is_own = 0", (first_id,)))

    def own_author(self) -> int | None:
        """The account this bot last spoke with, None when it has not spoken yet."""
        found = self.database.value("SELECT author_id FROM messages WHERE is_own = 1 ORDER BY id DESC LIMIT 1")
        return int(found) if found else None

    def counts_by_author(self, *, channel_ids: Sequence[int] | None = None) -> dict[int, int]:
        """Messages per member, own replies excluded; of some channels only, when given."""
        if channel_ids is None:
            return self._counts_by("author_id")
        rows = self.database.rows(
            "SELECT author_id, COUNT(*) FROM messages WHERE is_own = 0 "
            f"AND channel_id IN ({placeholders(channel_ids)}) GROUP BY 1",
            list(channel_ids),
        )
        return {row[0]: row[1] for row in rows}

    def counts_by_channel(self) -> dict[int, int]:
        """Messages of members per channel."""
        return self._counts_by("channel_id")

    def _counts_by(self, column: str) -> dict[int, int]:
        counts = dict[int, int]()
        for source, sign in (("", 1), ("INDEXED BY messages_own WHERE is_own = 1", -1)):  # both from indexes alone
            for key, number in self.database.rows(f"SELECT {column}, COUNT(*) FROM messages {source} GROUP BY 1"):
                counts[key] = counts.get(key, 0) + sign * number
        return {key: number for key, number in counts.items() if number}

    def cursor(self, channel_id: int) -> int:
        """The last message id fetched from a channel, 0 before the first fetch."""
        return int(
            self.database.value("SELECT last_message_id FROM fetch_cursors WHERE channel_id = ?", (channel_id,)) or 0
        )

    def is_backfilled(self, channel_id: int) -> bool:
        """True once a fetch has reached the end of a channel's history."""
        return bool(self.database.value("SELECT is_complete FROM fetch_cursors WHERE channel_id = ?", (channel_id,)))

    def id_below(self, channel_id: int, message_id: int) -> int:
        """The highest message id kept of a channel below another; 0 when there is none."""
        return int(
            self.database.value(
                "SELECT IFNULL(MAX(id), 0) FROM messages WHERE channel_id = ? AND id < ?", (channel_id, message_id)
            )
        )

    def newest_id(self, channel_id: int) -> int:
        """The highest message id kept of a channel, own replies included; 0 when there is none."""
        return int(self.database.value("SELECT IFNULL(MAX(id), 0) FROM messages WHERE channel_id = ?", (channel_id,)))

    def ids_between(self, channel_id: int, after_id: int, last_id: int) -> list[int]:
        """Ids kept of a channel, own replies included, with after_id < id <= last_id, ascending."""
        rows = self.database.rows(
            "SELECT id FROM messages WHERE channel_id = ? AND id > ? AND id <= ? ORDER BY id",
            (channel_id, after_id, last_id),
        )
        return [row[0] for row in rows]

    # ---- the index queue ----------------------------------------------------------------------------

    def queue_length(self) -> int:
        """How many messages wait for their index entry."""
        return int(self.database.value("SELECT COUNT(*) FROM index_queue"))

    def queued_changes(self, *, limit: int, after_seq: int = 0) -> list[QueuedChange]:
        """The oldest pending index changes (after a number). Messages of absent members and empty ones must leave."""
        rows = self.database.rows(
            "SELECT q.seq, q.message_id, p.opted_out OR p.excluded AS is_absent FROM index_queue AS q "
            "LEFT JOIN messages AS m ON m.id = q.message_id LEFT JOIN members AS p ON p.id = m.author_id "
            "WHERE q.seq > ? ORDER BY q.seq LIMIT ?",
            (after_seq, limit),
        )
        messages = self.get([row["message_id"] for row in rows if not row["is_absent"]])
        return [
            QueuedChange(row["seq"], row["message_id"], _indexable(messages.get(row["message_id"]))) for row in rows
        ]

    def queued_removals(self, *, limit: int) -> list[QueuedChange]:
        """The oldest pending changes that only take something out: no embedder is needed for them."""
        rows = self.database.rows(
            "SELECT q.seq, q.message_id FROM index_queue AS q LEFT JOIN messages AS m ON m.id = q.message_id "
            "LEFT JOIN members AS p ON p.id = m.author_id "
            "WHERE m.id IS NULL OR p.opted_out OR p.excluded ORDER BY q.seq LIMIT ?",
            (limit,),
        )
        return [QueuedChange(row["seq"], row["message_id"], None) for row in rows]

    def newest_queued(self) -> int:
        """Number of the newest pending change; 0 when there is none."""
        return int(self.database.value("SELECT IFNULL(MAX(seq), 0) FROM index_queue"))

    def clear_queued(self, seqs: Sequence[int]) -> None:
        """These changes reached the index. A message that changed again since has a new number and stays."""
        with self.database.transaction() as connection:
            connection.executemany("DELETE FROM index_queue WHERE seq = ?", [(seq,) for seq in seqs])

    def queue_everything(self) -> int:
        """Put every message in line again (after the index was lost or its embedding model changed)."""
        return self.database.execute(
            "INSERT OR IGNORE INTO index_queue (message_id) SELECT id FROM messages WHERE is_own = 0 ORDER BY id"
        )

    def indexable(self, *, after_id: int, limit: int) -> tuple[list[Message], int | None]:
        """A page of what belongs in the index, by id, and the id to go on after; None at the end."""
        rows = self.database.rows(
            "SELECT m.id, IFNULL(p.opted_out OR p.excluded, 0) AS is_absent FROM messages AS m "
            "LEFT JOIN members AS p ON p.id = m.author_id WHERE m.is_own = 0 AND m.id > ? ORDER BY m.id LIMIT ?",
            (after_id, limit),
        )
        found = self.get([row["id"] for row in rows if not row["is_absent"]])
        page = [message for message in (_indexable(found[number]) for number in sorted(found)) if message is not None]
        return page, rows[-1]["id"] if rows else None

    def _with_reactions(self, rows: Sequence[sqlite3.Row]) -> list[Message]:
        reactions: dict[int, list[Reaction]] = {}
        ids = [row["id"] for row in rows]
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            for row in self.database.rows(
                "SELECT message_id, emoji, count FROM reactions WHERE message_id IN "
                f"({placeholders(part)}) ORDER BY message_id, emoji",
                part,
            ):
                reactions.setdefault(row["message_id"], []).append(Reaction(row["emoji"], row["count"]))
        return [_message(row, tuple(reactions.get(row["id"], ()))) for row in rows]


def is_without_words(message: Message) -> bool:
    """Whether a message holds neither words nor a file nor a sticker: Discord withheld them, for nobody writes that."""
    return not (message.content.strip() or message.attachments or message.stickers)


def _indexable(message: Message | None) -> Message | None:
    return message if message is not None and message.content.strip() and not message.is_own else None


def _ids_in(connection: sqlite3.Connection, table: str, message_ids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(message_ids), 500):
        part = list(message_ids[start : start + 500])
        found.update(
            row[0] for row in connection.execute(f"SELECT id FROM {table} WHERE id IN ({placeholders(part)})", part)
        )
    return found


def _revive(connection: sqlite3.Connection, messages: Sequence[Message], *, before: float) -> None:
    """What Discord shows was not deleted there, whatever was concluded once: ids never come twice.

    Not for what was erased since the page was asked for, nor for what the owner deleted here.
    """
    connection.executemany(
        "DELETE FROM erasures WHERE kind = 'message' AND id = ? AND erased_at < ? AND by_owner = 0",
        [(message.id, before) for message in messages],
    )


def _without_erased(connection: sqlite3.Connection, messages: Sequence[Message]) -> list[Message]:
    """Neither deleted messages, nor those of erased members, nor what was said in a channel before it was erased."""
    if connection.execute("SELECT 1 FROM erasures LIMIT 1").fetchone() is None:
        return list(messages)
    members = _erased(connection, "member", {message.author_id for message in messages})
    channels = _erased(connection, "channel", {message.channel_id for message in messages})
    gone = _erased(connection, "message", {message.id for message in messages})
    return [
        m
        for m in messages
        if m.id not in gone and m.author_id not in members and m.created_ms > channels.get(m.channel_id, -1) * 1000
    ]


def _erased(connection: sqlite3.Connection, kind: str, ids: set[int]) -> dict[int, float]:
    """Which of these ids were erased, and when."""
    found: dict[int, float] = {}
    asked = sorted(ids)
    for start in range(0, len(asked), 500):
        part = asked[start : start + 500]
        found |= {
            row[0]: row[1]
            for row in connection.execute(
                f"SELECT id, erased_at FROM erasures WHERE kind = ? AND id IN ({placeholders(part)})", [kind, *part]
            )
        }
    return found


def _save_members(connection: sqlite3.Connection, messages: Sequence[Message]) -> None:
    best: dict[int, Message] = {}
    for message in messages:
        known = best.get(message.author_id)
        if message.author_name and (known is None or _naming(message) > _naming(known)):
            best[message.author_id] = message
    connection.executemany(
        "INSERT INTO members (id, username, display_name, name_rank, named_by) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET username = excluded.username, display_name = excluded.display_name, "
        "name_rank = excluded.name_rank, named_by = excluded.named_by "
        "WHERE (excluded.name_rank, excluded.named_by) > (name_rank, named_by)",
        [
            (m.author_id, storable(m.username or m.author_name), storable(m.author_name), *_naming(m))
            for m in best.values()
        ],
    )


def _naming(message: Message) -> tuple[int, int]:
    """(rank, message id): which message gives its author the name; the order in which they come in cannot.

    Discord's own name wins over an export's, which is the nickname on the server of that day, and both over a name
    made up where the source has none. Of the same rank the newest message decides.
    """
    rank = 0 if not message.username else 1 if message.form is MessageForm.RENDERED else 2
    return rank, message.id


def _save_reactions(
    connection: sqlite3.Connection, messages: Sequence[Message], known: set[int], *, is_whole: bool
) -> None:
    """Write what differs; a known message whose reactions changed must reach the index again.

    Unless the reading is whole, none named does not mean that there are none: a data package has no reactions.
    """
    kept: dict[int, dict[str, int]] = {message_id: {} for message_id in known}
    for start in range(0, len(messages), 500):
        part = [message.id for message in messages[start : start + 500]]
        for row in connection.execute(
            f"SELECT message_id, emoji, count FROM reactions WHERE message_id IN ({placeholders(part)})", part
        ):
            kept.setdefault(row[0], {})[row[1]] = row[2]
    read = {m.id: _merged(m.reactions) for m in messages if m.reactions or is_whole or m.id not in known}
    changed = {message_id: counts for message_id, counts in read.items() if counts != kept.get(message_id, {})}
    connection.executemany("DELETE FROM reactions WHERE message_id = ?", [(message_id,) for message_id in changed])
    connection.executemany(
        "INSERT INTO reactions (message_id, emoji, count) VALUES (?, ?, ?)",
        [(message_id, emoji, count) for message_id, counts in changed.items() for emoji, count in counts.items()],
    )
    own = {message.id for message in messages if message.is_own}
    again = [(message_id,) for message_id in changed if message_id in known and message_id not in own]
    connection.executemany("DELETE FROM index_queue WHERE message_id = ?", again)
    connection.executemany("INSERT INTO index_queue (message_id) VALUES (?)", again)


def _merged(reactions: Sequence[Reaction]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for reaction in reactions:
        if reaction.count > 0:
            emoji = storable(reaction.emoji)
            counts[emoji] = counts.get(emoji, 0) + reaction.count
    return counts


def _values(m: Message) -> tuple[object, ...]:
    return (
        m.id,
        m.channel_id,
        m.author_id,
        storable(m.content),
        m.created_ms,
        m.edited_ms,
        m.kind,
        m.reply_to_id,
        _json(m.attachments),
        _json(m.stickers),
        _json([[x.id, x.name] for x in m.mentions]),
        int(m.is_pinned),
        int(m.is_own),
        int(m.form),
    )


def _json(value: object) -> str:
    return storable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _message(row: sqlite3.Row, reactions: tuple[Reaction, ...]) -> Message:
    return Message(
        id=row["id"],
        channel_id=row["channel_id"],
        author_id=row["author_id"],
        author_name=row["display_name"] or "",
        content=row["content"],
        created_ms=row["created_ms"],
        edited_ms=row["edited_ms"],
        kind=row["kind"],
        reply_to_id=row["reply_to_id"],
        attachments=tuple(str(name) for name in read_json(row["attachments"], "A message's attachments", [])),
        stickers=tuple(str(name) for name in read_json(row["stickers"], "A message's stickers", [])),
        mentions=tuple(
            Mention(pair[0], str(pair[1]))
            for pair in read_json(row["mentions"], "A message's mentions", [])
            if isinstance(pair, list) and len(pair) == 2
        ),
        reactions=reactions,
        is_pinned=bool(row["is_pinned"]),
        is_own=bool(row["is_own"]),
        username=row["username"] or "",
        form=MessageForm(row["form"]),
    )
