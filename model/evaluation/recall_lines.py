"""Recall for an evaluation: lines of training conversations only, or the index would hold the answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data.chat.recall import recall_query, topic
from model.evaluation.rows import EvaluationExample
from storage.records import Turn

# The newest lines of the training part; enough to find something similar, little enough to embed in minutes.
MOST_LINES = 20_000
_PAGE = 512
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class TrainingLines:
    """Lines with vectors (n, dimension). `sources`: by channel, the others whose lines may be recalled in it."""

    lines: tuple[Turn, ...]
    channels: np.ndarray
    vectors: np.ndarray
    sources: Mapping[int, Collection[int]] = field(default_factory=dict)

    def similar(
        self, vector: np.ndarray, *, channel_id: int, count: int, min_similarity: float, exclude: Sequence[str] = ()
    ) -> tuple[Turn, ...]:
        """The best different lines, best first; nothing below `min_similarity` and nothing said just now."""
        inside = np.flatnonzero(np.isin(self.channels, [channel_id, *self.sources.get(channel_id, ())]))
        scores = self.vectors[inside] @ vector
        found: list[Turn] = []
        seen = {text.lower() for text in exclude}
        for place in np.argsort(-scores, kind="stable"):
            if len(found) == count or scores[place] < min_similarity:
                break
            line = self.lines[inside[place]]
            if line.text.lower() not in seen:
                seen.add(line.text.lower())
                found.append(line)
        return tuple(found)


def training_lines(
    rows: Iterable[EvaluationExample],
    embed: Embed,
    *,
    limit: int = MOST_LINES,
    sources: Mapping[int, Collection[int]] | None = None,
    report: Callable[[float, str], None] = lambda _fraction, _step: None,
) -> TrainingLines:
    """Every line said in the contexts of training rows once, the newest `limit` of them."""
    seen: set[tuple[int, str, str]] = set()
    kept: deque[tuple[int, Turn]] = deque(maxlen=limit)
    for row in rows:
        for turn in row.conversation.turns:
            # A turn is a burst of messages; the live bot's index holds each by itself.
            for text in turn.text.split("\n"):
                key = (row.channel_id, turn.name, text)
                if key not in seen and text.strip():
                    seen.add(key)
                    kept.append((row.channel_id, Turn(turn.name, text)))
    pages = []
    texts = [turn.text for _, turn in kept]
    for start in range(0, len(texts), _PAGE):
        report(start / len(texts), "Reading training lines for recall")
        pages.append(embed(texts[start : start + _PAGE]))
    vectors = np.concatenate(pages) if pages else np.zeros((0, 1), dtype=np.float32)
    return TrainingLines(
        tuple(turn for _, turn in kept), np.array([channel for channel, _ in kept]), vectors, sources or {}
    )


def recalled_for(
    rows: Sequence[EvaluationExample],
    source: TrainingLines,
    embed: Embed,
    *,
    count: int,
    min_similarity: float,
    is_standing: bool = True,
) -> dict[str, tuple[Turn, ...]]:
    """Lines for every place by the row's id, looked up as the live bot does while it reads along: for what stood
    before the newest line. is_standing False: it does not read along, and looks up when the newest line is there."""
    if not rows or not source.lines or count <= 0:
        return {}
    query = recall_query if is_standing else topic
    queries = embed([query(row.conversation.turns) or " " for row in rows])
    return {
        row.id: source.similar(
            queries[i],
            channel_id=row.channel_id,
            count=count,
            min_similarity=min_similarity,
            exclude=[line for turn in row.conversation.turns for line in turn.text.split("\n")],
        )
        for i, row in enumerate(rows)
    }
