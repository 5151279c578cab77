"""Preference pairs: what people liked against what the untuned model says in the same place.

What a reaction means is decided in storage/reactions.py: the running bot needs it too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from data.chat.assistants import TEMPLATES, TRANSLATED, language_of
from data.chat.rows import JUDGED, PREFERENCES, TRAIN, JudgedRow, PreferenceRow, TrainingRow
from data.taught import TaughtPlace
from storage.jobs.progress import ProgressCallback, silent
from storage.reactions import MAX_STRENGTH
from storage.records import Conversation, Turn
from storage.stored_json import parse_json


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of train.jsonl whose reply got reactions: where it starts, and approvals minus disapprovals."""

    offset: int
    balance: int


@dataclass(frozen=True)
class PairRequest:
    """Where a rejected reply is wanted: the row, and how many different ones. model: which one said the row's reply,
    '' for a person."""

    row: TrainingRow
    wanted: int
    model: str = ""

    @property
    def key(self) -> str:
        """Names the place by what was said, so that finished work is found again after any change elsewhere."""
        fields = self.row.fields()
        text = json.dumps([fields["context"], fields["recalled"]], ensure_ascii=False)
        return f"{self.row.id}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def seed(self) -> int:
        """Its own for each place: openings all look alike to the model."""
        return int(hashlib.sha256(self.key.encode()).hexdigest()[:7], 16)


# Places -> for each the texts found, in order; may find fewer than wanted. Raises CancelledError when asked to stop.
Reject = Callable[[Sequence[PairRequest]], Iterator[tuple[PairRequest, list[str]]]]


@dataclass
class PairCounts:
    """What became of the messages with reactions. note: why set phrases stand in for the untuned model, if they do."""

    source: str
    note: str = ""
    pairs: int = 0
    chosen: int = 0
    too_short: int = 0
    disliked: int = 0
    without_rejected: int = 0
    taught: dict[str, int] = field(default_factory=lambda: {"good": 0, "bad": 0, "better": 0})
    by_strength: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(1, MAX_STRENGTH + 1), 0))


def write_pairs(
    folder: Path,
    candidates: Sequence[Candidate],
    *,
    reject: Reject,
    source: str,
    count_tokens: Callable[[Sequence[str]], Sequence[int]],
    min_tokens: int = 4,
    max_chosen: int | None = None,
    taught: Sequence[TaughtPlace] = (),
    report: ProgressCallback = silent,
) -> PairCounts:
    """preferences.jsonl (chosen, rejected, strength) and kto.jsonl (completion, label) from rows of train.jsonl.

    A message with five approvals gets five different rejected texts, so that a stronger signal weighs more
    without repeating a pair. `max_chosen`: only the strongest so many. `taught`: what was thought of the bot's own
    replies: better words stand against what it said, once for each weight; a good reply is one people liked; of a bad
    one nothing is known but that (kto.jsonl).
    """
    counts = PairCounts(source)
    places: list[PairRequest] = []
    with open(folder / TRAIN, "rb") as rows, open(folder / JUDGED, "w", encoding="utf-8") as judged:
        for candidate in _strongest(candidates, max_chosen):
            rows.seek(candidate.offset)
            row = TrainingRow.parse(rows.readline())
            if candidate.balance < 0:
                counts.disliked += 1
                judged.write(JudgedRow(row, is_liked=False).to_json())
            elif count_tokens([row.reply])[0] < min_tokens:
                counts.too_short += 1
            else:
                places.append(PairRequest(row, min(candidate.balance, MAX_STRENGTH)))
                judged.write(JudgedRow(row, is_liked=True).to_json())
        with open(folder / PREFERENCES, "w", encoding="utf-8") as paired:
            for judgement in taught:
                _write_taught(judgement, paired, judged, places, counts)
            for done, (place, texts) in enumerate(reject(places), start=1):
                _write_place(paired, judged, place, distinct(texts, unlike=place.row.reply), counts)
                report(done / max(len(places), 1), "Preference pairs", done=done, unit="messages")
    return counts


