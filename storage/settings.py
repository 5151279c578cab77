"""The settings registry: one entry per setting with its type, default, range, label and help.

The panel, the admin commands and the documentation all read this list; nothing repeats a number.
Values live in control.db's `config` table and apply on the next message unless `needs_restart`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from storage.errors import SettingError
from storage.quiet_hours import tidy_quiet_hours
from storage.typed_paths import clean_path

T = TypeVar("T")

# How a model reads a conversation: in the turns of its chat template, or as lines of names (model/prompts.py).
CHAT, TRANSCRIPT = "chat template", "transcript"
DEFAULT_SYSTEM_PROMPT = """\
You're a regular on this Discord server. You've been here a while, you know the vibe, you know the people.

Just chat like you normally would. Be yourself. If something's funny, laugh. If something's dumb, call it out. \
If you want to spam a word for emphasis, do it. Short responses are fine. Long rants are fine too.

Don't act like you're here to help or assist - you're just hanging out. No formality, no AI speak, just natural \
conversation.

Match the energy of the room."""


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One setting. `low`/`high` bound numbers; `slider` is the narrower part a slider shows, if any. is_path: a file or
    folder, cleaned of what pasting adds to it. is_share: 0-1, said in percent. tidy: what was typed -> what is stored,
    or SettingError; applied to its own result it changes nothing."""

    key: str
    default: T
    group: str
    label: str
    help: str
    low: float | None = None
    high: float | None = None
    slider: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    needs_restart: bool = False
    max_length: int = 4000
    is_path: bool = False
    is_share: bool = False
    tidy: Callable[[str], str] | None = None

    @property
    def type(self) -> type:
        """The type of its values: that of the default."""
        return type(self.default)

    @property
    def range_text(self) -> str:
        """The allowed values in words, for help texts and errors."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.type is bool:
            return "on or off"
        if self.is_share and self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}, or {self.low:.0%} to {self.high:.0%}"
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}{' ' + self.unit if self.unit else ''}"
        return "a whole number" if self.type is int else "text"

    def parse(self, raw: Any) -> T:
        """Turn typed text or a stored value into the setting's type; SettingError names the range."""
        value: Any = self._convert(raw)
        if self.choices and value not in self.choices:
            raise self._error(raw)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = self.low if self.low is not None else float("-inf")
            high = self.high if self.high is not None else float("inf")
            if not low <= value <= high:
                raise self._error(raw)
            value += 0  # -0.0 is zero, and shown as such
        if isinstance(value, str) and len(value) > self.max_length:
            raise SettingError(f"{self.label} is longer than {self.max_length} characters.", "Shorten it.")
        return cast(T, value)

    def _convert(self, raw: Any) -> Any:
        try:
            if self.type is bool:
                return _to_bool(raw)
            if self.type is int:
                number = float(raw)
                if number != int(number):
                    raise ValueError
                return int(number)
            if self.type is float:
                return _share(raw) if self.is_share and isinstance(raw, str) else float(raw)
        except (TypeError, ValueError, OverflowError):
            raise self._error(raw) from None
        if self.tidy is not None:
            return self.tidy(str(raw))
        return clean_path(str(raw)) if self.is_path else str(raw)

    def _error(self, raw: Any) -> SettingError:
        return SettingError(f"{self.label}: {str(raw)[:60]!r} is not allowed.", f"Give {self.range_text}.")


def _share(raw: str) -> float:
    """'5%', '5 %' and '0.05' are the same; a comma is a decimal point."""
    text = raw.strip().replace(",", ".")
    return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)


def _to_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in ("1", "true", "on", "yes", "y"):
        return True
    if word in ("0", "false", "off", "no", "n", ""):
        return False
    raise ValueError(word)


