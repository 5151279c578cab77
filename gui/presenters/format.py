"""Numbers, spans and moments as people read them."""

from __future__ import annotations

import time


def duration(seconds: float) -> str:
    """'45 s', '12 min', '2 h 14 min', '3 d 4 h': at most two units, never negative."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, days = whole // 60, whole // 86_400
    if minutes < 60:
        return f"{minutes} min"
    if days < 1:
        return _two(minutes // 60, "h", minutes % 60, "min")
    return _two(days, "d", whole % 86_400 // 3600, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def about(seconds: float) -> str:
    """A time left, no finer than it can be known: 'under a minute', '12 min', '45 min', '2 h 15 min', '9 h'."""
    if seconds < 50:
        return "under a minute"
    minutes = seconds / 60
    for limit, step in ((10, 1), (60, 5), (300, 15)):
        if minutes < limit:
            return duration(max(round(minutes / step) * step, 1) * 60)
    return duration(round(minutes / 60) * 3600)


def ago(seconds: float) -> str:
    """'just now', '3 min ago'."""
    return "just now" if seconds < 5 else f"{duration(seconds)} ago"


def size(count: float) -> str:
    """Bytes in the units people know: '812 MB', '2.1 GB'."""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def whole(number: float) -> str:
    """'14 930': thousands apart, with a thin space so that nothing reads as a decimal point."""
    return f"{int(number):,}".replace(",", "\u2009")


def percent(share: float, *, digits: int = 0) -> str:
    """0.051 -> '5 %'; with one digit '5.1 %'."""
    return f"{share * 100:.{digits}f}\u2009%"


def seconds_of(milliseconds: float | None) -> str:
    """Reply times: '2.3 s', '0.41 s', or a dash where there was none."""
    if milliseconds is None:
        return "–"
    seconds = milliseconds / 1000
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def clock(moment: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M", time.localtime(moment))


def stamp(moment: float) -> str:
    """Local date and time, for lists."""
    return time.strftime("%d %b %H:%M", time.localtime(moment))


def percentile(ascending: list[float], share: float) -> float | None:
    """Nearest-rank percentile of sorted values, None for none."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, max(0, round(share * len(ascending) + 0.5) - 1))]


def plural(count: int, one: str, many: str = "") -> str:
    """'1 message', '12 messages'."""
    return f"{whole(count)} {one if count == 1 else many or one + 's'}"


def middle(text: str, length: int) -> str:
    """A long name with its middle left out: both ends of a file name say something."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"
