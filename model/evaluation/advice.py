"""What to do next. Each step names the lever that the figures point to: sampling, the rows or the training.

Which of the three is asked of the figures themselves: too narrow or too wide a choice of words is sampling; words,
names and themes that the data does not hold are rows; what is left, and what the untuned model does just as well, is
training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.evaluation.comparison import Estimate
from model.evaluation.report import Drift
from model.evaluation.verdict import ECHO_ALLOWANCE, MATCH_MARK, Figures, Match

SAMPLING, ROWS, TRAINING = "Sampling", "Rows", "Training"
# By so much a figure must differ from people's, relatively, before anything is concluded from it.
_CLEARLY = 0.05
# Of a part's points, before it is worth a step.
_LEAST_LOST = 2.0
_MOST_PARTS = 3
_FEW_ROWS = 3000
_NEXT_PRESET = {
    "cpu-smoke": "rtx3070 (or full on a larger card): cpu-smoke only shows that everything works",
    "overnight": "overnight again with more hours (--set most_hours=20), or a larger model on a graphics card",
    "apple": "apple with more hours (--set most_hours=20), or rtx3070 on a graphics card",
    "rtx2060": "rtx3070 on a card with 8 GB, or rtx2060 with more epochs",
    "rtx3070": "full on a card with more memory, or rtx3070 with more epochs",
    "full": "full with more epochs, watching the validation loss",
}


@dataclass(frozen=True)
class Evidence:
    """All that advice goes by. base: the untuned model's figures, empty where it was not measured. settings: sampling
    as it was asked with."""

    result: Match
    model: Figures
    people: Figures
    base: Figures = field(default_factory=dict)
    complaints: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    drift: Drift | None = None
    training_rows: int = 0
    recipe: str = ""

    def beside_people(self, key: str) -> float | None:
        """By how much a figure is above people's (below: negative), as a share of theirs."""
        a, b = (side[key].value if key in side else None for side in (self.model, self.people))
        return (a - b) / b if a is not None and b else None

    @property
    def is_narrow(self) -> bool:
        """It says the same things again: fewer different words or pairs than people, or replies that resemble more."""
        pairs, alike = self.beside_people("distinct_2"), self.beside_people("self_bleu")
        return (pairs is not None and pairs < -_CLEARLY) or (alike is not None and alike > 4 * _CLEARLY)

    @property
    def is_wild(self) -> bool:
        """More different word pairs than people use: word salad begins there."""
        pairs = self.beside_people("distinct_2")
        return pairs is not None and pairs > _CLEARLY

    @property
    def has_learnt(self) -> bool | None:
        """Whether it is told less easily than the untuned model; None where nobody knows."""
        own, untuned = self.model.get("auc"), self.base.get("auc")
        if own is None or untuned is None or own.value is None or untuned.low is None:
            return None
        return own.value < untuned.low

    @property
    def has_penalty(self) -> bool:
        """Whether words that were said count less."""
        return float(self.settings.get("repeat_penalty", 1.0)) != 1.0

    @property
    def is_cut(self) -> bool:
        """Whether likely words alone may be drawn."""
        return int(self.settings.get("top_k", 0)) > 0 or float(self.settings.get("top_p", 1.0)) < 1.0


Rule = Callable[[Evidence], tuple[str, str]]


def next_steps(evidence: Evidence) -> tuple[str, ...]:
    """What to do, most important first."""
    result, complaints = evidence.result, evidence.complaints
    steps = []
    if complaints:
        steps.append(
            "Do not publish it: "
            + " ".join(complaints)
            + f" {TRAINING}: fewer epochs; {ROWS}: more different messages."
        )
    if result.is_reached and not complaints:
        steps.append(
            f"The mark of {MATCH_MARK:.0f} % is reached. Let members take the blind test before you publish it."
        )
    parts = sorted(result.parts, key=lambda part: -part.lost)
    for number, part in enumerate(parts[:_MOST_PARTS]):
        if number and part.lost <= _LEAST_LOST:
            break
        lever, what = _RULES[part.name](evidence)
        weakest = "Weakest part: " if not number else "Then: "
        steps.append(f"{weakest}{part.name} ({part.reached:.0%} of {part.weight:g} points). {lever}: {what}")
    if evidence.drift is not None and evidence.drift.is_steady is False:
        steps.append(
            f"It drifts in long talks. {TRAINING}: rows as long as the talks it is to keep up (the recipe's "
            "max_length); "
            f"{SAMPLING}: a little more min-p, so that one odd word does not lead to the next."
        )
    if evidence.training_rows < _FEW_ROWS:
        steps.append(
            f"{ROWS}: the data set has only {evidence.training_rows:,} training rows; several thousand are worth "
            "waiting for."
        )
    if not result.is_reached:
        preset = _NEXT_PRESET.get(evidence.recipe, "the largest one that fits this computer")
        steps.append(f"Preset to retry: {preset}.")
    return tuple(steps)


