"""Every word the panel shows, in one place. Plain words; what, where and what next.

Settings bring their own labels and help (storage.settings); errors bring their own sentences (storage.errors).
"""

from __future__ import annotations

APP_NAME = "Personality Bot"
DEMO_SUFFIX = "demo"

# ---- navigation ---------------------------------------------------------------------------------
DASHBOARD = "Dashboard"
PLAYGROUND = "Playground"
PEOPLE = "People & channels"
TRAINING = "Training"
LOGS = "Logs"
SETTINGS = "Settings"
FIRST_RUN = "Getting started"
BLIND_TEST = "Blind test"
APPEARANCE_TIP = "Appearance: {mode}. Click to change."
APPEARANCE_NAMES = {"system": "match system", "light": "light", "dark": "dark"}

# ---- the bot's state ----------------------------------------------------------------------------
STATE_STOPPED = "Stopped"
STATE_STARTING = "Starting"
STATE_LOADING = "Loading the model"
STATE_CONNECTING = "Connecting"
STATE_RUNNING = "Running"
STATE_OFFLINE = "Running offline"
STATE_QUIET = "Quiet"
STATE_STOPPING = "Stopping"
STATE_ERROR = "Error"
STATE_NO_MODEL = "No model"
STATE_NO_TOKEN, STATE_SETUP = "No token yet", "Setting up needed"
STATE_RESTARTING = "Restarting in {seconds} s"
STATE_RETRY_LATER = "Error, trying again in {span}"

DETAIL_NEVER = "It has not run yet. Start it whenever you like."
DETAIL_STOPPED = "Nobody gets an answer until you start it."
DETAIL_STOPPED_REASON = "It stopped {ago}: {reason}"
DETAIL_STARTING = "Starting the bot."
DETAIL_LOADING = "Reading the model file. The first time takes a while."
DETAIL_CONNECTING = "Reaching Discord."
DETAIL_RUNNING = "On Discord and listening."
DETAIL_RUNNING_LATENCY = "On Discord and listening · {latency} ms away"
DETAIL_OFFLINE = "Not on Discord. Talk to it in the playground."
DETAIL_QUIET = "It reads along and says nothing until {until}."
DETAIL_STOPPING = "It finishes the reply it is writing."
DETAIL_BACKOFF = "It stopped unexpectedly and will restart automatically."

BUTTON_START, BUTTON_STOP, BUTTON_RESTART = "Start bot", "Stop", "Restart"
BUTTON_FORCE, BUTTON_LOGS = "Force stop", "View logs"
BUTTON_TOKEN, BUTTON_SETTINGS, BUTTON_TRAINING = "Enter the token", "Open settings", "Open Training"
BUTTON_START_STEPS, BUTTON_CHECK_UP = "Getting started", "Check everything"
BUTTON_QUIET, BUTTON_UNQUIET = "Quiet for 1 h", "Speak again"
BUTTON_FREE = "Free memory"
TIP_FREE = "Unloads the model to free memory (for a game, say). The next reply reloads it in a few seconds."
TIP_STOP = "Finishes the current reply, then stops."
TIP_FORCE = "Ends the process at once. For when Stop does not help."
TIP_RESTART = "Stops and starts again; reads settings that need a restart."
ASK_FORCE_TITLE = "Force the bot to stop?"
ASK_FORCE_TEXT = "The process is ended at once; a reply it is writing is lost. Messages and settings are safe."

FACT_UPTIME, FACT_MEMORY, FACT_MODEL = "Uptime", "Memory", "Model"
FACT_LATENCY, FACT_LAST_REPLY, FACT_QUEUE = "Discord", "Last reply", "Waiting"
NONE = "–"
MODEL_NONE, MODEL_LOADING, MODEL_FAILED = "not loaded", "loading…", "failed"
MODEL_RESTING = "freed until the next reply"
DISCORD_OFF, DISCORD_OFFLINE = "not connected", "offline mode"

