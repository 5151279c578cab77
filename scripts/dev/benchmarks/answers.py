"""How long an evaluation's replies take: written one by one with the prompt read twice where a real reply is scored, as
before version 1.2, and together as now. The same places in turn, in one process, so that a busy computer slows both.

    python scripts/benchmark.py answers --data PREPARED --places 48
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.evaluation.generation import Answer, GenerationSetup
    from model.evaluation.rows import EvaluationExample
    from model.inference import ChatModel

_BLOCK = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="folder made by 2_prepare_training_data.py")
    parser.add_argument("--model", type=Path, help="a GGUF (default: the packaged one)")
    parser.add_argument("--places", type=int, default=48)
    parser.add_argument("--scored-share", type=float, default=0.375, help="of the places (a report's 150 of 400)")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both ways, block by block, in turn the one and the other first."""
    from model.catalog import offline_chat_model
    from model.evaluation.generation import GenerationSetup, write_answers
    from model.evaluation.rows import read_manifest, read_rows, spread
    from model.inference import GenerationOptions, close_model, get_model
    from storage.settings import HISTORY_MESSAGES, SYSTEM_PROMPT, TRANSCRIPT, Settings

    manifest = read_manifest(options.data)
    rows = spread([row for row in read_rows(options.data / "test.jsonl") if row.conversation.turns], options.places)
    settings = Settings({}).for_layout(TRANSCRIPT)
    voice = GenerationSetup(
        GenerationOptions.from_settings(settings),
        settings[SYSTEM_PROMPT],
        settings[HISTORY_MESSAGES],
        0,
        layout=TRANSCRIPT,
        own_name=str(manifest.get("own_name") or "bot"),
    )
    model = get_model(
        options.model or offline_chat_model(),
        threads=options.threads,
        at_once=options.at_once,
        chat_template=TRANSCRIPT,
    )
    scored_in = max(1, round(_BLOCK * options.scored_share))
    ways: dict[str, Callable[[Sequence[EvaluationExample]], list[Answer]]] = {
        "one by one": lambda block: _one_by_one(model, block, voice, scored_in),
        "together": lambda block: write_answers(model, block, voice, scored_rows=scored_in),
    }
    spent = {name: [0.0, 0.0] for name in ways}
    written: dict[str, list[Answer]] = {name: [] for name in ways}
    try:
        write_answers(model, rows[:1], voice)  # the system prompt, and pages from the disk
        for number, start in enumerate(range(0, len(rows), _BLOCK)):
            for name in sorted(ways, reverse=bool(number % 2)):
                wall, processor = time.perf_counter(), time.process_time()
                written[name] += ways[name](rows[start : start + _BLOCK])
                spent[name][0] += time.perf_counter() - wall
                spent[name][1] += time.process_time() - processor
    finally:
        close_model()
    first, second = written["one by one"], written["together"]
    return {
        "places": len(rows),
        "at_once": options.at_once,
        "seconds": {name: wall for name, (wall, _) in spent.items()},
        "processor_seconds": {name: processor for name, (_, processor) in spent.items()},
        "same_replies": sum(a.text == b.text for a, b in zip(first, second, strict=True)) / max(len(rows), 1),
        "mean_characters": {
            name: sum(len(answer.text) for answer in each) / len(each) for name, each in written.items()
        },
        "perplexity": {name: _perplexity(each) for name, each in written.items()},
    }


def report(figures: dict[str, Any]) -> str:
    """A table."""
    lines = [
        f"{figures['places']} places, {figures['at_once']} replies at once",
        f"{'written':<14}{'seconds':>9}{'processor':>11}{'characters':>12}{'perplexity':>12}",
    ]
    lines += [
        f"{name:<14}{figures['seconds'][name]:>9.1f}{figures['processor_seconds'][name]:>11.1f}"
        f"{figures['mean_characters'][name]:>12.1f}{figures['perplexity'][name]:>12.2f}"
        for name in figures["seconds"]
    ]
    wall, processor = (
        figures[key]["one by one"] / max(figures[key]["together"], 1e-9) for key in ("seconds", "processor_seconds")
    )
    lines.append(
        f"together is {wall:.2f} times as quick ({processor:.2f} times by processor time); "
        f"{figures['same_replies']:.0%} of the replies are the same to the letter"
    )
    return "\n".join(lines)


def _one_by_one(
    model: ChatModel, rows: Sequence[EvaluationExample], voice: GenerationSetup, scored_rows: int
) -> list[Answer]:
    """As it was: nothing of a place is left when its real reply is scored."""
    from dataclasses import replace

    from model.evaluation.generation import answer_at, request_at
    from model.evaluation.rows import spread

    scored = {row.id for row in spread(rows, scored_rows)}
    answers = []
    for row in rows:
        answer = answer_at(model, row, voice)
        if row.id in scored:
            known = tuple(model.log_probabilities(request_at(model, row, voice), row.reply))
            answer = replace(answer, log_probabilities=known)
        answers.append(answer)
    return answers


def _perplexity(answers: Sequence[Answer]) -> float:
    values = [value for answer in answers for value in answer.log_probabilities]
    return math.exp(-sum(values) / max(len(values), 1))
