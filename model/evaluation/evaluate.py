"""From the replies of every writer to one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.evaluation import advice, comparison, memory, verdict
from model.evaluation.comparison import Effort, Estimate
from model.evaluation.features import CASES, LENGTH_BORDERS, Features, extract, invented_mentions
from model.evaluation.memory import FindPrivate
from model.evaluation.places import Places, as_shown, places_of
from model.evaluation.report import Contender, Drift, EvaluationReport, Histogram, MeasuredModel, Sample, Speed
from model.evaluation.rows import EvaluationExample, Replies, real_replies

SAMPLES = 20
_SAMPLE_TURNS = 5

Embed = Callable[[Sequence[str]], np.ndarray]
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What one model wrote: `texts[i]` answers row i. log_probabilities: per row, of the real reply's tokens; an empty
    tuple where they were not taken, an empty sequence where they never were."""

    role: str
    name: str
    texts: tuple[str, ...]
    log_probabilities: tuple[tuple[float, ...], ...] = ()
    canaries: tuple[tuple[int, int, int], ...] = ()
    model: MeasuredModel | None = None
    speed: Speed | None = None
    drift: Drift | None = None


@dataclass(frozen=True, slots=True)
class ReportHeader:
    """What the report says about where it came from."""

    data_hash: str = ""
    training_rows: int = 0
    is_quick: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    has_canaries: bool = False
    recipe: str = ""


def evaluate(
    rows: Sequence[EvaluationExample],
    written: Sequence[Written],
    training_texts: Callable[[], Iterable[str]],
    *,
    embed: Embed | None = None,
    effort: Effort = Effort(),
    facts: ReportHeader = ReportHeader(),
    find_private: FindPrivate | None = None,
    report: Progress = lambda _fraction, _step: None,
) -> EvaluationReport:
    """Measure every writer and real people in the same way.

    rows: the places, with what was really said. training_texts: a fresh stream of training replies at each call.
    embed: texts -> (n, dimension) float32, L2-normalised; without it the figures that need it are left out.
    """
    real = real_replies(rows)
    places = places_of(rows, embed, training_texts=training_texts())
    people_features = _features(real, embed, places)
    features = [_features(Replies(one.texts, real.sessions), embed, places) for one in written]
    measuring = _Measuring(people_features, effort, comparison.word_budget([people_features, *features], effort))
    steps = len(written) + 1
    people = Contender(
        "people",
        "real people",
        measuring.figures(people_features, _step(report, 0, steps)),
        memory.measure(real.texts, training_texts(), sessions=real.sessions, find_private=find_private),
        histograms=histograms(people_features),
    )
    writers = [people]
    for number, (one, habits) in enumerate(zip(written, features, strict=True), start=1):
        figures = measuring.figures(habits, _step(report, number, steps))
        perplexity = _perplexity(one, real, effort)
        if perplexity is not None:
            figures["perplexity"] = perplexity
        remembered = memory.measure(
            one.texts, training_texts(), sessions=real.sessions, find_private=find_private, canaries=one.canaries
        )
        writers.append(
            Contender(
                one.role,
                one.name,
                figures,
                remembered,
                verdict.match(figures, people.figures, remembered, people.memory),
                one.model,
                one.speed,
                histograms(habits),
                one.drift,
            )
        )
    return _report(rows, written, writers, facts)


def _report(
    rows: Sequence[EvaluationExample], written: Sequence[Written], writers: Sequence[Contender], facts: ReportHeader
) -> EvaluationReport:
    people = writers[0]
    model = next(writer for writer in writers if writer.role == "model")
    assert model.match is not None
    complaints = verdict.objections(model.memory, people.memory)
    return EvaluationReport(
        made_at=time.strftime("%Y-%m-%d %H:%M"),
        data_hash=facts.data_hash,
        rows=len(rows),
        sessions=len({row.session for row in rows}),
        training_rows=facts.training_rows,
        is_quick=facts.is_quick,
        settings=facts.settings,
        writers=tuple(writers),
        objections=complaints,
        next_steps=advice.next_steps(
            advice.Evidence(
                model.match,
                model.figures,
                people.figures,
                next((writer.figures for writer in writers if writer.role == "base"), {}),
                complaints,
                facts.settings,
                model.drift,
                facts.training_rows,
                facts.recipe,
            )
        ),
        samples=samples(rows, written),
        notes=facts.notes,
        has_canaries=facts.has_canaries,
        recipe=facts.recipe,
    )


def samples(rows: Sequence[EvaluationExample], written: Sequence[Written], count: int = SAMPLES) -> tuple[Sample, ...]:
    """Places spread evenly over the split, chosen before anybody saw a reply."""
    chosen = range(0, len(rows), max(1, len(rows) // count))[:count] if rows else ()
    return tuple(
        Sample(
            tuple((turn.name, turn.text) for turn in rows[i].conversation.turns[-_SAMPLE_TURNS:]),
            {"people": rows[i].reply} | {one.role: one.texts[i] for one in written},
        )
        for i in chosen
    )


def histograms(features: Features) -> dict[str, Histogram]:
    """Shares per class for the plots, real zeros included."""
    borders = np.array(LENGTH_BORDERS)
    length_labels = tuple(f"<{border}" for border in LENGTH_BORDERS[1:-1]) + (f"{LENGTH_BORDERS[-2]}+",)
    classes = np.clip(np.searchsorted(borders, features.characters, side="right") - 1, 0, len(length_labels) - 1)
    ends = features.punctuation[:, -2:].sum(axis=0)
    return {
        "length": _histogram(length_labels, np.bincount(classes, minlength=len(length_labels))),
        "lines": _histogram(("1", "2", "3", "4", "5", "6+"), np.bincount(features.lines, minlength=7)[1:7]),
        "emoji": _histogram(("none", "1", "2", "3", "4+"), np.bincount(features.emoji_counts, minlength=5)),
        "case": _histogram(CASES, np.bincount(features.cases, minlength=len(CASES))),
        "ending": _histogram(("ends with . ! ?", "without"), ends),
    }


def _histogram(labels: tuple[str, ...], counts: np.ndarray) -> Histogram:
    total = max(1, int(counts.sum()))
    return Histogram(labels, tuple(round(float(count) / total, 4) for count in counts))


@dataclass(frozen=True, slots=True)
class _Measuring:
    """What is the same for every writer of a report."""

    people: Features
    effort: Effort
    budget: int

    def figures(self, features: Features, report: Progress) -> dict[str, Estimate]:
        return comparison.compare(features, self.people, self.effort, budget=self.budget, report=report)


def _perplexity(one: Written, real: Replies, effort: Effort) -> Estimate | None:
    if not one.log_probabilities:
        return None
    scored = [(reply, session) for reply, session in zip(one.log_probabilities, real.sessions, strict=True) if reply]
    return comparison.interval_of_mean_log(
        [reply for reply, _ in scored], [session for _, session in scored], effort.rounds
    )


def _features(replies: Replies, embed: Embed | None, places: Places) -> Features:
    """Of the replies as they are shown; that somebody was made up is remembered."""
    invents = invented_mentions(replies.texts, places)
    shown = Replies(tuple(as_shown(text, places.names) for text in replies.texts), replies.sessions)
    vectors = None if embed is None else embed([text or " " for text in shown.texts])
    return extract(shown, vectors, places, invents=invents)


def _step(report: Progress, number: int, steps: int) -> Progress:
    return lambda fraction, step: report((number + fraction) / steps, step)
