"""The test chat: its lines, and what a reply cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gui import texts
from gui.presenters import format as words
from gui.presenters.plain import plain
from gui.presenters.snapshot import Pulse
from storage.playground import BOT, OWNER
from storage.records import ModelState, PlaygroundEntry
from storage.settings import ADAPTER_PATH, MODEL_PATH, TEMPERATURE


@dataclass(frozen=True, slots=True)
class ChatLine:
    """One bubble. `stats` stands below a reply; `column` is 0 or 1 while comparing, -1 across the whole width."""

    id: int
    is_own: bool
    text: str
    stats: str = ""
    is_error: bool = False
    is_waiting: bool = False
    label: str = ""
    column: int = -1


@dataclass(frozen=True, slots=True)
class ChatView:
    """The whole chat. notice: a state the owner should know before typing."""

    lines: tuple[ChatLine, ...]
    can_send: bool
    notice: str = ""
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class DetailsView:
    """What explains one reply."""

    timing: tuple[tuple[str, str], ...]
    recalled: tuple[tuple[str, str], ...]
    prompt: str


def chat_view(entries: Sequence[PlaygroundEntry], pulse: Pulse | None) -> ChatView:
    """The lines of the chat with a waiting mark under a question nobody answered yet."""
    now = pulse.now if pulse is not None else 0.0
    answered = {entry.answers_id for entry in entries if entry.role == BOT}
    labels = {entry.id: _label(entry) for entry in entries if entry.role == OWNER}
    lines: list[ChatLine] = []
    for entry in entries:
        lines.append(line_of(entry, label=labels.get(entry.answers_id or 0, "")))
        if entry.role == OWNER and entry.id not in answered:
            waited = max(0, int(now - entry.at))
            lines.append(
                ChatLine(
                    -entry.id, False, texts.CHAT_WAITING.format(seconds=waited), is_waiting=True, label=_label(entry)
                )
            )
    is_stopped = pulse is not None and not pulse.is_alive
    return ChatView(tuple(lines), not is_stopped, _notice(pulse), is_stopped)


def line_of(entry: PlaygroundEntry, *, label: str = "") -> ChatLine:
    """One stored line as a bubble; `label` says under which conditions an answer was given."""
    if entry.role == OWNER:
        return ChatLine(entry.id, True, entry.text)
    if entry.error:
        return ChatLine(entry.id, False, plain(entry.error) or texts.CHAT_FAILED, is_error=True, label=label)
    return ChatLine(entry.id, False, entry.text or texts.CHAT_SILENT, _stats(entry), label=label)


def _label(entry: PlaygroundEntry) -> str:
    options = entry.options
    if TEMPERATURE.key in options:
        return texts.CHAT_TEMPERATURE.format(value=f"{options[TEMPERATURE.key]:g}")
    if options.get(MODEL_PATH.key):
        return words.middle(Path(str(options[MODEL_PATH.key])).stem, 34)
    return texts.COMPARE_NO_ADAPTER if ADAPTER_PATH.key in options else ""


def _stats(entry: PlaygroundEntry) -> str:
    details = entry.details
    if "total_ms" not in details:
        return ""
    return texts.CHAT_STATS.format(
        total=words.seconds_of(details["total_ms"]),
        tokens=_tokens(details.get("reply_tokens", 0)),
        first=words.seconds_of(details.get("first_token_ms")),
    )


def _tokens(count: int) -> str:
    return texts.ONE_TOKEN if count == 1 else texts.TOKENS.format(count=count)


def _notice(pulse: Pulse | None) -> str:
    if pulse is None or not pulse.is_alive or pulse.status is None:
        return ""
    if pulse.status.model_state is ModelState.FAILED:
        return plain(pulse.status.model_error) or texts.MODEL_FAILED_TITLE
    return texts.CHAT_LOADING if pulse.status.model_state is not ModelState.READY else ""


def details_view(entry: PlaygroundEntry) -> DetailsView:
    """Timing, recalled lines and prompt of a reply."""
    details = entry.details
    timing = []
    for key, label in texts.DETAILS_ROWS.items():
        value = details.get(key)
        if value is None:
            continue
        if key.endswith("_ms"):
            shown = words.seconds_of(value)
        elif key.endswith("_tokens"):
            shown = _tokens(value)
        elif key == "model":
            shown = words.middle(str(value), 26)
        else:
            shown = texts.STOP_REASONS.get(str(value), str(value))
        timing.append((label, shown))
    recalled = tuple((str(line.get("name", "")), str(line.get("text", ""))) for line in details.get("recalled", ()))
    return DetailsView(tuple(timing), recalled, str(details.get("prompt", "")))
