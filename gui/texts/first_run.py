"""Getting started and the check-up."""

from __future__ import annotations

FIRST_INTRO = "A few steps, each checked as you go. What you enter stays on this computer."
FIRST_DEMO_TITLE = "Just looking?"
FIRST_DEMO = "The demo opens a small sample server with a bot to talk to: no token, no download."
FIRST_DEMO_GO = "Try the demo"
FIRST_DEMO_STARTED = "The demo opens in a window of its own."
FIRST_CHECK = "Check again"
FIRST_DONE = "{done} of {all} done"
FIRST_FINISHED = "Everything is in place."
STEP_TOKEN = "Bot token"
STEP_TOKEN_TEXT = (
    "Make an application in the Discord developer portal, open Bot, press Reset Token and paste it "
    "here. It stays in .env on this computer."
)
STEP_TOKEN_SET = "Set. Not asked from Discord yet: press Check."
STEP_PORTAL = "Developer portal"
PORTAL_URL = "https://discord.com/developers/applications"
STEP_SERVER = "Your server"
STEP_SERVER_TEXT = "In Discord: Settings > Advanced > Developer Mode. Then right-click your server, Copy Server ID."
STEP_INVITE, STEP_INVITE_TEXT = "Bot on the server", "Invite it with the permissions it needs, then check."
STEP_INVITE_GO, STEP_INVITE_COPY = "Open invite link", "Copy link"
STEP_INTENT = "Message content intent"
STEP_INTENT_TEXT = "In the developer portal: Bot > Message Content Intent. Without it the bot sees empty messages."
STEP_RULE, STEP_RULE_TEXT = "Discord's rule about training", "Read it and answer, once. Your answer is recorded."
STEP_RULE_GO, STEP_RULE_YES, STEP_RULE_NO = "Read and answer", "Yes, go on", "No"
LARGE_SERVER, LARGE_SERVER_YES, LARGE_SERVER_NO = "A large server", "They know, go on", "No"
STEP_RULE_ACCEPTED, STEP_RULE_DECLINED = "You answered yes.", "You answered no: nothing is fetched. Imports still work."
STEP_CHANNELS, STEP_CHANNELS_TEXT = "Channels", "Find your server's channels, then choose where it learns and speaks."
STEP_CHANNELS_TEXT_IMPORT = "Choose which of the imported channels it learns from."
STEP_CHANNELS_FIND, STEP_CHANNELS_CHOOSE = "Find channels", "Choose"
STEP_CHANNELS_PUBLIC = "Use all public ones"
STEP_CHANNELS_DONE = "{learn} to learn from, {speak} to speak in."
STEP_MODEL = "Language model"
STEP_MODEL_TEXT = (
    "The default is Qwen2.5-3B (2.1 GB; research licence, non-commercial). Free alternatives are in docs/MODELS.md."
)
STEP_MODEL_GO, STEP_MODEL_FILE = "Download", "Use a file…"
STEP_MODEL_DONE = "{name} is here."
STEP_FETCH = "First fetch"
STEP_FETCH_TEXT = "Brings the channels' messages here. Long histories take a while; it can be stopped."
STEP_FETCH_GO, STEP_FETCH_IMPORT = "Fetch", "Choose an export…"
STEP_FETCH_DONE = "{count} kept."
STEP_START, STEP_START_TEXT = "Start the bot", "Then talk to it in the playground, or on your server."
STEP_START_DONE = "It runs."
STEP_START_RAN = "It has run and answered."
STEP_OFFLINE = "Start without Discord"
STEP_LOCKED = "Waits for: {first}."
STEP_TRY_AGAIN = "Try again with the button."
STEP_IMPORT = "Import an export"
STEP_IMPORT_TEXT = (
    "Exports of your server, or data packages that members asked Discord for. No token is needed, and nothing is "
    "asked of Discord."
)
STEP_SEARCH = "Search model"
STEP_SEARCH_TEXT = "{name} finds what was said before (130 MB). A smaller one is included and serves until then."
STEP_SEARCH_SKIP, STEP_SEARCH_SKIPPED = "Use the included one", "The included one serves. Download it here any time."
STEP_TRAIN = "Teach it"
STEP_TRAIN_TEXT = (
    "The bot already talks from your channels' own words; training makes it yours. It may take hours, and it can wait."
)
STEP_TRAIN_GO, STEP_TRAIN_SKIP = "Teach it", "Later"
STEP_TRAIN_SKIPPED = "Put off. It waits here and under Training."
STEP_TRAIN_DONE = "{count} under Training."
STEP_HELLO, STEP_HELLO_GO = "Say hello", "Say hello"
STEP_HELLO_TEXT = "Write it a line in the playground; nobody else sees it."
STEP_HELLO_DONE = "It has answered."
FIRST_WAYS = {"discord": "From Discord", "import": "From an export"}
FIRST_WAYS_TEXT = {
    "discord": "A bot of your own on your server: it reads the channels you choose and answers there.",
    "import": "Files instead of a token: import what was said, teach the model and talk to it here.",
}
FIRST_DISMISS, FIRST_DISMISSED = "Hide this list", "Hidden. It is under Settings > Advanced > Check-up."
FIRST_CLOSE = "Done"
CHECKUP = "Check-up"
CHECKUP_EMPTY = "Looks at Python, packages, disk, databases, index, model, token and Discord, and names the cures."
