"""The blind test: half of the replies are people's, half the bot's, each at a place of its own; and its scoring.

Nobody sees two replies at one place, the order is drawn by lot, and every reply passes the same clean-up, so that only
the words themselves can give the bot away.
"""

from __future__ import annotations

import json
import math
import random
import secrets
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from model.evaluation.blind_test_page import page
from model.evaluation.resampling import wilson
from model.evaluation.rows import EvaluationExample
from storage.blind_test import LEAST_ANSWERS, RATINGS, Quiz, QuizItem, QuizLine, QuizResult, certainty, write_quiz
from storage.errors import BadInputError
from storage.stored_json import parse_json

LEAST_PER_SIDE = 5
_CONTEXT_TURNS = 6
# A reply the bot could not have written for want of tokens would be an easy "human".
_CHARACTERS_PER_TOKEN = 3
MARK = 0.60


@dataclass(frozen=True, slots=True)
class Key:
    """Who wrote what: item id -> True for the bot. Kept apart from the quiz."""

    quiz_id: str
    model: str
    is_bot: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its 95 % Wilson interval."""

    hits: int
    count: int
    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """The share with its 95 % interval and the counts behind it."""
        return f"{self.value:.0%} [{self.low:.0%}, {self.high:.0%}] ({self.hits} of {self.count})"


@dataclass(frozen=True, slots=True)
class RaterScore:
    """One rater: bot replies found out, and people's replies taken for the bot's."""

    rater: str
    detected: Rate
    false_alarms: Rate


@dataclass(frozen=True, slots=True)
class Score:
    """All raters together. rubric: dimension -> (mean of the bot's, mean of people's), None where nobody rated.

    agreement: Krippendorff's alpha of bot-or-human over raters (1 all agree, 0 chance); None with one rater.
    """

    quiz_id: str
    model: str
    raters: tuple[RaterScore, ...]
    detected: Rate
    false_alarms: Rate
    rubric: dict[str, tuple[float | None, float | None]]
    agreement: float | None
    rubric_agreement: float | None
    notes: tuple[str, ...] = ()

    @property
    def rubric_mean(self) -> float | None:
        """The bot's mean over all dimensions."""
        values = [bot for bot, _ in self.rubric.values() if bot is not None]
        return statistics.fmean(values) if values else None


