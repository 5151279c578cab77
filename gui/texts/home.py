"""Home: how the bot is, what was said last, what waits for the owner and what happened."""

from __future__ import annotations

HOME = "Home"
STRIP = "7 days"
STRIP_TIP = "Each bar is an hour: green it was up, grey nobody watched it, red or amber it was interrupted."
STRIP_EMPTY = "The strip begins when the bot runs."
STRIP_QUIET = "No interruptions."
INCIDENT_ENDED = "{when} {what}"
INCIDENT_BACK = "{when} {what} and was back in {span}"
INCIDENT_OPEN = "{when} {what} and is not back yet"
INCIDENT_FOR = "{when} {what} for {span}"
INCIDENTS = {
    "crash": "it ended by itself",
    "hung": "it stopped responding",
    "sleep": "the computer slept",
    "disconnect": "Discord was out of reach",
    "update": "the program was updated to {detail}",
}
CAUSE_MEMORY = "out of memory"
CAUSE_KILLED = "killed, perhaps for memory"
INCIDENT_DETAIL = "{what} ({detail})"

SENTENCE_CHANNELS = "On Discord in {count}"
SENTENCE_MUTED = "On Discord, muted everywhere"
SENTENCE_SPEED = "answers in {time}"
SENTENCE_MODEL = "model “{name}”"
SENTENCE_MATCH = "{match} like you all"

MORE_TIP = "More: restart, force stop, memory, figures"
FIGURES = "Figures"
FIGURES_BACK = "Back to Home"
RIGHT_NOW = "Right now"
OPEN_LIVE = "Open Live"
RIGHT_NOW_EMPTY = "What is said where the bot may read appears here, with why it spoke or stayed silent."
NEXT = "Next for you"
NEXT_NOTHING = "Nothing waits for you."
NEXT_RETRAIN = "{count}: retrain?"
NEXT_RETRAIN_TEXT = "since the last training. You taught it {taught}."
NEXT_RETRAIN_PLAIN = "since the last training."
NEXT_OPENED = "Discord opened {names} to more people"
NEXT_OPENED_TEXT = "Closed here until you answer."
NEXT_ABSENT = "Messages missing in #{name}"
NEXT_ABSENT_TEXT = "Were they deleted on Discord, or did the bot lose a permission?"
NEXT_STEPS, NEXT_STEPS_TEXT = "Getting started is not finished", "A few steps are left."
NEXT_BLIND, NEXT_BLIND_TEXT = "Can your friends tell it from you?", "Make a blind test; it is a game of two minutes."
NEXT_GO = {"training": "Open Training", "people": "Answer", "first_run": "Go on", "blind_test": "Make one"}
NEXT_LATER = "Later"
SAID_TODAY = "Said today"
SAID_OF = "of {seen} read ({share})"
SAID_NOTHING_READ = "nothing read yet today"
FRIENDS = "Friends' verdict"
FRIENDS_TEXT = "of the bot's replies were found out"
FRIENDS_SCALE = "50 % = nobody can tell"
FRIENDS_NONE = "Nobody has judged it yet. In a blind test friends guess which replies are the bot's."
FRIENDS_FEW = "{answers} so far; a verdict needs {least}."
FRIENDS_NEW = "Blind test"
HAPPENED = "What happened"
HAPPENED_LOGS = "Everything in Logs"
HAPPENED_NOTHING = "Nothing yet."
HAPPENED_ANSWERED = "Answered {name} in {place}"
