"""Fitting the scorer that chooses among drafts: people's replies against the model's, and people's replies in their own
places against the same replies elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from model.draft_scorer import DraftScorer, columns, fit_columns, lines_before
from model.evaluation.rows import EvaluationExample

# With fewer a scorer would choose by chance, and be sure of it.
LEAST_PLACES = 60
# So much a weight is held back; more than the detector's own, for what is chosen by it must not overshoot.
_STRENGTH = 0.3


def fit_scorer(rows: Sequence[EvaluationExample], written: Sequence[str]) -> DraftScorer | None:
    """A scorer from a model's replies at some places; None where there are too few of them.

    The sum of two log odds: said by people and not by the model, and said here and not in another session.
    """
    found = [(lines_before(row.conversation), row.reply, text, row) for row, text in zip(rows, written, strict=True)]
    found = [each for each in found if each[1].strip() and each[2].strip()]
    if len(found) < LEAST_PLACES or len({each[3].session for each in found}) < 2:
        return None
    real = [columns(lines, said) for lines, said, _, _ in found]
    likeness = _odds(real, [columns(lines, text) for lines, _, text, _ in found])
    own = [fit_columns(lines, said) for lines, said, _, _ in found]
    fit = _odds(own, [fit_columns(lines, said) for lines, said in _elsewhere([each[3] for each in found])])
    names = {*likeness, *fit}
    return DraftScorer({name: likeness.get(name, 0.0) + fit.get(name, 0.0) for name in names}, len(found))


def _elsewhere(rows: Sequence[EvaluationExample]) -> Iterator[tuple[list[str], str]]:
    """Each real reply after the lines of a place in another session."""
    half = len(rows) // 2
    for number, row in enumerate(rows):
        others = (rows[(number + half + step) % len(rows)] for step in range(len(rows)))
        other = next(each for each in others if each.session != row.session)
        yield lines_before(other.conversation), row.reply


def _odds(yes: Sequence[Mapping[str, float]], no: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Weights of the log odds of `yes`, in the columns' own units."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    table = DictVectorizer(sparse=False)
    values: Any = table.fit_transform([*yes, *no])
    spread = values.std(axis=0)
    # n-grams have length 1 together; everything else is brought to about as much.
    names = list(table.get_feature_names_out())
    is_gram = np.array([name[1:].isdigit() for name in names])
    scale = np.where(is_gram, 1.0, 2.0 * np.maximum(spread, 1e-6))
    labels = np.r_[np.ones(len(yes), dtype=int), np.zeros(len(no), dtype=int)]
    fitted = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(values / scale, labels)
    return dict(zip(names, (fitted.coef_[0] / scale).tolist(), strict=True))
