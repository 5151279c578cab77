"""What is to be said today about messages that something was made of earlier: in sight, gone, or edited since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from storage.database import Database, placeholders

_PART = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """Of some message ids. What this store never had is in none of these.

    places: channel of each message in sight. edited_at: when another wording of it came in here, where one did.
    gone: hidden, deleted, or erased with their channel or author.
    """

    places: Mapping[int, int]
    edited_at: Mapping[int, float]
    gone: frozenset[int]


def standing_of(database: Database, message_ids: Collection[int]) -> Standing:
    """Look these up in messages.db."""
    places: dict[int, int] = {}
    edited: dict[int, float] = {}
    gone: set[int] = set()
    ids = sorted(message_ids)
    for start in range(0, len(ids), _PART):
        part = ids[start : start + _PART]
        marks = placeholders(part)
        for row in database.rows(f"SELECT id, channel_id, reworded_at FROM messages WHERE id IN ({marks})", part):
            places[row["id"]] = row["channel_id"]
            if row["reworded_at"]:
                edited[row["id"]] = row["reworded_at"]
        gone |= {row[0] for row in database.rows(f"SELECT id FROM withheld_messages WHERE id IN ({marks})", part)}
        gone |= {
            row[0] for row in database.rows(f"SELECT id FROM erasures WHERE kind = 'message' AND id IN ({marks})", part)
        }
    return Standing(places, edited, frozenset(gone - places.keys()))


def erased_channels(database: Database) -> frozenset[int]:
    """Channels whose messages were erased at some time."""
    return frozenset(row[0] for row in database.rows("SELECT id FROM erasures WHERE kind = 'channel'"))
