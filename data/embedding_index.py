"""SQLite -> LanceDB. The work is done in storage/index_sync.py, where the running bot can use it too."""
from __future__ import annotations

from storage.index_sync import CatchUp, Embed, catch_up

__all__ = ["CatchUp", "Embed", "catch_up"]
