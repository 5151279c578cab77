"""The evaluation's and the training rows' recall look only where the audiences allow it. Fault 73."""

from __future__ import annotations

import numpy as np

from data.training_recall import Earlier, RecallMemory
from model.evaluation.recall_lines import TrainingLines
from storage.records import Turn


def test_an_evaluation_finds_lines_of_the_channel_and_of_its_sources_only() -> None:
    """Fault 73."""
    lines = TrainingLines(
        tuple(Turn("Mira", text) for text in ("general", "staff", "memes")),
        np.array([1, 2, 3]),
        np.ones((3, 2), dtype=np.float32),
        {1: [1, 3], 2: [1, 2, 3]},
    )

    def found(channel_id: int) -> list[str]:
        vector = np.ones(2, dtype=np.float32)
        return sorted(t.text for t in lines.similar(vector, channel_id=channel_id, count=9, min_similarity=0.0))

    assert [found(n) for n in (1, 2, 3)] == [["general", "memes"], ["general", "memes", "staff"], ["memes"]]


def test_a_training_rows_memory_finds_lines_of_its_sources_only() -> None:
    """Fault 73."""
    memory = RecallMemory()
    for channel_id in (1, 2):
        memory.add(Earlier(channel_id, "Mira", f"the xylophone of channel {channel_id}"))
    assert [line.channel_id for line in memory.find("xylophone", sources=[1], limit=9)] == [1]
    assert {line.channel_id for line in memory.find("xylophone", sources=[1, 2], limit=9)} == {1, 2}
    assert memory.find("xylophone", sources=[], limit=9) == []
