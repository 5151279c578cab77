"""Which sampling settings read most like people, and still answer? Tried on the validation split; the test split stays
untouched.

Successive halving (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification", AISTATS 2016): all combinations
answer a quarter of the places, the better half of them half of the places, the best quarter all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.evaluation import context, detector
from model.evaluation.features import Features, extract
from model.evaluation.generation import GenerationSetup, write_answers
from model.evaluation.places import Places, places_of
from model.evaluation.resampling import range_of
from model.evaluation.rows import EvaluationExample, Replies, real_replies
from storage.settings import MIN_P, REPEAT_PENALTY, SYSTEM_PROMPT, TEMPERATURE, TOP_K, TOP_P

if TYPE_CHECKING:
    from model.inference import ChatModel

TEMPERATURES = (0.7, 0.85, 1.0, 1.15)
MIN_PS = (0.0, 0.05, 0.1)
NO_PROMPT = "none"
# In each round this many of the places are answered, by this share of the combinations.
_ROUNDS = ((4, 1), (2, 2), (1, 4))
Progress = Callable[[float, str], None]
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Point:
    """One combination and what it reached.

    auc: how well a common detector tells its replies from people's; low, high: its interval. fit: its fit to context,
    None without an embedder. score: 0 like people, the sum of what a detector finds and of what it misses of people's
    fit, each from 0 to 1. places: how many it was tried at.
    """

    temperature: float
    min_p: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repeat_penalty: float = 1.0
    has_system_prompt: bool = True
    auc: float = 0.5
    low: float = 0.0
    high: float = 1.0
    fit: float | None = None
    score: float = 2.0
    places: int = 0

    def as_settings(self) -> dict[str, float | str]:
        """Keys and values of the settings to change."""
        values: dict[str, float | str] = {
            TEMPERATURE.key: self.temperature,
            MIN_P.key: self.min_p,
            TOP_P.key: self.top_p,
            TOP_K.key: self.top_k,
            REPEAT_PENALTY.key: self.repeat_penalty,
        }
        return values if self.has_system_prompt else values | {SYSTEM_PROMPT.key: NO_PROMPT}

    def measured(self) -> dict[str, float | str | int | None]:
        """The settings beside what they reached, for a file."""
        figures = {key: value for key, value in asdict(self).items() if key in ("auc", "low", "high", "fit", "score")}
        return self.as_settings() | figures | {"places": self.places}

    @property
    def label(self) -> str:
        """For people."""
        text = f"temperature {self.temperature:g}, min-p {self.min_p:g}, top-p {self.top_p:g}, top-k {self.top_k}"
        text += f", repetition penalty {self.repeat_penalty:g}"
        return text if self.has_system_prompt else text + ", no system prompt"


def grid(now: GenerationSetup | None = None) -> list[Point]:
    """Temperature and min-p with the other samplers off; the specification's start; what the bot uses now."""
    points = [Point(temperature, min_p) for temperature, min_p in itertools.product(TEMPERATURES, MIN_PS)]
    points += [Point(1.0, 0.05, has_system_prompt=False), Point(0.7, 0.0, 0.9, 40, 1.1)]
    if now is not None:
        used = now.options
        points.append(Point(used.temperature, used.min_p, used.top_p, used.top_k, used.repeat_penalty))
    return list(dict.fromkeys(points))


