"""The engine against naive chat completion and llama.cpp's own benchmark, as ratios within one run.

    python scripts/benchmark.py engine [--model FILE] [--data messages.jsonl] [--llama-bench PROGRAM] [--json FILE]

Without --model the packaged SmolLM2 is measured; a random-weight file of Qwen2.5-3B's shape comes from
scripts/make_benchmark_model.py. --data: Discord message objects to replay; without it the talk is made up. The parts
(--parts) are: tokens, latency, busy, speed, memory, growth, lag, cancel, four, load, exact.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

PARTS = ("tokens", "exact", "cancel", "lag", "load", "four", "speed", "memory", "latency", "busy", "growth")
GOALS = {
    "tokens": "<= 0.30 with retrieval, <= 0.13 without",
    "latency": "first 3x, whole 2x", "busy": "first 4x, whole 2.7x",
    "speed": "decode >= 1.0, prefill >= 0.95 of llama-bench", "memory": "<= 650 MB over the file",
    "growth": "none over 10,000 replies", "lag": "p99 < 10 ms", "cancel": "< 100 ms",
    "four": "mean never worse", "load": ">= 3x", "exact": "at the noise floor",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--model", type=Path, help="a GGUF file (default: the packaged small model)")
    parser.add_argument("--data", type=Path, help="JSON lines of Discord message objects to replay")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated (default: all)")
    parser.add_argument("--threads", type=int, default=0, help="for both sides (default: half the processors)")
    parser.add_argument("--repack", action="store_true", help="ours with repacked weights too")
    parser.add_argument("--replies", type=int, default=12, help="of the latency parts")
    parser.add_argument("--token-replies", type=int, default=120, help="of the token counts, for each traffic")
    parser.add_argument("--growth-replies", type=int, default=10_000)
    parser.add_argument("--llama-bench", type=Path, help="llama.cpp's benchmark (scripts/build_llama_bench.py)")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every part asked for; returns the figures by part."""
    from model.catalog import offline_chat_model
    from model.native import ContextOptions, default_threads
    from scripts.benchmarks import _engine_parts as parts
    from scripts.benchmarks._talk import read_channels
    from scripts.make_benchmark_model import TINY, write_model

    path = options.model or offline_chat_model()
    how = ContextOptions(threads=options.threads or default_threads(), repack=options.repack)
    channels = read_channels(options.data)
    figures: dict[str, Any] = {"machine": {
        "model": path.name, "bytes": path.stat().st_size, "processors": os.cpu_count(), "threads": how.threads,
        "repack": how.repack, "system": platform.platform(), "load": os.getloadavg()[0] if os.name != "nt" else None}}
    with tempfile.TemporaryDirectory() as folder:
        stand_in = Path(folder) / "stand-in.gguf"
        write_model(stand_in, TINY.with_vocabulary_of(path), vocabulary=path)
        measured = {
            "tokens": lambda: parts.tokens_left(stand_in, channels, replies=options.token_replies),
            "exact": lambda: parts.exactness(path, how, channels, points=8),
            "cancel": lambda: parts.cancelling(path, how),
            "lag": lambda: parts.loop_lag(path, how),
            "load": lambda: parts.loading(path, how),
            "four": lambda: parts.four_replies(path, how),
            "speed": lambda: _speed(path, how, options.llama_bench),
            "memory": lambda: _memory(path, how.threads),
            "latency": lambda: parts.latency(path, how, channels, replies=options.replies, is_busy=False),
            "busy": lambda: parts.latency(path, how, channels, replies=options.replies, is_busy=True),
            "growth": lambda: parts.growth(stand_in, replies=options.growth_replies),
        }
        for name in options.parts.split(","):
            print(f"{name} ...", file=sys.stderr, flush=True)
            started = time.perf_counter()
            figures[name] = measured[name.strip()]()
            print(f"  {time.perf_counter() - started:.0f} s  {json.dumps(figures[name], default=str)[:300]}",
                  file=sys.stderr, flush=True)
            if options.json:  # what is measured is kept, whatever happens to the rest
                options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return figures