# ---- behaviour --------------------------------------------------------------------------------------
RESPONSE_RATE = Setting(
    "response_rate",
    0.05,
    "Behaviour",
    "Response rate",
    "How likely the bot joins in unasked.",
    0.0,
    1.0,
    slider=(0.01, 1.0),
    is_share=True,
)
MENTIONS_ONLY = Setting(
    "mentions_only", False, "Behaviour", "Respond only to mentions", "Answer only when named, mentioned or replied to."
)
BOT_NAMES = Setting(
    "bot_names",
    "",
    "Behaviour",
    "Names it listens to",
    "Extra names, separated by commas, that count as a mention without @.",
    max_length=200,
)
CONVERSATION_SECONDS = Setting(
    "conversation_seconds",
    120,
    "Behaviour",
    "Conversation lasts",
    "After it spoke, it keeps answering the same person for this long.",
    0,
    3600,
    unit="s",
)
COOLDOWN_SECONDS = Setting(
    "cooldown_seconds", 10, "Behaviour", "Cooldown", "Pause in a channel after an unasked reply.", 0, 3600, unit="s"
)
REPLIES_PER_HOUR = Setting(
    "replies_per_hour", 120, "Behaviour", "Replies per hour, whole server", "Ceiling over all channels.", 1, 2000
)
REPLIES_PER_CHANNEL_HOUR = Setting(
    "replies_per_channel_hour", 60, "Behaviour", "Replies per hour, one channel", "Ceiling for each channel.", 1, 1000
)
REPLIES_PER_MEMBER_HOUR = Setting(
    "replies_per_member_hour", 30, "Behaviour", "Replies per hour, one member", "Ceiling for each person.", 1, 1000
)
QUIET_HOURS = Setting(
    "quiet_hours",
    "",
    "Behaviour",
    "Quiet hours",
    "Local time span without replies: 23:00-07:30, 23-7 or 11pm-7am. Empty: none.",
    max_length=20,
    tidy=tidy_quiet_hours,
)
QUIET_UNTIL = Setting(
    "quiet_until", 0.0, "Behaviour", "Quiet until", "Set by 'quiet for 1 h'; seconds since 1970.", 0, 1e11
)
BLOCKED_WORDS = Setting(
    "blocked_words",
    "",
    "Behaviour",
    "Words it never says",
    "Separated by commas; a reply that holds one is not sent. Empty: none.",
    max_length=4000,
)
SUPPRESS_LINKS = Setting(
    "suppress_links",
    True,
    "Behaviour",
    "Make its links inert",
    "Links it writes get no preview, and invites are broken up.",
)
MASK_REPLIES = Setting(
    "mask_replies",
    True,
    "Behaviour",
    "Mask private data it writes",
    "E-mail addresses, telephone, card and account numbers and passwords in a reply become [email], [phone] and so on. "
    "A reply that holds an access token is never sent.",
)
ANSWER_DIRECT_MESSAGES = Setting(
    "answer_direct_messages", False, "Behaviour", "Answer direct messages", "Off: direct messages are ignored."
)
REACTION_RATE = Setting(
    "reaction_rate",
    0.0,
    "Behaviour",
    "Reacts with an emoji",
    "Share of the messages it stays silent about that it reacts to instead. Which ones, and with what, it learns from "
    "the members' own reactions; without enough of them it never does. 0 is off.",
    0.0,
    1.0,
    slider=(0.0, 0.2),
    is_share=True,
)
LOOKING_BACK = Setting(
    "looking_back",
    True,
    "Behaviour",
    "Commands that look back",
    "Members may ask !missed, !onthisday and !quote: quotations with links, only of what everybody in the channel can "
    "read. No model has a part in it.",
)

