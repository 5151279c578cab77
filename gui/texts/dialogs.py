"""Questions every room may ask."""

from __future__ import annotations

CANCEL = "Cancel"
EXIT_TITLE = "Close the panel"
EXIT_TEXT = "The bot is running. Should it go on without the panel?"
EXIT_LEAVE, EXIT_STOP = "Leave it running", "Stop it"
