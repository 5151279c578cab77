"""Channels with the owner's switches, members with their choices, and the answers people gave."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from storage.database import Database
from storage.erasing.databases import erase_from_messages, names_in_messages
from storage.records import PRIVATE_THREAD as PRIVATE_THREAD
from storage.records import THREAD_KINDS as THREAD_KINDS
from storage.records import Channel, Member
from storage.text import storable
from storage.withdrawals import Subject, withdraw_channel, withdraw_member

_CHANNEL_COLUMNS = (
    "channel_id, channel_name, kind, parent_id, guild_id, enabled, recall, speak, is_private, "
    "include_private, rate, access_lost, discord_private, owner_private, audience, accepted_audience"
)
SWITCHES = {
    "learn": "enabled",
    "recall": "recall",
    "speak": "speak",
    "include_private": "include_private",
    "is_access_lost": "access_lost",
}
# Those of them that the owner turns; the last is what Discord says.
OWNERS_SWITCHES = ("learn", "recall", "speak", "include_private")
_THREADS = ", ".join(str(kind) for kind in sorted(THREAD_KINDS))


class Channels:
    """The `channel_allowlist` table. Threads have no switches of their own: they follow their parent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, channels: Iterable[Channel]) -> int:
        """Add unknown channels as given; of known ones only name, kind and parent are brought up to date."""
        rows = [
            (
                c.id,
                storable(c.name),
                c.kind,
                c.parent_id,
                c.guild_id,
                int(c.learn),
                int(c.recall),
                int(c.speak),
                int(c.is_private),
                int(c.include_private),
                c.rate,
                int(c.is_access_lost),
                c.discord_private,
                c.owner_private,
                c.audience,
                c.accepted_audience,
            )
            for c in channels
        ]
        with self._database.transaction() as connection:
            before = int(connection.execute("SELECT COUNT(*) FROM channel_allowlist").fetchone()[0])
            connection.executemany(
                f"INSERT INTO channel_allowlist ({_CHANNEL_COLUMNS}) VALUES (?{', ?' * 15}) ON CONFLICT (channel_id) "
                "DO UPDATE SET channel_name = excluded.channel_name, kind = excluded.kind, "
                "parent_id = excluded.parent_id, guild_id = IFNULL(excluded.guild_id, guild_id)",
                rows,
            )
            return int(connection.execute("SELECT COUNT(*) FROM channel_allowlist").fetchone()[0]) - before

    def names(self) -> dict[int, str]:
        """Every channel's name by its id: how `<#id>` in a message reads."""
        return {channel.id: channel.name for channel in self.all()}

    def all(self) -> list[Channel]:
        """Every known channel by name, threads with their parent's switches."""
        rows = self._database.rows(
            f"SELECT {_CHANNEL_COLUMNS} FROM channel_allowlist ORDER BY channel_name, channel_id"
        )
        own = {row["channel_id"]: _channel(row) for row in rows}
        return [_inherit(channel, own) for channel in own.values()]

    def get(self, channel_id: int) -> Channel | None:
        """One channel, its switches resolved; None when unknown (which means: off and private)."""
        row = self._database.row(
            f"SELECT {_CHANNEL_COLUMNS} FROM channel_allowlist WHERE channel_id = ?", (channel_id,)
        )
        if row is None:
            return None
        channel = _channel(row)
        # One step up, as in `all`: a list of channels from elsewhere may name parents in a circle.
        above = self._database.row(
            f"SELECT {_CHANNEL_COLUMNS} FROM channel_allowlist WHERE channel_id = ?", (channel.parent_id,)
        )
        return _inherit(channel, {above["channel_id"]: _channel(above)} if above else {})

    def switch(self, channel_id: int, **switches: bool) -> bool:
        """Set learn, recall, speak, is_private, include_private or is_access_lost; False for an unknown channel.

        is_private is the owner's word and holds until the owner takes it back: True keeps the channel private
        whatever Discord says; False leaves it to Discord, and takes what Discord says now as it is.
        """
        assignments = [f"{SWITCHES[name]} = ?" for name in switches if name != "is_private"]
        values = [int(value) for name, value in switches.items() if name != "is_private"]
        if "is_private" in switches:
            assignments += ["owner_private = ?", "is_private = MAX(?, IFNULL(discord_private, 0))"]
            values += [int(switches["is_private"])] * 2
            assignments += [] if switches["is_private"] else ["accepted_audience = audience"]
        return (
            self._database.execute(
                f"UPDATE channel_allowlist SET {', '.join(assignments)} WHERE channel_id = ?", (*values, channel_id)
            )
            > 0
        )

    def put_back(self, befores: Iterable[Channel]) -> None:
        """Undo what the owner switched on channels, all in one transaction: their switches, rate and word on privacy
        are as in these earlier readings. What Discord has said meanwhile stays, and nothing becomes more open than it
        was or than Discord says."""
        rows = [
            (
                *(int(getattr(before, name)) for name in OWNERS_SWITCHES),
                before.rate,
                before.owner_private,
                int(before.is_private),
                before.audience,
                before.accepted_audience,
                before.id,
            )
            for before in befores
        ]
        switches = ", ".join(f"{SWITCHES[name]} = ?" for name in OWNERS_SWITCHES)
        with self._database.transaction() as connection:
            connection.executemany(
                f"UPDATE channel_allowlist SET {switches}, rate = ?, owner_private = ?, "
                "is_private = MAX(?, IFNULL(discord_private, 0)), "
                "accepted_audience = CASE WHEN audience = ? THEN ? ELSE accepted_audience END WHERE channel_id = ?",
                rows,
            )

    def update_access(self, changes: Mapping[int, Callable[[Channel], Channel]]) -> int:
        """Bring what is known about who may read these channels up to date, all in one transaction: each change gets
        the channel's own row and returns it with other private or audience fields, or as it is. Unknown channels are
        left out. Returns how many changed."""
        changed = 0
        with self._database.transaction() as connection:
            for channel_id, change in changes.items():
                row = connection.execute(
                    f"SELECT {_CHANNEL_COLUMNS} FROM channel_allowlist WHERE channel_id = ?", (channel_id,)
                ).fetchone()
                if row is None:
                    continue
                known = _channel(row)
                new = change(known)
                if new == known:
                    continue
                changed += 1
                connection.execute(
                    "UPDATE channel_allowlist SET is_private = ?, discord_private = ?, owner_private = ?, "
                    "audience = ?, accepted_audience = ?, access_lost = ? WHERE channel_id = ?",
                    (
                        int(new.is_private),
                        new.discord_private,
                        new.owner_private,
                        new.audience,
                        new.accepted_audience,
                        int(new.is_access_lost),
                        channel_id,
                    ),
                )
        return changed

    def set_rate(self, channel_id: int, rate: float | None) -> bool:
        """A response rate of its own (0-1), or None for the general one."""
        return (
            self._database.execute("UPDATE channel_allowlist SET rate = ? WHERE channel_id = ?", (rate, channel_id)) > 0
        )

    def remove(self, channel_id: int) -> bool:
        """Take a channel off the list; its messages stay until deleted. One that the owner keeps private stays on it,
        switched off: it would come back on its own, and without that word."""
        with self._database.transaction() as connection:
            kept = connection.execute(
                "UPDATE channel_allowlist SET enabled = 0, recall = 0, speak = 0, include_private = 0, rate = NULL "
                "WHERE channel_id = ? AND owner_private = 1",
                (channel_id,),
            ).rowcount
            gone = connection.execute(
                "DELETE FROM channel_allowlist WHERE channel_id = ? AND IFNULL(owner_private, 0) = 0", (channel_id,)
            ).rowcount
        return bool(kept + gone)

    def forget_messages(self, channel_id: int) -> list[int]:
        """Delete all messages of a channel and of its threads; returns their ids.

        What was said until now never comes back; what is said from now on is kept or not as the switches say.
        """
        now = time.time()
        with self._database.transaction() as connection:
            threads = connection.execute(
                f"SELECT channel_id FROM channel_allowlist WHERE parent_id = ? AND kind IN ({_THREADS})", (channel_id,)
            )
            places = sorted({channel_id, *(row[0] for row in threads)})
            marks = ", ".join("?" * len(places))
            newest = connection.execute(
                f"SELECT MAX(created_ms) FROM messages WHERE channel_id IN ({marks})", places
            ).fetchone()[0]
            # Discord's clock may be ahead of ours.
            until = max(now, (newest or 0) / 1000)
            connection.execute(f"DELETE FROM erasures WHERE kind = 'channel' AND id IN ({marks})", places)
            ids = erase_from_messages(connection, Subject(channels=dict.fromkeys(places, until)), now)
            for place in places:
                withdraw_channel(connection, place, until)
        return ids

    def trainable(self) -> list[Channel]:
        """Channels that join the training data: learning, and public or with the second yes."""
        return [c for c in self.all() if c.learn and not c.is_access_lost and (not c.is_private or c.include_private)]


