"""Rows of an evaluation made of the demo server's hand-written chat, for tests."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np

from model.evaluation.rows import EvaluationExample
from storage.records import Conversation, Turn

MESSAGES = Path(__file__).resolve().parents[2] / "data" / "demo" / "messages.jsonl"
_GAP_SECONDS = 600


def demo_rows() -> list[EvaluationExample]:
    """A fresh list of `_rows`."""
    return list(_rows())


@cache
def _rows() -> tuple[EvaluationExample, ...]:
    """The demo server's messages as rows: up to four turns of context, and what was said."""
    history: dict[str, list[Turn]] = defaultdict(list)
    sessions: dict[str, int] = defaultdict(int)
    last: dict[str, float] = defaultdict(float)
    rows = []
    for line in MESSAGES.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message["author"].get("bot") or not message["content"].strip() or message["type"] not in (0, 19):
            continue
        channel, at = message["channel_id"], datetime.fromisoformat(message["timestamp"]).timestamp()
        if at - last[channel] > _GAP_SECONDS:
            sessions[channel] += 1
            history[channel] = []
        last[channel] = at
        name = message["author"].get("global_name") or message["author"]["username"]
        if history[channel]:
            rows.append(
                EvaluationExample(
                    message["id"],
                    int(channel),
                    f"{channel}-{sessions[channel]}",
                    Conversation(tuple(history[channel][-4:])),
                    message["content"],
                )
            )
        history[channel].append(Turn(name, message["content"]))
    return tuple(rows)


def every_other_session(first: int) -> list[EvaluationExample]:
    """Rows of sessions 0, 2, 4... (first=0) or 1, 3, 5... (first=1): two parts of the same time, nothing shared."""
    rows = demo_rows()
    chosen = set(list(dict.fromkeys(row.session for row in rows))[first::2])
    return [row for row in rows if row.session in chosen]


def word_vectors(texts: Sequence[str]) -> np.ndarray:
    """A stand-in for sentence embeddings (hashed words, L2-normalised), so that tests need no model. (n, 64)."""
    vectors = np.zeros((len(texts), 64), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            # hash() of a string differs from run to run; this one does not.
            vectors[row, sum(ord(letter) * 31**place for place, letter in enumerate(word[:8])) % 64] += 1
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-9)