def distinct(texts: Sequence[str], *, unlike: str) -> list[str]:
    """Different, not empty, and not the chosen reply itself."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(_folded(text), text.strip())
    return [text for key, text in found.items() if key and key != _folded(unlike)]


def _write_place(paired: TextIO, judged: TextIO, place: PairRequest, texts: Sequence[str], counts: PairCounts) -> None:
    texts = texts[: place.wanted]
    if not texts:
        counts.without_rejected += 1
        return
    counts.chosen += 1
    counts.by_strength[place.wanted] += 1
    for text in texts:
        counts.pairs += 1
        paired.write(PreferenceRow(place.row, text, place.wanted, place.model).to_json())
        judged.write(JudgedRow(replace(place.row, reply=text), is_liked=False).to_json())


def _write_taught(
    place: TaughtPlace, paired: TextIO, judged: TextIO, places: list[PairRequest], counts: PairCounts
) -> None:
    said, model = place.row, place.model
    if place.better and _folded(place.better) != _folded(said.reply):
        counts.taught["better"] += 1
        better = replace(said, reply=place.better)
        for _ in range(place.weight):
            counts.pairs += 1
            paired.write(PreferenceRow(better, said.reply, place.weight, model).to_json())
        judged.write(JudgedRow(better, is_liked=True).to_json())
        judged.write(JudgedRow(said, is_liked=False, model=model).to_json())
    elif place.is_liked:
        counts.taught["good"] += 1
        places.append(PairRequest(said, place.weight, model))
        judged.write(JudgedRow(said, is_liked=True, model=model).to_json())
    else:
        counts.taught["bad"] += 1
        judged.write(JudgedRow(said, is_liked=False, model=model).to_json())


def _strongest(candidates: Sequence[Candidate], limit: int | None) -> list[Candidate]:
    if limit is None:
        return list(candidates)
    best = sorted(candidates, key=lambda candidate: (-candidate.balance, candidate.offset))[:limit]
    return sorted(best, key=lambda candidate: candidate.offset)


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


# ---- where rejected texts come from -----------------------------------------------------------------


def reject_with_templates(places: Sequence[PairRequest]) -> Iterator[tuple[PairRequest, list[str]]]:
    """Different templates for each place, the same ones on every run, in the language that is spoken there: English
    ones on a German server would teach not to be English."""
    said = (turn.text for place in places for turn in (*place.row.conversation.turns, Turn("", place.row.reply)))
    templates = TRANSLATED.get(language_of(said), TEMPLATES)
    for place in places:
        yield place, [templates[(place.seed + 7 * number) % len(templates)] for number in range(place.wanted)]


class RejectWithModel:
    """What the untuned model says in the same place; finished places are kept in a file, so a run can be resumed.

    generate: (conversation, seeds) -> a text for each seed. Tried again with other seeds where texts repeat.
    """

    _ROUNDS = 3
    # Places handed to the engine at once: it writes so many replies together, and a stopped run loses no more.
    _AT_ONCE = 8

    def __init__(self, generate: Callable[[Sequence[tuple[Conversation, int]]], list[str]], kept: Path) -> None:
        self._generate = generate
        self._kept = kept

    def __call__(self, places: Sequence[PairRequest]) -> Iterator[tuple[PairRequest, list[str]]]:
        """Each place with the model's replies to it, in order; those kept from an earlier run cost nothing."""
        known = _read_kept(self._kept)
        with open(self._kept, "a", encoding="utf-8") as file:
            for start in range(0, len(places), self._AT_ONCE):
                part = places[start : start + self._AT_ONCE]
                missing = [place for place in part if place.key not in known]
                for place, texts in zip(missing, self._texts(missing), strict=True):
                    known[place.key] = texts
                    file.write(json.dumps({"key": place.key, "texts": texts}, ensure_ascii=False) + "\n")
                file.flush()
                yield from ((place, known[place.key]) for place in part)

    def missing(self, places: Sequence[PairRequest]) -> list[PairRequest]:
        """The places that are not finished yet."""
        known = _read_kept(self._kept)
        return [place for place in places if place.key not in known]

    def _texts(self, places: Sequence[PairRequest]) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in places]
        for attempt in range(self._ROUNDS):
            asked = [
                (number, place.seed + 100 * attempt + more)
                for number, place in enumerate(places)
                for more in range(place.wanted - len(found[number]))
            ]
            if not asked:
                break
            texts = self._generate([(places[number].row.conversation, seed) for number, seed in asked])
            for (number, _), text in zip(asked, texts, strict=True):
                found[number] = distinct([*found[number], text], unlike=places[number].row.reply)
        return found


class RejectIfAffordable:
    """The untuned model's words where they can be had in the time there is, else templates, with a note why.

    A few places are timed, after a few others during which the model loads. seconds: what all may take. cannot: errors
    after which the model is given up.
    """

    _FEW = 4

    def __init__(
        self,
        model: RejectWithModel,
        *,
        seconds: float,
        cannot: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self._seconds, self._cannot, self._clock = model, seconds, cannot, clock
        self.note = ""

    @property
    def source(self) -> str:
        """Where the texts came from in the end."""
        return "templates" if self.note else "model"

    def __call__(self, places: Sequence[PairRequest]) -> Iterator[tuple[PairRequest, list[str]]]:
        """Ask the model where it answers in time; otherwise the replies come from the other source."""
        missing = self._model.missing(places)
        try:
            seconds = self._seconds_each(missing)
        except self._cannot as error:
            self.note = f"the untuned model cannot be asked ({error})"
        else:
            needed = seconds * max(len(missing) - 2 * self._FEW, 0)
            if needed > self._seconds:
                self.note = (
                    f"the untuned model would take about {needed / 60:.0f} minutes for {len(missing)} messages "
                    "(--rejected model takes the time, --max-pairs takes fewer messages)"
                )
        yield from reject_with_templates(places) if self.note else self._model(places)

    def _seconds_each(self, missing: Sequence[PairRequest]) -> float:
        few = self._FEW
        list(self._model(missing[:few]))
        timed = missing[few : 2 * few]
        started = self._clock()
        list(self._model(timed))
        return (self._clock() - started) / max(len(timed), 1)


def _read_kept(path: Path) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = parse_json(line)
                known[entry["key"]] = [str(text) for text in entry["texts"]]
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a run that was cut off
    return known
