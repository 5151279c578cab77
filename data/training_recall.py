"""Earlier lines that share rare words with what is being said: the recalled lines of training rows. Pure.

The live bot finds lines by embedding. For a million messages that would take hours on a laptop's processor, and the
data set would depend on an index. Shared rare words give lines of the same kind (the same topic, the same names) at
the price of a dictionary look-up, and teach the same lesson: they may help, and they need not be answered.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]{3,24}")
# The newest lines of each word are kept; a word said more often than this share of all lines tells nothing.
_LINES_PER_WORD = 6
_COMMON_SHARE = 0.004
_COMMON_COUNT = 8
_QUERY_WORDS = 5
_LONGEST_LINE = 200


@dataclass(frozen=True, slots=True)
class Earlier:
    """A line that may be recalled, and where it was said.

    source: its author and messages. mentions: who is named in it.
    """

    channel_id: int
    name: str
    text: str
    source: tuple[int, ...] = ()
    mentions: tuple[int, ...] = ()


class RecallMemory:
    """What was said so far, by word. Feed it sessions in the order they ended."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Earlier]] = {}
        self._counts: dict[str, int] = {}
        self._total = 0

    def add(self, line: Earlier) -> None:
        """Remember a line; one that is long or has no words of its own is of no use."""
        if len(line.text) > _LONGEST_LINE:
            return
        self._total += 1
        for word in set(_WORD.findall(line.text.lower())):
            seen = self._counts.get(word, 0) + 1
            self._counts[word] = seen
            if seen > _COMMON_COUNT and seen > self._total * _COMMON_SHARE:
                self._lines.pop(word, None)
                continue
            known = self._lines.get(word)
            if known is None:
                known = self._lines[word] = deque(maxlen=_LINES_PER_WORD)
            known.append(line)

    def find(self, text: str, *, sources: Collection[int], limit: int, exclude: Collection[str] = ()) -> list[Earlier]:
        """Up to `limit` lines of the channels `sources` that share the rarest words with `text`, best first."""
        words = sorted(
            (self._counts.get(word, 0), word) for word in set(_WORD.findall(text.lower())) if word in self._lines
        )[:_QUERY_WORDS]
        scores: dict[int, float] = {}
        lines: dict[int, Earlier] = {}
        for count, word in words:
            for line in self._lines[word]:
                if line.channel_id in sources:
                    key = id(line)
                    lines[key] = line
                    scores[key] = scores.get(key, 0.0) + 1.0 / count
        best = sorted(lines, key=lambda key: (-scores[key], lines[key].text))
        return _different([lines[key] for key in best], limit, exclude)


def _different(lines: list[Earlier], limit: int, exclude: Collection[str]) -> list[Earlier]:
    found: list[Earlier] = []
    seen = {text.lower() for text in exclude}
    for line in lines:
        if line.text.lower() not in seen:
            seen.add(line.text.lower())
            found.append(line)
        if len(found) == limit:
            break
    return found