# ---- generation -------------------------------------------------------------------------------------
TEMPERATURE = Setting(
    "temperature",
    0.7,
    "Generation",
    "Temperature",
    "Lower is safer, higher is more creative. 1 is as the model learnt it.",
    0.0,
    1.5,
    slider=(0.5, 1.0),
)
MAX_TOKENS = Setting(
    "max_tokens", 120, "Generation", "Max tokens", "Longest reply, in tokens.", 50, 500, slider=(50, 500)
)
TOP_P = Setting("top_p", 0.9, "Generation", "Top-p", "Nucleus sampling.", 0.0, 1.0)
TOP_K = Setting("top_k", 40, "Generation", "Top-k", "Only the k likeliest tokens; 0 is off.", 0, 1000)
MIN_P = Setting(
    "min_p", 0.0, "Generation", "Min-p", "Drop tokens below this share of the likeliest; 0 is off.", 0.0, 1.0
)
REPEAT_PENALTY = Setting(
    "repeat_penalty",
    1.1,
    "Generation",
    "Repetition penalty",
    "Above 1 avoids repeating; looks back over few tokens, so GGGGGG survives.",
    1.0,
    2.0,
)
REPEAT_WINDOW = Setting(
    "repeat_window", 64, "Generation", "Repetition window", "How many tokens the penalty looks back over.", 0, 512
)
DRY_MULTIPLIER = Setting("dry_multiplier", 0.0, "Generation", "DRY", "Penalty on repeated phrases; 0 is off.", 0.0, 5.0)
XTC_PROBABILITY = Setting(
    "xtc_probability", 0.0, "Generation", "XTC", "Chance to skip the most obvious words; 0 is off.", 0.0, 1.0
)
STOP_STRINGS = Setting(
    "stop_strings",
    json.dumps(["<|im_end|>", "\n\nUser:", "\n\nuser:"]),
    "Generation",
    "Stop strings",
    "A reply ends before any of these (a JSON list).",
)
SYSTEM_PROMPT = Setting(
    "system_prompt",
    DEFAULT_SYSTEM_PROMPT,
    "Generation",
    "System prompt",
    "What the model is told about itself. 'none' sends an empty one.",
)
HISTORY_MESSAGES = Setting(
    "history_messages",
    5,
    "Generation",
    "Messages of context",
    "Recent messages in the prompt (at least this many; trimmed in chunks).",
    1,
    50,
)
RECALL_COUNT = Setting(
    "recall_count",
    4,
    "Generation",
    "Recalled messages",
    "How many earlier similar messages are looked up; 0 is off.",
    0,
    5,
)
RECALL_TOKENS = Setting(
    "recall_tokens", 100, "Generation", "Recall budget", "Most tokens of recalled lines.", 0, 500, unit="tokens"
)
RECALL_MIN_SIMILARITY = Setting(
    "recall_min_similarity",
    0.35,
    "Generation",
    "Recall threshold",
    "Lines less similar are left out. 0.35: as strict as the embedding model needs, measured on your chat; higher is "
    "stricter, 0 lets everything pass.",
    0.0,
    1.0,
)
RECALL_REACTION_WEIGHT = Setting(
    "recall_reaction_weight",
    0.05,
    "Generation",
    "Prefer well-received lines",
    "What a line with five good reactions gains in similarity.",
    0.0,
    0.5,
)
RESPONSE_CACHE = Setting(
    "response_cache", False, "Generation", "Response cache", "Repeat the reply to an identical prompt within 5 minutes."
)
DRAFTS = Setting(
    "drafts",
    "off",
    "Generation",
    "Drafts",
    "Writes so many replies at once and sends the one that sounds most like people here. Needs a model that was "
    "evaluated, and a computer that writes several about as quickly as one; elsewhere it does nothing and says so.",
    choices=("off", "2", "4"),
)

