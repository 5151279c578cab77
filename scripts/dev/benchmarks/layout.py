"""Which order of the prompt leaves less to compute, and what it costs in relevance.

A: recall block after the newest message (layout 1). B: recall block before the newest message, looked up for the
conversation so far ("standing recall", layout 2). Reported for replayed chat:

- tokens left to prefill when a reply is due, p50 and mean, with everything before prefilled as it arrived, beside a
  naive chat completion (retrieved lines in the system message, last 5 messages, longest common prefix reused);
- relevance of the recalled lines: cosine to what was really said next, and the loss of the small model on it.

    python scripts/benchmark.py layout --data messages.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

HISTORY = 5
RECALL_TOKENS = (40, 60, 100)
LOSS_TOKENS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="JSON lines of Discord message objects")
    parser.add_argument("--samples", type=int, default=300, help="replies to look at")
    parser.add_argument("--losses", type=int, default=80, help="replies to take the model's loss on")
    parser.add_argument("--messages", type=int, default=4500, help="the newest ones to use")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both orders; returns the figures."""
    import numpy as np

    from model.embeddings import bulk_embedder
    from model.prompts import Piece, recall_pieces, system_pieces, tokenise, turn_pieces
    from storage.paths import Workspace
    from storage.records import Turn
    from storage.settings import DEFAULT_SYSTEM_PROMPT

    chat = _Chat()
    template = chat.template
    channels = {channel: turns[-options.messages // 3 :] for channel, turns in _read(options.data).items()}
    model = bulk_embedder("all-MiniLM-L6-v2", Workspace.at(None))
    lines = [(channel, index) for channel, turns in channels.items() for index in range(len(turns))]
    texts = [channels[channel][index].text for channel, index in lines]
    print(f"embedding {len(texts)} messages ...", file=sys.stderr, flush=True)
    vectors = model.embed(texts)
    place = {line: row for row, line in enumerate(lines)}
    rows_of = {channel: np.array([place[channel, i] for i in range(len(turns))]) for channel, turns in channels.items()}

    rng = random.Random(5)
    points = [line for line in lines if 300 <= line[1] < len(channels[line[0]]) - 1 and len(texts[place[line]]) >= 3]
    points = rng.sample(points, options.samples)
    queries: dict[str, list[str]] = {"newest": [], "newest+context": [], "standing": []}
    for channel, index in points:
        said = [turn.text for turn in channels[channel][index - 3 : index + 1]]
        queries["newest"].append(said[-1])
        queries["newest+context"].append("\n".join(said[-3:]))
        queries["standing"].append("\n".join(said[:-1]))
    encoded = {name: model.embed(texts_) for name, texts_ in queries.items()}

    def recalled(channel: int, index: int, query: Any, budget: int) -> list[Turn]:
        rows = rows_of[channel][: index - 30]
        best = np.argsort(-(vectors[rows] @ query))[:12]
        kept: list[Turn] = []
        for row in best:
            turn = channels[channel][int(row)]
            cost = chat.count(f"{turn.name}: {turn.text}\n")
            if len(turn.text) >= 8 and cost <= budget and len(kept) < 4:
                kept.append(turn)
                budget -= cost
        return kept

    left: dict[str, list[int]] = defaultdict(list)
    relevance: dict[str, list[float]] = defaultdict(list)
    losses: dict[str, list[float]] = defaultdict(list)
    for number, (channel, index) in enumerate(points):
        history, newest, answer = (
            channels[channel][index - HISTORY : index],
            channels[channel][index],
            channels[channel][index + 1],
        )
        cue = [Piece(template.cue, True)]
        cue_tokens, newest_tokens = chat.count_pieces(cue), chat.count_pieces(turn_pieces([newest], template))
        left["A or B, no recall"].append(newest_tokens + cue_tokens)
        for budget in RECALL_TOKENS:
            block = recall_pieces(recalled(channel, index, encoded["newest"][number], budget), template)
            left[f"A, recall {budget}"].append(chat.count_pieces(block) + newest_tokens + cue_tokens)
            left[f"A, recall {budget}, newest read ahead"].append(chat.count_pieces(block) + cue_tokens)
            left[f"B, recall {budget}"].append(newest_tokens + cue_tokens)
        left["naive, 100"].append(chat.naive(history, newest, recalled(channel, index, encoded["newest"][number], 100)))
        left["naive, no recall"].append(chat.naive(history, newest, []))
        target = vectors[place[channel, index + 1]]
        picks = {name: recalled(channel, index, encoded[name][number], 100) for name in queries}
        picks["random"] = [channels[channel][i] for i in rng.sample(range(index - 30), 4)]
        for name, chosen in picks.items():
            similar = model.embed([turn.text for turn in chosen]) @ target if chosen else np.zeros(1)
            relevance[name].append(float(similar.max()))
        if number >= options.losses:
            continue
        base, before, new = (
            system_pieces(DEFAULT_SYSTEM_PROMPT, template),
            turn_pieces(history, template),
            turn_pieces([newest], template),
        )
        orders = {
            "no recall": base + before + new,
            "A: newest query, block last": base + before + new + recall_pieces(picks["newest"], template),
            "A: context query, block last": base + before + new + recall_pieces(picks["newest+context"], template),
            "B: standing query, block before newest": base + before + recall_pieces(picks["standing"], template) + new,
            "B: random lines": base + before + recall_pieces(picks["random"], template) + new,
        }
        for name, pieces in orders.items():
            losses[name].append(chat.loss(tokenise(pieces + cue, chat.encode), answer.text))
        print(f"\r{number + 1}/{options.losses} losses", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    chat.close()
    naive = statistics.median(left["naive, 100"])
    return {
        "replies": len(points),
        "tokens_left": {
            name: {
                "p50": statistics.median(v),
                "mean": round(statistics.mean(v), 1),
                "ratio_p50": round(statistics.median(v) / naive, 3),
                "ratio_mean": round(statistics.mean(v) / statistics.mean(left["naive, 100"]), 3),
            }
            for name, v in left.items()
        },
        "best_cosine_to_what_came_next": {name: round(statistics.mean(v), 4) for name, v in relevance.items()},
        "cosine_difference_to_random_standard_error": _standard_errors(relevance, "random"),
        "loss_per_token_on_what_came_next": {name: round(statistics.mean(v), 4) for name, v in losses.items()},
        "loss_difference_to_no_recall_standard_error": _standard_errors(losses, "no recall"),
    }


def _standard_errors(found: dict[str, list[float]], base: str) -> dict[str, float]:
    """Of each one's mean difference to `base`, place by place."""
    return {
        name: round(statistics.stdev([a - b for a, b in zip(values, found[base], strict=True)]) / len(values) ** 0.5, 4)
        for name, values in found.items()
        if name != base and len(values) > 1
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as a table for people."""
    out = [
        f"{figures['replies']} replies",
        "",
        f"{'tokens left':44} {'p50':>6} {'mean':>7} {'p50/naive':>10} {'mean/naive':>10}",
    ]
    for name, row in figures["tokens_left"].items():
        out.append(f"{name:44} {row['p50']:6.0f} {row['mean']:7.1f} {row['ratio_p50']:10.3f} {row['ratio_mean']:10.3f}")
    for key in (
        "best_cosine_to_what_came_next",
        "cosine_difference_to_random_standard_error",
        "loss_per_token_on_what_came_next",
        "loss_difference_to_no_recall_standard_error",
    ):
        out += ["", key.replace("_", " ")] + [f"  {name:44} {value:.4f}" for name, value in figures[key].items()]
    return "\n".join(out)


def _read(path: Path) -> dict[int, list[Any]]:
    """Messages of people by channel, oldest first, mentions as names."""
    from data.chat.markup import to_model_text
    from storage.records import Turn

    channels: dict[int, list[Any]] = defaultdict(list)
    rows = sorted((json.loads(line) for line in path.open(encoding="utf-8")), key=lambda row: int(row["id"]))
    names = {int(row["author"]["id"]): row["author"].get("global_name") or row["author"]["username"] for row in rows}
    for row in rows:
        if row["author"].get("bot") or not row["content"].strip():
            continue
        text = to_model_text(row["content"], member_names=names)
        channels[int(row["channel_id"])].append(Turn(names[int(row["author"]["id"])], text))
    return channels


class _Chat:
    """The packaged chat model: token counts, the naive prompt's cost, and losses."""

    def __init__(self) -> None:
        from model.catalog import offline_chat_model
        from model.chat.chat_model import ChatModel
        from model.llama_cpp_api import ContextOptions

        self._model = ChatModel(offline_chat_model(), ContextOptions(ubatch=128, threads=2))
        self.template, self.encode, self.count = self._model.template, self._model.encode, self._model.count_tokens

    def count_pieces(self, pieces: list[Any]) -> int:
        return sum(len(self.encode(piece.text, piece.is_template)) for piece in pieces)

    def naive(self, history: list[Any], newest: Any, recalled: list[Any]) -> int:
        """Tokens a plain chat completion computes: everything behind the fixed start of the system message."""
        lines = "\n".join(f"{turn.name}: {turn.text}" for turn in recalled)
        recent = "\n".join(f"{turn.name}: {turn.text}" for turn in history)
        changing = f"\n\nRelevant earlier messages:\n{lines}" if recalled else ""
        changing += (
            f"\n\nRecent conversation:\n{recent}<|im_end|>\n<|im_start|>user\n{newest.name}: {newest.text}"
            "<|im_end|>\n<|im_start|>assistant\n"
        )
        return len(self.encode(changing, True))

    def loss(self, prompt: list[int], answer: str) -> float:
        target = self.encode(answer, False)[:LOSS_TOKENS]
        return -statistics.mean(self._model.score_tokens(prompt, target))

    def close(self) -> None:
        self._model.close()
