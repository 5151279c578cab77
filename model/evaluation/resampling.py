"""Intervals: how far a figure would move with other conversations of the same kind (the bootstrap).

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 8: the unit that is resampled is the unit that is
independent, here the session, and for times the reply.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

SEED = 11
ROUNDS = 300
_COVERAGE = (2.5, 97.5)
# With fewer rounds the outer percentiles are hardly more than the extremes that happened to be drawn.
_LEAST_FOR_PERCENTILES = 100

Range = tuple[float, float]


def members_of(sessions: Sequence[str]) -> list[list[int]]:
    """Indices by session, sessions in the order they first appear."""
    groups: dict[str, list[int]] = {}
    for index, session in enumerate(sessions):
        groups.setdefault(session, []).append(index)
    return list(groups.values())


def resample(members: Sequence[Sequence[int]], generator: np.random.Generator) -> np.ndarray:
    """Indices of as many sessions as there are, drawn with replacement."""
    drawn = generator.integers(len(members), size=len(members))
    return np.array([index for session in drawn for index in members[session]], dtype=np.int64)


def half_of(members: Sequence[Sequence[int]], generator: np.random.Generator) -> np.ndarray:
    """Indices of half of the sessions, none of them twice: the delete-half jackknife, whose spread is that of the
    figure over all (Shao and Wu, "A General Theory for Jackknife Variance Estimation", Annals of Statistics 17, 1989).

    For figures that ask how often something is said again, which drawing with replacement makes up.
    """
    drawn = generator.permutation(len(members))[: max(1, len(members) // 2)]
    return np.array([index for session in sorted(drawn) for index in members[session]], dtype=np.int64)


def range_of(statistic: Callable[[np.ndarray], float], sessions: Sequence[str], *, rounds: int = ROUNDS) -> Range:
    """95 % of what `statistic(indices)` gives over resampled sessions; sessions must not be empty."""
    generator = np.random.default_rng(SEED)
    members = members_of(sessions)
    low, high = np.percentile([statistic(resample(members, generator)) for _ in range(rounds)], _COVERAGE)
    return float(low), float(high)


def wilson(hits: int, count: int) -> Range:
    """95 % interval of a share (Wilson, JASA 22, 1927); 0 to 1 where nothing was counted. It says something about 0 of
    50 as well, where every resampled round says 0."""
    if not count:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def spread(drawn: Sequence[Sequence[float]]) -> Range:
    """How far below and above a value its 95 % reach, from rounds drawn in several groups (one list each, 2 or more).

    Only the spread within a group counts: drawing with replacement repeats replies, which pushes distances up, and half
    of them is less to measure over. Where all rounds together are few, their outer percentiles say little, and
    Student's t on their variance is used.
    """
    deviations, squares, freedom = [], 0.0, 0
    for group in drawn:
        away = np.asarray(group, dtype=np.float64) - float(np.mean(group))
        squares += float(away @ away)
        freedom += len(group) - 1
        # The mean of few rounds follows them: their distances from it are too small by this factor.
        deviations.append(away * math.sqrt(len(group) / (len(group) - 1)))
    together = np.concatenate(deviations)
    if len(together) >= _LEAST_FOR_PERCENTILES:
        low, high = np.percentile(together, _COVERAGE)
        return float(low), float(high)
    from scipy.stats import t

    edge = float(t.ppf(_COVERAGE[1] / 100, freedom)) * math.sqrt(squares / freedom)
    return -edge, edge
