"""What reactions say about a message (storage/reactions.py: the running bot needs it too), and preference pairs."""
from __future__ import annotations

from storage.reactions import MAX_STRENGTH, reaction_score, reaction_value

__all__ = ["MAX_STRENGTH", "reaction_score", "reaction_value"]
