"""The bundled sample server: where it lies, and whether a workspace holds this version of it."""

from __future__ import annotations

import hashlib

from storage.paths import PROJECT_ROOT
from storage.store import Store

FOLDER = PROJECT_ROOT / "data" / "demo"
_FILES = ("messages.jsonl", "channels.json", "guild.json", "members.json")
_VERSION_FACT = "demo_version"


def bundled_version() -> str:
    """The SHA-256 of the bundled messages, channels and members."""
    return hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in _FILES)).hexdigest()


def has_been_opened(store: Store) -> bool:
    """Whether any version of the sample server was ever brought into this workspace to its end."""
    return store.facts.get(_VERSION_FACT) is not None


def is_ready(store: Store) -> bool:
    """Whether this version is here and in the index: nothing is left to set up."""
    return bool(store.facts.get(_VERSION_FACT) == bundled_version()) and store.messages.queue_length() == 0


def mark_ready(store: Store) -> None:
    """This version is here, as of now."""
    store.facts.set(_VERSION_FACT, bundled_version())
