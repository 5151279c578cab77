"""Runs every figure the same way for every writer: half of the writer's replies against the other half of people's.

Real people go through the very same computation (one half of them against the other half), so their value is what
a perfect imitation would get at this sample size, and nothing has to be corrected for it. Halves are made of whole
sessions, several times over; intervals come from a bootstrap over sessions (resampling.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from model.evaluation import context, detector, style
from model.evaluation.features import Features
from model.evaluation.resampling import SEED, half_of, members_of, range_of, resample, spread, wilson

# Of people's words: a writer with fewer has no share of different words.
_TALKATIVE = 0.2
Report = Callable[[float, str], None]
Compute = Callable[..., float]
Draw = Callable[[Sequence[Sequence[int]], np.random.Generator], np.ndarray]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; value None where it cannot be computed for this writer."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """One row of the report. goal: "human" (as near as possible to people), "low" or "high".

    unit: "" for 0-1 figures, "%" for shares, or a word. target: what the specification asks, if anything.
    needs_places: it looks at what was answered. needs_questions: only places that ask something count, and too few say
    nothing. counts_words: `compute` takes a `budget` of words as well, the same for every writer of a report.
    asks_for_repeats: its interval must not come from replies drawn twice.
    """

    key: str
    label: str
    help: str
    compute: Compute | None = None
    goal: str = "human"
    unit: str = ""
    target: str = ""
    is_costly: bool = False
    needs_vectors: bool = False
    counts_words: bool = False
    asks_for_repeats: bool = False
    needs_places: bool = False
    needs_questions: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)


FIGURES: tuple[MeasuredFigure, ...] = (
    MeasuredFigure(
        "auc",
        "Detector AUC (headline)",
        "The better of the two detectors below. 0.5: cannot be told from people; "
        "1.0: always recognised. The aim is the people's own value.",
    ),
    MeasuredFigure(
        "auc_characters",
        "Detector on spelling and habits",
        "Logistic regression on character 1-4-grams, length, lines, emoji, capitals and endings.",
    ),
    MeasuredFigure(
        "auc_meaning", "Detector on meaning and tone", "Logistic regression on sentence embeddings.", needs_vectors=True
    ),
    MeasuredFigure(
        "context_fit",
        "Fit to context",
        "How often a reply is nearer to what it answers than to another conversation (embeddings). 0.5: no better than "
        "chance, as word salad and misplaced lines are.",
        context.fit,
        needs_vectors=True,
        needs_places=True,
    ),
    MeasuredFigure(
        "question_fit",
        "Fit after a question",
        "The same, where the newest line asks something: does it answer?",
        context.fit_after_question,
        needs_vectors=True,
        needs_questions=True,
        needs_places=True,
    ),
    MeasuredFigure(
        "echo",
        "Repeats what was just said",
        "Replies with four or more words in a row from the lines they answer.",
        context.echo_rate,
        unit="%",
        needs_places=True,
    ),
    MeasuredFigure(
        "invented_mentions",
        "Invented mentions",
        'Replies with "@somebody" who does not exist here.',
        context.invented_mention_rate,
        goal="low",
        unit="%",
        needs_places=True,
    ),
    MeasuredFigure(
        "perplexity",
        "Perplexity of real replies",
        "How surprised the model is by what people really said, per "
        "token. Lower is better, but 3 on chat would mean it knows the lines by heart.",
        goal="low",
        target="below 3.0",
        bounds=(1.0, float("inf")),
    ),
    MeasuredFigure(
        "similarity",
        "Style similarity",
        "Cosine between the average embeddings of both sides.",
        style.similarity,
        target="above 0.85",
        needs_vectors=True,
    ),
    MeasuredFigure(
        "mauve",
        "MAUVE",
        "How far both clouds of embeddings cover each other; 1 is fully.",
        style.mauve,
        is_costly=True,
        needs_vectors=True,
        asks_for_repeats=True,
    ),
    MeasuredFigure(
        "length_characters",
        "Length difference",
        "Characters by which lengths differ on average (Wasserstein).",
        style.length_wasserstein,
        unit="characters",
        bounds=(0.0, float("inf")),
    ),
    MeasuredFigure("length", "Length classes", "Jensen-Shannon distance of reply lengths.", style.length_divergence),
    MeasuredFigure("bursts", "Bursts", "Jensen-Shannon distance of lines per reply.", style.burst_divergence),
    MeasuredFigure(
        "openings", "How replies begin", "Jensen-Shannon distance of first words.", context.opening_divergence
    ),
    MeasuredFigure(
        "questions",
        "Questions asked",
        "By how much the share of replies that ask something differs from people's.",
        context.question_rate_difference,
        goal="low",
    ),
    MeasuredFigure("emoji", "Emoji", "Jensen-Shannon distance of emoji per reply.", style.emoji_divergence),
    MeasuredFigure(
        "punctuation",
        "Punctuation",
        "Jensen-Shannon distance of marks and of how replies end.",
        style.punctuation_divergence,
    ),
    MeasuredFigure(
        "case", "Capitals", "Jensen-Shannon distance of lower case, CAPS, Sentence case.", style.case_divergence
    ),
    MeasuredFigure(
        "vocabulary",
        "Vocabulary overlap",
        "Weight of the words both sides share; small samples stay below 1.",
        style.vocabulary_overlap,
    ),
    MeasuredFigure(
        "distinct_1",
        "Different words",
        "Share of different words (distinct-1), over equally many words of each.",
        partial(style.distinct, size=1),
        counts_words=True,
        asks_for_repeats=True,
    ),
    MeasuredFigure(
        "distinct_2",
        "Different word pairs",
        "Share of different word pairs (distinct-2).",
        partial(style.distinct, size=2),
        counts_words=True,
        asks_for_repeats=True,
    ),
    MeasuredFigure(
        "self_bleu",
        "Self-BLEU",
        "How much replies resemble each other; high is repetitive.",
        style.self_bleu,
        is_costly=True,
        asks_for_repeats=True,
    ),
    MeasuredFigure(
        "assistant",
        "Assistant phrases",
        'Replies with a phrase like "How can I assist".',
        style.assistant_rate,
        unit="%",
    ),
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to compute: number of half splits, bootstrap rounds, and rounds of the costly figures."""

    splits: int = 6
    rounds: int = 300
    costly_rounds: int = 24


