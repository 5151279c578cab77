"""Who speaks how much in the training data: quotas from each author's share and a ceiling. Pure.

docs/DATASET_BALANCING.md explains it with a picture. Shares are counted in target turns of the training split. The draw
that keeps to them is data.balance's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# In thousandths, so that a ceiling is an exact, printable number: 12.0 %.
CEILING_PERMILLE = 120
CEILING = CEILING_PERMILLE / 1000
# Shares of all targets, in per cent: up to the first an author keeps everything, above the second the ceiling holds.
SMALL_PERCENT, LARGE_PERCENT = 5, 20
BOOST_PER_REACTION, MAX_BOOST = 0.05, 1.5


@dataclass(frozen=True)
class QuotaPlan:
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
        """Targets there are."""
        return sum(self.counts.values())

    @property
    def total_after(self) -> int:
        """Targets that are kept."""
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
    if 100 * count <= SMALL_PERCENT * total:
        return count
    largest = total * CEILING_PERMILLE // 1000
    if 100 * count > LARGE_PERCENT * total:
        return max(1, largest)
    return max(1, min((100 * count + SMALL_PERCENT * total) // 200, largest))


def plan(counts: Mapping[int, int]) -> QuotaPlan:
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
    return QuotaPlan({author: counts[author] for author in quotas}, quotas, kept, low / 1000)


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
