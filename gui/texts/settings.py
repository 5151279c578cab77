"""The settings and the lines among them that are no settings."""

from __future__ import annotations

TIME_FROM, TIME_TO = "from", "to"
TIME_HALF = "One half of the span; the other is still to come."
TIME_TIP = "Up, Down and the wheel: a quarter of an hour. Page Up and Down: an hour. Or type it: 23, 7.30, 11pm."

SETTINGS_GROUPS = {
    "Startup": "Startup",
    "Notifications": "Notifications",
    "Discord": "Discord",
    "Channels": "Server & channels",
    "Behaviour": "Behaviour",
    "Generation": "Expert",
    "Model": "Model",
    "Data": "Data",
    "Advanced": "Advanced",
}
RESTART_NEEDED = "needs a restart"
RESET_TIP = "Back to the default: {value}"
RESET_EMPTY = "empty"
SETTINGS_HINT = "saved as you type"
QUIET_READING = "Quiet every day from {start} to {end} ({span})."
SETTING_HOLDS = "Not saved: {value} still holds (Esc brings it back)."
SETTING_HOLDS_EMPTY = "Not saved (Esc empties it again)."
TOKEN_LABEL = "Bot token"
TOKEN_HELP = "From the Discord developer portal. Kept in .env on this computer, readable by you only."
TOKEN_NONE, TOKEN_SHOW, TOKEN_HIDE, TOKEN_EDIT, TOKEN_SAVE = "not set", "Show", "Hide", "Edit", "Save"
TOKEN_SAVED = "Token saved to .env. Restart the bot to use it."
TOKEN_PASTE = "Paste the token here"
TOKEN_LOOKS_WRONG = "That does not look like a bot token (three parts with dots)."
TOKEN_OVERRIDDEN = "Set by an environment variable, which wins over .env."
SERVER_LABEL, SERVER_HELP = "Server ID", "Turn on Developer Mode in Discord, right-click your server, Copy Server ID."
ADMINS_LABEL, ADMINS_HELP = "Admins", "Discord user IDs that may use the bot's commands, separated by commas."
ENV_SAVED = "Saved to .env. Restart the bot to use it."
CHANNELS_HELP = "Where the bot learns, looks things up and speaks."
CHANNELS_EDIT = "Edit in People & channels"
CHANNELS_NONE = "No channels yet. A first fetch or an import brings them."
CHANNEL_SWITCHES = ("learn", "recall", "speak")
BROWSE = "Browse…"
MODEL_CHECKING = "Trying the file. The model in use stays until it is known to work."
BROWSE_MODEL = "Choose a GGUF model file"
SHORTCUT_LABEL, SHORTCUT_HELP = "Shortcut", "A desktop and menu entry that opens this panel without a console window."
SHORTCUT_MAKE, SHORTCUT_MADE = "Create", "Shortcut created."
BOOT_LABEL = "Start before login"
BOOT_HELP = (
    "The system starts the bot with the computer, before anybody logs in and without a window. This panel "
    "takes over when you open it."
)
BOOT_SET_UP, BOOT_REMOVE, BOOT_COPY, BOOT_COPIED = "Set up", "Remove", "Copy command", "Command copied."
INDEX_LABEL, INDEX_HELP = "Search index", "Rebuild it when recall finds nothing or the embedding model changed."
INDEX_BUTTON = "Rebuild index"
DOCTOR_LABEL, DOCTOR_HELP = "Check-up", "Looks at everything a troubleshooter would and names the cures."
DOCTOR_BUTTON = "Check everything"
TUNE_LABEL = "Speed of this computer"
TUNE_HELP = "Measures which engine settings are fastest here. Takes about a minute."
TUNE_BUTTON = "Measure again"
GPU_NONE = "This installation has no GPU support: the processor does the work."
GPU_UNKNOWN = "Known once the bot has loaded its model here."
GPU_FREE = "{name}: {free} of {total} free."
SETTINGS_SEARCH = "Search all settings (Ctrl+F)"
SETTINGS_FOUND = "Found: {count}"
SETTINGS_NOT_FOUND = "No setting has these words"
SETTINGS_NOT_FOUND_HINT = "Try another word for it, or fewer of them."
# What people call a setting, besides its own words.
SETTINGS_ALSO = {
    "response_rate": "how often joins in chatty quiet talkative",
    "temperature": "how wild surprising predictable creative",
    "max_tokens": "how long length rant one-liner words",
    "quiet_hours": "night sleep silent mute",
    "keep_backups": "restore copy",
}
