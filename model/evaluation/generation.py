"""A model writes: the same prompt, window and sampling as the live bot, one place of the test split after another.

Finished replies are kept in a file, so an evaluation that was stopped goes on where it was.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.evaluation.memory import Canary, is_told
from model.evaluation.report import Speed
from model.evaluation.rows import Row
from storage.records import Conversation, Turn

if TYPE_CHECKING:
    from model.inference import ChatModel, GenerationOptions

_SEED = 1000
_DEADLINE_SECONDS = 3600.0
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """One written reply with what it cost; log_probabilities are those of the real reply's tokens."""

    row_id: str
    text: str
    reply_tokens: int
    first_token_ms: float
    total_ms: float
    log_probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Voice:
    """How a model is asked: options and system prompt as the live bot's settings have them, recall per place."""

    options: GenerationOptions
    system_prompt: str
    keep_turns: int
    recall_tokens: int
    recalled: Sequence[tuple[Turn, ...]] = ()


def write_answers(model: ChatModel, rows: Sequence[Row], voice: Voice, *, kept: Path | None = None,
                  scored_rows: int = 0, report: Progress = lambda _fraction, _step: None) -> list[Answer]:
    """An answer to every row, in order. kept: file that finished ones are added to and read back from.

    scored_rows: for the first so many rows the real reply's log-probabilities are taken as well.
    """
    answers = read_answers(kept) if kept else {}
    for number, row in enumerate(rows):
        known = answers.get(row.id)
        if known is not None and (known.log_probabilities or number >= scored_rows):
            continue
        report(number / len(rows), f"{model.name} writes")
        answers[row.id] = answer_at(model, row, number, voice, is_scored=number < scored_rows)
        if kept:
            _keep(kept, answers[row.id])
    return [answers[row.id] for row in rows]


def read_answers(path: Path) -> dict[str, Answer]:
    """What an earlier run finished; a last line cut off by a crash is left out."""
    found: dict[str, Answer] = {}
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record: dict[str, Any] = json.loads(line)
            record["log_probabilities"] = tuple(record["log_probabilities"])
            found[record["row_id"]] = Answer(**record)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def conversation_of(row: Row, recalled: tuple[Turn, ...], *, budget: int, count_tokens: Callable[[str], int],
                    ) -> Conversation:
    """The row's talk with recalled lines that fit into the live bot's budget."""
    from model.prompts import cap_recalled

    return replace(row.conversation, recalled=cap_recalled(recalled, budget=budget, count_tokens=count_tokens))


def tell_canaries(model: ChatModel, canaries: Sequence[Canary], voice: Voice, *,
                  report: Progress = lambda _fraction, _step: None) -> tuple[tuple[int, int, int], ...]:
    """Ask for every planted secret; (times planted, told, asked), rarest first.

    Once without chance, which says what the model holds likeliest, and three times with the live sampling.
    """
    from model.inference import ReplyRequest

    counts: dict[int, tuple[int, int]] = {}
    for number, canary in enumerate(canaries):
        report(number / len(canaries), "Asking for planted secrets")
        conversation = Conversation((Turn("mia", canary.prompt),))
        options = [replace(voice.options, temperature=0.0, seed=1),
                   *(replace(voice.options, seed=_SEED + attempt) for attempt in range(3))]
        is_out = any(is_told(canary, model.generate(ReplyRequest(
            conversation, each, voice.system_prompt, 2, deadline_seconds=_DEADLINE_SECONDS)).text) for each in options)
        told, asked = counts.get(canary.count, (0, 0))
        counts[canary.count] = (told + is_out, asked + 1)
    return tuple((count, *counts[count]) for count in sorted(counts))


def speed_of(answers: Sequence[Answer], *, load_seconds: float, memory_bytes: int) -> Speed:
    """Percentiles over the answers that were written."""
    spoken = [answer for answer in answers if answer.total_ms > 0]
    totals = np.array([answer.total_ms for answer in spoken] or [0.0])
    decode_seconds = sum(max(0.0, answer.total_ms - answer.first_token_ms) for answer in spoken) / 1000
    tokens = sum(max(0, answer.reply_tokens - 1) for answer in spoken)
    p50, p95, p99 = (float(value) for value in np.percentile(totals, (50, 95, 99)))
    return Speed(tokens / decode_seconds if decode_seconds else 0.0,
                 float(np.median([answer.first_token_ms for answer in spoken] or [0.0])),
                 p50, p95, p99, load_seconds, memory_bytes, len(spoken))


def answer_at(model: ChatModel, row: Row, number: int, voice: Voice, *, is_scored: bool = False) -> Answer:
    """The reply at row `number`; is_scored: with the log-probabilities of what was really said there."""
    from model.inference import ReplyRequest

    recalled = voice.recalled[number] if number < len(voice.recalled) else ()
    conversation = conversation_of(row, recalled, budget=voice.recall_tokens, count_tokens=model.count_tokens)
    reply = model.generate(ReplyRequest(
        conversation, replace(voice.options, seed=_SEED + number), voice.system_prompt, 1,
        deadline_seconds=_DEADLINE_SECONDS, keep_turns=voice.keep_turns))
    # The next place may be of another channel: nothing of this one may be in its window.
    model.forget_channel(1)
    scored = tuple(model.log_probabilities(conversation, row.reply, voice.system_prompt)) if is_scored else ()
    return Answer(row.id, reply.text.strip(), reply.reply_tokens, reply.first_token_ms, reply.total_ms, scored)


def _keep(path: Path, answer: Answer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        # The break comes first: a line cut off by a crash must not swallow this one.
        file.write("\n" + json.dumps(asdict(answer), ensure_ascii=False))