# ---- model ------------------------------------------------------------------------------------------
MODEL_PATH = Setting(
    "model_path",
    "",
    "Model",
    "Model file",
    "A GGUF file or a catalogue name. Empty: the deployed model, else the base model.",
    max_length=1000,
    is_path=True,
)
ADAPTER_PATH = Setting(
    "adapter_path",
    "",
    "Model",
    "LoRA adapter",
    "Optional GGUF adapter on top of the model.",
    max_length=1000,
    is_path=True,
)
CHAT_TEMPLATE = Setting(
    "chat_template",
    "auto",
    "Model",
    "Prompt layout",
    "How the model reads the talk. auto: as it was trained; untrained, as a transcript of lines.",
    choices=("auto", CHAT, "chatml", TRANSCRIPT),
    needs_restart=True,
)
CONTEXT_LENGTH = Setting(
    "context_length",
    2048,
    "Model",
    "Context length",
    "Tokens per channel.",
    512,
    32768,
    unit="tokens",
    needs_restart=True,
)
GPU_LAYERS = Setting(
    "gpu_layers",
    "auto",
    "Model",
    "GPU layers",
    "auto, 0 (processor only), 10-20, or all.",
    choices=("auto", "0", "10", "15", "20", "all"),
    needs_restart=True,
)
KEEP_CACHE_SECONDS = Setting(
    "keep_cache_seconds",
    600,
    "Model",
    "Keep a channel warm",
    "A quiet channel's cache is dropped after this.",
    60,
    3600,
    unit="s",
)
LISTENING = Setting(
    "listening",
    True,
    "Model",
    "Read along",
    "Prepare messages while nobody waits, so that replies come sooner. Uses some processor time.",
)
FREE_MEMORY = Setting(
    "free_memory",
    "never",
    "Model",
    "Free its memory",
    "Unloads the model while it lasts; the next reply reloads it. Full screen: Windows only.",
    choices=("never", "full screen", "full screen or battery"),
)
EMBEDDING_MODEL = Setting(
    "embedding_model",
    "bge-small-en-v1.5",
    "Model",
    "Embedding model",
    "Finds similar earlier messages. After a change everything is embedded again; the old index serves until then.",
    choices=("bge-small-en-v1.5", "all-MiniLM-L6-v2", "paraphrase-multilingual-MiniLM-L12-v2"),
    needs_restart=True,
)

# ---- data -------------------------------------------------------------------------------------------
SESSION_GAP_MINUTES = Setting(
    "session_gap_minutes",
    10,
    "Data",
    "Conversation gap",
    "Silence that separates two conversations in training data.",
    1,
    1440,
    unit="min",
)
REFRESH_DAYS = Setting(
    "refresh_days",
    7,
    "Data",
    "Re-check period",
    "How many days back to look for edits, deletions and late reactions.",
    0,
    90,
    unit="days",
)
RETRAIN_REMINDER = Setting(
    "retrain_reminder", 5000, "Data", "Retrain reminder", "After this many new messages; 0 is off.", 0, 1_000_000
)
RETRAIN_AT_NIGHT = Setting(
    "retrain_at_night",
    False,
    "Data",
    "Retrain at night",
    "At 02:00, when there are as many new messages as above and the panel is open. You decide about the model.",
)
FETCH_SCHEDULE = Setting(
    "fetch_schedule", "off", "Data", "Scheduled fetch", "off, daily@04:00 or weekly@sun-04:00.", max_length=30
)
KEEP_BACKUPS = Setting("keep_backups", 4, "Data", "Backups kept", "Older ones are deleted.", 1, 100)