class Members:
    """The `members` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self) -> list[str]:
        """What everybody known is called, display names and user names."""
        return [name for member in self.all() for name in (member.display_name, member.username) if name]

    def all(self) -> list[Member]:
        """Everybody known, by name."""
        return [
            _member(row)
            for row in self._database.rows(
                "SELECT id, username, display_name, opted_out, excluded FROM members ORDER BY display_name, id"
            )
        ]

    def get(self, member_id: int) -> Member | None:
        """The member with this id; None where nobody of that id was ever seen."""
        row = self._database.row(
            "SELECT id, username, display_name, opted_out, excluded FROM members WHERE id = ?", (member_id,)
        )
        return _member(row) if row else None

    def absent_ids(self) -> frozenset[int]:
        """Members nothing may be learnt or recalled from."""
        rows = self._database.rows("SELECT id FROM members WHERE opted_out = 1 OR excluded = 1")
        return frozenset(row[0] for row in rows)

    def set_opted_out(self, member_id: int, opted_out: bool, *, name: str = "") -> None:
        """The member's own choice. Their lines leave the index with the next catch-up."""
        self._set("opted_out", member_id, opted_out, name)

    def set_excluded(self, member_id: int, excluded: bool) -> None:
        """The owner's choice."""
        self._set("excluded", member_id, excluded, "")

    def forget(self, member_id: int, *, names: Iterable[str] = ()) -> list[int]:
        """Delete all their messages and their name, and keep them out for good. Returns the deleted ids.

        names: what else they were called, for the files (`storage.forgetting` finds and cleans them).
        """
        now = time.time()
        with self._database.transaction() as connection:
            called = names_in_messages(connection, member_id) | set(names)
            ids = erase_from_messages(connection, Subject(members=frozenset({member_id})), now)
            withdraw_member(connection, member_id, called, now)
        return ids

    def _set(self, column: str, member_id: int, value: bool, name: str) -> None:
        self._database.execute(
            f"INSERT INTO members (id, username, display_name, {column}) VALUES (?, ?, ?, ?) "
            f"ON CONFLICT (id) DO UPDATE SET {column} = excluded.{column}",
            (member_id, storable(name), storable(name), int(value)),
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """One recorded answer: what was shown, what was answered, by whom and when."""

    kind: str
    answer: str
    wording: str
    given_by: str
    given_at: float
    subject_id: int | None = None


class Consents:
    """The `consents` table: append-only."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def record(self, kind: str, answer: str, *, wording: str, given_by: str, subject_id: int | None = None) -> None:
        """Keep an answer with the wording it was given to; older answers stay."""
        self._database.insert(
            "INSERT INTO consents (kind, subject_id, answer, wording, given_by, given_at) VALUES (?, ?, ?, ?, ?, ?)",
            (kind, subject_id, answer, wording, given_by, self._clock()),
        )

    def latest(self, kind: str, *, subject_id: int | None = None) -> Consent | None:
        """The newest answer to a question, None when it was never asked."""
        row = self._database.row(
            "SELECT kind, answer, wording, given_by, given_at, subject_id FROM consents WHERE kind = ? "
            "AND subject_id IS ? ORDER BY id DESC LIMIT 1",
            (kind, subject_id),
        )
        return Consent(*row) if row else None

    def all(self) -> list[Consent]:
        """Every answer ever given, the oldest first."""
        rows = self._database.rows(
            "SELECT kind, answer, wording, given_by, given_at, subject_id FROM consents ORDER BY id"
        )
        return [Consent(*row) for row in rows]


def names_of(channels: Sequence[Channel]) -> str:
    """'#general, #memes' for sentences."""
    return ", ".join(f"#{channel.name}" for channel in channels)


def _channel(row: sqlite3.Row) -> Channel:
    return Channel(
        id=row["channel_id"],
        name=row["channel_name"],
        kind=row["kind"],
        parent_id=row["parent_id"],
        guild_id=row["guild_id"],
        learn=bool(row["enabled"]),
        recall=bool(row["recall"]),
        speak=bool(row["speak"]),
        is_private=bool(row["is_private"]),
        include_private=bool(row["include_private"]),
        rate=row["rate"],
        is_access_lost=bool(row["access_lost"]),
        discord_private=_said(row["discord_private"]),
        owner_private=_said(row["owner_private"]),
        audience=row["audience"],
        accepted_audience=row["accepted_audience"],
    )


def _said(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _inherit(channel: Channel, known: dict[int, Channel]) -> Channel:
    parent = known.get(channel.parent_id) if channel.parent_id is not None and channel.kind in THREAD_KINDS else None
    if parent is None:
        return channel
    return replace(
        parent,
        id=channel.id,
        name=channel.name,
        kind=channel.kind,
        parent_id=channel.parent_id,
        guild_id=channel.guild_id,
        is_private=parent.is_private or channel.kind == PRIVATE_THREAD,
        rate=channel.rate if channel.rate is not None else parent.rate,
        is_access_lost=channel.is_access_lost or parent.is_access_lost,
    )


def _member(row: sqlite3.Row) -> Member:
    return Member(row["id"], row["username"], row["display_name"], bool(row["opted_out"]), bool(row["excluded"]))
