"""Which sampling settings are hardest to recognise? A grid on the validation split; the test split stays untouched."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.evaluation import detector
from model.evaluation.features import extract
from model.evaluation.generation import Voice, write_answers
from model.evaluation.resampling import range_of
from model.evaluation.rows import Replies, Row, real_replies
from storage.settings import MIN_P, SYSTEM_PROMPT, TEMPERATURE, TOP_P

if TYPE_CHECKING:
    from model.inference import ChatModel

TEMPERATURES = (0.6, 0.8, 1.0)
MIN_PS = (0.0, 0.05, 0.1)
TOP_PS = (0.9, 1.0)
NO_PROMPT = "none"
Progress = Callable[[float, str], None]
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Point:
    """One combination. auc: how well the common detector tells its replies from people's; low, high: its interval."""

    temperature: float
    min_p: float
    top_p: float
    has_system_prompt: bool
    auc: float = 0.5
    low: float = 0.0
    high: float = 1.0

    def as_settings(self) -> dict[str, float | str]:
        """Keys and values of the settings to change."""
        values: dict[str, float | str] = {
            TEMPERATURE.key: self.temperature,
            MIN_P.key: self.min_p,
            TOP_P.key: self.top_p,
        }
        return values if self.has_system_prompt else values | {SYSTEM_PROMPT.key: NO_PROMPT}


def grid() -> list[Point]:
    """Every combination with the system prompt, and each temperature without one."""
    points = [
        Point(temperature, min_p, top_p, True)
        for temperature, min_p, top_p in itertools.product(TEMPERATURES, MIN_PS, TOP_PS)
    ]
    return points + [Point(temperature, 0.05, 1.0, False) for temperature in TEMPERATURES]


def sweep(
    model: ChatModel,
    rows: Sequence[Row],
    voice: Voice,
    *,
    embed: Embed | None = None,
    kept: Path | None = None,
    points: Sequence[Point] | None = None,
    report: Progress = lambda _fraction, _step: None,
) -> list[Point]:
    """The points with their AUC, hardest to recognise first. kept: folder for finished answers."""
    points = grid() if points is None else list(points)
    texts = []
    for number, point in enumerate(points):
        spoken = replace(
            voice,
            system_prompt=voice.system_prompt if point.has_system_prompt else NO_PROMPT,
            options=replace(voice.options, temperature=point.temperature, min_p=point.min_p, top_p=point.top_p),
        )
        label = f"t{point.temperature:g}-m{point.min_p:g}-p{point.top_p:g}-{'s' if point.has_system_prompt else 'n'}"
        file = kept / f"{label}.jsonl" if kept else None
        answers = write_answers(
            model,
            rows,
            spoken,
            kept=file,
            report=_part(
                report,
                number,
                len(points),
                f"temperature {point.temperature:g}, min-p {point.min_p:g}, top-p {point.top_p:g}",
            ),
        )
        texts.append([answer.text for answer in answers])
    found = scores(texts, rows, embed)
    return sorted(
        (replace(point, auc=auc.value, low=auc.low, high=auc.high) for point, auc in zip(points, found, strict=True)),
        key=lambda point: point.auc,
    )


@dataclass(frozen=True, slots=True)
class PointScore:
    """An AUC and its 95 % interval."""

    value: float
    low: float
    high: float


def scores(texts: Sequence[Sequence[str]], rows: Sequence[Row], embed: Embed | None) -> list[PointScore]:
    """AUC of each list of replies against the real ones, by one detector for all of them.

    A detector for each combination would be trained on a few dozen replies and mostly measure its own noise; one for
    all sees them all and is asked about sessions it has not seen.
    """
    real_texts = real_replies(rows)
    together = Replies(tuple(text for some in texts for text in some), real_texts.sessions * len(texts))
    written = extract(together, embed([text or " " for text in together.texts]) if embed else None)
    real = extract(real_texts, embed(real_texts.texts) if embed else None)
    detectors = [detector.character_scores] + ([detector.meaning_scores] if embed else [])
    all_scores = [score(written, real) for score in detectors]
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

        found.append(PointScore(better(np.arange(count)), *range_of(better, real_texts.sessions)))
    return found


def _part(report: Progress, number: int, count: int, label: str) -> Progress:
    return lambda fraction, _step: report((number + fraction) / count, label)
