"""What choosing among drafts costs and brings: the time of a reply with 1, 2 and 4 drafts, in turn, in one process; and
how far the chosen replies are from people beside the first ones. The scorer is fitted on one half of the sessions and
chooses in the other, so that no place is judged by what was learnt from it.

    python scripts/benchmark.py drafts --data PREPARED --places 120
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.evaluation.generation import GenerationSetup
    from model.evaluation.rows import EvaluationExample
    from model.inference import ChatModel

_COUNTS = (1, 2, 4)
_ROUNDS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="folder made by 2_prepare_training_data.py")
    parser.add_argument("--model", type=Path, help="a GGUF (default: the packaged one)")
    parser.add_argument("--adapter", type=Path, help="a GGUF LoRA on top of it")
    parser.add_argument("--places", type=int, default=120, help="places whose replies are compared; 0: only the times")
    parser.add_argument("--timed", type=int, default=24, help="places whose replies are timed; 0: none")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--workspace", type=Path, help="a workspace with an embedding model, for fit to context")
    parser.add_argument("--kept", type=Path, help="file of finished replies that a second run goes on from")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The times, then the likeness."""
    from model.catalog import offline_chat_model
    from model.draft_scorer import DraftScorer
    from model.evaluation.generation import GenerationSetup, write_answers
    from model.evaluation.rows import read_manifest, read_rows, spread
    from model.inference import GenerationOptions, close_model, get_model
    from storage.settings import HISTORY_MESSAGES, SYSTEM_PROMPT, TRANSCRIPT, Settings

    manifest = read_manifest(options.data)
    rows = [row for row in read_rows(options.data / "test.jsonl") if row.conversation.turns and row.reply.strip()]
    settings = Settings({}).for_layout(TRANSCRIPT)
    voice = GenerationSetup(
        GenerationOptions.from_settings(settings),
        settings[SYSTEM_PROMPT],
        settings[HISTORY_MESSAGES],
        0,
        layout=TRANSCRIPT,
        own_name=str(manifest.get("own_name") or "bot"),
    )
    path = options.model or offline_chat_model()
    asked = {"threads": options.threads, "adapter": options.adapter, "chat_template": TRANSCRIPT}
    model = get_model(path, **asked)
    figures: dict[str, Any] = {}
    try:
        if options.timed:
            # What it weighs is of no matter for the time.
            model.ask(lambda: setattr(model._loaded, "scorer", DraftScorer({"length": 0.0})))
            figures["latency"] = _latency(model, spread(rows, options.timed), voice)
        close_model()
        if options.places:
            model = get_model(path, at_once=8, **asked)
            places = spread(rows, options.places)
            drafts = [replace(row, id=f"{row.id}/{number}") for row in places for number in range(max(_COUNTS))]
            with tempfile.TemporaryDirectory() as folder:
                kept = options.kept or Path(folder) / "kept.jsonl"
                answers = write_answers(model, drafts, voice, kept=kept)
            texts = [answer.text for answer in answers]
            own = [texts[start : start + max(_COUNTS)] for start in range(0, len(texts), max(_COUNTS))]
            figures["likeness"] = _likeness(places, own, options.workspace)
            figures["places"] = len(places)
    finally:
        close_model()
    return figures


def _latency(
    model: ChatModel, rows: Sequence[EvaluationExample], voice: GenerationSetup
) -> dict[str, dict[str, float]]:
    """Milliseconds from the question to the reply, the prompt read before, as while a bot reads along."""
    import numpy as np

    from model.evaluation.generation import request_at

    totals: dict[int, list[float]] = {count: [] for count in _COUNTS}
    tokens: dict[int, list[int]] = {count: [] for count in _COUNTS}
    for number, row in enumerate(rows):
        for count in _COUNTS[number % len(_COUNTS) :] + _COUNTS[: number % len(_COUNTS)]:
            request = request_at(model, row, voice)
            request = replace(request, options=request.options.with_changes(drafts=count))
            model.prepare(request)
            model.wait_until_idle(timeout_seconds=60)
            started = time.perf_counter()
            reply = model.generate(request)
            totals[count].append((time.perf_counter() - started) * 1000)
            tokens[count].append(reply.reply_tokens)
            model.forget_channels([request.channel_id])
    return {
        str(count): {
            "p50_ms": float(np.percentile(totals[count], 50)),
            "p90_ms": float(np.percentile(totals[count], 90)),
            "mean_ms": float(np.mean(totals[count])),
            "tokens": float(np.mean(tokens[count])),
        }
        for count in _COUNTS
    }


