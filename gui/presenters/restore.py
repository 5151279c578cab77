"""The backups there are, and the question before one is brought back. Pure."""

from __future__ import annotations

from gui import texts
from gui.presenters import format as words
from storage.backup import Backup
from storage.backup_checks import TakenSettings

# A menu longer than this is no choice.
SHOWN_BACKUPS = 12


def backup_line(backup: Backup) -> str:
    """When, how many messages, how large."""
    return texts.RESTORE_LINE.format(
        when=words.stamp(backup.created_at),
        messages=words.plural(backup.messages, "message"),
        size=words.size(backup.total_bytes),
    )


def restore_question(backup: Backup, taken: TakenSettings) -> tuple[str, str]:
    """Title and text; what the backup's environment changes is said before it does."""
    parts = [texts.RESTORE_TEXT.format(messages=words.plural(backup.messages, "message"))]
    if taken.values:
        values = ", ".join(f"{_shown(key)} = {_shown(value)}" for key, value in taken.values.items())
        parts.append(texts.RESTORE_TAKEN.format(values=values))
    if taken.left_out:
        parts.append(texts.RESTORE_LEFT.format(names=", ".join(_shown(key) for key in taken.left_out)))
    return texts.RESTORE_TITLE.format(when=words.stamp(backup.created_at)), "\n\n".join(parts)


def _shown(text: str) -> str:
    """On one line and without control marks: it comes from a file of somebody else."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:80]
