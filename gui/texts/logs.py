"""The room of the logs."""

from __future__ import annotations

LOG_SEARCH = "Search (Ctrl+F)"
LOG_LEVELS = {"DEBUG": "Everything", "INFO": "Info and up", "WARNING": "Warnings and errors", "ERROR": "Errors only"}
LOG_FOLLOW = "Follow"
LOG_FOLLOW_TIP = "Scroll along with new lines. Reading further up pauses it."
LOG_JUMP = "Newest lines"
LOG_EXPORT, LOG_CLEAR = "Export", "Clear"
LOG_CLEAR_TIP = "Empties this view. The log files stay."
LOG_EXPORT_TITLE = "Save the shown lines as"
LOG_EXPORTED = "{count} saved to {name}"
LOG_COUNT = "{lines}"
LOG_COUNT_FILTERED = "{shown} of {lines}"
LOG_EMPTY = "No lines yet. They appear here as soon as the {name} log has any."
LOG_NO_MATCH = "No line matches. Clear the search, or show more levels."
LOG_NAMES = {"bot": "Bot", "launcher": "Panel"}  # those of jobs are in the table of jobs
LOG_RAW = "{name} (raw output)"
