"""The engine against naive chat completion and llama.cpp's own benchmark, as ratios within one run.

    python scripts/benchmark.py engine [--model FILE] [--data messages.jsonl] [--llama-bench PROGRAM] [--json FILE]

Without --model the packaged SmolLM2 is measured; a random-weight file of Qwen2.5-3B's shape comes from
scripts/dev/make_benchmark_model.py. --data: Discord message objects to replay; without it the talk is made up. The
parts (--parts) are: tokens, latency, busy, speed, attention, memory, growth, lag, cancel, four, load, tune, exact.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = (
    "tokens",
    "exact",
    "cancel",
    "lag",
    "load",
    "tune",
    "four",
    "speed",
    "attention",
    "memory",
    "latency",
    "busy",
    "growth",
)
GOALS = {
    "tokens": "<= 0.30 with retrieval, <= 0.13 without",
    "latency": "first 3x, whole 2x",
    "busy": "first 4x, whole 2.7x",
    "speed": "decode >= 1.0, prefill >= 0.95 of llama-bench",
    "memory": "<= 650 MB over the file",
    "growth": "none over 10,000 replies",
    "lag": "p99 < 10 ms",
    "cancel": "< 100 ms",
    "attention": "none: it tells why flash attention is on",
    "tune": "< 60 s",
    "four": "mean never worse",
    "load": ">= 3x",
    "exact": "at the noise floor",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--model", type=Path, help="a GGUF file (default: the packaged small model)")
    parser.add_argument("--data", type=Path, help="JSON lines of Discord message objects to replay")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated (default: all)")
    parser.add_argument("--threads", type=int, default=0, help="for both sides (default: half the processors)")
    parser.add_argument("--repack", action="store_true", help="ours with repacked weights too")
    parser.add_argument("--replies", type=int, default=12, help="of the latency parts")
    parser.add_argument(
        "--pause",
        type=float,
        default=0.0,
        help="of the latency parts: seconds between a message and its reply, as in the live bot (1.2)",
    )
    parser.add_argument(
        "--typing-unseen", action="store_true", help="of the latency parts: as if Discord did not tell who is writing"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of the speed part")
    parser.add_argument("--token-replies", type=int, default=120, help="of the token counts, for each traffic")
    parser.add_argument("--growth-replies", type=int, default=10_000)
    parser.add_argument("--llama-bench", type=Path, help="llama.cpp's benchmark (scripts/dev/build_llama_bench.py)")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every part asked for; returns the figures by part."""
    from model.catalog import offline_chat_model
    from model.llama_cpp_api import ContextOptions, default_threads
    from scripts.dev.benchmarks import _engine_machine as machine
    from scripts.dev.benchmarks import _engine_replies as replies
    from scripts.dev.benchmarks._talk import read_channels
    from scripts.dev.make_benchmark_model import TINY, write_model

    path = options.model or offline_chat_model()
    how = ContextOptions(threads=options.threads or default_threads(), repack=options.repack)
    channels = read_channels(options.data)
    figures: dict[str, Any] = {
        "machine": {
            "model": path.name,
            "bytes": path.stat().st_size,
            "processors": os.cpu_count(),
            "threads": how.threads,
            "repack": how.repack,
            "system": platform.platform(),
            "load": os.getloadavg()[0] if os.name != "nt" else None,
        }
    }
    wanted = [name.strip() for name in options.parts.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        stand_in = Path(folder) / "stand-in.gguf"
        if {"tokens", "growth"} & set(wanted):
            write_model(stand_in, TINY.with_vocabulary_of(path), vocabulary=path)
        measured: dict[str, Callable[[], Any]] = {
            "tokens": lambda: replies.tokens_left(stand_in, channels, replies=options.token_replies),
            "exact": lambda: replies.exactness(path, how, channels, points=8),
            "cancel": lambda: machine.cancelling(path, how),
            "lag": lambda: machine.loop_lag(path, how),
            "load": lambda: machine.loading(path, how),
            "tune": lambda: machine.tuning(path),
            "four": lambda: replies.four_replies(path, how),
            "speed": lambda: machine.speeds(path, how, options.llama_bench, rounds=options.rounds),
            "attention": lambda: machine.attention(path, how),
            "memory": lambda: machine.memory(path, how.threads),
            "latency": lambda: replies.latency(
                path,
                how,
                channels,
                replies=options.replies,
                is_busy=False,
                pause_seconds=options.pause,
                sees_writers=not options.typing_unseen,
            ),
            "busy": lambda: replies.latency(
                path,
                how,
                channels,
                replies=options.replies,
                is_busy=True,
                pause_seconds=options.pause,
                sees_writers=not options.typing_unseen,
            ),
            "growth": lambda: machine.growth(stand_in, replies=options.growth_replies),
        }
        for name in wanted:
            print(f"{name} ...", file=sys.stderr, flush=True)
            started = time.perf_counter()
            figures[name] = measured[name]()
            print(
                f"  {time.perf_counter() - started:.0f} s  {json.dumps(figures[name], default=str)[:300]}",
                file=sys.stderr,
                flush=True,
            )
            if options.json:  # what is measured is kept, whatever happens to the rest
                options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return figures


def report(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    machine = figures["machine"]
    lines = [
        f"{machine['model']}, {machine['threads']} of {machine['processors']} processors, "
        f"{'repacked' if machine['repack'] else 'as stored'}, load {machine['load']}",
        "",
    ]
    for part, values in figures.items():
        if part == "machine":
            continue
        lines.append(f"{part}  (goal: {GOALS[part]})")
        for name, value in values.items():
            shown = (
                "  ".join(f"{key} {_number(inner)}" for key, inner in value.items())
                if isinstance(value, dict)
                else _number(value)
            )
            lines.append(f"  {name:34} {shown}")
    return "\n".join(lines)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 10 else f"{value:,.1f}"
