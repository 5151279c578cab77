"""What stood before each reply: the figures that ask whether a reply belongs where it was written start here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation.rows import EvaluationExample
from model.markup import without_invented_mentions

# The newest lines carry what a reply answers; a sentence embedder reads 256 tokens at most.
CONTEXT_TURNS = 3
_MENTION = re.compile(r"(?<![\w.])@(?=\w)")
_FIRST_WORD = re.compile(r"\w[\w.'’-]*")
# Latin, full-width and Arabic marks; smileys and brackets may follow.
_QUESTION = re.compile(r"[?\uff1f\u061f][^\w]*$")
_EVERYBODY = frozenset({"everyone", "here"})
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Places:
    """Place `i` is where reply `i` stands.

    texts: the newest lines before it. vectors: their embeddings (n, dimension), L2-normalised, or (n, 0) without an
    embedder. is_asked (n,): the newest line ends in a question. names: who may be mentioned, case-folded.
    """

    texts: tuple[str, ...]
    vectors: np.ndarray
    is_asked: np.ndarray
    names: frozenset[str] = frozenset()

    def take(self, indices: np.ndarray) -> Places:
        """The places at these indices, in that order."""
        return Places(tuple(self.texts[i] for i in indices), self.vectors[indices], self.is_asked[indices], self.names)

    def invents_a_mention(self, text: str) -> bool:
        """True when a text mentions (`@name`) somebody nobody here knows."""
        return any(not self._is_known(text[match.end() :].casefold()) for match in _MENTION.finditer(text))

    def _is_known(self, rest: str) -> bool:
        return any(rest.startswith(name) for name in self.names) or bool(
            (word := _FIRST_WORD.match(rest)) and word[0] in _EVERYBODY
        )


def places_of(rows: Sequence[EvaluationExample], embed: Embed | None, *, training_texts: Iterable[str] = ()) -> Places:
    """The places of an evaluation. Known are all who speak in them and whoever people mention there or in training."""
    texts = tuple("\n".join(turn.text for turn in row.conversation.turns[-CONTEXT_TURNS:]) for row in rows)
    vectors = embed([text or " " for text in texts]) if embed else np.zeros((len(texts), 0), dtype=np.float32)
    asked = np.array(
        [is_question(row.conversation.turns[-1].text) if row.conversation.turns else False for row in rows]
    )
    return Places(texts, vectors, asked.astype(bool), known_names(rows, training_texts))


def known_names(rows: Sequence[EvaluationExample], training_texts: Iterable[str] = ()) -> frozenset[str]:
    """Who may be mentioned, case-folded: who speaks at these places, and whom people mention there or in training."""
    said = [*(turn.text for row in rows for turn in row.conversation.turns), *(row.reply for row in rows)]
    names = {turn.name for row in rows for turn in row.conversation.turns}
    names |= {name for text in (*said, *training_texts) for name in mentioned(text)}
    return frozenset(name.casefold() for name in names if name.strip())


def as_shown(text: str, names: Iterable[str]) -> str:
    """A reply as Discord shows it: the live bot takes the @ off names that nobody here has."""
    return without_invented_mentions(text, [*names, *_EVERYBODY])


def nowhere(count: int) -> Places:
    """Places nothing is known of, for figures about replies alone."""
    return Places(("",) * count, np.zeros((count, 0), dtype=np.float32), np.zeros(count, dtype=bool))


def is_question(text: str) -> bool:
    """True when the last line ends in a question mark, whatever smileys follow it."""
    lines = text.strip().splitlines()
    return bool(lines) and bool(_QUESTION.search(lines[-1]))


def mentioned(text: str) -> list[str]:
    """The first word of every name written as `@name`."""
    return [word[0] for match in _MENTION.finditer(text) if (word := _FIRST_WORD.match(text, match.end()))]
