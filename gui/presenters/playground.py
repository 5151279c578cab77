"""The test chat: lines, what a reply cost, and comparing two temperatures."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.pulse import Pulse
from storage.playground import BOT, OWNER
from storage.records import ModelState, PlaygroundEntry
from storage.settings import TEMPERATURE


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
    last_question_id: int | None = None


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
    lines: list[ChatLine] = []
    for entry in entries:
        lines.append(_line(entry))
        if entry.role == OWNER and entry.id not in answered:
            waited = max(0, int(now - entry.at))
            lines.append(ChatLine(-entry.id, False, texts.CHAT_WAITING.format(seconds=waited), is_waiting=True,
                                  label=_label(entry)))
    last = next((entry.id for entry in reversed(entries) if entry.role == OWNER), None)
    is_stopped = pulse is not None and not pulse.is_alive
    return ChatView(tuple(lines), not is_stopped, _notice(pulse), is_stopped, last)


def _line(entry: PlaygroundEntry) -> ChatLine:
    if entry.role == OWNER:
        return ChatLine(entry.id, True, entry.text)
    if entry.error:
        return ChatLine(entry.id, False, entry.error, is_error=True)
    return ChatLine(entry.id, False, entry.text or texts.CHAT_SILENT, _stats(entry))


def _label(entry: PlaygroundEntry) -> str:
    value = entry.options.get(TEMPERATURE.key)
    return texts.CHAT_TEMPERATURE.format(value=f"{value:g}") if value is not None else ""


def _stats(entry: PlaygroundEntry) -> str:
    details = entry.details
    if "total_ms" not in details:
        return ""
    return texts.CHAT_STATS.format(total=words.seconds_of(details["total_ms"]), tokens=details.get("reply_tokens", 0),
                                   first=words.seconds_of(details.get("first_token_ms")))


def _notice(pulse: Pulse | None) -> str:
    if pulse is None or not pulse.is_alive or pulse.status is None:
        return ""
    if pulse.status.model_state is ModelState.FAILED:
        return pulse.status.model_error or texts.MODEL_FAILED_TITLE
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
            shown = texts.TOKENS.format(count=value)
        else:
            shown = texts.STOP_REASONS.get(str(value), str(value))
        timing.append((label, shown))
    recalled = tuple((str(line.get("name", "")), str(line.get("text", ""))) for line in details.get("recalled", ()))
    return DetailsView(tuple(timing), recalled, str(details.get("prompt", "")))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line answered at two temperatures, one after the other: the first answer is kept here, not in the chat."""

    text: str
    temperatures: tuple[float, float]
    question_id: int = 0
    first: PlaygroundEntry | None = None
    second: PlaygroundEntry | None = None

    @property
    def is_done(self) -> bool:
        return self.second is not None

    @property
    def current_temperature(self) -> float:
        return self.temperatures[0 if self.first is None else 1]

    def lines(self, now: float, asked_at: float) -> tuple[ChatLine, ChatLine]:
        """Both columns, the one being written with a waiting mark."""
        columns = []
        for number, answer in enumerate((self.first, self.second)):
            label = texts.CHAT_TEMPERATURE.format(value=f"{self.temperatures[number]:g}")
            if answer is None:
                is_current = (number == 0) == (self.first is None)
                text = texts.CHAT_WAITING.format(seconds=max(0, int(now - asked_at))) if is_current else "…"
                columns.append(ChatLine(-1 - number, False, text, is_waiting=True, label=label, column=number))
            else:
                line = _line(answer)
                columns.append(ChatLine(line.id, False, line.text, line.stats, line.is_error, label=label,
                                        column=number))
        return columns[0], columns[1]
