"""How much of this processor training reaches: tokens a second, and the share of torch's own matrix product.

One process, processor time (what else runs counts little): the packaged base with the processor recipe's adapter, whole
conversations of a prepared folder in groups of similar length, forward and backward as training does them, beside a
plain product of the layers' shape in the same type. Counted are the products that training needs: forward and backward
through the frozen layers (4 a weight and token), the head on the tokens that are learnt, the adapter's own.

    python scripts/benchmark.py training --data PREPARED [--threads 2] [--plain]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="a prepared folder")
    parser.add_argument("--steps", type=int, default=6, help="groups to compute, spread over all lengths")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    parser.add_argument("--type", choices=("float32", "bfloat16"), help="number type (default: as training chooses)")
    parser.add_argument("--plain", action="store_true", help="PEFT's and TRL's own way, for comparison")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; returns the figures."""
    from model.training.base_model import chat_template, encoder, load_tokenizer, resolve_base
    from model.training.loaders import find_runtime
    from model.training.recipes import CPU_SMOKE
    from model.training.rows import PreparedFolder, Renderer, session_examples
    from model.training.shapes import SMOLLM2_135M
    from model.training.shared_prefix import alike
    from model.training.speed import measure_speed
    from storage.paths import Workspace
    from storage.settings import TRANSCRIPT

    base = resolve_base("packaged", Workspace.at(None).base_models)
    folder, tokenizer = PreparedFolder.open(options.data), load_tokenizer(base)
    template = chat_template(tokenizer, name=base.name, layout=TRANSCRIPT)
    numbers = CPU_SMOKE.sft
    renderer = Renderer(encoder(tokenizer), template, folder.system_prompt, numbers.max_length, folder.own_name)
    rows = session_examples(folder, renderer)
    groups = alike(rows, most_tokens=numbers.batch_size * numbers.max_length)
    kind = options.type or find_runtime(CPU_SMOKE).dtype
    picked = [groups[(2 * index + 1) * len(groups) // (2 * options.steps)] for index in range(options.steps)]
    found = measure_speed(
        base, SMOLLM2_135M, CPU_SMOKE, picked, kind=kind, threads=options.threads, is_plain=options.plain
    )
    tokens = sum(map(_length, rows))
    return {
        "type": kind,
        "threads": options.threads,
        "plain": options.plain,
        "rows": len(rows),
        "tokens": tokens,
        "padding_share": round(1 - tokens / sum(len(group) * max(map(_length, group)) for group in groups), 4),
        "tokens_a_second": round(found.tokens_a_second, 1),
        "gflops": round(found.gflops, 1),
        "product_gflops": round(found.product_gflops, 1),
        "share": round(found.share, 3),
        "minutes_for_one_pass": round(tokens / found.tokens_a_second / 60, 1),
    }


def _length(row: Any) -> int:
    return len(row.prompt) + len(row.reply)


def report(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    return "\n".join(f"{name.replace('_', ' '):22} {value}" for name, value in figures.items())
