"""Does the bot drift? From a real opening, it and replayed people alternate for ten turns, and it answers with its own
earlier words in front of it.

After the self-directed Turing test (Wu et al., "X-TURING: Towards an Enhanced and Efficient Turing Test for Long-Term
Dialogue Agents", arXiv:2408.09853), where a model keeps up a long dialogue before it is judged. There it plays both
sides; here people's lines are real ones, in the order in which they were said, so that only one side can drift. They
answer what was really said and not the bot: figures fall for that alone, the more so for fit, and people's own beside
them do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.evaluation import context, detector
from model.evaluation.comparison import Estimate
from model.evaluation.features import Features, extract
from model.evaluation.generation import GenerationSetup, write_answers
from model.evaluation.places import Embed, as_shown, places_of
from model.evaluation.report import Drift, DriftTurn
from model.evaluation.resampling import SEED, members_of, resample
from model.evaluation.rows import EvaluationExample, Replies
from storage.records import Conversation, Turn

if TYPE_CHECKING:
    from model.inference import ChatModel

TURNS = 10
MOST_DIALOGUES = 40
# With fewer, a figure for one turn says nothing at all.
LEAST_DIALOGUES = 8
# Of a place whose conversation is a new one.
_NEWEST_TURNS = 2
_ROUNDS = 300
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Seat:
    """One turn of the bot's: the real place it takes, and what people said since its turn before."""

    place: EvaluationExample
    heard: tuple[Turn, ...]


Dialogue = tuple[Seat, ...]


def choose_dialogues(
    rows: Sequence[EvaluationExample], *, count: int = MOST_DIALOGUES, turns: int = TURNS
) -> list[Dialogue]:
    """Dialogues that share no place, spread over the whole time. rows: all places of a split, oldest first."""
    channels: dict[int, list[EvaluationExample]] = {}
    for row in rows:
        if row.conversation.turns:
            channels.setdefault(row.channel_id, []).append(row)
    found: list[Dialogue] = []
    for places in channels.values():
        seats = _seats(places)
        found += [tuple(seats[start : start + turns]) for start in range(0, len(seats) - turns + 1, turns)]
    step = max(1.0, len(found) / count)
    return [found[int(number * step)] for number in range(min(count, len(found)))]


def _seats(places: Sequence[EvaluationExample]) -> list[Seat]:
    """The places in a row at which somebody else has spoken since the one before."""
    seats: list[Seat] = []
    for place in places:
        heard = _heard(place, seats[-1].place if seats else None)
        if heard:
            seats.append(Seat(place, heard))
    return seats


def _heard(place: EvaluationExample, before: EvaluationExample | None) -> tuple[Turn, ...]:
    turns = place.conversation.turns
    if before is not None and before.session == place.session:
        said = [number for number, turn in enumerate(turns) if turn.text == before.reply]
        if said:
            return turns[said[-1] + 1 :]
    return turns[-_NEWEST_TURNS:]


def play(
    model: ChatModel,
    dialogues: Sequence[Dialogue],
    voice: GenerationSetup,
    *,
    known: Collection[str] = (),
    kept: Path | None = None,
    report: Progress = lambda _fraction, _step: None,
) -> list[list[EvaluationExample]]:
    """By turn and dialogue: the place as the bot saw it, with what it said there as `reply`.

    One turn of all dialogues is written together. known: who may be mentioned, as its words are shown.
    kept: file of finished replies, from which a stopped run goes on.
    """
    said: list[list[EvaluationExample]] = []
    turns = len(dialogues[0]) if dialogues else 0
    for turn in range(turns):
        asked = [
            _place(dialogue, turn, [one[number].reply for one in said], number)
            for number, dialogue in enumerate(dialogues)
        ]
        recalled = {
            place.id: voice.recalled.get(dialogue[turn].place.id, ())
            for place, dialogue in zip(asked, dialogues, strict=True)
        }
        answers = write_answers(
            model, asked, replace(voice, recalled=recalled), kept=kept, report=_part(report, turn, turns)
        )
        said.append(
            [replace(place, reply=as_shown(answer.text, known)) for place, answer in zip(asked, answers, strict=True)]
        )
    return said


