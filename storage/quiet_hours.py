"""Quiet hours as people type them: one reading of '23-7', '22:00–06:00' or '11pm to 7am', for whoever asks."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from storage.errors import SettingError

DAY = 24 * 60
# Spans that leave less than this of the day are no quiet hours but a bot that never speaks.
LEAST_SPEAKING_MINUTES = 30
CURE = "Write a start and an end, such as 23:00-07:30, 23-7 or 11pm-7am; empty or off for none."
NONE_WORDS = frozenset({"", "off", "none", "no", "never", "-", "0"})
_BETWEEN = re.compile(r"\s*(?:[-\u2010-\u2015\u2212~\u2192>]+|\b(?:to|till?|until|bis|and)\b)\s*")
_TIME = re.compile(r"(\d{1,2})(?:\s*[:.h]\s*(\d{2})|(?<=\d\d)(\d{2}))?\s*(?:h|uhr|o'clock)?\s*(am|pm)?")
_NAMED = {"midnight": 0, "noon": 12 * 60, "midday": 12 * 60}


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local minutes of the day (0-1439): from `start` up to, not including, `end`; it may pass midnight."""

    start: int
    end: int

    @property
    def minutes(self) -> int:
        """Length in minutes; a span that ends where it begins is the whole day."""
        return (self.end - self.start) % DAY or DAY

    @property
    def text(self) -> str:
        """As it is stored: 23:00-07:30."""
        return f"{_clock(self.start)}-{_clock(self.end)}"

    def contains(self, minute_of_day: int) -> bool:
        """Whether a minute of the day, 0-1439, lies within, past midnight too."""
        return (minute_of_day - self.start) % DAY < self.minutes


def read_quiet_hours(text: str) -> QuietHours | None:
    """None for no quiet hours. SettingError says in a sentence what cannot be understood and how to write it."""
    # Runs of spaces become one: the expressions below would take quadratic time over thousands of them.
    words = " ".join(unicodedata.normalize("NFKC", text).split()).lower().rstrip(".")
    if words in NONE_WORDS:
        return None
    words = re.sub(r"\b([ap])\.?\s?m\b\.?", r"\1m", words)
    words = re.sub(r"^(?:from|between|von)\s+", "", words)
    parts = _BETWEEN.split(words)
    if len(parts) != 2:
        raise SettingError(f"Quiet hours: {text.strip()[:40]!r} is not a valid time span.", CURE)
    (start, is_start_marked), (end, is_end_marked) = (_minute(part, text) for part in parts)
    if is_start_marked != is_end_marked:
        start, end = _nearest(start, end, is_start_marked, parts)
    found = QuietHours(start % DAY, end % DAY)
    if found.minutes > DAY - LEAST_SPEAKING_MINUTES:
        raise SettingError(
            f"Quiet hours: {text.strip()[:40]!r} is the whole day, so the bot would never speak.",
            "Stop the bot instead, or give a shorter span such as 23:00-07:30.",
        )
    return found


def tidy_quiet_hours(text: str) -> str:
    """The one way a span is stored, '' for none; SettingError as `read_quiet_hours`."""
    found = read_quiet_hours(text)
    return found.text if found else ""


def is_span(text: str) -> bool:
    """Whether something stands for a start and something for an end, whatever it is; half of a span does not."""
    parts = _BETWEEN.split(" ".join(text.split()).lower())
    return len(parts) == 2 and all(part.strip() for part in parts)


def step_time(text: str, minutes: int) -> str:
    """A time of the day moved to the next multiple of so many minutes, back for a negative number; it passes midnight.
    What is no time stays as it is."""
    try:
        minute, _ = _minute(unicodedata.normalize("NFKC", text).strip().lower(), text)
    except SettingError:
        return text
    size = abs(minutes)
    moved = (minute // size + 1) * size if minutes > 0 else -(-minute // size) * size - size
    return _clock(moved % DAY)


def is_quiet_time(text: str, minute_of_day: int) -> bool:
    """Whether a local minute lies in a span; what cannot be read is none."""
    try:
        found = read_quiet_hours(text)
    except SettingError:
        return False
    return found is not None and found.contains(minute_of_day)


def _minute(words: str, whole: str) -> tuple[int, bool]:
    """(minute of the day, whether am, pm or a name said which half). 24:00 is midnight."""
    words = words.strip()
    if words in _NAMED:
        return _NAMED[words], True
    match = _TIME.fullmatch(words)
    if match is None:
        raise SettingError(f"Quiet hours: {whole.strip()[:40]!r} is not a valid time span.", CURE)
    hour, minute, half = int(match[1]), int(match[2] or match[3] or 0), match[4]
    is_hour = 1 <= hour <= 12 if half else hour <= 23 or (hour == 24 and not minute)
    if not is_hour or minute > 59:
        raise SettingError(f"Quiet hours: there is no {words[:12]!r} on a clock.", CURE)
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return hour * 60 + minute, half is not None


def _nearest(start: int, end: int, is_start_marked: bool, parts: list[str]) -> tuple[int, int]:
    """'11pm-7' and '9-5pm': the time without am or pm is the one that makes the shorter span, as people mean it."""
    bare = parts[1] if is_start_marked else parts[0]
    number = end if is_start_marked else start
    if not 60 <= number < 13 * 60 or bare.strip().startswith("0"):
        return start, end  # 22 and 07 say on their own which half they are in
    first, second = number % (12 * 60), number % (12 * 60) + 12 * 60
    if is_start_marked:
        return start, min((first, second), key=lambda each: (each - start) % DAY or DAY)
    return min((first, second), key=lambda each: (end - each) % DAY or DAY), end


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