MODEL_FAILED_TITLE = "The model could not be loaded."
MODEL_FAILED_CURE = "The bot tries again every 30 s. Check Settings > Model."
MEMORY_WARNING = "The bot uses {used} of memory (warning at {limit})."
MEMORY_WARNING_CURE = "Above {limit} it frees its caches, then restarts when idle. A shorter context needs less."
PANEL_ERROR_CURE = "See the log of the panel for details."

# ---- dashboard ----------------------------------------------------------------------------------
BEHAVIOUR = "Behaviour"
BEHAVIOUR_HINT = "applies at once"
RATE_HINT = "about {count} replies per 100 messages"
RATE_HINT_MENTIONS = "only when mentioned; the rate is not used"
TEMPERATURE_SAFE, TEMPERATURE_EVEN, TEMPERATURE_WILD = "safe", "balanced", "creative"
TOKENS_HINT = "about {words} words at most"
LAST_DAY, LAST_WEEK = "Last 24 hours", "Last 7 days"
SEEN, RESPONSES, AVERAGE, ERRORS = "Messages seen", "Responses", "Average time", "Errors"
CONVERSATIONS, FASTEST, SLOWEST = "Conversations", "Fastest", "Slowest"
REPLIES_PER_HOUR = "Replies per hour"
RESPONSE_TIMES = "Response times"
MEMORY_CHART = "Memory of the bot"
NO_REPLIES_DAY = "No replies on Discord in the last 24 hours."
NO_REPLIES_BUT_PLAYGROUND = "No replies on Discord in the last 24 hours, {count} in the playground."
NO_REPLIES_WEEK = "No replies on Discord in the last 7 days."
NO_MEMORY = "The curve begins when the bot runs."
NOW = "now"
DECISIONS = "Why it spoke, or didn't"
DECISIONS_HINT = "newest first"
NO_DECISIONS = "Every message it sees appears here with the reason for what it did."
DECISION_COLUMNS = ("Time", "Who", "", "Reason", "Took")
SPOKE, SILENT, ANSWERING = "spoke", "silent", "answering"
TARGETS = "Targets"
TARGETS_HINT = "last 7 days"
TARGET_COLUMNS = ("", "Yours", "Target", "Acceptable")
TARGET_P50, TARGET_P95, TARGET_P99 = "Response time, half of all", "95 of 100", "99 of 100"
TARGET_MEMORY, TARGET_UPTIME, TARGET_ERRORS = "Memory", "Uptime", "Errors"
QUICK = "Quick actions"
ACTION_FETCH, ACTION_TRAIN, ACTION_EVALUATE = "Fetch new messages", "Retrain model", "Evaluate"
ACTION_FOLDER, ACTION_BACKUP, ACTION_SETTINGS = "Open data folder", "Back up now", "Settings"
JOB_CANCEL, JOB_CANCELLING = "Cancel", "Cancelling…"
JOB_REMAINING = "{span} left"
JOB_STARTED = "{name}…"
JOB_DONE, JOB_FAILED = "{name}: done", "{name}: failed"
JOB_CANCELLED, JOB_LOST = "{name}: cancelled", "{name}: stopped unexpectedly"
JOB_PARTLY = "{name}: not everything"

# ---- dialogs ------------------------------------------------------------------------------------
CANCEL = "Cancel"
EXIT_TITLE = "Close the panel"
EXIT_TEXT = "The bot is running. Should it go on without the panel?"
EXIT_LEAVE, EXIT_STOP = "Leave it running", "Stop it"

# ---- logs ---------------------------------------------------------------------------------------
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

