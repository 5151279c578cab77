"""The log as a list of coloured lines: kept, filtered and counted without a toolkit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from storage.jobs.kinds import JOBS, JobKind
from storage.logs import LINE

MOST_LINES = 50_000
_RANK = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "CRITICAL": 3}


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of a file. Lines of a traceback carry the level of the entry they belong to."""

    at: str
    level: str
    source: str
    text: str

    @property
    def raw(self) -> str:
        """The line as it stands in the file."""
        if not self.at:
            return self.text
        return f"[{self.at}] [{self.level}] {f'[{self.source}] ' if self.source else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What is shown: a level and everything above it, and lines that hold a text (any case) in any part."""

    level: str = "DEBUG"
    search: str = ""

    def keeps(self, row: LogRow) -> bool:
        """Whether a row is loud enough and holds what is searched for."""
        if _RANK.get(row.level, 1) < _RANK[self.level]:
            return False
        wanted = self.search.lower()
        return not wanted or any(wanted in part.lower() for part in (row.text, row.source, row.level, row.at))


class LogBook:
    """The newest 50,000 lines of one file."""

    def __init__(self, *, most: int = MOST_LINES) -> None:
        self.rows: deque[LogRow] = deque(maxlen=most)
        self._level = "INFO"
        self.warnings = 0
        self.errors = 0

    def add(self, lines: Iterable[str]) -> list[LogRow]:
        """Take in raw lines; returns them as rows."""
        fresh = []
        for line in lines:
            match = LINE.match(line)
            if match:
                self._level = match[2]
                row = LogRow(match[1], match[2], match[3] or "", match[4])
                self.warnings += row.level == "WARNING"
                self.errors += row.level in ("ERROR", "CRITICAL")
            elif line.strip():
                row = LogRow("", self._level, "", line.rstrip("\r"))
            else:
                continue
            self.rows.append(row)
            fresh.append(row)
        return fresh

    def clear(self) -> None:
        """Forget every row: another file is shown."""
        self.rows.clear()
        self.warnings = self.errors = 0

    def matching(self, wanted: LogFilter) -> list[LogRow]:
        """All kept lines that pass the filter, oldest first."""
        return [row for row in self.rows if wanted.keeps(row)]

    def summary(self, shown: int) -> str:
        """'1,204 lines · 3 warnings', or '12 of 1,204 lines' while filtered."""
        lines = words.plural(len(self.rows), "line")
        parts = [
            texts.LOG_COUNT.format(lines=lines)
            if shown == len(self.rows)
            else texts.LOG_COUNT_FILTERED.format(shown=words.whole(shown), lines=lines)
        ]
        if self.warnings:
            parts.append(words.plural(self.warnings, "warning"))
        if self.errors:
            parts.append(words.plural(self.errors, "error"))
        return " · ".join(parts)


def pieces(rows: Sequence[LogRow]) -> list[str]:
    """Text and tag in turns, as Tk's `insert` takes them: day and time, level, source, message."""
    result: list[str] = []
    for row in rows:
        tone = tone_of(row.level)
        if row.at:
            result += [f"{row.at[5:]}  ", "time", f"{row.level:<8}", f"level_{tone}"]
            if row.source:
                result += [f"{row.source:<15} ", "source"]
        result += [row.text + "\n", f"text_{tone}"]
    return result


def tone_of(level: str) -> str:
    """The colour family of a level: idle, plain, busy or bad."""
    return {"DEBUG": "idle", "WARNING": "busy", "ERROR": "bad", "CRITICAL": "bad"}.get(level, "plain")


def file_label(stem: str) -> str:
    """'bot' -> 'Bot', 'bot.out' -> 'Bot (raw output)'."""
    name = stem.removesuffix(".out")
    label = _label(name)
    return texts.LOG_RAW.format(name=label) if stem.endswith(".out") else label


def order_files(stems: Iterable[str]) -> list[str]:
    """The bot first, then the panel, then jobs, raw output last."""
    first = {"bot": 0, "launcher": 1}
    return sorted(stems, key=lambda stem: (stem.endswith(".out"), first.get(stem.removesuffix(".out"), 2), stem))


def _label(name: str) -> str:
    if name in JOBS:
        return JOBS[JobKind(name)].log_label
    return texts.LOG_NAMES.get(name, name.replace("_", " ").capitalize())
