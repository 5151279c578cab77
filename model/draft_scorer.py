"""Which of several drafts of a reply is taken: a small linear scorer, kept as plain numbers beside the model.

An evaluation fits it (model/evaluation/draft_fit.py); to use it takes nothing but the standard library. A score is the
logarithm of how many times likelier people's replies are there than the model's own, so drafts are not ranked but drawn
by it: the likeliest draft every time would be as far from people on the other side. That is sampling importance
resampling with a classifier's odds as weights (Grover et al., "Bias Correction of Learned Generative Models using
Likelihood-Free Importance Weighting", NeurIPS 2019).
"""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.evaluation.context import echoes_line
from model.evaluation.features import case_of, emoji, words
from model.evaluation.places import CONTEXT_TURNS, is_question
from storage.records import Conversation
from storage.split_files import whole_stem
from storage.stored_json import parse_json
from storage.system.files import write_whole

# An evaluation's own copy.
SCORER = "drafts.json"
_FORMAT = 1
# Character n-grams share so many columns.
GRAM_COLUMNS = 1024
_LONGEST_GRAM = 3
_MOST = 4
Columns = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DraftScorer:
    """weights: by column's name. places: how many it was fitted on."""

    weights: Mapping[str, float]
    places: int = 0

    def score(self, lines: Sequence[str], draft: str) -> float:
        """The log odds that people said this after these lines, up to a constant."""
        weights = self.weights
        return sum(weights.get(name, 0.0) * value for name, value in columns(lines, draft).items())

    def choose(self, lines: Sequence[str], drafts: Sequence[str], *, seed: int | None = None) -> int:
        """The index of the draft to take, drawn by the odds."""
        scores = [self.score(lines, draft) for draft in drafts]
        top = max(scores)
        odds = [math.exp(score - top) for score in scores]
        return random.Random(seed).choices(range(len(drafts)), odds)[0]

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        rounded = {name: round(value, 4) for name, value in sorted(self.weights.items()) if round(value, 4)}
        record = {"format": _FORMAT, "places": self.places, "weights": rounded}
        write_whole(path, json.dumps(record, indent=1).encode())


def scorer_path(model: Path) -> Path:
    """Where a model's scorer lies, whether it is there or not: beside its file (of an adapter: beside that)."""
    return model.with_name(f"{whole_stem(model.name)}.drafts.json")


def find_scorer(model: Path, report: Path | None) -> Path | None:
    """The scorer that belongs to a model's file: beside it, or beside the report of it."""
    places = [scorer_path(model), *([report.with_name(SCORER)] if report else [])]
    return next((path for path in places if read_scorer(path) is not None), None)


def read_scorer(path: Path) -> DraftScorer | None:
    """None where there is none, or none that this version understands."""
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("format") != _FORMAT or not isinstance(record.get("weights"), dict):
        return None
    weights = {
        name: float(value)
        for name, value in record["weights"].items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    places = record.get("places")
    return DraftScorer(weights, places if isinstance(places, int) else 0) if weights else None


def lines_before(conversation: Conversation) -> list[str]:
    """The newest lines of a conversation, which carry what a reply answers."""
    return [turn.text for turn in conversation.turns[-CONTEXT_TURNS:]]


def columns(lines: Sequence[str], draft: str) -> dict[str, float]:
    """What is looked at in a draft, by name: habits, how it fits the lines before it, character n-grams."""
    return {**_habits(draft), **fit_columns(lines, draft), **_grams(draft)}


def fit_columns(lines: Sequence[str], draft: str) -> dict[str, float]:
    """How a draft goes with the lines before it."""
    said, before = words(draft), [words(line) for line in lines]
    known = {word for line in before for word in line if len(word) > _MOST - 1}
    long = [word for word in said if len(word) > _MOST - 1]
    is_asked = bool(lines) and is_question(lines[-1])
    usual = sum(math.log1p(len(line)) for line in lines) / len(lines) if lines else 0.0
    size = math.log1p(len(draft))
    return {
        "repeats": sum(word in known for word in long) / len(long) if long else 0.0,
        "repeats any": float(any(word in known for word in long)),
        "echo": float(echoes_line(said, "\n".join(lines))),
        "asks back": float(is_asked and is_question(draft)),
        "asked, length": size if is_asked else 0.0,
        "length against theirs": abs(size - usual),
    }


def _habits(draft: str) -> dict[str, float]:
    case = case_of(draft)
    text = draft.strip()
    return {
        "length": math.log1p(len(text)),
        "lines": float(min(1 + text.count("\n"), _MOST)),
        "emoji": float(min(len(emoji(text)), _MOST)),
        "lower case": float(case == 1),
        "capitals": float(case == 2),
        "sentence": float(case == 3),
        "full stop": float(text[-1:] in tuple(".!…")),
        "asks": float(is_question(text)),
        "begins with I": float(text.split(" ", 1)[0].split("'")[0] == "I"),
        "mention": float("@" in text),
    }


def _grams(draft: str) -> dict[str, float]:
    """Character 1- to 3-grams with both ends marked, in shared columns, of length 1 together."""
    text, counts = f"\x02{draft.strip()}\x03", dict[str, float]()
    for size in range(1, _LONGEST_GRAM + 1):
        for start in range(len(text) - size + 1):
            name = f"g{zlib.crc32(text[start : start + size].encode()) % GRAM_COLUMNS}"
            counts[name] = counts.get(name, 0.0) + 1.0
    damped = {name: 1.0 + math.log(count) for name, count in counts.items()}
    length = math.sqrt(sum(value * value for value in damped.values()))
    return {name: value / length for name, value in damped.items()}
