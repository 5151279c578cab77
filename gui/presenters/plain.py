"""Sentences of scripts as the panel tells them: without script names and flags, for here every cure is a button."""

from __future__ import annotations

import re

# A sentence ends with a full stop and a blank; the dots of file names and versions have none behind them.
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_COMMAND = re.compile(r"\b(?:python3?|pip)\s+\S|\bscripts/|\b\w+\.py\b|(?<![\w-])--[a-z]|\bin a terminal\b")


def plain(text: str) -> str:
    """The text without the sentences that only a terminal could follow; '' where nothing is left."""
    kept = [sentence for sentence in _SENTENCE.split(text.strip()) if not _COMMAND.search(sentence)]
    return " ".join(kept)


def reflowed(text: str) -> str:
    """A text broken for a terminal, to be broken anew by its window: one line a paragraph, bullets for dashes."""
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*- )", text.strip())
    joined = (" ".join(part.split()) for part in paragraphs)
    return "\n".join(f"\u2022 {part[2:]}" if part.startswith("- ") else part for part in joined)
