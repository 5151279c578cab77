"""The demo's first start."""

from __future__ import annotations

DEMO_SETUP = "Welcome to the demo"
DEMO_SETUP_TITLE = "The sample server"
DEMO_SETUP_TEXT = (
    "Its people and messages were made up for this. They are read in and made searchable once, on this computer, "
    "without a token and without a download. It takes ten seconds on a fast one and about a minute on a slow one; then "
    "you talk to the bot in the Playground."
)
DEMO_SETUP_STOPPED = "The sample server is not ready."
DEMO_SETUP_STOPPED_CURE = "You stopped it. What was read is kept, and it goes on from there."
DEMO_SETUP_FAILED = "The sample server could not be set up."
DEMO_SETUP_AGAIN, DEMO_SETUP_LOGS = "Try again", "View logs"
DEMO_SETUP_READY = "The sample server is ready"
DEMO_SETUP_READY_TEXT = "The bot starts now. Say something to it."
