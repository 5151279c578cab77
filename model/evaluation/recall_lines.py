"""Recall for an evaluation: lines of training conversations only, or the index would hold the answers."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation.rows import Row
from storage.records import Turn

# The newest lines of the training part; enough to find something similar, little enough to embed in minutes.
MOST_LINES = 5_000
_PAGE = 512
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class TrainingLines:
    """Lines with vectors (n, dimension), searched within one channel."""

    lines: tuple[Turn, ...]
    channels: np.ndarray
    vectors: np.ndarray

    def similar(self, vector: np.ndarray, *, channel_id: int, count: int, min_similarity: float,
                exclude: Sequence[str] = ()) -> tuple[Turn, ...]:
        """The best lines of a channel, best first; nothing below `min_similarity` and nothing said just now."""
        inside = np.flatnonzero(self.channels == channel_id)
        scores = self.vectors[inside] @ vector
        found: list[Turn] = []
        for place in np.argsort(-scores):
            if len(found) == count or scores[place] < min_similarity:
                break
            line = self.lines[inside[place]]
            if line.text not in exclude:
                found.append(line)
        return tuple(found)


def training_lines(rows: Iterable[Row], embed: Embed, *, limit: int = MOST_LINES,
                   report: Callable[[float, str], None] = lambda _fraction, _step: None) -> TrainingLines:
    """Every line said in the contexts of training rows once, the newest `limit` of them."""
    seen: set[tuple[int, str, str]] = set()
    kept: deque[tuple[int, Turn]] = deque(maxlen=limit)
    for row in rows:
        for turn in row.conversation.turns:
            key = (row.channel_id, turn.name, turn.text)
            if key not in seen and turn.text.strip():
                seen.add(key)
                kept.append((row.channel_id, Turn(turn.name, turn.text)))
    pages = []
    texts = [turn.text for _, turn in kept]
    for start in range(0, len(texts), _PAGE):
        report(start / len(texts), "Reading training lines for recall")
        pages.append(embed(texts[start:start + _PAGE]))
    vectors = np.concatenate(pages) if pages else np.zeros((0, 1), dtype=np.float32)
    return TrainingLines(tuple(turn for _, turn in kept), np.array([channel for channel, _ in kept]), vectors)


def recalled_for(rows: Sequence[Row], source: TrainingLines, embed: Embed, *, count: int,
                 min_similarity: float) -> list[tuple[Turn, ...]]:
    """Lines for every place, looked up as the live bot does while it reads along: for what stood before the newest."""
    if not rows or not source.lines or count <= 0:
        return [()] * len(rows)
    queries = embed([_query(row) for row in rows])
    return [source.similar(queries[i], channel_id=row.channel_id, count=count, min_similarity=min_similarity,
                           exclude=[turn.text for turn in row.conversation.turns])
            for i, row in enumerate(rows)]


def _query(row: Row) -> str:
    turns = row.conversation.turns
    if not turns:
        return " "
    return (turns[-2] if len(turns) > 1 else turns[-1]).text or " "
