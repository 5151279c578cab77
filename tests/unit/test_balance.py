"""Author shares: worked examples, and what holds for any server."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.balance import boosts, draw
from data.chat.quotas import plan, quota

# name: (counts, kept, ceiling). Worked by hand with the formula in docs/DATASET_BALANCING.md.
EXAMPLES = {
    "thirty equals keep everything": ([100] * 30, [100] * 30, 0.12),
    # s = 12.49 %: quota (5000 + 2001) / 2 = 3500; 3500 of 28,020 is 12.491 %
    "eight talkers and four listeners": ([5000] * 8 + [5] * 4, [3500] * 8 + [5] * 4, 0.125),
    # s = 60 %: quota 12 % of 10,000 = 1200; at 12 % of what remains: 1 * L = 0.12 * (L + 4002), L = 545
    "one 60 % talker and 29 quiet ones": ([6000] + [138] * 29, [545] + [138] * 29, 0.12),
    "three friends share evenly": ([900, 900, 900], [324, 324, 324], 0.334),
    # quotas 360, 360, 60: half is 390, so 2L + 60 >= 390; at 42.4 %: L = 0.424 * (2L + 60), L = 167
    "two friends and a quiet one": ([1470, 1470, 60], [167, 167, 60], 0.424),
    "one author alone": ([500], [60], 1.0),
    "a 17 % author among many": ([1700] + [83] * 100, [1100] + [83] * 100, 0.12),
    "tiny counts survive rounding": ([1] * 999 + [3], [1] * 999 + [3], 0.12),
    "nobody at all": ([], [], 0.12),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples(name: str) -> None:
    counts, kept, ceiling = EXAMPLES[name]
    made = plan(dict(enumerate(counts)))
    assert (list(made.kept.values()), made.ceiling) == (kept, ceiling)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (50, 50), (51, 50), (100, 75), (200, 120), (999, 120)])
def test_the_formula_of_a_share_of_a_thousand(count: int, expected: int) -> None:
    assert quota(count, 1000) == expected


def test_boosts_are_capped() -> None:
    assert boosts(np.array([0, 1, 10, 300])).tolist() == [1.0, 1.05, 1.5, 1.5]


heavy_tails = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 100_000)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(heavy_tails)
def test_for_any_counts_nobody_exceeds_the_ceiling_and_nobody_keeps_less_than_due(numbers: list[int]) -> None:
    made = plan(dict(enumerate(numbers)))
    limit = made.ceiling * made.total_after
    for author, amount in made.kept.items():
        assert amount <= limit + 1e-6, "nobody exceeds the ceiling in force"
        assert amount >= min(made.quotas[author], int(limit + 1e-6)), "nobody keeps less than min(quota, ceiling)"
        assert amount <= made.quotas[author] <= made.counts[author] == numbers[author]
    assert 2 * made.total_after >= sum(made.quotas.values()), "at least half of the quotas survive"
    assert made == plan(dict(enumerate(numbers)))


@settings(max_examples=200, deadline=None)
@given(heavy_tails)
def test_the_ceiling_is_twelve_percent_whenever_that_keeps_half(numbers: list[int]) -> None:
    made = plan(dict(enumerate(numbers)))
    quotas = list(made.quotas.values())
    # By brute force, the most a strict 12 % leaves: no cleverness to share a mistake with.
    level = max(
        (
            n
            for n in {*quotas, *range(min(max(quotas, default=0), 3000) + 1)}
            if 1000 * n <= 120 * sum(min(n, q) for q in quotas)
        ),
        default=0,
    )
    if 2 * sum(min(level, q) for q in quotas) >= sum(quotas):
        assert made.ceiling == 0.12


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=200), st.integers(0, 9))
def test_the_draw_takes_what_is_due_once_and_always_the_same(targets: list[tuple[int, int]], seed: int) -> None:
    authors = np.array([author for author, _ in targets], dtype=np.int64)
    weights = boosts(np.array([reactions for _, reactions in targets], dtype=np.int64))
    kept = plan({int(a): int((authors == a).sum()) for a in set(authors.tolist())}).kept
    chosen = draw(authors, weights, kept, seed=seed)
    assert {a: int((chosen & (authors == a)).sum()) for a in kept} == kept
    assert (chosen == draw(authors, weights, kept, seed=seed)).all()


def test_liked_messages_stay_more_often() -> None:
    authors = np.zeros(20_000, dtype=np.int64)
    chosen = draw(authors, boosts(10 * (np.arange(20_000) % 2)), {0: 4000}, seed=1)
    assert 1.35 < chosen[1::2].sum() / chosen[::2].sum() < 1.6
