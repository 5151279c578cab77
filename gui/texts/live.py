"""Live, teaching, and why the bot spoke or stayed silent."""

from __future__ import annotations

LIVE = "Live"
LIVE_HINT = "what it reads, says, and why"
LIVE_ALL = "All channels"
LIVE_CHANNEL = "#{name}"
LIVE_MUTED = "#{name} (muted)"
LIVE_ELSEWHERE = "elsewhere"
LIVE_SPOKEN = "Only where it spoke"
LIVE_MUTE, LIVE_UNMUTE = "Mute #{name}", "Unmute #{name}"
LIVE_MUTED_TOLD, LIVE_UNMUTED_TOLD = (
    "It reads along in #{name} and says nothing there.",
    "It may speak in #{name} again.",
)
LIVE_EMPTY_TITLE = "Nothing heard yet"
LIVE_EMPTY = (
    "As soon as somebody writes where the bot may read, it appears here with the reason for what the bot did. Talking "
    "to it in the playground does not count."
)
LIVE_EMPTY_SPOKEN = "It has not spoken here yet."
LIVE_OWN = "your bot"
LIVE_YOU = "your bot, said by you"
LIVE_WRITING = "is writing in #{name}… {seconds} s"
LIVE_STOP = "Stop this reply"
LIVE_STOPPING = "Stopping…"
LIVE_SAY = "Say something as the bot in #{name}…"
LIVE_SAY_CHOOSE = "First choose a channel above"
LIVE_SAY_OFFLINE = "The bot is not on Discord"
LIVE_SAY_FAILED = "It was not said."
LIVE_STOP_FAILED = "It could not be stopped."
LIVE_DELETE_FAILED = "It is still on Discord."
LIVE_NO_ANSWER = "The bot did not answer. Is it running?"
LIVE_WORDS_GONE = "(the words are not kept, or were deleted)"
LIVE_PICK = "Click a line to see why it spoke or stayed silent, and to say whether a reply was good."

WHY_REPLY, WHY_SILENT = "Why this reply", "Why it stayed silent"
WHY_DECIDED = "Why it answers"
WHY_BECAUSE, WHY_CHANNEL, WHY_TOOK, WHY_MODEL = "Because", "In channel", "Thought for", "Model"
WHY_TOOK_FIRST = "{total}, first word {first}"
WHY_REMEMBERED = "Earlier lines it remembered"
WHY_NOTHING = "It remembered nothing for this one."
WHY_LINE = "“{name}: {text}”"
WHY_MEMBERS = "Members' reactions"
WHY_MEMBERS_COUNT = "{good} liked it, {bad} did not"
WHY_MANY = "{count} replies chosen"

TEACH_GOOD, TEACH_BAD, TEACH_BETTER, TEACH_DELETE = "Good", "Bad", "Say it better…", "Delete on Discord"
TEACH_BETTER_HINT = "What it should have said"
TEACH_SAVE = "Save"
TEACH_KEYS = "Keys: G good, B bad, E say it better, ↑ ↓ move. Ctrl+click picks several."
TEACH_NOT_YET = "It was said before the bot kept what a reply is made of, so it cannot teach."
TEACH_NO_LEARN = "#{name} is not learnt from: this is remembered, and teaches once Learn is on there."
TEACH_DELETE_TITLE = "Delete this reply on Discord?"
TEACH_DELETE_MANY = "Delete {count} replies on Discord?"
TEACH_DELETE_TEXT = "Everybody stops seeing it. What you said about it here still teaches."
TAUGHT = "You taught it"
TAUGHT_TODAY = "You taught it today"
TAUGHT_NOTHING = "Nothing yet. Mark a reply Good or Bad, or write what it should have said."
TAUGHT_PARTS = {
    "good": "{count} good",
    "bad": "{count} bad",
    "better": "{count} rewritten",
    "by_members": "{count} by members",
}
TAUGHT_HELP = "Your word counts twice at the next training; a reaction by a member once."
TAUGHT_SEE = "See all"
TAUGHT_BACK = "Back to Live"
TAUGHT_COLUMNS = ("When", "It said", "You think", "Better", "By", "")
TAUGHT_EMPTY = "Nothing is taught yet. Mark replies in Live; members teach with 👍 and 👎 under a reply on Discord."
TAUGHT_REMOVE = "Remove"
TAUGHT_YOU, TAUGHT_MEMBER = "you", "a member"
TAUGHT_SINCE = "You all taught it {count} since the last training."

# A reason as the bot stored it, and how it reads here. The first that matches counts.
REASON_SILENT, REASON_ANSWERS, REASON_SPOKE, REASON_FAILED = "stayed silent", "answers", "answered", "could not answer"
REASONS = (
    (r"rolled [\d.]+ against (\d+)\s?%.*moment ago", "{0} % chance (it had just spoken), {luck}"),
    (r"rolled [\d.]+ against (\d+)\s?%", "{0} % chance, {luck}"),
    (r"^replied to", "it was replied to"),
    (r"^mentioned", "it was mentioned"),
    (r"^named", "somebody said its name"),
    (r"^direct message", "it was written to directly"),
    (r"^in conversation", "still in conversation"),
    (r"^part of the same answer", "part of the same answer"),
    (r"cooldown \((\d+) of (\d+) s\)", "pause of {1} s after it spoke"),
    (r"cooldown", "pause after it spoke"),
    (r"^answers mentions only", "answers only when called"),
    (r"^speaking is off", "muted here"),
    (r"^channel is not on the list", "this channel is not chosen"),
    (r"^quiet hours", "quiet hours"),
    (r"^quiet for now", "quiet for now"),
    (r"^ceiling reached: (\d+) replies an hour for (.+)", "{0} replies an hour for {1} are enough"),
    (r"^queue full", "too many were waiting"),
    (r"^no text to answer", "no words to answer"),
    (r"deleted before it", "deleted before it could be answered"),
    (r"the bot was away", "it was said while the bot was away"),
)
# What follows a reason when several drafts were asked for; it reads as it was stored.
REASON_CHOSEN = r"(.*); (the best of \d+ drafts|one draft: .*)"
LUCK_YES, LUCK_NO = "this time", "not this time"
