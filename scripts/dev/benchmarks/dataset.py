"""How long preparing a data set takes and how much memory it needs, for synthetic servers of growing size.

The servers are made up but have the shape of real ones: heavy-tailed authors, conversations in bursts, repeated short
lines, replies, reactions, mentions, a few pictures. Messages go in through the store as an import would bring them.

    python scripts/benchmark.py dataset --sizes 10000,100000,1000000
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[3]
_SHORT = (
    "lol",
    "haha",
    "yes",
    "no",
    "gg",
    "fr",
    "true",
    "what",
    "nice",
    "ok",
    "wait what",
    "GGGGGG",
    "same",
    "lmao",
    "bruh",
)
_SYLLABLES = ("ka", "mo", "ri", "ten", "sol", "ba", "gre", "lin", "dor", "pex", "vi", "sha", "nu", "cro", "tel", "ump")
_EMOJI = ("😂", "👍", "🔥", "😭", "👎", "❤️")
_START_MS = 1_640_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--sizes", default="10000,100000,1000000", help="numbers of messages, separated by commas")
    parser.add_argument("--authors", type=int, default=60)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make a server of each size, prepare it in a process of its own, and measure that process."""
    figures = []
    for size in (int(part) for part in options.sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            workspace = Path(name) / "server"
            started = time.monotonic()
            make_server(workspace, size, authors=options.authors, channels=options.channels)
            stored = time.monotonic() - started
            figures.append({"messages": size, "store_seconds": stored} | _prepare(workspace, Path(name) / "out"))
            print(report({"runs": figures[-1:]}), file=sys.stderr, flush=True)
    return {"runs": figures}


def report(figures: dict[str, Any]) -> str:
    """A table."""
    heads = ("messages", "seconds", "CPU s", "us/message", "peak MB", "examples", "store s")
    lines = ["".join(f"{head:>12}" for head in heads)]
    for row in figures["runs"]:
        per_message = row["cpu_seconds"] / row["messages"] * 1e6
        cells = (
            f"{row['messages']:,}",
            f"{row['seconds']:.1f}",
            f"{row['cpu_seconds']:.1f}",
            f"{per_message:.0f}",
            f"{row['peak_mb']:.0f}",
            f"{row['examples']:,}",
            f"{row['store_seconds']:.1f}",
        )
        lines.append("".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)


def make_server(folder: Path, size: int, *, authors: int, channels: int, seed: int = 7) -> None:
    """A workspace with a made-up server of `size` messages, all channels on and public."""
    from storage.paths import Workspace
    from storage.records import Channel
    from storage.store import Store

    with Store.open(Workspace.at(folder)) as store:
        store.channels.add(
            [
                Channel(number, f"channel{number}", learn=True, recall=True, is_private=False)
                for number in range(1, channels + 1)
            ]
        )
        batch = []
        for message in synthetic_messages(size, authors=authors, channels=channels, seed=seed):
            batch.append(message)
            if len(batch) == 5000:
                store.messages.save(batch)
                batch.clear()
        store.messages.save(batch)


def synthetic_messages(size: int, *, authors: int, channels: int, seed: int) -> Iterator[Any]:
    """Messages in the order of time; the same ones for the same numbers."""
    from storage.records import Mention, Message, Reaction

    rng = random.Random(seed)
    weights = [1 / (rank + 1.5) for rank in range(authors)]
    words = _vocabulary(rng)
    now = [_START_MS + 5_000 * number for number in range(channels)]
    recent: list[list[int]] = [[] for _ in range(channels)]
    speakers: list[list[int]] = [[] for _ in range(channels)]
    for number in range(1, size + 1):
        place = rng.randrange(channels)
        if rng.random() < 0.06 or not speakers[place]:
            now[place] += rng.randrange(700_000, 30_000_000)
            speakers[place] = rng.choices(range(authors), weights, k=rng.randint(2, 5))
        now[place] += int(rng.expovariate(1 / 25_000)) + 500
        author = rng.choice(speakers[place])
        message_id = (now[place] << 22) // 1024 * 1024 + number
        mentions: tuple[Mention, ...] = ()
        text = _line(rng, words)
        if rng.random() < 0.1:
            named = rng.choice(speakers[place])
            mentions, text = (Mention(named + 1, f"person{named}"),), f"<@{named + 1}> {text}"
        reactions = (Reaction(rng.choice(_EMOJI), rng.randint(1, 6)),) if rng.random() < 0.04 else ()
        reply = rng.choice(recent[place]) if recent[place] and rng.random() < 0.08 else None
        recent[place] = [*recent[place][-20:], message_id]
        yield Message(
            message_id,
            place + 1,
            author + 1,
            f"person{author}",
            text,
            now[place],
            kind=19 if reply else 0,
            reply_to_id=reply,
            mentions=mentions,
            reactions=reactions,
            attachments=("image.png",) if rng.random() < 0.02 else (),
            username=f"person{author}",
        )


def _vocabulary(rng: random.Random) -> list[str]:
    """30,000 made-up words, the first far more common than the last when drawn by `_line`."""
    return ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(30_000)]


def _line(rng: random.Random, words: list[str]) -> str:
    if rng.random() < 0.3:
        return rng.choice(_SHORT)
    count = min(1 + int(rng.expovariate(1 / 8)), 60)
    return " ".join(words[int(len(words) ** rng.random()) - 1] for _ in range(count))


def _prepare(workspace: Path, out: Path) -> dict[str, Any]:
    import json

    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(_ROOT), str(workspace), str(out)],
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    peak, cpu = map(float, done.stdout.split()[-2:])
    counts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["counts"]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mb": peak,
        "examples": counts["train"] + counts["validation"] + counts["test"],
    }


# A process of its own: its peak memory and its processor time are the preparation's.
_CHILD = """
import importlib, sys, time
sys.path.insert(0, sys.argv[1])
importlib.import_module("scripts.2_prepare_training_data").main(["--workspace", sys.argv[2], "--out", sys.argv[3]])
from storage.system.processes import peak_memory_bytes
print(peak_memory_bytes() / 2**20, time.process_time())
"""