def _detector(evidence: Evidence) -> tuple[str, str]:
    if evidence.is_cut or (evidence.is_narrow and not evidence.is_wild):
        return SAMPLING, (
            "it says too little that is rare, and that gives it away. Run --sweep: a higher temperature with min-p, "
            "top-k and top-p off."
        )
    if evidence.is_wild:
        return SAMPLING, "it draws words too freely. Run --sweep: a lower temperature, or more min-p."
    if evidence.has_learnt is False:
        return TRAINING, (
            "the untuned model is told no more easily, so training has hardly changed it. Train longer, or with a "
            "higher "
            "rank."
        )
    spelling, meaning = (evidence.beside_people(key) for key in ("auc_characters", "auc_meaning"))
    if spelling is not None and meaning is not None and meaning > spelling + _CLEARLY:
        return ROWS, (
            "its themes and tone give it away, less its spelling. Add messages from the channels it is to talk in, and "
            "ordinary small talk from more members."
        )
    return TRAINING, (
        "spelling and habits give it away. Read the samples of the report for what feels off; train longer, on the "
        "next "
        "larger preset."
    )


def _context(evidence: Evidence) -> tuple[str, str]:
    if _value(evidence.model, "echo") > _value(evidence.people, "echo") + ECHO_ALLOWANCE:
        return SAMPLING, "it repeats what was just said. Switch DRY on (dry multiplier 0.8), or raise the temperature."
    if evidence.is_wild:
        return SAMPLING, "its replies do not fit what they answer: lower the temperature or raise min-p (--sweep)."
    if evidence.has_learnt is False:
        return TRAINING, "its replies do not fit what they answer: train longer, or take a larger model."
    return ROWS, (
        "its replies do not fit what they answer, and sampling is not to blame. More rows with context help, or a "
        "larger "
        "model."
    )


def _habits(evidence: Evidence) -> tuple[str, str]:
    if evidence.has_penalty and _value(evidence.model, "bursts") > _value(evidence.model, "case"):
        return SAMPLING, (
            "it writes other bursts than people. Switch the repetition penalty off: it punishes what lines have in "
            "common."
        )
    if evidence.is_cut:
        return SAMPLING, "beginnings and marks are too uniform: top-k and top-p off, min-p 0.05 to 0.1 in their place."
    return TRAINING, (
        "bursts, emoji, punctuation and capitals (see their rows) come with longer training; check that nothing "
        "cleans up "
        "the texts."
    )


def _lengths(evidence: Evidence) -> tuple[str, str]:
    if evidence.has_penalty or evidence.is_cut:
        return SAMPLING, "replies have other lengths than people's; penalties and top-k move where they end (--sweep)."
    return TRAINING, "it has not learnt where replies end: train longer; add channels with short back-and-forth talk."


def _mauve(evidence: Evidence) -> tuple[str, str]:
    if evidence.is_narrow or evidence.is_cut:
        return SAMPLING, "it talks about fewer things than people: a higher temperature, top-k off (--sweep)."
    return ROWS, "it talks about other things than people. Add messages from more channels and members."


def _vocabulary(evidence: Evidence) -> tuple[str, str]:
    if evidence.is_cut:
        return SAMPLING, "this server's words are too rare to be drawn: top-k and top-p off, min-p in their place."
    return ROWS, "it does not use this server's words. More messages from the channels where they are used help most."


def _mentions(_evidence: Evidence) -> tuple[str, str]:
    return ROWS, (
        "it mentions people who do not exist (the bot takes their @ off). Prepare the data again, so that mentions are "
        "names of members, and train again."
    )


def _phrases(_evidence: Evidence) -> tuple[str, str]:
    return TRAINING, (
        "it still talks like an assistant. Add the preference step (DPO or ORPO), with the model's own replies as the "
        "rejected side."
    )


_RULES: dict[str, Rule] = {
    "detector": _detector,
    "context": _context,
    "habits": _habits,
    "lengths": _lengths,
    "MAUVE": _mauve,
    "vocabulary": _vocabulary,
    "mentions": _mentions,
    "no assistant phrases": _phrases,
}


def _value(figures: Figures, key: str) -> float:
    return figures.get(key, Estimate(None)).value or 0.0
