"""The blind test."""

from __future__ import annotations

BLIND_TITLE = "Can you tell?"
BLIND_NONE = (
    "A blind test shows real and generated replies mixed; you say which is which. It is made from the model "
    "in "
    "use and the newest prepared data, which takes a few minutes."
)
BLIND_READY = (
    "A blind test is ready. Play it here, or send friends its page: one file that opens on any phone. At its end "
    "stands a code; paste it below."
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
BLIND_RATE = "Rate the replies too"
BLIND_CODE, BLIND_CODE_ADD = "Paste a friend's result code", "Add"
BLIND_CODE_TAKEN = "{name}: {answers} added"
BLIND_REVEAL = "You were right {right} of {count} times."
BLIND_REVEAL_BY = "{name} was right {right} of {count} times."
BLIND_FOOLED = "The bot said “{reply}”, and passed for human."
BLIND_WRONGED = "A human said “{reply}”, and was taken for the bot."
