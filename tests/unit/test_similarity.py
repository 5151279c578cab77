"""The threshold of recall belongs to the embedding model: measured on random pairs, moved by the owner's slider."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.similarity import CHANCE_SHARE, FEWEST_LINES, NEUTRAL, chance_similarity, similarity_limit


def directions(count: int, *, common: float) -> np.ndarray:
    """Random vectors of length 1 that all share a part `common` of their direction, as those of some models do."""
    noise = np.random.default_rng(1).normal(size=(count, 64))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = noise * np.sqrt(1 - common**2) + np.eye(64)[0] * common
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("common", [0.0, 0.5, 0.8])
def test_the_same_share_of_random_pairs_passes_with_every_model(common: float) -> None:
    """Fault 93: with a model whose lines are all alike to 0.6 a fixed 0.35 lets everything pass."""
    vectors = directions(300, common=common)
    chance = chance_similarity(vectors)
    assert chance is not None
    pairs = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    assert abs(float((pairs >= similarity_limit(NEUTRAL, chance)).mean()) - CHANCE_SHARE) < 0.005


def test_a_few_lines_tell_nothing() -> None:
    assert chance_similarity(directions(FEWEST_LINES - 1, common=0.5)) is None
    assert similarity_limit(0.42, None) == 0.42


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_the_slider_stays_a_slider(lower: float, higher: float, chance: float) -> None:
    lower, higher = sorted((lower, higher))
    assert 0.0 <= similarity_limit(lower, chance) <= similarity_limit(higher, chance) <= 1.0 + 1e-9
    assert similarity_limit(NEUTRAL, chance) == pytest.approx(chance)
    assert similarity_limit(0.0, chance) == 0.0
    assert similarity_limit(1.0, chance) == pytest.approx(1.0)
