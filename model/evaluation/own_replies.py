"""Preference pairs from a trained model's own replies: what gives it away against what does not.

On-policy pairs teach more than phrases it would hardly say (Tajwar et al., "Preference Fine-Tuning of LLMs Should
Leverage Suboptimal, On-Policy Data", ICML 2024). Two kinds: what people said in a place against what the model said
there, and of several replies of its own the best against the worst, ranked by what an evaluation looks at.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.chat.rows import PreferenceRow, TrainingRow
from model.evaluation import context, detector
from model.evaluation.features import extract
from model.evaluation.generation import GenerationSetup, write_answers
from model.evaluation.places import Embed, places_of
from model.evaluation.rows import EvaluationExample, Replies

if TYPE_CHECKING:
    from model.inference import ChatModel

SAMPLES = 4
# By so many standard deviations the worst must be behind the best: what is nearly as good teaches noise.
_LEAST_GAP = 0.5
# A reply that mentions somebody who does not exist, or repeats what was just said, is so much worse.
_FAULT = 2.0
Progress = Callable[[float, str], None]


def sampled(
    model: ChatModel,
    rows: Sequence[TrainingRow],
    voice: GenerationSetup,
    *,
    samples: int,
    kept: Path | None = None,
    report: Progress = lambda _fraction, _step: None,
) -> list[list[str]]:
    """`samples` replies of the model at each row, by row. kept: file of finished ones, which a stopped run goes on
    from."""
    asked = [
        EvaluationExample(f"{row.id}/{number}", row.channel_id, row.session, row.conversation, row.reply)
        for row in rows
        for number in range(samples)
    ]
    recalled = {place.id: place.conversation.recalled for place in asked}
    answers = write_answers(model, asked, replace(voice, recalled=recalled), kept=kept, report=report)
    texts = [answer.text for answer in answers]
    return [texts[start : start + samples] for start in range(0, len(texts), samples)]


def against_people(rows: Sequence[TrainingRow], texts: Sequence[Sequence[str]]) -> list[PreferenceRow]:
    """What people said against what the model said there, a pair a row; none where it said the same or nothing."""
    pairs = []
    for row, own in zip(rows, texts, strict=True):
        other = next((text for text in own if text and _folded(text) != _folded(row.reply)), "")
        if other:
            pairs.append(PreferenceRow(row, other, 1))
    return pairs


def best_against_worst(
    rows: Sequence[TrainingRow], texts: Sequence[Sequence[str]], embed: Embed | None
) -> list[PreferenceRow]:
    """Of each row's replies the best as the chosen side and the worst as the rejected one, where clearly different."""
    pairs = []
    for row, own, badness in zip(rows, texts, _badness(rows, texts, embed), strict=True):
        best, worst = int(np.argmin(badness)), int(np.argmax(badness))
        is_clear = badness[worst] - badness[best] >= _LEAST_GAP and own[best] and own[worst]
        if is_clear and _folded(own[best]) != _folded(own[worst]):
            pairs.append(PreferenceRow(replace(row, reply=own[best]), own[worst], 1))
    return pairs


def _badness(rows: Sequence[TrainingRow], texts: Sequence[Sequence[str]], embed: Embed | None) -> np.ndarray:
    """(rows, samples): how much a detector suspects each reply, less how well it fits, in standard deviations. More fit
    than people have counts for nothing: whoever repeats the question fits best."""
    samples = len(texts[0]) if texts else 0
    examples = [EvaluationExample(row.id, row.channel_id, row.session, row.conversation, row.reply) for row in rows]
    repeated = [row for row in examples for _ in range(samples)]
    own = Replies(tuple(text for some in texts for text in some), tuple(row.session for row in repeated))
    people = Replies(tuple(row.reply for row in examples), tuple(row.session for row in examples))
    places = places_of(examples, embed)
    index = np.repeat(np.arange(len(rows)), samples)
    vectors = [None if embed is None else embed([text or " " for text in side.texts]) for side in (own, people)]
    written, real = extract(own, vectors[0], places.take(index)), extract(people, vectors[1], places)
    detectors = [detector.character_scores] + ([detector.meaning_scores] if embed else [])
    badness = np.mean([_standard(score(written, real)[: len(written)]) for score in detectors], axis=0)
    if embed is not None:
        badness = badness - _standard(np.minimum(context.fits(written), float(context.fits(real).mean())))
    faults = written.invents | np.array(context.echoes(written), dtype=bool)
    return np.asarray(badness + _FAULT * faults).reshape(len(rows), samples)


def _standard(values: np.ndarray) -> np.ndarray:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread else np.zeros_like(values)


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def mark_of(paths: Sequence[Path | None], voice: GenerationSetup) -> str:
    """Names the file of finished samples: another model, adapter or sampling starts anew."""
    known = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path]
    return f"{zlib.crc32(repr((known, voice.options, voice.layout, voice.system_prompt)).encode()):08x}"
