"""The classifier two-sample test: can a trained detector tell one writer from another?

Sources: Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests" (ICLR 2017). A detector sees half of the
sessions with the answer and is asked about the others; 0.5 is guessing, 1.0 is certain. Sessions are never split
between the two, or a shared topic would give the answer away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.evaluation.features import Features
from model.evaluation.places import nowhere
from model.evaluation.rows import Replies

FOLDS = 5
_SEED = 20
# Small against a TF-IDF row of length 1, so that a few columns do not drown thousands of n-grams.
_HABIT_WEIGHT = 0.3
Fit = Callable[[Features, np.ndarray, Features], np.ndarray]


def character_scores(written: Features, real: Features) -> np.ndarray:
    """Held-out detector scores (len(written) + len(real),) from character 1-4-grams, length, lines, emoji."""
    return _held_out_scores(written, real, _fit_characters)


def meaning_scores(written: Features, real: Features) -> np.ndarray:
    """Held-out detector scores from sentence embeddings: topics and tone."""
    return _held_out_scores(written, real, _fit_meaning)


def auc(scores: np.ndarray, count_written: int) -> float:
    """Chance that a random written reply scores above a random real one; ties count half.

    scores: the written ones first. Below 0.5 is noise around guessing, not skill.
    """
    from scipy.stats import mannwhitneyu

    written, real = scores[:count_written], scores[count_written:]
    if not len(written) or not len(real):
        return 0.5
    return float(mannwhitneyu(written, real, method="asymptotic").statistic / (len(written) * len(real)))


def _held_out_scores(written: Features, real: Features, fit: Fit) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.r_[np.ones(len(written), dtype=int), np.zeros(len(real), dtype=int)]
    # A session of both writers is one group, so neither side's half of a talk is ever a hint about the other.
    groups = np.array([*written.replies.sessions, *real.replies.sessions])
    scores = np.zeros(len(labels))
    sessions = len(set(groups.tolist()))
    if sessions < 2:
        return scores  # nothing can be held out: all the same score is a guess
    folds = max(2, min(FOLDS, sessions // 2))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
    for train, test in splitter.split(labels, labels, groups):
        if len(set(labels[train].tolist())) < 2:
            continue  # a handful of sessions: this fold can only guess, and 0 is a guess
        fold = fit(_rows(written, real, train), labels[train], _rows(written, real, test))
        scores[test] = fold - _threshold(fold, labels[test])
    return scores


def _threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Where one fold's detector draws its line, so that scores of all folds can be pooled: half-way between the two
    writers' medians. A fold with one writer only (few sessions, or uneven ones) keeps the detector's own line, 0: its
    own median would call half of them the other writer's."""
    written, real = scores[labels == 1], scores[labels == 0]
    if not len(written) or not len(real):
        return 0.0
    return float((np.median(written) + np.median(real)) / 2)


def _rows(written: Features, real: Features, indices: np.ndarray) -> Features:
    """Rows of both writers as one: index i is written[i], then real[i - len(written)]."""
    a = written.take(indices[indices < len(written)])
    b = real.take(indices[indices >= len(written)] - len(written))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(a, name), getattr(b, name)])

    replies = Replies(a.replies.texts + b.replies.texts, a.replies.sessions + b.replies.sessions)
    return Features(
        replies,
        joined("characters"),
        joined("lines"),
        joined("emoji_counts"),
        joined("cases"),
        joined("punctuation"),
        a.words + b.words,
        joined("vectors"),
        nowhere(len(replies)),
        joined("invents"),
    )


def _fit_characters(train: Features, labels: np.ndarray, test: Features) -> np.ndarray:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    # Case and line breaks are habits, so nothing is lower-cased; `char` (not `char_wb`) sees how a reply ends.
    grams = TfidfVectorizer(
        analyzer="char",
        ngram_range=(1, 4),
        lowercase=False,
        sublinear_tf=True,
        max_features=60_000,
        preprocessor=_mark_ends,
    )
    # TF-IDF rows have length 1 each, so how long a reply is must be told separately.
    scale = StandardScaler()
    seen = hstack(
        [grams.fit_transform(train.replies.texts), csr_matrix(_HABIT_WEIGHT * scale.fit_transform(_habits(train)))]
    ).tocsr()
    asked = hstack(
        [grams.transform(test.replies.texts), csr_matrix(_HABIT_WEIGHT * scale.transform(_habits(test)))]
    ).tocsr()
    detector = LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced").fit(seen, labels)
    return np.asarray(detector.decision_function(asked))


def _habits(side: Features) -> np.ndarray:
    """Length, lines, emoji, capitals and ending of each reply, (n, 5)."""
    return np.column_stack(
        [np.log1p(side.characters), side.lines, side.emoji_counts, side.cases == 1, side.punctuation[:, -2]]
    ).astype(float)


def _mark_ends(text: str) -> str:
    return f"\x02{text}\x03"


def _fit_meaning(train: Features, labels: np.ndarray, test: Features) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    detector = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced"))
    detector.fit(train.vectors, labels)
    return np.asarray(detector.decision_function(test.vectors))