def _place(dialogue: Dialogue, turn: int, said: Sequence[str], number: int) -> EvaluationExample:
    """The bot's place at a turn (from 0): the opening, then its own words and people's in turn."""
    seat = dialogue[turn]
    talk = list(dialogue[0].place.conversation.turns)
    for text, later in zip(said, dialogue[1 : turn + 1], strict=True):
        talk += [Turn("", text, is_self=True)] if text else []
        talk += [replace(line, is_self=False) for line in later.heard]
    return EvaluationExample(
        f"{dialogue[0].place.id}/{turn + 1}/{seat.place.id}",
        seat.place.channel_id,
        f"dialogue {number}",
        Conversation(tuple(talk)),
        seat.place.reply,
    )


def measure(dialogues: Sequence[Dialogue], said: Sequence[Sequence[EvaluationExample]], embed: Embed | None) -> Drift:
    """Detector AUC and fit by turn, and how both change from the first turn to the last.

    One detector is trained for all turns, on other dialogues than it is asked about: one for each would have too little
    to learn from.
    """
    bot = [place for one in said for place in one]
    people = [
        replace(dialogue[turn].place, session=place.session) for turn, dialogue, place in _by_turn(dialogues, said)
    ]
    written, real = _features(bot, embed), _features(people, embed)
    detectors = [detector.character_scores] + ([detector.meaning_scores] if embed else [])
    count, turns = len(dialogues), len(said)
    wins = [_wins(score(written, real).reshape(2, turns, count)) for score in detectors]
    fits = [context.fits(side) if embed else None for side in (written, real)]

    def aucs(drawn: np.ndarray) -> np.ndarray:
        # The better detector of all turns together: choosing anew in each turn would favour noise.
        each = [win[:, drawn][:, :, drawn].mean(axis=(1, 2)) for win in wins]
        return max(each, key=lambda values: float(values.mean()))

    def mean_fits(drawn: np.ndarray) -> list[np.ndarray | None]:
        return [None if fit is None else fit.reshape(turns, count)[:, drawn].mean(axis=1) for fit in fits]

    everybody = np.arange(count)
    generator = np.random.default_rng(SEED)
    members = members_of([f"{number}" for number in range(count)])
    draws = [resample(members, generator) for _ in range(_ROUNDS)]
    drawn_aucs = np.array([aucs(drawn) for drawn in draws])
    found, (bot_fit, people_fit) = aucs(everybody), mean_fits(everybody)
    low, high = np.percentile(drawn_aucs, (2.5, 97.5), axis=0)
    fit_change = None
    if bot_fit is not None:
        drawn_fits = [mean_fits(drawn)[0] for drawn in draws]
        fit_change = _change(bot_fit, np.array(drawn_fits))
    return Drift(
        count,
        tuple(
            DriftTurn(
                turn + 1,
                Estimate(float(found[turn]), float(low[turn]), float(high[turn])),
                None if bot_fit is None else float(bot_fit[turn]),
                None if people_fit is None else float(people_fit[turn]),
            )
            for turn in range(turns)
        ),
        _change(found, drawn_aucs),
        fit_change,
    )


def _by_turn(
    dialogues: Sequence[Dialogue], said: Sequence[Sequence[EvaluationExample]]
) -> list[tuple[int, Dialogue, EvaluationExample]]:
    return [
        (turn, dialogue, place)
        for turn, places in enumerate(said)
        for dialogue, place in zip(dialogues, places, strict=True)
    ]


def _features(places: Sequence[EvaluationExample], embed: Embed | None) -> Features:
    replies = Replies(tuple(place.reply for place in places), tuple(place.session for place in places))
    vectors = None if embed is None else embed([text or " " for text in replies.texts])
    return extract(replies, vectors, places_of(places, embed))


def _wins(scores: np.ndarray) -> np.ndarray:
    """(turns, dialogues, dialogues): where the bot's reply looks more suspicious than a real one of the same turn; ties
    count half. scores: (2, turns, dialogues), the bot's and people's. The mean over any of them is their AUC."""
    bot, people = scores[0][:, :, None], scores[1][:, None, :]
    return np.where(bot > people, 1.0, np.where(bot == people, 0.5, 0.0))


def _change(values: np.ndarray, drawn: np.ndarray) -> Estimate:
    """From the first turn to the last by the straight line through all of them, which is steadier than its ends."""
    change = _slope(values) * (len(values) - 1)
    changes = [_slope(each) * (len(values) - 1) for each in drawn]
    low, high = np.percentile(changes, (2.5, 97.5))
    return Estimate(float(change), float(low), float(high))


def _slope(values: np.ndarray) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0]) if len(values) > 1 else 0.0


def _part(report: Progress, turn: int, turns: int) -> Progress:
    return lambda fraction, _step: report((turn + fraction) / turns, f"Long dialogues, turn {turn + 1} of {turns}")
