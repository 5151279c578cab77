"""The values rooms pass to one another: frozen, without behaviour beyond reading themselves.

Ids are Discord snowflakes (int). `*_ms` is milliseconds since 1970 UTC; `*_at` is seconds since 1970 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

DISCORD_EPOCH_MS = 1_420_070_400_000


def snowflake_ms(snowflake: int) -> int:
    """Creation time of a Discord id in milliseconds since 1970 (Discord API reference, "Snowflakes")."""
    return (snowflake >> 22) + DISCORD_EPOCH_MS


def first_snowflake(ms: int) -> int:
    """The lowest id a message written at this time (ms since 1970) can have."""
    return max(ms - DISCORD_EPOCH_MS, 0) << 22


# Discord's channel types of threads (API reference, "Channel Types"): announcement, public, private.
THREAD_KINDS = frozenset({10, 11, 12})
PRIVATE_THREAD = 12
# The owner's test chat: a channel of its own; no Discord id is this small.
PLAYGROUND_CHANNEL = 0


# ---- what people said ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reaction:
    """How often one emoji stands under a message. Custom emoji are `name:id`."""

    emoji: str
    count: int


@dataclass(frozen=True, slots=True)
class Mention:
    """A member named in a message, as `<@id>` in its content."""

    id: int
    name: str


class MessageForm(IntEnum):
    """How a message was written down, the least faithful first.

    RENDERED: by an exporter, with markdown, emoji and times written out. PACKAGE: as in a member's data package,
    without mentions, reactions and the time of an edit. API: as Discord gives it, live, fetched or in a file.
    """

    RENDERED = 0
    PACKAGE = 1
    API = 2


@dataclass(frozen=True, slots=True)
class Message:
    """One Discord message as kept in messages.db; `content` is untouched.

    attachments and stickers are names only. `is_own` marks this bot's replies, which are live context
    and nothing else: never indexed, never counted, never a training target.
    """

    id: int
    channel_id: int
    author_id: int
    author_name: str
    content: str
    created_ms: int
    edited_ms: int | None = None
    kind: int = 0
    reply_to_id: int | None = None
    attachments: tuple[str, ...] = ()
    stickers: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    is_pinned: bool = False
    is_own: bool = False
    username: str = ""
    form: MessageForm = MessageForm.API


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, thread or forum post with the owner's switches.

    learn: its messages may become training data. recall: they may be looked up for replies. speak: the
    bot may answer here. is_private: what is in force: not everyone may read it, or the owner keeps it private
    (unknown counts as private). include_private: the second, explicit yes for training on a private channel.
    rate: its own response rate 0-1, or None for the general one.

    discord_private: what Discord says, None where it never said anything. owner_private: what the owner says;
    None: nothing. audience: who can read it (data.chat.audience); accepted_audience: who could when the owner last
    had nothing to say about it; both '' where nothing is known. Threads inherit the switches of their parent, and
    all of this.
    """

    id: int
    name: str
    kind: int = 0
    parent_id: int | None = None
    guild_id: int | None = None
    learn: bool = False
    recall: bool = False
    speak: bool = False
    is_private: bool = True
    include_private: bool = False
    rate: float | None = None
    is_access_lost: bool = False
    discord_private: bool | None = None
    owner_private: bool | None = None
    audience: str = ""
    accepted_audience: str = ""

    @property
    def is_thread(self) -> bool:
        """True for threads and forum posts."""
        return self.kind in THREAD_KINDS


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who wrote something, and what they decided about it."""

    id: int
    username: str
    display_name: str
    is_opted_out: bool = False
    is_excluded: bool = False

    @property
    def is_absent(self) -> bool:
        """True when nothing of theirs may be learnt from or recalled."""
        return self.is_opted_out or self.is_excluded


# ---- conversations: what model and data both know --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """What one person said in one go (bursts joined by line breaks), in readable text.

    is_self: said by the voice that answers: the bot when live, the target author in training.
    """

    name: str
    text: str
    is_self: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything a reply depends on. `turns` is oldest first; `recalled` is best match first.

    own_name: what the voice that answers is called; '' where nobody knows.
    """

    turns: tuple[Turn, ...]
    recalled: tuple[Turn, ...] = ()
    own_name: str = ""