# ---- program ----------------------------------------------------------------------------------------
START_BOT_WITH_PANEL = Setting(
    "start_bot_with_panel",
    True,
    "Startup",
    "Start the bot with the panel",
    "When this window opens, the bot starts too.",
)
LAUNCH_AT_LOGIN = Setting(
    "launch_at_login", False, "Startup", "Launch at login", "Open this panel when you log in to the computer."
)
START_MINIMISED = Setting("start_minimised", False, "Startup", "Start minimised", "Open in the tray.")
NOTIFICATIONS = Setting("notifications", True, "Notifications", "Desktop notifications", "Tell when something happens.")
SOUND = Setting("sound", False, "Notifications", "Sound", "Play a sound with notifications.")
NOTIFICATION_LEVEL = Setting(
    "notification_level",
    "everything",
    "Notifications",
    "Notification level",
    "Which notifications appear.",
    choices=("errors", "important", "everything"),
)
APPEARANCE = Setting(
    "appearance",
    "system",
    "Startup",
    "Appearance",
    "Light, dark, or match the system.",
    choices=("system", "light", "dark"),
)
KEEP_AWAKE = Setting(
    "keep_awake",
    False,
    "Startup",
    "Keep awake",
    "Prevent sleep while plugged in and this program, with or without its window, keeps the bot running.",
)
THREADS = Setting(
    "threads", 0, "Advanced", "Threads", "Processor threads for the model; 0 is automatic.", 0, 128, needs_restart=True
)
LOG_LEVEL = Setting(
    "log_level",
    "INFO",
    "Advanced",
    "Log level",
    "How much is written to the logs.",
    choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    needs_restart=True,
)
DEBUG = Setting(
    "debug", False, "Advanced", "Debug mode", "Adds prompts' token counts and timings to the log.", needs_restart=True
)
LOG_DAYS = Setting("log_days", 30, "Advanced", "Keep logs", "Older log files are deleted.", 1, 365, unit="days")
MEMORY_WARN_GB = Setting(
    "memory_warn_gb", 4.0, "Advanced", "Memory warning", "Above this the panel warns.", 0.5, 64.0, unit="GB"
)
MEMORY_LIMIT_GB = Setting(
    "memory_limit_gb",
    5.0,
    "Advanced",
    "Memory limit",
    "Above this caches are freed, then the bot restarts when idle.",
    1.0,
    128.0,
    unit="GB",
)

REGISTRY: dict[str, Setting[Any]] = {s.key: s for s in list(globals().values()) if isinstance(s, Setting)}


# What a model that reads a transcript is asked with unless the owner chose otherwise (docs/RESULTS.md).
# The registry's defaults are the chat template's, and the specification's.
LAYOUT_DEFAULTS: dict[str, dict[str, Any]] = {
    TRANSCRIPT: {TEMPERATURE.key: 1.0, TOP_K.key: 0, TOP_P.key: 1.0, MIN_P.key: 0.05, REPEAT_PENALTY.key: 1.0}
}


class Settings:
    """An unchanging view of all settings at one moment: `settings[TEMPERATURE]` is a float.

    layout: of the model in use, which has sampling defaults of its own.
    """

    def __init__(self, values: dict[str, Any] | None = None, *, layout: str = CHAT) -> None:
        self._values = values or {}
        self._layout = layout

    def __getitem__(self, setting: Setting[T]) -> T:
        if setting.key in self._values:
            return cast(T, self._values[setting.key])
        return cast(T, LAYOUT_DEFAULTS.get(self._layout, {}).get(setting.key, setting.default))

    def for_layout(self, layout: str) -> Settings:
        """The same choices with the sampling defaults of a prompt layout."""
        return Settings(self._values, layout=layout)

    def with_values(self, changes: dict[str, Any]) -> Settings:
        """A copy with some values replaced; each is checked against its setting."""
        parsed = {key: REGISTRY[key].parse(value) for key, value in changes.items()}
        return Settings(self._values | parsed, layout=self._layout)

    def is_set(self, setting: Setting[Any]) -> bool:
        """True when the owner chose a value, so that .env no longer speaks for it."""
        return setting.key in self._values


def parse_stored(rows: Iterable[tuple[str, str]], *, layout: str = CHAT) -> Settings:
    """Settings from (key, JSON) rows; rows of another version or out of range fall back to the default."""
    values: dict[str, Any] = {}
    for key, text in rows:
        setting = REGISTRY.get(key)
        if setting is None:
            continue
        try:
            values[key] = setting.parse(json.loads(text))
        except (ValueError, TypeError, RecursionError, SettingError):
            continue
    return Settings(values, layout=layout)
