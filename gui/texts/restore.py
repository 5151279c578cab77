"""Bringing a backup back."""

from __future__ import annotations

ACTION_RESTORE = "Restore a backup…"
RESTORE_NONE, RESTORE_NONE_TEXT = "There is no backup yet", "“Back up now” makes one."
RESTORE_LINE = "{when}  ·  {messages}  ·  {size}"
RESTORE_BUSY = "Something is still at work"
RESTORE_BUSY_TEXT = "Wait until it has ended, or cancel it; then restore."
RESTORE_TITLE = "Go back to {when}?"
RESTORE_TEXT = (
    "Messages, settings, search index and models become what they were then: {messages}. What is here now is set aside "
    "and stays on the disk. Whoever was forgotten since stays forgotten.\n\nThe bot stops for it, and this "
    "window closes and comes back."
)
RESTORE_TAKEN = "Taken over with it: {values}."
RESTORE_LEFT = "Left as it is here: {names}."
RESTORE_GO = "Restore"
RESTORED, RESTORED_TEXT = "The backup is back", "{messages}. What was here before is set aside beside it."
