"""The window's frame: its name, its rooms, its appearance."""

from __future__ import annotations

APP_NAME = "Personality Bot"
DEMO_SUFFIX = "demo"
PLAYGROUND = "Playground"
PEOPLE = "People & channels"
TRAINING = "Training"
LOGS = "Logs"
SETTINGS = "Settings"
FIRST_RUN = "Getting started"
BLIND_TEST = "Blind test"
APPEARANCE_TIP = "Appearance: {mode}. Click to change."
APPEARANCE_NAMES = {"system": "match system", "light": "light", "dark": "dark"}
