"""What the engine takes from the machine: speed, loading, memory, and how soon it lets go. Plain figures."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from model.chat.chat_model import ChatModel
from model.chat.host_load import Lookout, Surroundings
from model.chat.requests import GenerationOptions, ReplyRequest
from model.llama_cpp_api import BatchToken, ContextOptions, NativeModel
from storage.records import Conversation, Turn

ROOT = Path(__file__).resolve().parents[3]
TALK = Conversation((Turn("Ada", "hi all"), Turn("Bob", "anyone up for a game tonight?")))
_ENDLESS = GenerationOptions(max_tokens=1000, stop=(), temperature=1.0, seed=2)
_LONG = "and then there was more of it " * 160
_CANCELS = 10
_LOADS = 5
_REPLY = 24
_OWN_PAST = 350


class Calm(Lookout):
    """The benchmark decides about threads, not the load of the moment."""

    def look(self) -> Surroundings:
        return Surroundings()


def open_model(path: Path, options: ContextOptions, **more: Any) -> ChatModel:
    """A chat model whose threads stay as they are told."""
    return ChatModel(path, options, lookout=Calm(), **more)


@contextmanager
def burner(processes: int) -> Iterator[None]:
    """Keep so many processors busy meanwhile."""
    running = [multiprocessing.get_context("spawn").Process(target=_burn, daemon=True) for _ in range(processes)]
    for process in running:
        process.start()
    try:
        if running:
            time.sleep(1.0)  # they are up
        yield
    finally:
        for process in running:
            process.kill()
            process.join()


def _burn() -> None:
    while True:
        sum(range(10_000))


# ---- speed --------------------------------------------------------------------------------------------


def speeds(path: Path, how: ContextOptions, bench: Path | None, *, rounds: int) -> dict[str, Any]:
    """Ours beside llama-bench (where it was built) and beside a loop like it, in turns; the median round of each, and
    of the ratios of each round. All compute prompts of one length, and write behind a prompt of that length.

    "Its defaults": repacked weights, chunks of 512, and its own choice of threads and flash attention. "Our settings":
    the same weights, chunk size, attention and threads as ours. The loop draws no tokens, and llama-bench neither: what
    ours is behind the loop is Python and sampling.
    """
    same = [
        "-t",
        str(how.threads),
        "-ub",
        str(how.ubatch),
        "-b",
        str(how.ubatch),
        "-fa",
        "1",
        "--repack",
        str(int(how.repack)),
    ]
    measured: dict[str, list[dict[str, float]]] = defaultdict(list)

    def note(name: str, found: dict[str, float]) -> None:
        measured[name].append(found)
        print(f"  {name}: {found}", file=sys.stderr, flush=True)

    model = open_model(path, how)
    for _ in range(rounds):
        prompt, ours = whole_engine(model)
        note("ours", ours)
        # On the model's own thread, as a second one would have its own team of OpenMP threads: docs/ENGINE.md.
        model.free_caches()
        note("bare loop, our settings", model.ask(partial(bare_loop, model._loaded.native, prompt)))
        model.free_caches()
        if bench is not None:
            note("llama-bench, our settings", llama_bench(bench, path, prompt, same))
            note("llama-bench, its defaults", llama_bench(bench, path, prompt, []))
    model.close()
    middle = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for name, found in measured.items()
    }
    figures: dict[str, Any] = dict(middle)
    for name in middle:
        if name != "ours":
            pairs = list(zip(measured["ours"], measured[name], strict=True))
            figures[f"ours over {name}"] = {
                key: statistics.median(a[key] / b[key] for a, b in pairs) for key in pairs[0][0]
            }
    ceiling = bandwidth(path)
    figures["share of memory bandwidth (one processor)"] = (
        middle["ours"]["decode per second"] * path.stat().st_size / ceiling
    )
    return figures


def whole_engine(model: ChatModel) -> tuple[int, dict[str, float]]:
    """The prompt's tokens, and tokens per second of prefill and decode, through requests, prompts and sampling: the
    better of two replies that did not end early."""
    write = GenerationOptions(max_tokens=_REPLY + 1, stop=(), seed=1, temperature=1.0)
    decode, prefill, prompt = [], [], 0
    model.generate(ReplyRequest(TALK, write.with_changes(max_tokens=2), "none", 0))
    for number in range(1, 9):
        model.free_caches()
        text = " ".join(str(number * 31 + index) for index in range(24))
        reply = model.generate(ReplyRequest(Conversation((Turn("Ada", text),)), write, "none", number))
        if reply.reply_tokens <= _REPLY // 2:
            continue
        prompt = reply.prefilled_tokens
        prefill.append(prompt / (reply.first_token_ms / 1000))
        decode.append((reply.reply_tokens - 1) / ((reply.total_ms - reply.first_token_ms) / 1000))
        if len(decode) == 2:
            break
    return prompt, {"decode per second": max(decode), "prefill per second": max(prefill)}


def bare_loop(native: NativeModel, prompt: int) -> dict[str, float]:
    """What llama-bench does (tools/llama-bench: test_prompt, test_gen), with the same library: llama_decode of a prompt
    into an empty context and of single tokens behind it, without sampling. The better of two after a warm-up."""
    prefill, decode, chunk = [], [], native.options.ubatch
    for _ in range(3):
        native.clear()
        started = time.perf_counter()
        for start in range(0, prompt, chunk):
            native.decode(
                [BatchToken(500 + at, at, 0, at == prompt - 1) for at in range(start, min(start + chunk, prompt))]
            )
        prefill.append(prompt / (time.perf_counter() - started))
        started = time.perf_counter()
        for position in range(prompt, prompt + _REPLY):
            native.decode([BatchToken(500 + position, position, 0, True)])
        decode.append(_REPLY / (time.perf_counter() - started))
    return {"decode per second": max(decode[1:]), "prefill per second": max(prefill[1:])}


def llama_bench(program: Path, path: Path, prompt: int, arguments: Sequence[str]) -> dict[str, float]:
    """llama.cpp's own benchmark with a prompt of this length, and a reply behind it: the better of two each, after its
    warm-up."""
    # OpenMP's waiting policy is ours, not its default.
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("GOMP_", "OMP_"))}

    def best(*lengths: str) -> float:
        command = [str(program), "-m", str(path), "-r", "2", "-o", "json", *lengths, *arguments]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env=plain).stdout
        return float(max(json.loads(output)[0]["samples_ts"]))

    return {
        "decode per second": best("-p", "0", "-n", str(_REPLY), "-d", str(prompt)),
        "prefill per second": best("-p", str(prompt), "-n", "0"),
    }


def bandwidth(path: Path) -> float:
    """Bytes per second that a plain sum over memory of the model's size reaches on one processor: the ceiling for
    decoding there."""
    import numpy as np

    size = min(path.stat().st_size, 512 << 20)
    data = np.ones(size // 8, np.float64)
    times = []
    for _ in range(4):
        started = time.perf_counter()
        data.sum()
        times.append(time.perf_counter() - started)
    return data.nbytes / min(times)


def attention(path: Path, options: ContextOptions) -> dict[str, Any]:
    """Milliseconds to decode one token behind a channel's own past, with flash attention and without, while other
    channels hold cells too: the median of the quicker of two rounds."""
    measured: dict[str, dict[str, float]] = defaultdict(dict)
    for name, has_flash in [("flash ms", True), ("plain ms", False)] * 2:
        native = NativeModel(path, replace(options, flash_attention=has_flash))
        chunk = options.ubatch
        for start in range(0, _OWN_PAST, chunk):
            native.decode([BatchToken(500 + at, at, 0) for at in range(start, min(start + chunk, _OWN_PAST))])
        past = native.save(0)
        for others in range(0, 5, 2):
            for sequence in range(1, others + 1):
                native.restore(sequence, past)
            times = []
            for step in range(_REPLY):
                started = time.perf_counter()
                native.decode([BatchToken(700 + step, _OWN_PAST + step, 0, True)])
                times.append((time.perf_counter() - started) * 1000)
            native.remove(0, _OWN_PAST)
            row = measured[f"{_OWN_PAST} own cells, {others * _OWN_PAST} of others"]
            row[name] = min(row.get(name, float("inf")), statistics.median(times))
        native.close()
    return dict(measured)


def tuning(path: Path) -> dict[str, Any]:
    """What the probe chooses for this machine and how long it takes to."""
    from model.chat.tuning import probe

    found = probe(path)
    return {
        "seconds": found.seconds,
        "weights": "repacked" if found.repack else "as stored",
        "threads": found.threads,
        "chunk": found.ubatch,
        "flash attention": found.flash_attention,
        "replies at once": found.parallel,
        "prefill per second": found.prefill_per_second,
        "decode per second": found.decode_per_second,
        "trials": len(found.trials),
    }


def loading(path: Path, options: ContextOptions) -> dict[str, float]:
    """Seconds to a usable model with the file in the page cache, ours and `Llama(...)` with its defaults, in turns."""
    from llama_cpp import Llama

    ours, theirs = [], []
    open_model(path, options).close()  # the page cache is warm, the library loaded
    for _ in range(_LOADS):
        started = time.perf_counter()
        model = open_model(path, options)
        ours.append(time.perf_counter() - started)
        model.close()
        started = time.perf_counter()
        peer = Llama(str(path), n_ctx=2048, verbose=False)
        theirs.append(time.perf_counter() - started)
        peer.close()
    return {
        "ours s": statistics.median(ours),
        "Llama() s": statistics.median(theirs),
        "faster": statistics.median(theirs) / statistics.median(ours),
    }


# ---- letting go ---------------------------------------------------------------------------------------


def cancelling(path: Path, options: ContextOptions) -> dict[str, float]:
    """Milliseconds from cancel to the end of the reply, in prefill and in decode, at moments of all kinds: the longest
    of ten, and the same with one processor taken by somebody else."""
    model = open_model(path, options)
    found: dict[str, float] = {}
    for phase in ("prefill", "decode"):
        found[phase] = max(_cancel(model, phase, number) for number in range(_CANCELS))
    with burner(1):
        found["prefill, one processor taken"] = max(_cancel(model, "prefill", number) for number in range(_CANCELS))
    model.close()
    return found


def _cancel(model: ChatModel, phase: str, number: int) -> float:
    text = _LONG if phase == "prefill" else "hi"
    future = model.submit(ReplyRequest(Conversation((Turn(f"Ada{number}", text),)), _ENDLESS, "none", number))
    while not (model._worker.running if phase == "decode" else model._worker.starting):
        time.sleep(0.001)
    time.sleep(0.25 + 0.037 * number)
    started = time.perf_counter()
    future.cancel()
    future.result()
    taken = (time.perf_counter() - started) * 1000
    model.forget_channel(number)
    return taken


def loop_lag(path: Path, options: ContextOptions) -> dict[str, float]:
    """How late the event loop wakes up, ms, 99th percentile: idle, while the model generates, and while it does so and
    somebody else takes a processor."""
    model = open_model(path, options)
    request = ReplyRequest(TALK, _ENDLESS, "none", 1)
    found = {"p99 idle": percentile(asyncio.run(_lags(5)), 99)}
    future = model.submit(request)
    found["p99 generating"] = percentile(asyncio.run(_lags(10)), 99)
    with burner(1):
        future.cancel()
        future = model.submit(request)
        found["p99 generating, one processor taken"] = percentile(asyncio.run(_lags(10)), 99)
    future.cancel()
    model.close()
    return found


async def _lags(seconds: float) -> list[float]:
    found = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        await asyncio.sleep(0.005)
        found.append((time.perf_counter() - started - 0.005) * 1000)
    return found


def percentile(values: Sequence[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)]


# ---- memory -------------------------------------------------------------------------------------------

_BOT_LIKE = """
import json, sys, tempfile
from pathlib import Path
root, path, threads = sys.argv[1:]
sys.path.insert(0, root)
from model.process import prepare_process_environment
prepare_process_environment()
import psutil
from model.chat.tuning import Tuning
from model.embeddings import ensure_query_gguf, query_embedder
from model.inference import GenerationOptions, ReplyRequest, get_model
from storage.paths import Workspace
from storage.records import Conversation, Turn
from storage.vectordb import IndexRow, VectorIndex
workspace = Workspace.at(tempfile.mkdtemp()).create()
ensure_query_gguf("all-MiniLM-L6-v2", workspace)
model = get_model(Path(path), tuning=Tuning(False, int(threads), 64, True, 1, 0, 0, {}, 0))
for channel in range(2):
    turns = tuple(Turn(f"Ada{channel}", f"message {index} and some more words of talk") for index in range(3))
    model.generate(ReplyRequest(Conversation(turns), GenerationOptions(max_tokens=4, stop=()), "be brief", channel))
