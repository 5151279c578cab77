"""Does the measuring measure? Real people, a copy machine and a made-up assistant at the places of a prepared folder.

People against people should come out near 0.5, the assistant near 1.0; the copy machine should fool the detectors and
be caught by the memory part. No model is loaded for writing, only the embedding model.

    python scripts/benchmark.py evaluation --data PREPARED
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

# Two or three sentences from the list that assistant_speak looks for, as untuned models say them.
ASSISTANT = (
    "As an AI language model, I don't have opinions, but I'm here to help! How can I assist you today?",
    "That's a great question! Could you please provide more details so that I can help you better?",
    "I understand your concern. It's important to remember that communication is key in any friendship.",
    "Thank you for sharing! I'd be happy to help you with that. Let me know if you need anything else.",
)
_SEED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="folder made by 2_prepare_training_data.py")
    parser.add_argument("--workspace", help="where the embedding model is looked for (default: the project)")
    parser.add_argument("--rounds", type=int, default=120, help="bootstrap rounds")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the three writers."""
    from data.privacy import find_private
    from model.embeddings import bulk_embedder
    from model.evaluation.comparison import Effort
    from model.evaluation.evaluate import Written, evaluate
    from model.evaluation.rows import read_rows
    from model.evaluation.run import training_texts
    from storage.paths import Workspace

    rows = [row for row in read_rows(options.data / "test.jsonl") if row.conversation.turns and row.reply.strip()]
    replies = [row.reply for row in read_rows(options.data / "train.jsonl")]
    lot = random.Random(_SEED)
    written = [
        Written("model", "copy machine", tuple(lot.choice(replies) for _ in rows)),
        Written("against", "assistant", tuple(lot.choice(ASSISTANT) for _ in rows)),
    ]
    found = evaluate(
        rows,
        written,
        lambda: training_texts(options.data),
        find_private=find_private,
        embed=bulk_embedder("all-MiniLM-L6-v2", Workspace.at(options.workspace)).embed,
        effort=Effort(rounds=options.rounds, costly_rounds=6),
    )
    writers = [
        {
            "name": writer.name,
            "auc": [writer.figures["auc"].value, writer.figures["auc"].low, writer.figures["auc"].high],
            "mauve": writer.figures["mauve"].value,
            "assistant_phrases": writer.figures["assistant"].value,
            "copied_share": writer.memory.copied_share,
            "line_share": writer.memory.line_share,
            "longest_run": writer.memory.longest_run,
            "match": writer.match.percent if writer.match else None,
        }
        for writer in found.writers
    ]
    return {"places": len(rows), "sessions": found.sessions, "writers": writers, "objections": list(found.objections)}


def report(figures: dict[str, Any]) -> str:
    """A table."""
    lines = [
        f"{figures['places']} places in {figures['sessions']} conversations",
        f"{'writer':<14}{'detector AUC':<22}{'MAUVE':<8}{'phrases':<9}{'8+ words':<10}{'lines':<8}{'longest':<9}match",
    ]
    for writer in figures["writers"]:
        value, low, high = writer["auc"]
        match = "" if writer["match"] is None else f"{writer['match']:.0f} %"
        lines.append(
            f"{writer['name']:<14}{f'{value:.2f} [{low:.2f}, {high:.2f}]':<22}{writer['mauve']:<8.2f}"
            f"{writer['assistant_phrases']:<9.0%}{writer['copied_share']:<10.1%}{writer['line_share']:<8.1%}"
            f"{writer['longest_run']:<9}{match}"
        )
    return "\n".join([*lines, *figures["objections"]])
