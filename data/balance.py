"""Who speaks how much in the training data: quotas from each author's share, a ceiling, and a fair draw. Pure.

docs/DATASET_BALANCING.md explains it with a picture. Shares are counted in target turns of the training split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# In thousandths, so that a ceiling is an exact, printable number: 12.0 %.
CEILING_PERMILLE = 120
SMALL_SHARE, LARGE_SHARE = 0.05, 0.20
BOOST_PER_REACTION, MAX_BOOST = 0.05, 1.5


@dataclass(frozen=True)
class Plan:
    """How many targets of each author are kept. ceiling: the share nobody exceeds, 0.12 where that is possible.

    counts: what there is. quotas: what the formula allows, a part of all targets. kept: what remains after
    the quotas were lowered to the ceiling.
    """

    counts: dict[int, int]
    quotas: dict[int, int]
    kept: dict[int, int]
    ceiling: float

    @property
    def total_before(self) -> int:
        return sum(self.counts.values())

    @property
    def total_after(self) -> int:
        return sum(self.kept.values())

    def share_before(self, author: int) -> float:
        """0-1 of all targets."""
        return self.counts[author] / self.total_before if self.total_before else 0.0

    def share_after(self, author: int) -> float:
        """0-1 of the kept targets."""
        return self.kept[author] / self.total_after if self.total_after else 0.0


def quota(count: int, total: int) -> int:
    """Targets an author may keep by the formula of the share s = count / total, never above 12 % of the total.

    s up to 5 %: s. Up to 20 %: (s + 5 %) / 2. Above: 12 %. Whole numbers throughout: 3 of 1,000,000 stay 3.
    """
    if count * 20 <= total:
        return count
    largest = total * CEILING_PERMILLE // 1000
    damped = (20 * count + total) // 40 if count * 5 <= total else largest
    return max(1, min(damped, largest))


def plan(counts: Mapping[int, int]) -> Plan:
    """Quotas and what is kept of them.

    The ceiling in force is the smallest from 12 % up, in steps of a thousandth, at which at least half of
    the quotas survive: a strict 12 % would throw nearly everything away where eight people talk and four
    listen, and is impossible below nine authors.
    """
    total = sum(counts.values())
    quotas = {author: quota(count, total) for author, count in sorted(counts.items()) if count > 0}
    allowed = sum(quotas.values())
    low, high = CEILING_PERMILLE, 1000
    while low < high:  # what survives only grows with the ceiling
        middle = (low + high) // 2
        if 2 * sum(_lowered(quotas, middle).values()) >= allowed:
            high = middle
        else:
            low = middle + 1
    kept = _lowered(quotas, low)
    return Plan({author: counts[author] for author in quotas}, quotas, kept, low / 1000)


def _lowered(quotas: Mapping[int, int], permille: int) -> dict[int, int]:
    """The quotas cut to the highest level at which nobody exceeds permille of what remains (water-filling)."""
    # level <= share * sum(min(quota, level)): the right side is concave in the level, so the levels that
    # satisfy it are 0 to some highest one, and bisection finds it.
    low, high = 0, max(quotas.values(), default=0)
    while low < high:
        level = (low + high + 1) // 2
        if 1000 * level <= permille * sum(min(amount, level) for amount in quotas.values()):
            low = level
        else:
            high = level - 1
    return {author: min(amount, low) for author, amount in quotas.items()}


def boost(reactions: int) -> float:
    """How much likelier a message with reactions is to be kept: 1 + 0.05 each, at most 1.5."""
    return min(1.0 + BOOST_PER_REACTION * reactions, MAX_BOOST)


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