first = psutil.Process().memory_info()
embedder = query_embedder("all-MiniLM-L6-v2", workspace)
index = VectorIndex.open(workspace.embeddings, model=embedder.name, dimension=384)
texts = [f"line number {number}" for number in range(50)]
vectors = embedder.embed(texts)
index.upsert([IndexRow(number, 1, 1, text, 0, 0.0, vector) for number, (text, vector) in
              enumerate(zip(texts, vectors))])
index.search(vectors[0], channel_ids=[1], limit=5)
print(json.dumps([first.rss, psutil.Process().memory_info().rss]))
"""


def memory(path: Path, threads: int) -> dict[str, Any]:
    """Resident memory of a process like the bot's: chat model, query embedder and an open index, after use."""
    output = subprocess.run(
        [sys.executable, "-c", _BOT_LIKE, str(ROOT), str(path), str(threads)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    model_only, whole = json.loads(output.splitlines()[-1])
    size = path.stat().st_size
    return {
        "model alone over the file MB": (model_only - size) / 1e6,
        "whole process over the file MB": (whole - size) / 1e6,
        "whole process MB": whole / 1e6,
    }


def growth(stand_in: Path, *, replies: int) -> dict[str, float]:
    """Resident memory after a tenth of the replies and after all, many channels coming and going."""
    import psutil

    model = open_model(stand_in, ContextOptions(threads=1, cells=1024), n_ctx=512, park_bytes=1 << 20)
    process = psutil.Process()
    early = 0
    write = GenerationOptions(max_tokens=4, stop=())
    for number in range(replies):
        turns = tuple(Turn(f"Ada{number % 50}", f"message {number} {index}") for index in range(6))
        model.generate(ReplyRequest(Conversation(turns), write, "be brief", number % 100))
        model.listen(number % 100, Conversation((*turns, Turn("", "ok", True))), "be brief")
        if number == replies // 10:
            early = process.memory_info().rss
        if number % 1000 == 0:
            print(f"  {number}: {process.memory_info().rss / 1e6:.1f} MB", file=sys.stderr, flush=True)
    late = process.memory_info().rss
    model.close()
    return {
        "after a tenth MB": early / 1e6,
        "at the end MB": late / 1e6,
        "grown MB": (late - early) / 1e6,
        "replies": replies,
    }