def sweep(
    model: ChatModel,
    rows: Sequence[EvaluationExample],
    voice: GenerationSetup,
    *,
    embed: Embed | None = None,
    kept: Path | None = None,
    points: Sequence[Point] | None = None,
    report: Progress = lambda _fraction, _step: None,
) -> list[Point]:
    """The points with their figures, best first; those tried at all places stand before those given up earlier.

    kept: folder for finished answers.
    """
    left = grid(voice) if points is None else list(points)
    given_up: list[Point] = []
    places = places_of(rows, embed)
    for number, (step, share) in enumerate(_ROUNDS):
        # A quarter of the places first: later rounds use those answers again.
        asked = rows[::step]
        texts = []
        for place, point in enumerate(left):
            part = _part(report, number + place / len(left), 1 / len(left), point.label)
            texts.append(_answers(model, asked, voice, point, kept, part))
        ranked = sorted(
            (
                replace(point, **asdict(figures), places=len(asked))
                for point, figures in zip(
                    left, scores(texts, asked, embed, places.take(np.arange(0, len(rows), step))), strict=True
                )
            ),
            key=lambda point: point.score,
        )
        is_last = number == len(_ROUNDS) - 1
        keep = len(ranked) if is_last else max(1, len(ranked) * share // _ROUNDS[number + 1][1])
        left, given_up = ranked[:keep], ranked[keep:] + given_up
    return left + given_up


@dataclass(frozen=True, slots=True)
class PointScore:
    """What one combination reached; see Point."""

    auc: float
    low: float
    high: float
    fit: float | None
    score: float


def scores(
    texts: Sequence[Sequence[str]], rows: Sequence[EvaluationExample], embed: Embed | None, places: Places | None = None
) -> list[PointScore]:
    """How each list of replies compares with the real ones, by one detector for all of them, and how it fits.

    A detector for each combination would be trained on a few dozen replies and mostly measure its own noise; one for
    all sees them all and is asked about sessions it has not seen.
    """
    places = places_of(rows, embed) if places is None else places
    real_texts = real_replies(rows)
    together = Replies(tuple(text for some in texts for text in some), real_texts.sessions * len(texts))
    written = extract(together, embed([text or " " for text in together.texts]) if embed else None)
    real = extract(real_texts, embed(real_texts.texts) if embed else None, places)
    detectors = [detector.character_scores] + ([detector.meaning_scores] if embed else [])
    all_scores = [score(written, real) for score in detectors]
    people_fit = context.fit(real, real) if embed else None
    count = len(rows)
    found = []
    for number in range(len(texts)):
        part = slice(number * count, (number + 1) * count)
        compared = [(each[part], each[len(written) :]) for each in all_scores]

        def better(index: np.ndarray, compared: Sequence[tuple[np.ndarray, np.ndarray]] = compared) -> float:
            # Both sides answered the same places, so they are drawn together.
            return max(
                detector.auc(np.concatenate([ours[index], people[index]]), len(index)) for ours, people in compared
            )

        auc = better(np.arange(count))
        fit = _fit(written.take(range(part.start, part.stop)), places) if embed else None
        score = max(0.0, 2 * (auc - 0.5)) + _missed_fit(fit, people_fit)
        found.append(PointScore(auc, *range_of(better, real_texts.sessions), fit, score))
    return found


def _fit(written: Features, places: Places) -> float:
    side = extract(written.replies, written.vectors, places)
    return context.fit(side, side)


def _missed_fit(fit: float | None, people: float | None) -> float:
    """0 where replies fit as people's do or better, 1 where they fit by chance."""
    if fit is None or people is None or people <= 0.5:
        return 0.0
    return float(np.clip((people - fit) / (people - 0.5), 0.0, 1.0))


def _answers(
    model: ChatModel,
    rows: Sequence[EvaluationExample],
    voice: GenerationSetup,
    point: Point,
    kept: Path | None,
    report: Progress,
) -> list[str]:
    options = replace(
        voice.options,
        temperature=point.temperature,
        min_p=point.min_p,
        top_p=point.top_p,
        top_k=point.top_k,
        repeat_penalty=point.repeat_penalty,
    )
    spoken = replace(
        voice, system_prompt=voice.system_prompt if point.has_system_prompt else NO_PROMPT, options=options
    )
    name = f"t{point.temperature:g}-m{point.min_p:g}-p{point.top_p:g}-k{point.top_k}-r{point.repeat_penalty:g}"
    file = kept / f"{name}-{'s' if point.has_system_prompt else 'n'}.jsonl" if kept else None
    return [answer.text for answer in write_answers(model, rows, spoken, kept=file, report=report)]


def _part(report: Progress, start: float, share: float, label: str) -> Progress:
    return lambda fraction, _step: report((start + share * fraction) / len(_ROUNDS), label)
