"""A model writes: the same prompt, window and sampling as the live bot, at every place of the test split.

Several replies are written together, a token of each at a time, so that the model's weights are read once for all.

Finished replies are kept in a file, so an evaluation that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.evaluation.memory import CanaryProbe, is_told
from model.evaluation.report import Speed
from model.evaluation.resampling import range_of
from model.evaluation.rows import EvaluationExample, spread
from storage.records import Conversation, Turn
from storage.settings import CHAT
from storage.stored_json import parse_json

if TYPE_CHECKING:
    from model.inference import ChatModel, GenerationOptions, Reply, ReplyRequest

_SEED = 1000
_CHANNEL = 1
_DEADLINE_SECONDS = 3600.0
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """One written reply with what it cost; log_probabilities are those of the real reply's tokens. recalled: a mark of
    the lines it was written with."""

    row_id: str
    text: str
    reply_tokens: int
    first_token_ms: float
    total_ms: float
    log_probabilities: tuple[float, ...] = ()
    recalled: int = 0


@dataclass(frozen=True)
class GenerationSetup:
    """How a model is asked: options and system prompt as the live bot's settings have them, recall per place."""

    options: GenerationOptions
    system_prompt: str
    keep_turns: int
    recall_tokens: int
    recalled: Mapping[str, tuple[Turn, ...]] = field(default_factory=dict)
    layout: str = CHAT
    own_name: str = ""


def write_answers(
    model: ChatModel,
    rows: Sequence[EvaluationExample],
    voice: GenerationSetup,
    *,
    kept: Path | None = None,
    scored_rows: int = 0,
    timed_rows: int = 0,
    report: Progress = lambda _fraction, _step: None,
) -> list[Answer]:
    """An answer to every row, in order. kept: file that finished ones are added to and read back from.

    scored_rows: at so many rows, evenly over all of them, the real reply's log-probabilities are taken as well.
    timed_rows: at so many, the reply is written by itself and timed; the others are written several at once, as many as
    the model was loaded for, and have no times. Every place draws from a seed of its own, whoever is beside it.
    """
    answers = read_answers(kept) if kept else {}
    for row in rows:
        if row.id in answers and answers[row.id].recalled != _mark(voice.recalled.get(row.id, ())):
            del answers[row.id]
    scored = {row.id for row in spread(rows, scored_rows)} if scored_rows else set()
    timed = {row.id for row in spread(rows, timed_rows)} if timed_rows else set()

    def is_missing(row: EvaluationExample) -> bool:
        known = answers.get(row.id)
        return known is None or bool(row.id in scored and not known.log_probabilities)

    missing = [row for row in rows if is_missing(row)]
    groups = [[row] for row in missing if row.id in timed]
    groups += _groups([row for row in missing if row.id not in timed], model.at_once, scored)
    done = len(rows) - len(missing)
    for group in groups:
        report(done / len(rows), f"{model.name} writes")
        for answer in _answers_to(model, group, voice, answers, scored):
            # How long one of several took says nothing about the bot, which writes one.
            alone = answer if answer.row_id in timed else replace(answer, first_token_ms=0.0, total_ms=0.0)
            answers[answer.row_id] = alone
            if kept:
                _keep(kept, alone)
        done += len(group)
    # An earlier run may have scored others: every model is scored at the same places.
    return [answers[row.id] if row.id in scored else replace(answers[row.id], log_probabilities=()) for row in rows]


def _groups(rows: Sequence[EvaluationExample], at_once: int, scored: Collection[str]) -> list[list[EvaluationExample]]:
    """Rows to be written together. Those that are scored come in groups small enough that their prompts are still in
    memory afterwards; the others in larger ones, in which a long reply holds nobody up."""
    both = (
        ([row for row in rows if row.id in scored], at_once),
        ([row for row in rows if row.id not in scored], 3 * at_once),
    )
    return [list(some[start : start + size]) for some, size in both for start in range(0, len(some), size)]


def _answers_to(
    model: ChatModel,
    rows: Sequence[EvaluationExample],
    voice: GenerationSetup,
    known: Mapping[str, Answer],
    scored: Collection[str],
) -> list[Answer]:
    """The replies at some rows, each in a channel of its own; none of it is in the model's memory afterwards."""
    requests = {row.id: request_at(model, row, voice, channel_id=number) for number, row in enumerate(rows, _CHANNEL)}
    waiting = {row.id: model.submit(requests[row.id]) for row in rows if row.id not in known}
    try:
        found = []
        for row in rows:
            answer = known[row.id] if row.id in known else _answer(row, waiting[row.id].result(), voice)
            found.append(answer)
        return [
            replace(answer, log_probabilities=tuple(model.log_probabilities(requests[row.id], row.reply)))
            if row.id in scored
            else answer
            for row, answer in zip(rows, found, strict=True)
        ]
    finally:
        for future in waiting.values():
            future.cancel()
        # The next place may be of another channel: nothing of this one may be in its window.
        model.forget_channels([request.channel_id for request in requests.values()])