# ---- settings -----------------------------------------------------------------------------------
SETTINGS_GROUPS = {
    "Startup": "Startup",
    "Notifications": "Notifications",
    "Discord": "Discord",
    "Channels": "Server & channels",
    "Behaviour": "Behaviour",
    "Generation": "Generation",
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

# ---- playground ---------------------------------------------------------------------------------
CHAT_PLACEHOLDER = "Say something…"
CHAT_SEND = "Send"
CHAT_CLEAR, CHAT_CLEAR_TIP = "Start over", "Forgets this test chat. Nothing on Discord changes."
CHAT_REGENERATE, CHAT_DETAILS = "Regenerate", "Details"
CHAT_COMPARE = "Compare"
CHAT_COMPARE_TIP = "Answers every line twice, side by side; the second answer stays in the chat."
CHAT_CANCEL = "Cancel"
COMPARE_KINDS = {"temperatures": "Temperatures", "models": "Models"}
COMPARE_AND, COMPARE_OWN, COMPARE_FIRST = "and", "in use: {name}", "in use"
COMPARE_NONE, COMPARE_FILE = "Choose a model", "Another file…"
COMPARE_NO_ADAPTER = "the model without its adapter"
COMPARE_STOPPED = "Two models can be compared while the bot runs without Discord."
COMPARE_ON_DISCORD = (
    "The bot is on Discord, where it must keep its voice. To compare two models, stop it, then start "
    "it here without Discord."
)
COMPARE_HELP = "One after the other, never both in memory: the bot switches for the second answer and then back."
COMPARE_CHOOSE = "Choose the second model first."
CHAT_EMPTY_TITLE = "Talk to it without posting on Discord"
CHAT_EMPTY = (
    "It answers exactly as it would on the server: same model, same settings, same recall. "
    "Try a line one of your friends would write."
)
CHAT_STOPPED_TITLE = "The bot is not running"
CHAT_STOPPED = "Start it, and it answers here. It needs no Discord for this."
CHAT_START_OFFLINE = "Start without Discord"
CHAT_LOADING = "The model is loading; your line is answered as soon as it is there."
CHAT_WAITING = "typing… {seconds} s"
CHAT_SWITCHING = "switching the model… {seconds} s"
CHAT_FAILED = "It could not answer. The log says why."
CHAT_SILENT = "(it had nothing to say)"
CHAT_STATS = "{total} · {tokens} · first word after {first}"
CHAT_TEMPERATURE = "temperature {value}"
DETAILS_TITLE = "About this reply"
DETAILS_RECALLED, DETAILS_PROMPT = "Recalled lines", "Prompt"
DETAILS_NO_RECALL = "Nothing similar enough was found, or recall is off."
DETAILS_ROWS = {
    "model": "Model",
    "total_ms": "Whole reply",
    "first_token_ms": "First word after",
    "recall_ms": "Looking up lines",
    "prompt_tokens": "Prompt",
    "prefilled_tokens": "Newly read",
    "reply_tokens": "Reply",
    "stop_reason": "Ended by",
}
STOP_REASONS = {"stop": "itself", "length": "the length limit", "cancelled": "cancelling"}
TOKENS, ONE_TOKEN = "{count} tokens", "1 token"

# ---- people and channels ------------------------------------------------------------------------
PEOPLE_TAB, CHANNELS_TAB = "People", "Channels"
IMPORT = "Import messages…"
IMPORT_TITLE = "Choose exports (of a data package in parts, all parts)"
IMPORT_KINDS = "Discord exports (JSON, JSON lines, data package)"
IMPORT_ASK_TITLE = "Import {name}?"
IMPORT_ASK_TEXT = (
    "Everything members wrote in what you chose is kept on this computer. Its channels come in off: you then "
    "choose below where the bot may learn, look things up and speak."
)
IMPORT_GO = "Import"
PEOPLE_EMPTY_TITLE = "Nobody here yet"
PEOPLE_EMPTY = (
    "Import an export of your server, or fetch its messages in Getting started. Then you see who talks how "
    "much, and can leave people out."
)
PEOPLE_COLUMNS = ("Member", "Messages", "Share", "In training", "Included", "")
CHANNEL_COLUMNS = ("Channel", "Messages", "Learn", "Recall", "Speak", "Private", "On Discord", "Rate")
ON_DISCORD_EVERYONE, ON_DISCORD_SOME, ON_DISCORD_OPENED, ON_DISCORD_UNKNOWN = "everyone", "some", "opened", "unknown"
OPTED_OUT, EXCLUDED = "opted out", "left out"
SHARES_NONE = "The balanced share appears once training data is prepared."
SHARES_CEILING = "In training nobody makes up more than {ceiling} (orange line)."
SHARES_COUNT = "Prepare training data"
PEOPLE_SUMMARY = "{people} · {messages}"
CHANNEL_HINT = (
    "Learn: may become training data. Recall: lines may be looked up for replies, in channels whose readers can all "
    "read this one. Speak: it may answer there. Private: your own word, which holds whatever Discord says. On Discord: "
    "who can see it there."
)
RATE_GENERAL = "general"
RATE_MENU_GENERAL = "General rate"
PRIVATE_TITLE = "Learn from a private channel?"
PRIVATE_YES, PRIVATE_NO = "Learn from it", "Leave it out"
ACCESS_LOST = "no access"
OPENED_TITLE = "Discord opened {names} to more people."
OPENED_TEXT = "Closed here until you answer: nothing said there is recalled where it was not recalled before."
OPENED_ANSWER = "Answer"
OPENED_ASK_TITLE = "Discord opened #{name}. Open it here too?"
OPENED_ASK_TEXT = (
    "More people can read #{name} on Discord than before. If you open it, what was said there may be recalled in every "
    "channel whose readers can all read it now. If you keep it closed, it stays private until you switch that off."
)
OPENED_LATER, OPENED_CLOSE, OPENED_OPEN = "Later", "Keep closed", "Open it"
CLOSED_BY_DISCORD = "#{name} is closed to some on Discord"
CLOSED_BY_DISCORD_TEXT = (
    "Your word is taken back, and Discord's holds: its lines are recalled only in channels whose readers can all "
    "read it."
)
MORE = "\u22ef"
MENU_EXCLUDE, MENU_INCLUDE = "Leave out of training and recall", "Include again"
MENU_FORGET = "Delete everything they wrote…"
FORGET_TITLE = "Delete everything {name} wrote?"
FORGET_TEXT = (
    "It disappears from replies, the index and new training data at once, and is erased for good in seven days, "
    "from data sets, pages, logs and the backups of this workspace too. "
    "Until then you can bring it back under Removed. A model that is already trained only forgets when it is trained "
    "again."
)
FORGET_GO = "Delete"
MENU_EMPTY_CHANNEL = "Delete what is kept of it…"
EMPTY_CHANNEL_TITLE = "Delete everything kept of #{name}?"
EMPTY_CHANNEL_TEXT = (
    "Learn and Recall go off. The channel's messages disappear from replies, the index and new training data at once, "
    "and are erased here for good in seven days. Until then you can bring them back under Removed. Discord keeps its "
    "own."
)
FORGOTTEN = "{count} deleted. You can undo it under Removed for seven days."
REMOVED_TAB = "Removed"
REMOVED_COLUMNS = ("What", "Messages", "Why", "")
REMOVED_EMPTY = "Nothing is hidden. What you delete or leave out, and what a fetch does not find, can be undone here."
REMOVED_HINT = "Hidden from replies, recall and training. A click on Undo brings it back."
REMOVED_MEMBER, REMOVED_CHANNEL, REMOVED_MESSAGE = "Everything by {name}", "All of #{name}", "One message"
REMOVED_MISSING = "Missing in #{name}"
REMOVED_UNCLEAR = "Not found in #{name}"
WHY_DELETED = "you deleted it; erased in {time}"
WHY_LEFT_OUT = "you left them out"
WHY_MISSING = "a fetch did not find them {ago}"
WHY_UNCLEAR = "too many at once: your answer is needed"
UNDO, ANSWER = "Undo", "Answer"
BROUGHT_BACK = "{count} brought back."
ABSENT_TITLE = "Were they deleted on Discord?"
ABSENT_BANNER = "{missing} of {kept} kept from #{name} were not there at the last fetch."
ABSENT_BANNER_CURE = "Nothing was changed. A lost permission looks the same as a deletion, so only you can say."
ABSENT_TEXT = (
    "{missing} of {kept} kept from #{name} were not there at the last fetch. If they were deleted on Discord, they are "
    "hidden now and erased in seven days. If the bot only lost a permission, keep them: nothing is asked about them "
    "again."
)
ABSENT_DELETED, ABSENT_KEEP, ABSENT_LATER = "They were deleted", "Keep them", "Later"
ABSENT_SHOW = "Answer"
SEARCH_PEOPLE = "Search"

# ---- training -----------------------------------------------------------------------------------
RETRAIN = "Retrain"
RETRAIN_TITLE = "A new model from everything said so far"
RETRAIN_STEPS = ("Fetch", "Prepare", "Train", "Evaluate", "You decide")
RETRAIN_TEXT = (
    "Fetches new messages, prepares them, trains and evaluates. At the end you see how close it comes and "
    "decide whether the bot uses it. It may take hours; you can close this window in the meantime."
)
RETRAIN_RUNNING = "It is at work; the bot goes on as before."
RETRAIN_NEW = "{count} since the last training."
RETRAIN_NEVER = "Never trained yet; {count} to learn from."
RETRAIN_NONE = "No messages yet. Fetch or import some first."
RETRAIN_DUE = "Time to retrain?"
RETRAIN_DUE_TEXT = "{count} since the last training. See Training."
RETRAIN_ASK_TITLE, RETRAIN_ASK_GO, RETRAIN_ASK_PAUSED = "Start retraining?", "Start", "Start and pause the bot"
RETRAIN_ASK_MEMORY = "The bot is running. If memory is tight, pause it during training; it restarts afterwards."
DATASET = "Data set"
DATASET_NONE = "Not prepared yet."
DATASET_FACTS = {
    "train": "Training examples",
    "validation": "For checking",
    "test": "Kept for the evaluation",
    "preferences": "Preference pairs",
    "authors": "People",
}
DATASET_MADE = "prepared {when}"
PREPARE, OPEN_REPORT = "Prepare", "Open report"
COMPUTER = "This computer"
COMPUTER_NONE = "Not looked at yet."
COMPUTER_CHECK = "Check this computer"
COMPUTER_GPU, COMPUTER_CPU = "Graphics card", "Processor"
COMPUTER_NO_GPU = "none for training"
COMPUTER_RECIPE, COMPUTER_TIME, COMPUTER_NEEDS = "Recipe", "Estimated time", "Needs"
COMPUTER_OF = "{used} of {free} free"
COMPUTER_CORES = "{count} cores"
COLAB = "Train on Colab"
COLAB_TEXT = (
    "Google Colab lends a graphics card for free: the notebook takes the prepared folder and gives back a model file, "
    "which you add below."
)
COLAB_LONG = "Training a real model here would take very long."
COLAB_PRACTICE = "On this computer alone only a small practice model can be made."
COMPUTER_PRACTICE = "a practice model (very small)"
RUN = "Training run"
RUN_NONE = "The loss curve appears here while it trains. Falling is good."
RUN_CANCELLED = "Cancelled. Resume goes on from the last checkpoint."
RUN_START, RUN_RESUME, RUN_CANCEL = "Start training", "Resume", "Cancel"
RUN_STEP = "{phase} step {step}"
EVALUATION = "Evaluation"
EVALUATION_NONE = "Not evaluated yet. An evaluation shows how well people can tell the bot from the real ones."
EVALUATION_START = "Evaluate"
EVALUATION_MATCH, EVALUATION_AUC = "Personality match", "Detector AUC"
EVALUATION_PEOPLE = "Baseline: people vs. people"
EVALUATION_AUC_NOTE = "0.50 cannot be told apart, 1.00 always"
EVALUATION_OBJECTION = "Repeats training text word for word"
MODELS = "Models"
MODELS_NONE = "No trained model yet. The bot uses the base model until there is one."
MODEL_IN_USE, MODEL_BEFORE, MODEL_UNUSED = "in use", "previous", "not used yet"
MODEL_TRAINED, MODEL_ADDED = "trained {when}", "added {when}"
MODEL_MATCHES, MODEL_UNMEASURED, MODEL_PRACTICE = "match {match}", "not evaluated", "practice only"
MODEL_USE_SHORT, MODEL_DELETE, MODEL_DELETE_GO = "Use", "Delete", "Delete"
MODEL_DELETE_TITLE = "Delete {name}?"
MODEL_DELETE_TEXT = (
    "The model's files are deleted for good, with what its training left. The messages and the data set it was made "
    "from stay, so it can be trained again."
)
NEW_MODEL_TITLE = "A new model is waiting: {name}"
NEW_MODEL_MADE = "Trained {when}."
NEW_MODEL_MATCH, NEW_MODEL_MATCH_BEFORE = "It matches the server's voice to {match}.", "The model in use: {match}."
NEW_MODEL_UNMEASURED = "It has not been evaluated yet (Training > Evaluate)."
NEW_MODEL_PRACTICE = "It was made for practice, from a very small model: it shows that training works, no more."
NEW_MODEL_SAFE = "You can always roll back, and it stays under Training > Models whatever you choose."
NEW_MODEL_BEFORE, NEW_MODEL_PEOPLE, NEW_MODEL_NOW = "The model in use", "What a member wrote", "The new model"
NEW_MODEL_TRY, NEW_MODEL_KEEP = "Compare", "Keep the one in use"
PRACTICE_TITLE = "Use a practice model?"
PRACTICE_TEXT = (
    "{name} was made from a very small model to show that training works here. The bot would answer far worse than "
    "with a real one. You can roll back."
)
MODEL_ADD, MODEL_ROLLBACK = "Add model file…", "Roll back"
MODEL_BEFORE_FIRST = "the original model"
MODEL_ROLLBACK_TITLE = "Roll back to {name}?"
MODEL_ROLLBACK_TEXT = "The bot reloads and answers with that model. Rolling back again returns to this one."
DEPLOY_TITLE = "A new model is ready"
DEPLOY_TEXT = (
    "{name} is trained and evaluated.{match} The dashboard shows it beside the model in use. It waits there until you "
    "decide."
)
DEPLOY_MATCH = " Personality match: {match}."
DEPLOY_GO, DEPLOY_LATER, DEPLOY_LOOK = "Use it", "Not now", "Look at it"
FORCE_UNNAMED = "The checks object to it."
FORCE_TITLE, FORCE_GO, FORCE_NO = "Use it all the same?", "Use it anyway", "Keep the one in use"
BLIND_BUTTON = "Blind test"

# ---- blind test ---------------------------------------------------------------------------------
BLIND_TITLE = "Can you tell?"
BLIND_NONE = (
    "A blind test shows real and generated replies mixed; you say which is which. It is made from the model "
    "in "
    "use and the newest prepared data, which takes a few minutes."
)
BLIND_READY = (
    "A blind test is ready. Do it here, or give members its page; their result files go into the folder "
    "'results' beside it."
)
BLIND_MAKE = "Make a new one"
BLIND_OPEN = "Open its page"
BLIND_BEGIN, BLIND_SCORE_NOW = "Begin", "Score"
BLIND_NAME = "Your name"
BLIND_COUNT = "Reply {at} of {count}"
BLIND_HUMAN, BLIND_BOT = "Human", "Bot"
BLIND_PREVIOUS, BLIND_NEXT, BLIND_FINISH, BLIND_STOP = "Back", "Next", "Finish", "Save and stop"
BLIND_KEYS = "Keys: H human, B bot, 1-5 rate from top to bottom (if you like), Enter or → next, ← back."
BLIND_SAVED = "Your verdicts are saved"
BLIND_SCORE = (
    "Of the bot's replies {found} were found out ({sure}); of the real ones {alarms} were taken for the bot's. "
    "{answers} by {raters}."
)
BLIND_TOO_FEW = "{answers} so far. A verdict needs at least {least}, of the bot's and of real replies."
BLIND_RUBRIC = "Rubric: {mean:.1f} of 5 (mark 4.0)."
BLIND_BACK = "Back to training"

# ---- first run ----------------------------------------------------------------------------------
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
    "Trains the model on your messages, so that it speaks like your server. This may take hours; the bot can be "
    "tried without it."
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

# ---- tray, notifications, leaving ---------------------------------------------------------------
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
