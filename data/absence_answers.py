"""The owner's answers about messages that fetches did not find, for the terminal; the panel asks the same."""

from __future__ import annotations

import argparse

from storage.errors import BadInputError
from storage.store import Store


def has_answer(options: argparse.Namespace) -> bool:
    """Whether the command line answers instead of asking for a fetch."""
    return any((options.were_deleted, options.keep_absent, options.bring_back))


def answer(store: Store, options: argparse.Namespace) -> list[str]:
    """Do what was answered; returns a sentence a channel. BadInputError for a channel nothing is asked about."""
    asked = {q.channel_id: q.channel_name for q in store.withheld.questions()}
    hidden = {m.channel_id: m.channel_name for m in store.withheld.missing()}
    said = []
    for channel_id, name in _named(options.were_deleted, asked, "No question is open about"):
        count = store.withheld.confirm(channel_id)
        said.append(f"#{name}: {count:,} messages are hidden and will be erased in seven days.")
    for channel_id, name in _named(options.keep_absent, asked, "No question is open about"):
        said.append(f"#{name}: {store.withheld.dismiss(channel_id):,} messages stay.")
    for channel_id, name in _named(options.bring_back, hidden, "No fetch has hidden anything in"):
        said.append(f"#{name}: {store.withheld.restore_missing(channel_id):,} messages are back.")
    return said


def _named(text: str | None, known: dict[int, str], trouble: str) -> list[tuple[int, str]]:
    found = []
    for name in filter(None, (part.strip().lstrip("#") for part in (text or "").split(","))):
        match = next(((i, n) for i, n in known.items() if n.lower() == name.lower() or str(i) == name), None)
        if match is None:
            listed = ", ".join(f"#{n}" for n in known.values()) or "none"
            raise BadInputError(f"{trouble} '{name}'.", f"Channels to name here: {listed}.")
        found.append(match)
    return found
