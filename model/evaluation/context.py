"""Does a reply belong where it was written? Detectors see replies alone, so word salad and other people's lines pass
them; these figures look at what was answered. All take (written, real) features of the same size class.

Fit to context is the test of dialogue response ranking turned round (Lowe et al., "The Ubuntu Dialogue Corpus", SIGDIAL
2015): is a reply nearer to its own context than to others? Whoever only repeats the context would win it, so what is
repeated is counted too, and more fit than people have is as far from people as less.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from model.evaluation.features import Features
from model.evaluation.features import words as words_of
from model.evaluation.places import is_question
from model.evaluation.style import jensen_shannon

ECHO_WORDS = 4
# Fewer questions than this say nothing about how they are answered.
LEAST_ASKED = 12
_MOST_OPENINGS = 40


def fit(written: Features, real: Features) -> float:
    """Chance that a reply's embedding is nearer to its own context than to one of another session; 0.5 by chance."""
    return _mean_fit(written, np.ones(len(written), dtype=bool))


def fit_after_question(written: Features, real: Features) -> float:
    """The same, where the newest line asks something: 0.5 means that questions are not answered."""
    return _mean_fit(written, written.places.is_asked)


def _mean_fit(side: Features, chosen: np.ndarray) -> float:
    if not side.vectors.shape[1] or not side.places.vectors.shape[1]:
        return float("nan")
    values = fits(side)[chosen]
    return float(values.mean()) if len(values) else float("nan")


def fits(side: Features) -> np.ndarray:
    """The fit of each reply by itself (n,): the share of other sessions' places that it is further from than its own.
    Needs embeddings."""
    near = side.vectors @ side.places.vectors.T
    sessions = np.array(side.replies.sessions)
    # A session's other places share its topic, and a resampled place stands there twice.
    others = sessions[:, None] != sessions[None, :]
    own = np.diag(near)[:, None]
    wins = np.where(near < own, 1.0, np.where(near == own, 0.5, 0.0)) * others
    counts = others.sum(axis=1)
    counted = (counts > 0) & np.array([bool(text.strip()) for text in side.replies.texts])
    # Who says nothing fits nowhere.
    return np.asarray(np.where(counted, wins.sum(axis=1) / np.maximum(counts, 1), 0.5))


def echo_rate(written: Features, real: Features) -> float:
    """Share of replies that repeat four or more words in a row from the lines they answer."""
    return float(np.mean(echoes(written)))


def echoes(side: Features) -> list[bool]:
    """Which replies do."""
    return [echoes_line(text, place) for text, place in _pairs(side)]


def invented_mention_rate(written: Features, real: Features) -> float:
    """Share of replies that, as they were written, mention (`@name`) somebody who does not exist here."""
    return float(np.mean(written.invents))


def question_rate_difference(written: Features, real: Features) -> float:
    """By how much the shares of replies that ask something differ."""
    return abs(_question_rate(written) - _question_rate(real))


def opening_divergence(written: Features, real: Features) -> float:
    """Jensen-Shannon distance between how replies begin: their first words, rare ones as one class."""
    sides = [[reply[0] if reply else "" for reply in side.words] for side in (written, real)]
    common = [word for word, _ in Counter([word for side in sides for word in side]).most_common(_MOST_OPENINGS)]
    counts = []
    for side in sides:
        counted = Counter(word if word in common else None for word in side)
        counts.append(np.array([*(counted[word] for word in common), counted[None]], dtype=float))
    return jensen_shannon(*counts)


def _question_rate(side: Features) -> float:
    return float(np.mean([is_question(text) for text in side.replies.texts]))


def _pairs(side: Features) -> list[tuple[list[str], str]]:
    return list(zip(side.words, side.places.texts, strict=True))


def echoes_line(reply: list[str], place: str) -> bool:
    """Whether a reply's words repeat four or more in a row from the text before it."""
    if len(reply) < ECHO_WORDS:
        return False
    before = words_of(place)
    known = {tuple(before[i : i + ECHO_WORDS]) for i in range(len(before) - ECHO_WORDS + 1)}
    return any(tuple(reply[i : i + ECHO_WORDS]) in known for i in range(len(reply) - ECHO_WORDS + 1))
