"""The blind test as values and files: the same quiz for the control panel and for the page members open.

A quiz folder is `data_storage/blind_tests/<id>/`: quiz.json (places and replies, no answers), blind-test.html (the same
as a page), key.json (who wrote what: for scoring only), results/ (one file a rater).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from storage.errors import BadInputError
from storage.paths import Workspace
from storage.stored_json import parse_json
from storage.system.files import write_whole

# Replies of each side, unless the owner asks for another number.
ITEMS_PER_SIDE = 50
RATINGS = (
    ("authenticity", "Sounds like a real member"),
    ("naturalness", "Flows like normal conversation"),
    ("appropriateness", "Fits the talk and its tone"),
    ("vocabulary", "Uses this server's words"),
    ("length", "Has a fitting length"),
)
LOWEST, HIGHEST = 1, 5
_CODE_MARK = "BT1."
# Fewer answers than this say nothing about who can be told from whom.
LEAST_ANSWERS = 20


@dataclass(frozen=True, slots=True)
class QuizLine:
    """One line of the talk before the reply."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class QuizItem:
    """One reply to judge. Nothing here depends on who wrote it."""

    id: str
    context: tuple[QuizLine, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class Quiz:
    """A blind test without its answers."""

    id: str
    title: str
    items: tuple[QuizItem, ...]


@dataclass(frozen=True, slots=True)
class RaterVerdict:
    """What a rater thinks of one reply. ratings: name of RATINGS -> 1-5; those left out were not given."""

    item_id: str
    is_bot: bool
    ratings: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuizResult:
    """One rater's verdicts."""

    quiz_id: str
    rater: str
    verdicts: tuple[RaterVerdict, ...]
    made_at: float = 0.0


def certainty(low: float, high: float) -> str:
    """How sure a share is, from its 95 % interval, in words."""
    width = high - low
    return "quite sure" if width <= 0.15 else "fairly sure" if width <= 0.3 else "a rough figure, more answers needed"


def quiz_folder(workspace: Workspace, quiz_id: str) -> Path:
    """Where a blind test lies: its questions, the key and the answer sheets."""
    return workspace.data / "blind_tests" / quiz_id


def quizzes(workspace: Workspace) -> list[Path]:
    """The quiz.json files of this workspace, newest first."""
    found = (workspace.data / "blind_tests").glob("*/quiz.json")
    return sorted(found, key=lambda path: -path.stat().st_mtime)


def write_quiz(quiz: Quiz, path: Path) -> None:
    """Write the questions, in one step; an older file of that name is replaced."""
    _write(path, json.dumps(asdict(quiz), ensure_ascii=False, indent=1))


def read_quiz(path: Path) -> Quiz:
    """BadInputError when the file is not a quiz."""
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        items = tuple(
            QuizItem(
                str(item["id"]),
                tuple(QuizLine(line["name"], line["text"]) for line in item["context"]),
                str(item["reply"]),
            )
            for item in record["items"]
        )
        return Quiz(str(record["id"]), str(record["title"]), items)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path} is not a blind test ({type(error).__name__}).",
            "Make one with 4_evaluate_personality.py --blind-test.",
        ) from error


def save_result(result: QuizResult, folder: Path) -> Path:
    """Keep a rater's verdicts in a quiz folder's results; returns the file."""
    name = re.sub(r"[^\w-]+", "-", result.rater).strip("-")[:40] or "rater"
    path = folder / "results" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    _write(path, json.dumps(asdict(result), ensure_ascii=False, indent=1))
    return path


def read_result(path: Path) -> QuizResult:
    """A result file of the page or of the panel; BadInputError says what is wrong with it. It is anybody's file."""
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
        verdicts = tuple(
            RaterVerdict(str(each["item_id"]), _flag(each["is_bot"]), _ratings(each.get("ratings") or {}))
            for each in record["verdicts"]
        )
        return QuizResult(
            str(record["quiz_id"]), str(record["rater"])[:80], verdicts, float(record.get("made_at") or 0.0)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{path} is not a blind-test result ({type(error).__name__}: {error}).",
            "Use the file that the test page offers at its end.",
        ) from error


def result_code(result: QuizResult, quiz: Quiz) -> str:
    """A rater's verdicts as a word to paste into a chat: what the page gives at its end."""
    places = {item.id: number for number, item in enumerate(quiz.items)}
    marks = ["-"] * len(quiz.items)
    ratings: dict[str, dict[str, int]] = {}
    for verdict in result.verdicts:
        if (place := places.get(verdict.item_id)) is not None:
            marks[place] = "b" if verdict.is_bot else "h"
            if verdict.ratings:
                ratings[str(place)] = dict(verdict.ratings)
    record = [quiz.id, result.rater, round(result.made_at), "".join(marks), ratings]
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return _CODE_MARK + base64.urlsafe_b64encode(text.encode("utf-8")).decode("ascii").rstrip("=")


def read_code(code: str, known: Sequence[Path]) -> tuple[QuizResult, Path]:
    """The verdicts in a code, and the quiz.json they are about, of `known` ones; BadInputError says what is wrong."""
    word = next((part for part in code.split() if part.startswith(_CODE_MARK)), "")
    try:
        raw = word.removeprefix(_CODE_MARK)
        record = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
        quiz_id, rater, made_at, marks, ratings = record
        quiz_id, rater, marks = str(quiz_id), str(rater)[:80], str(marks)
        given = {int(place): _ratings(values) for place, values in dict(ratings).items()}
        at = float(made_at)
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise BadInputError(
            "That is not a whole result code.", f"It begins with {_CODE_MARK} and is copied as one piece."
        ) from error
    path = next((path for path in known if path.parent.name == quiz_id), None)
    if path is None:
        raise BadInputError("This code is of a blind test that is not here any more.", "Make a new test to be played.")
    items = read_quiz(path).items
    verdicts = tuple(
        RaterVerdict(item.id, mark == "b", given.get(number, {}))
        for number, (item, mark) in enumerate(zip(items, marks, strict=False))
        if mark in "bh"
    )
    if not verdicts:
        raise BadInputError("There is no answer in this code.", "Ask for the one that stands at the end of the test.")
    return QuizResult(quiz_id, rater or "somebody", verdicts, at), path


def read_answers(path: Path) -> dict[str, bool]:
    """Who wrote what in a quiz (by its quiz.json): item id -> True for the bot. Only for after the game."""
    try:
        record = json.loads((path.parent / "key.json").read_text(encoding="utf-8"))
        return {str(name): bool(value) for name, value in record["is_bot"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError("The answers of this blind test cannot be read.", "Make a new one.") from error


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("is_bot must be true or false")
    return value


def _ratings(record: dict[str, object]) -> dict[str, int]:
    known = {name for name, _ in RATINGS}
    found = {}
    for name, value in record.items():
        if name not in known or isinstance(value, bool) or not isinstance(value, int) or not LOWEST <= value <= HIGHEST:
            raise ValueError(f"rating {name!r} must be {LOWEST}-{HIGHEST}")
        found[name] = value
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode("utf-8"))
