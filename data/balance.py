"""A fair draw of training targets: as many of each author as their quota (data.chat.quotas) allows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from data.chat.quotas import BOOST_PER_REACTION, MAX_BOOST

if TYPE_CHECKING:
    import numpy as np


def boosts(reactions: np.ndarray) -> np.ndarray:
    """How much likelier messages with reactions are to be kept: 1 + 0.05 each, at most 1.5."""
    import numpy as np

    return np.minimum(1.0 + BOOST_PER_REACTION * reactions, MAX_BOOST)


def draw(authors: np.ndarray, boosts: np.ndarray, kept: Mapping[int, int], *, seed: int) -> np.ndarray:
    """Which targets stay: a bool per target, `kept[author]` True ones for each author, none twice.

    authors: int64 per target. boosts: float64 >= 0 per target, the weight of a draw without replacement
    (Efraimidis and Spirakis 2006: the k largest of u^(1/w)). The same input gives the same answer.
    """
    import numpy as np

    # log(u) / w orders as u^(1/w) does and does not underflow
    keys = np.log(np.random.default_rng(seed).random(len(authors)) + 1e-300) / np.maximum(boosts, 1e-9)
    chosen = np.zeros(len(authors), dtype=bool)
    order = np.lexsort((-keys, authors))
    ordered = authors[order]
    for author, amount in kept.items():
        start, end = np.searchsorted(ordered, [author, author + 1])
        chosen[order[start : min(start + amount, end)]] = True
    return chosen
