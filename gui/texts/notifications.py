"""The tray, notifications and leaving."""

from __future__ import annotations

TRAY_SHOW, TRAY_HIDE = "Show window", "Hide window"
TRAY_START, TRAY_STOP, TRAY_EXIT = "Start bot", "Stop bot", "Exit"
TRAY_FREE = "Free the model's memory"
TRAY_TIP = "{app}: {state}"
TRAY_TIP_STATS = "{app}: {state}\n{replies} since its start · {memory}"
HIDDEN_TITLE, HIDDEN_TEXT = "Still here", "The panel stays in the tray. Exit from its menu there."
EXIT_TIP = "Exit (Ctrl+Q)"
EXIT_STOPPING = "Stopping the bot…"
NOTE_STARTED, NOTE_STOPPED, NOTE_ERROR = "The bot is running", "The bot stopped", "The bot needs attention"
NOTE_RESTARTED = "The bot stopped unexpectedly and will restart automatically"
NOTE_MODEL = "The model could not be loaded"
NOTE_MODEL_TEXT = "The bot tries again every 30 s. {error}"
NOTE_MILESTONE, NOTE_MILESTONE_TEXT = "{count} replies", "Your bot has answered {count} times."
NOTE_INCIDENTS = {
    "crash": "It crashed and is back",
    "hung": "It stopped responding and is back",
    "sleep": "Your computer slept for {span}",
    "disconnect": "Discord was out of reach for {span}",
    "update": "The program was updated to {detail}",
}
NOTE_INCIDENT_CAUSE = {"crash": "It crashed ({cause}) and is back", "hung": "It hung ({cause}) and is back"}
NOTE_INCIDENT_TEXT = "It was away for {span}, from {since}."
NOTE_INCIDENT_UPDATE = "The bot runs the new version since {since}."
NOTE_INCIDENT_MORE = "It was interrupted again"
NOTE_INCIDENT_MORE_TEXT = "Home names every interruption; no more are told for ten minutes."
