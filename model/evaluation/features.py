"""What can be counted in a reply: words, length, lines, emoji, punctuation, capitals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation.places import Places, nowhere
from model.evaluation.rows import Replies

# Pictographs, dingbats, flags and server emoji as `:name:`. Text smileys are caught by the punctuation figure.
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u203c\u2049\u231a-\u23ff]"
    r"|:[A-Za-z0-9_]{2,32}:"
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)
_PUNCTUATION = ".,!?;:'\"()-…*~/"
_MOST_EMOJI = 4
_MOST_LINES = 6
# Upper borders of the length classes in characters, about a factor 1.5 apart.
LENGTH_BORDERS = (1, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 450, 2001)
CASES = ("no letters", "all lower", "ALL CAPS", "Sentence case", "mixed")


def words(text: str) -> list[str]:
    """Lower-case words; apostrophes stay inside them."""
    return [match.lower() for match in _WORD.findall(text)]


def emoji(text: str) -> list[str]:
    """Every emoji of a text, in order, repetitions included."""
    return _EMOJI.findall(text)


def case_of(text: str) -> int:
    """Index into CASES."""
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return 0
    if all(not character.isupper() for character in letters):
        return 1
    if len(letters) > 1 and all(not character.islower() for character in letters):
        return 2
    return 3 if letters[0].isupper() and sum(map(str.isupper, letters)) <= 1 + len(letters) // 12 else 4


def punctuation_counts(text: str) -> list[int]:
    """How often each kept mark occurs, then how the text ends: with a mark or without."""
    counts = Counter(text)
    ends_with_mark = text.rstrip()[-1:] in tuple(".!?…")
    return [*(counts[mark] for mark in _PUNCTUATION), int(ends_with_mark), int(not ends_with_mark)]


@dataclass(frozen=True, slots=True)
class Features:
    """One writer's replies as arrays, row `i` for reply `i`; cheap to resample by index.

    characters (n,), lines (n,), emoji_counts (n,), cases (n,): int64. punctuation (n, marks): int64.
    words: token lists. vectors (n, dimension): float32, L2-normalised, or (n, 0) without an embedder. places: what the
    replies answer. invents (n,): bool, as it was written it mentioned somebody who does not exist.
    """

    replies: Replies
    characters: np.ndarray
    lines: np.ndarray
    emoji_counts: np.ndarray
    cases: np.ndarray
    punctuation: np.ndarray
    words: tuple[list[str], ...]
    vectors: np.ndarray
    places: Places
    invents: np.ndarray

    def __len__(self) -> int:
        return len(self.replies)

    def take(self, indices: Sequence[int] | np.ndarray) -> Features:
        """The same figures for the replies at these indices, in that order."""
        index = np.asarray(indices, dtype=np.int64)
        return Features(
            self.replies.take(index.tolist()),
            self.characters[index],
            self.lines[index],
            self.emoji_counts[index],
            self.cases[index],
            self.punctuation[index],
            tuple(self.words[i] for i in index),
            self.vectors[index],
            self.places.take(index),
            self.invents[index],
        )


def extract(
    replies: Replies,
    vectors: np.ndarray | None = None,
    places: Places | None = None,
    *,
    invents: np.ndarray | None = None,
) -> Features:
    """Count everything once. invents: where `replies` are as they are shown and no longer as they were written."""
    texts = replies.texts
    return Features(
        replies,
        np.array([len(text) for text in texts], dtype=np.int64),
        np.array([min(1 + text.strip().count("\n"), _MOST_LINES) for text in texts], dtype=np.int64),
        np.array([min(len(emoji(text)), _MOST_EMOJI) for text in texts], dtype=np.int64),
        np.array([case_of(text) for text in texts], dtype=np.int64),
        np.array([punctuation_counts(text) for text in texts], dtype=np.int64).reshape(len(texts), -1),
        tuple(words(text) for text in texts),
        np.zeros((len(texts), 0), dtype=np.float32) if vectors is None else vectors,
        nowhere(len(texts)) if places is None else places,
        invented_mentions(texts, places) if invents is None else invents,
    )


def invented_mentions(texts: Sequence[str], places: Places | None) -> np.ndarray:
    """Which of the texts mention somebody nobody here knows, (n,) bool."""
    return np.array([places is not None and places.invents_a_mention(text) for text in texts], dtype=bool)