def read_answers(path: Path) -> dict[str, Answer]:
    """What an earlier run finished; a last line cut off by a crash is left out."""
    found: dict[str, Answer] = {}
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record: dict[str, Any] = parse_json(line)
            record["log_probabilities"] = tuple(record["log_probabilities"])
            found[record["row_id"]] = Answer(**record)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def tell_canaries(
    model: ChatModel,
    canaries: Sequence[CanaryProbe],
    voice: GenerationSetup,
    *,
    report: Progress = lambda _fraction, _step: None,
) -> tuple[tuple[int, int, int], ...]:
    """Ask for every planted secret; (times planted, told, asked), rarest first.

    Once without chance, which says what the model holds likeliest, and three times with the live sampling.
    """
    from model.inference import ReplyRequest

    counts: dict[int, tuple[int, int]] = {}
    for number, canary in enumerate(canaries):
        report(number / len(canaries), "Asking for planted secrets")
        conversation = Conversation((Turn("mia", canary.prompt),))
        options = [
            replace(voice.options, temperature=0.0, seed=1),
            *(replace(voice.options, seed=_SEED + attempt) for attempt in range(3)),
        ]
        is_out = any(
            is_told(
                canary,
                model.generate(
                    ReplyRequest(conversation, each, voice.system_prompt, 2, deadline_seconds=_DEADLINE_SECONDS)
                ).text,
            )
            for each in options
        )
        told, asked = counts.get(canary.count, (0, 0))
        counts[canary.count] = (told + is_out, asked + 1)
    return tuple((count, *counts[count]) for count in sorted(counts))


def speed_of(answers: Sequence[Answer], *, load_seconds: float, memory_bytes: int) -> Speed:
    """Percentiles over the answers that were written, with intervals over replies; loading is one reading."""
    spoken = [answer for answer in answers if answer.total_ms > 0]
    if not spoken:
        return Speed(0.0, 0.0, 0.0, 0.0, 0.0, load_seconds, memory_bytes, 0)
    totals = np.array([answer.total_ms for answer in spoken], dtype=np.float64)
    firsts = np.array([answer.first_token_ms for answer in spoken], dtype=np.float64)
    tokens = np.array([max(0, answer.reply_tokens - 1) for answer in spoken], dtype=np.float64)

    def rate(index: np.ndarray) -> float:
        seconds = float(np.maximum(totals[index] - firsts[index], 0.0).sum()) / 1000
        return float(tokens[index].sum()) / seconds if seconds else 0.0

    figures: dict[str, Callable[[np.ndarray], float]] = {
        "tokens_per_second": rate,
        "first_token_ms": lambda index: float(np.median(firsts[index])),
        "p50_ms": lambda index: float(np.percentile(totals[index], 50)),
        "p95_ms": lambda index: float(np.percentile(totals[index], 95)),
        "p99_ms": lambda index: float(np.percentile(totals[index], 99)),
    }
    everything, replies = np.arange(len(spoken)), [answer.row_id for answer in spoken]
    return Speed(
        **{name: figure(everything) for name, figure in figures.items()},
        load_seconds=load_seconds,
        memory_bytes=memory_bytes,
        replies_counted=len(spoken),
        ranges={name: range_of(figure, replies) for name, figure in figures.items()},
    )


def answer_at(model: ChatModel, row: EvaluationExample, voice: GenerationSetup) -> Answer:
    """The reply at a row."""
    return _answers_to(model, [row], voice, {}, ())[0]


def _answer(row: EvaluationExample, reply: Reply, voice: GenerationSetup) -> Answer:
    return Answer(
        row.id,
        reply.text.strip(),
        reply.reply_tokens,
        reply.first_token_ms,
        reply.total_ms,
        recalled=_mark(voice.recalled.get(row.id, ())),
    )


def request_at(
    model: ChatModel, row: EvaluationExample, voice: GenerationSetup, *, channel_id: int = _CHANNEL
) -> ReplyRequest:
    """What the live bot would ask its model for at this row: the talk, lines recalled within their budget, options."""
    from data.chat.recall import cap_recalled
    from model.inference import ReplyRequest

    recalled = cap_recalled(voice.recalled.get(row.id, ()), budget=voice.recall_tokens, count_tokens=model.count_tokens)
    # The same place draws the same way, whichever places are asked beside it.
    seed = zlib.crc32(row.id.encode())
    return ReplyRequest(
        replace(row.conversation, recalled=recalled, own_name=voice.own_name),
        replace(voice.options, seed=seed),
        voice.system_prompt,
        channel_id,
        deadline_seconds=_DEADLINE_SECONDS,
        keep_turns=voice.keep_turns,
    )


def _mark(recalled: tuple[Turn, ...]) -> int:
    return zlib.crc32("\n".join(f"{turn.name}: {turn.text}" for turn in recalled).encode())


def _keep(path: Path, answer: Answer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        # The break comes first: a line cut off by a crash must not swallow this one.
        file.write("\n" + json.dumps(asdict(answer), ensure_ascii=False))