def _likeness(
    rows: Sequence[EvaluationExample], own: Sequence[Sequence[str]], workspace: Path | None
) -> dict[str, dict[str, float]]:
    """By how many drafts there were: what tells the replies from people's. Chances are averaged over several rounds of
    drawing, for the same drafts."""
    import numpy as np

    from model.draft_scorer import lines_before
    from model.evaluation import context, detector
    from model.evaluation.draft_fit import fit_scorer
    from model.evaluation.features import extract
    from model.evaluation.places import places_of
    from model.evaluation.rows import Replies

    embed = None
    if workspace is not None:
        from model.embeddings import bulk_embedder
        from storage.paths import Workspace

        embed = bulk_embedder("all-MiniLM-L6-v2", Workspace.at(workspace)).embed
    sessions = tuple(row.session for row in rows)
    halves = {name: number % 2 for number, name in enumerate(dict.fromkeys(sessions))}
    side = np.array([halves[name] for name in sessions])
    scorers = []
    for half in (0, 1):
        learnt = np.flatnonzero(side != half).tolist()
        # Two drafts a place to learn from: nothing of a place that is chosen at.
        seen = [rows[i] for i in learnt for _ in range(2)]
        scorers.append(fit_scorer(seen, [own[i][number] for i in learnt for number in range(2)]))
    places = places_of(rows, embed)

    def features(texts: Sequence[str]) -> Any:
        vectors = embed([text or " " for text in texts]) if embed else None
        return extract(Replies(tuple(texts), sessions), vectors, places)

    people = features([row.reply for row in rows])

    def figures(texts: Sequence[str]) -> dict[str, float]:
        written = features(texts)
        found = {"auc": detector.auc(detector.character_scores(written, people), len(rows))}
        if embed:
            found["auc, meaning"] = detector.auc(detector.meaning_scores(written, people), len(rows))
            found["fit"] = context.fit(written, people)
        found["characters"] = float(np.median(written.characters))
        found["more than one line"] = float(np.mean(written.lines > 1))
        found["questions"] = float(np.mean([text.strip().endswith("?") for text in texts]))
        found["echoes"] = context.echo_rate(written, people)
        return found

    def chosen(count: int, start: int, seed: int, *, is_best: bool) -> list[str]:
        taken = []
        for i, row in enumerate(rows):
            drafts = [own[i][(start + number) % len(own[i])] for number in range(count)]
            drafts = [text for text in drafts if text.strip()] or drafts[:1]
            lines, scorer = lines_before(row.conversation), scorers[side[i]]
            if scorer is None:
                taken.append(drafts[0])
            elif is_best:
                taken.append(max(drafts, key=lambda text: scorer.score(lines, text)))
            else:
                taken.append(drafts[scorer.choose(lines, drafts, seed=seed * 10_000 + i)])
        return taken

    ways = {
        "1 draft": [[each[number] for each in own] for number in range(max(_COUNTS))],
        "2 drafts": [chosen(2, seed % 4, seed, is_best=False) for seed in range(_ROUNDS)],
        "4 drafts": [chosen(4, 0, seed, is_best=False) for seed in range(_ROUNDS)],
        "4 drafts, always the likeliest": [chosen(4, 0, 0, is_best=True)],
    }
    found = {name: [figures(texts) for texts in each] for name, each in ways.items()}
    found["people"] = [figures([row.reply for row in rows])]
    return {name: {key: float(np.mean([one[key] for one in each])) for key in each[0]} for name, each in found.items()}


def report(figures: dict[str, Any]) -> str:
    """Two tables."""
    lines = []
    if "latency" in figures:
        lines.append(f"{'drafts':<8}{'p50 ms':>9}{'p90 ms':>9}{'mean ms':>9}{'tokens':>8}")
    lines += [
        f"{count:<8}{each['p50_ms']:>9.0f}{each['p90_ms']:>9.0f}{each['mean_ms']:>9.0f}{each['tokens']:>8.1f}"
        for count, each in figures.get("latency", {}).items()
    ]
    for name, each in figures.get("likeness", {}).items():
        lines.append(f"{name:<32}" + ", ".join(f"{key} {value:.3f}" for key, value in each.items()))
    if "places" in figures:
        lines.append(f"{figures['places']} places")
    return "\n".join(lines)
