"""How alike two lines must be to have to do with one another: a property of the embedding model, so it is measured.

Every model has its own floor: two lines of chat that have nothing in common are alike to 0.1 with one and to 0.6 with
another. The floor is read off pairs of lines drawn at random from the chat itself, when the index is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# The share of random pairs that may pass. On 19,481 lines of real chat it is what all-MiniLM-L6-v2 has at 0.35 (1.9 and
# 2.4 %), the value that was chosen for it by measurement (docs/ENGINE.md).
CHANCE_SHARE = 0.02
SAMPLE_LINES = 400
FEWEST_LINES = 50
# The setting's default: what "as strict as chance asks for" is called on its slider.
NEUTRAL = 0.35


def chance_similarity(vectors: np.ndarray) -> float | None:
    """The cosine that CHANCE_SHARE of random pairs reach. vectors: float32 (n, dimension), length 1; of many, some are
    drawn, always the same ones. None for too few to tell.
    """
    import numpy as np

    if len(vectors) > SAMPLE_LINES:
        vectors = vectors[np.random.default_rng(0).choice(len(vectors), SAMPLE_LINES, replace=False)]
    if len(vectors) < FEWEST_LINES:
        return None
    return float(np.quantile((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)], 1.0 - CHANCE_SHARE))


def similarity_limit(setting: float, chance: float | None) -> float:
    """The cosine a line must reach, for the owner's setting (0 to 1).

    At NEUTRAL it is the model's own measured value, at 0 everything passes, at 1 only what is the same; in between
    straight lines. Without a measurement the setting itself.
    """
    if chance is None or not 0.0 < chance < 1.0:
        return setting
    if setting <= NEUTRAL:
        return chance * setting / NEUTRAL
    return chance + (1.0 - chance) * (setting - NEUTRAL) / (1.0 - NEUTRAL)