def choose_places(
    rows: Sequence[EvaluationExample],
    *,
    per_side: int,
    max_tokens: int,
    seed: int | None = None,
) -> tuple[list[EvaluationExample], list[EvaluationExample]]:
    """(places for people's replies, places for the bot's with spares), drawn by lot and disjoint."""
    longest = max_tokens * _CHARACTERS_PER_TOKEN
    fitting = [row for row in rows if row.reply.strip() and row.conversation.turns and len(row.reply) <= longest]
    per_side = min(per_side, len(fitting) // 2)
    if per_side < LEAST_PER_SIDE:
        raise BadInputError(f"Only {len(fitting)} places are fit for a blind test.", "Prepare more data.")
    drawn = random.Random(seed if seed is not None else secrets.randbits(64)).sample(fitting, len(fitting))
    return drawn[:per_side], drawn[per_side:]


def make(
    people: Sequence[EvaluationExample],
    bot: Sequence[tuple[EvaluationExample, str]],
    *,
    model: str,
    title: str = "Bot or human?",
    seed: int | None = None,
) -> tuple[Quiz, Key]:
    """A shuffled quiz and its key. bot: places with the bot's reply there; empty ones are not for this list."""
    lot = random.Random(seed if seed is not None else secrets.randbits(64))
    entries = [(row, row.reply, False) for row in people] + [(row, text, True) for row, text in bot]
    lot.shuffle(entries)
    items, is_bot = [], {}
    for row, reply, by_bot in entries:
        item_id = f"{lot.getrandbits(48):012x}"
        items.append(
            QuizItem(
                item_id,
                tuple(QuizLine(turn.name, clean(turn.text)) for turn in row.conversation.turns[-_CONTEXT_TURNS:]),
                clean(reply),
            )
        )
        is_bot[item_id] = by_bot
    quiz_id = f"{lot.getrandbits(40):010x}"
    return Quiz(quiz_id, title, tuple(items)), Key(quiz_id, model, is_bot)


def clean(text: str) -> str:
    """The same for everybody: no spaces at line ends, no blank lines at both ends."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def save(quiz: Quiz, key: Key, folder: Path) -> Path:
    """Write quiz.json, key.json and the page; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    (folder / "key.json").write_text(json.dumps(asdict(key), indent=1), encoding="utf-8")
    write_quiz(quiz, folder / "quiz.json")
    html = folder / "blind-test.html"
    html.write_text(page(quiz), encoding="utf-8")
    return html


def read_key(path: Path) -> Key:
    """The key of a blind test. BadInputError for any other file."""
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        return Key(str(record["quiz_id"]), str(record["model"]), {str(k): bool(v) for k, v in record["is_bot"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{path} is not the key of a blind test ({type(error).__name__}).",
            "Give --key the key.json beside the quiz.",
        ) from error


def score(results: Sequence[QuizResult], key: Key) -> Score:
    """Rates, intervals, rubric and agreement; the newest result of a rater counts. BadInputError without any."""
    mine = [result for result in results if result.quiz_id == key.quiz_id and result.verdicts]
    if not mine:
        raise BadInputError("None of these results belongs to this blind test.", "Check --key and the result files.")
    newest = {result.rater: result for result in sorted(mine, key=lambda result: result.made_at)}
    raters = list(newest.values())
    scores = tuple(_rater(result, key) for result in raters)
    notes = []
    if len(mine) > len(raters):
        notes.append(f"{len(mine) - len(raters)} older results of the same rater were left out.")
    if len(results) > len(mine):
        notes.append(f"{len(results) - len(mine)} results of other tests were left out.")
    if len(raters) > 1:
        notes.append("Raters judged the same replies, so the pooled interval is a little too narrow.")
    return Score(
        key.quiz_id,
        key.model,
        scores,
        _pool([each.detected for each in scores]),
        _pool([each.false_alarms for each in scores]),
        _rubric(raters, key),
        _agreement(raters, key),
        _rubric_agreement(raters, key),
        tuple(notes),
    )


def rate(hits: int, count: int) -> Rate:
    """A share with its Wilson interval; an empty one covers everything."""
    return Rate(hits, count, hits / count if count else 0.0, *wilson(hits, count))


def lines_of(result: Score) -> list[tuple[str, str]]:
    """The score for people: (what, value)."""
    lines = [
        (f"{each.rater}", f"found the bot {each.detected.text}, false alarms {each.false_alarms.text}")
        for each in result.raters
    ]
    lines += [
        ("all raters", f"found the bot {result.detected.text}"),
        ("false alarms", f"people taken for the bot {result.false_alarms.text}"),
        ("reading", reading(result)),
    ]
    for name, (bot, people) in result.rubric.items():
        lines.append((name, f"bot {_mean_text(bot)}, people {_mean_text(people)}"))
    if result.rubric_mean is not None:
        lines.append(("rubric of the bot", f"{result.rubric_mean:.2f} (mark 4.0)"))
    if result.agreement is not None:
        lines.append(("agreement", f"Krippendorff's alpha {result.agreement:.2f} (1 all agree, 0 chance)"))
    return lines + [("note", note) for note in result.notes]


def reading(result: Score) -> str:
    """What the two rates say together: somebody who cries "bot" at everything detects all of them. No verdict from
    fewer than LEAST_ANSWERS answers, or from one side alone."""
    answers = result.detected.count + result.false_alarms.count
    if answers < LEAST_ANSWERS:
        return f"too few answers for a verdict: {answers} of at least {LEAST_ANSWERS}"
    if not result.detected.count or not result.false_alarms.count:
        return "no verdict: the answers are about one side only"
    if result.detected.low > result.false_alarms.high:
        verdict = "raters can tell: they mark the bot's replies clearly more often than people's"
    elif result.detected.value - result.false_alarms.value > 0.1:
        verdict = "raters may be able to tell; more raters or items would settle it"
    else:
        verdict = "raters cannot tell in this test"
    mark = "below" if result.detected.value < MARK else "not below"
    sure = certainty(result.detected.low, result.detected.high)
    return f"{verdict}; detection is {mark} the mark of {MARK:.0%} ({sure})"


def _rater(result: QuizResult, key: Key) -> RaterScore:
    marks = [
        (verdict.is_bot, key.is_bot[verdict.item_id]) for verdict in result.verdicts if verdict.item_id in key.is_bot
    ]
    on_bot = [marked for marked, truth in marks if truth]
    on_people = [marked for marked, truth in marks if not truth]
    return RaterScore(result.rater, rate(sum(on_bot), len(on_bot)), rate(sum(on_people), len(on_people)))


def _pool(rates: Sequence[Rate]) -> Rate:
    return rate(sum(each.hits for each in rates), sum(each.count for each in rates))


def _rubric(raters: Sequence[QuizResult], key: Key) -> dict[str, tuple[float | None, float | None]]:
    found = {}
    for name, _ in RATINGS:
        sides: dict[bool, list[int]] = {True: [], False: []}
        for verdict in (each for result in raters for each in result.verdicts):
            if name in verdict.ratings and verdict.item_id in key.is_bot:
                sides[key.is_bot[verdict.item_id]].append(verdict.ratings[name])
        found[name] = (_mean(sides[True]), _mean(sides[False]))
    return found


def _agreement(raters: Sequence[QuizResult], key: Key) -> float | None:
    return _alpha(
        [{verdict.item_id: float(verdict.is_bot) for verdict in result.verdicts} for result in raters],
        list(key.is_bot),
        level="nominal",
    )


def _rubric_agreement(raters: Sequence[QuizResult], key: Key) -> float | None:
    units = [f"{item}/{name}" for item in key.is_bot for name, _ in RATINGS]
    return _alpha(
        [
            {
                f"{verdict.item_id}/{name}": float(value)
                for verdict in result.verdicts
                for name, value in verdict.ratings.items()
            }
            for result in raters
        ],
        units,
        level="ordinal",
    )


def _alpha(
    judgements: Sequence[dict[str, float]], units: Sequence[str], *, level: Literal["nominal", "ordinal"]
) -> float | None:
    """Krippendorff's alpha; None where fewer than two raters judged the same unit or all judgements are equal."""
    import numpy as np
    from krippendorff import alpha

    table = np.array([[each.get(unit, np.nan) for unit in units] for each in judgements])
    judged_twice = (~np.isnan(table)).sum(axis=0) >= 2
    shared = table[:, judged_twice]
    if len(judgements) < 2 or not judged_twice.any() or len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    value = float(alpha(reliability_data=table, level_of_measurement=level))
    return None if math.isnan(value) else value


def _mean(values: Sequence[int]) -> float | None:
    return statistics.fmean(values) if values else None


def _mean_text(value: float | None) -> str:
    return "not rated" if value is None else f"{value:.1f}"


AnswerAt = Callable[[EvaluationExample], str]


def answered(places: Sequence[EvaluationExample], answer: AnswerAt, count: int) -> list[tuple[EvaluationExample, str]]:
    """The first `count` places at which the bot says something; on Discord an empty reply is not sent."""
    found: list[tuple[EvaluationExample, str]] = []
    for row in places:
        if len(found) == count:
            break
        text = clean(answer(row))
        if text:
            found.append((row, text))
    return found