QUICK = Effort(splits=2, rounds=60, costly_rounds=4)


def halves(sessions: Sequence[str], count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`count` pairs of disjoint index arrays, each half made of whole sessions and about half of the replies."""
    generator = np.random.default_rng(SEED)
    members = members_of(sessions)
    pairs = []
    for _ in range(count):
        first: list[int] = []
        second: list[int] = []
        for i in generator.permutation(len(members)):
            (first if len(first) <= len(second) else second).extend(members[i])
        pairs.append((np.array(sorted(first)), np.array(sorted(second))))
    return pairs


def word_budget(writers: Sequence[Features], effort: Effort) -> int:
    """As many words as every writer has in each of the halves that are compared; writers[0] are people.

    Whoever says next to nothing is left out: nobody could be measured over so few words.
    """
    counts = [_fewest_words(writer, effort) for writer in writers]
    return min(count for count in counts if count >= _TALKATIVE * counts[0])


def _has_what_it_needs(figure: MeasuredFigure, side: Features) -> bool:
    has_vectors = side.vectors.shape[1] and (side.places.vectors.shape[1] or not figure.needs_places)
    return bool((has_vectors or not figure.needs_vectors) and (any(side.places.texts) or not figure.needs_places))


def _fewest_words(writer: Features, effort: Effort) -> int:
    pairs = halves(writer.replies.sessions, effort.splits)
    return min(sum(len(writer.words[i]) for i in half) for pair in pairs for half in pair)


def _fewest_questions(pairs: Sequence[tuple[Features, Features]]) -> int:
    return min(int(written.places.is_asked.sum()) for written, _ in pairs)


def compare(
    written: Features,
    real: Features,
    effort: Effort = Effort(),
    *,
    budget: int | None = None,
    report: Report = lambda _fraction, _step: None,
) -> dict[str, Estimate]:
    """Every computable figure of `written` against `real`; reply i of both answers the same place.

    Pass real twice for people against people. budget: `word_budget` of all writers of a report, where there are others
    than these two. report(fraction, figure label) is called between figures.
    """
    pairs = [(written.take(a), real.take(b)) for a, b in halves(real.replies.sessions, effort.splits)]
    estimates = _detector_estimates(pairs, effort, report)
    budget = word_budget((real, written), effort) if budget is None else budget
    figures = [figure for figure in FIGURES if figure.compute and _has_what_it_needs(figure, real)]
    for number, figure in enumerate(figures):
        report(0.5 + 0.5 * number / len(figures), figure.label)
        rounds = effort.costly_rounds if figure.is_costly else effort.rounds
        assert figure.compute is not None
        if figure.counts_words and (not budget or _fewest_words(written, effort) < budget):
            estimates[figure.key] = Estimate(None)
            continue
        if figure.needs_questions and _fewest_questions(pairs) < context.LEAST_ASKED:
            estimates[figure.key] = Estimate(None)
            continue
        compute = partial(figure.compute, budget=budget) if figure.counts_words else figure.compute
        draw = half_of if figure.asks_for_repeats else resample
        estimates[figure.key] = _estimate(compute, pairs, rounds, figure.bounds, draw)
        if figure.unit == "%" and estimates[figure.key].value == 0:  # every round says 0 as well
            estimates[figure.key] = Estimate(0.0, *wilson(0, len(written)))
    return {figure.key: estimates[figure.key] for figure in FIGURES if figure.key in estimates}


def interval_of_mean_log(
    log_probabilities: Sequence[Sequence[float]], sessions: Sequence[str], rounds: int = 300
) -> Estimate:
    """Perplexity over all tokens of all replies, resampled by session."""
    sums = np.array([sum(reply) for reply in log_probabilities])
    counts = np.array([len(reply) for reply in log_probabilities])
    if not counts.sum():
        return Estimate(None)

    def perplexity(index: np.ndarray) -> float:
        return float(np.exp(-sums[index].sum() / max(1, counts[index].sum())))

    return Estimate(float(np.exp(-sums.sum() / counts.sum())), *range_of(perplexity, sessions, rounds=rounds))


def _detector_estimates(pairs: list[tuple[Features, Features]], effort: Effort, report: Report) -> dict[str, Estimate]:
    detectors = {"auc_characters": detector.character_scores}
    if pairs[0][1].vectors.shape[1]:
        detectors["auc_meaning"] = detector.meaning_scores
    estimates: dict[str, Estimate] = {}
    for place, (key, score) in enumerate(detectors.items()):
        scored = []
        for number, (written, real) in enumerate(pairs):
            report(0.5 * (place + number / len(pairs)) / len(detectors), "Detectors")
            scored.append((score(written, real), written, real))
        estimates[key] = _auc_estimate(scored, effort.rounds)
    # The same choice is made for people against people, so choosing the better one favours nobody.
    estimates["auc"] = max(estimates.values(), key=lambda estimate: estimate.value or 0.0)
    return estimates


def _auc_estimate(scored: list[tuple[np.ndarray, Features, Features]], rounds: int) -> Estimate:
    """The detector is not trained again in each round: the interval covers the choice of test sessions."""

    def one(pair: int, first: np.ndarray | None, second: np.ndarray | None) -> float:
        scores, written, _ = scored[pair]
        a, b = scores[: len(written)], scores[len(written) :]
        if first is not None and second is not None:
            a, b = a[first], b[second]
        return detector.auc(np.concatenate([a, b]), len(a))

    return _bootstrap(one, [(written, real) for _, written, real in scored], rounds, (0.0, 1.0))


def _estimate(
    compute: Compute, pairs: list[tuple[Features, Features]], rounds: int, bounds: tuple[float, float], draw: Draw
) -> Estimate:
    def one(pair: int, first: np.ndarray | None, second: np.ndarray | None) -> float:
        written, real = pairs[pair]
        if first is not None and second is not None:
            written, real = written.take(first), real.take(second)
        return compute(written, real)

    return _bootstrap(one, pairs, rounds, bounds, draw)


def _bootstrap(
    one: Callable[[int, np.ndarray | None, np.ndarray | None], float],
    pairs: list[tuple[Features, Features]],
    rounds: int,
    bounds: tuple[float, float],
    draw: Draw = resample,
) -> Estimate:
    """Mean over the splits, and the spread of bootstrap rounds laid around it."""
    generator = np.random.default_rng(SEED)
    value = float(np.mean([one(number, None, None) for number in range(len(pairs))]))
    members = [(members_of(written.replies.sessions), members_of(real.replies.sessions)) for written, real in pairs]
    drawn = [
        [
            one(number, draw(members[number][0], generator), draw(members[number][1], generator))
            for _ in range(max(2, rounds // len(pairs)))
        ]
        for number in range(len(pairs))
    ]
    return Estimate(value, *(float(np.clip(value + edge, *bounds)) for edge in spread(drawn)))