def report(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    machine = figures["machine"]
    lines = [f"{machine['model']}, {machine['threads']} of {machine['processors']} processors, "
             f"{'repacked' if machine['repack'] else 'as stored'}, load {machine['load']}", ""]
    for part, values in figures.items():
        if part == "machine":
            continue
        lines.append(f"{part}  (goal: {GOALS[part]})")
        for name, value in values.items():
            shown = "  ".join(f"{key} {_number(inner)}" for key, inner in value.items()) \
                if isinstance(value, dict) else _number(value)
            lines.append(f"  {name:34} {shown}")
    return "\n".join(lines)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 10 else f"{value:,.1f}"


def _speed(path: Path, how: Any, bench: Path | None) -> dict[str, Any]:
    """Ours, llama.cpp's bare loop and (where it was built) llama-bench, in turns; the best round of each.

    Defaults are llama-bench's: repacked weights, chunks of 512, flash attention off.
    """
    from scripts.benchmarks import _engine_parts as parts

    defaults = replace(how, repack=True, ubatch=512, flash_attention=False)
    same = ["-t", str(how.threads), "-ub", str(how.ubatch), "-b", str(how.ubatch), "-fa", "1"]
    rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(3):
        rounds["ours"].append(parts.speed(path, how, rounds=2))
        rounds["bare loop, its defaults"].append(parts.bare_loop(path, defaults))
        rounds["bare loop, our settings"].append(parts.bare_loop(path, how))
        if bench is not None:
            rounds["llama-bench, its defaults"].append(_bench(bench, path, ["-t", str(how.threads)]))
            rounds["llama-bench, our settings"].append(_bench(bench, path, same))
    best = {name: {key: max(one[key] for one in found) for key in found[0]} for name, found in rounds.items()}
    figures: dict[str, Any] = dict(best)
    for name, found in best.items():
        if name != "ours":
            figures[f"ours over {name}"] = {key: best["ours"][key] / found[key] for key in found}
    ceiling = parts.bandwidth(path)["bytes per second, one processor"]
    figures["share of memory bandwidth (one processor)"] = \
        best["ours"]["decode per second"] * path.stat().st_size / ceiling
    return figures


def _bench(program: Path, path: Path, arguments: list[str]) -> dict[str, float]:
    command = [str(program), "-m", str(path), "-r", "2", "-o", "json", "-p", "128", "-n", "32", *arguments]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"decode per second": next(row["avg_ts"] for row in rows if row["n_gen"]),
            "prefill per second": next(row["avg_ts"] for row in rows if row["n_prompt"])}


def _memory(path: Path, threads: int) -> dict[str, Any]:
    """Resident memory of a process like the bot's: chat model, query embedder and an open index, after use."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent.parent.parent)!r})
from model.process import prepare_process_environment
prepare_process_environment()
import json, tempfile
import psutil
from pathlib import Path
from model.inference import GenerationOptions, ReplyRequest, get_model
from model.native import ContextOptions
from model.chat.tuning import Tuning
from model.embeddings import ensure_query_gguf, query_embedder
from storage.paths import Workspace
from storage.records import Conversation, Turn
from storage.vectordb import IndexRow, VectorIndex
workspace = Workspace.at(tempfile.mkdtemp()).create()
ensure_query_gguf("all-MiniLM-L6-v2", workspace)
tuning = Tuning(False, {threads}, 64, True, 1, 0, 0, {{}}, 0)
model = get_model(Path({str(path)!r}), tuning=tuning)
for channel in range(2):
    turns = tuple(Turn(f"Ada{{channel}}", f"message {{index}} and some more words of talk") for index in range(3))
    model.generate(ReplyRequest(Conversation(turns), GenerationOptions(max_tokens=4, stop=()), "be brief", channel))
first = psutil.Process().memory_info()
embedder = query_embedder("all-MiniLM-L6-v2", workspace)
index = VectorIndex.open(workspace.embeddings, model=embedder.name, dimension=384)
texts = [f"line number {{number}}" for number in range(50)]
vectors = embedder.embed(texts)
index.upsert([IndexRow(number, 1, 1, text, 0, 0.0, vector) for number, (text, vector) in
              enumerate(zip(texts, vectors))])
index.search(vectors[0], channel_ids=[1], limit=5)
print(json.dumps([first.rss, psutil.Process().memory_info().rss]))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    model_only, whole = json.loads(output.splitlines()[-1])
    size = path.stat().st_size
    return {"model alone over the file MB": (model_only - size) / 1e6,
            "whole process over the file MB": (whole - size) / 1e6, "whole process MB": whole / 1e6}
