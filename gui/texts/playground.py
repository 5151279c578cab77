"""The test chat, comparing, and what explains a reply."""

from __future__ import annotations

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
    "chosen": "Chosen",
}
STOP_REASONS = {"stop": "itself", "length": "the length limit", "cancelled": "cancelling"}
TOKENS, ONE_TOKEN = "{count} tokens", "1 token"
COMPARE_BETTER = ("This one is better", "This one is better")
COMPARE_TAUGHT = "It learns that from the next training on."