# ---- running processes ------------------------------------------------------------------------------


class BotPhase(StrEnum):
    """Where the bot process is in its life, as it reports itself."""

    STARTING = "starting"
    CONNECTING = "connecting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class ModelState(StrEnum):
    """What the bot says about its model."""

    NONE = "none"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class ExitCode:
    """Exit codes of the bot and what the supervisor makes of them (ARCHITECTURE section 6)."""

    STOPPED = 0
    CRASH = 1
    RESTART = 26
    HUNG = 70
    UNREACHABLE = 75
    CONFIGURATION = 78


@dataclass(frozen=True, slots=True)
class BotStatus:
    """The bot's one row: who it is, how it is, and at the end why it stopped."""

    pid: int
    phase: BotPhase
    heartbeat_at: float
    started_at: float
    mode: str = "discord"
    is_connected: bool = False
    latency_ms: float | None = None
    model_state: ModelState = ModelState.NONE
    model_name: str = ""
    model_bytes: int = 0
    model_error: str = ""
    # The model's memory is given back; the next reply loads it again.
    is_resting: bool = False
    # Another model than the bot's own, for one question of the playground.
    is_borrowed: bool = False
    queue_length: int = 0
    memory_bytes: int = 0
    last_reply_at: float | None = None
    last_reply_seconds: float | None = None
    replies: int = 0
    last_error: str = ""
    last_error_cure: str = ""
    # Seconds; what is compared with Discord's time (quiet for an hour) is reckoned with it.
    clock_is_ahead: float = 0.0
    exit_code: int | None = None
    exit_reason: str = ""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The process that watches the bot, if any."""

    pid: int
    heartbeat_at: float


class CommandKind(StrEnum):
    """What others may ask of the running bot."""

    STOP = "stop"
    RESTART = "restart"
    RELOAD_MODEL = "reload_model"
    FREE_CACHES = "free_caches"
    FREE_MODEL = "free_model"
    # About one channel, in `details`.
    SAY = "say"
    STOP_REPLY = "stop_reply"
    DELETE_REPLY = "delete_reply"


@dataclass(frozen=True, slots=True)
class Command:
    """One row of bot_commands; executed at most once, by the bot process it was meant for.

    details: what it is about (`channel_id`, `reply_id`, `text`), forgotten once it was executed.
    """

    id: int
    kind: CommandKind
    asked_by: str
    asked_at: float
    details: dict[str, Any] = field(default_factory=dict)


class JobState(StrEnum):
    """The life of a job."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Job:
    """A script at work: progress 0-1, the step it is at, and its typed result when done."""

    id: int
    kind: str
    pid: int
    state: JobState
    progress: float = 0.0
    step: str = ""
    error: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    is_cancel_requested: bool = False
    started_at: float = 0.0
    finished_at: float | None = None
    heartbeat_at: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether it still runs, as far as its row says."""
        return self.state is JobState.RUNNING


@dataclass(frozen=True, slots=True)
class JobMetric:
    """One point of a job's curve, e.g. ("loss", step 40, 3.21)."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Activity:
    """One message seen and what was made of it. Times in milliseconds, None where nothing was said.

    is_due: it is to be answered and the answer is not out yet.
    """

    at: float
    message_id: int
    channel_id: int
    author_id: int
    author_name: str
    spoke: bool
    reason: str
    latency_ms: float | None = None
    first_token_ms: float | None = None
    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    reply_tokens: int = 0
    reply_id: int | None = None
    error: str = ""
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class PlaygroundEntry:
    """One line of the owner's test chat. `details` holds recalled lines, prompt and timing of a reply.

    A question's `options` override settings by key for itself (for comparing temperatures and models).
    was_taken: a bot that took the question ended without answering.
    """

    id: int
    role: str
    text: str
    at: float
    answers_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    was_taken: bool = False
