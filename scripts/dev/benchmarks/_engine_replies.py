"""What a reply costs, ours beside a naive chat completion, on replayed talk. Each returns plain figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from data.chat.conversation import Typist
from model.chat.chat_model import ChatModel
from model.chat.requests import GenerationOptions, ReplyRequest
from model.llama_cpp_api import BatchToken, ContextOptions, NativeModel
from scripts.dev.benchmarks._engine_machine import burner, open_model
from scripts.dev.benchmarks._talk import (
    HISTORY,
    LineFinder,
    Message,
    as_turns,
    naive_messages,
    naive_prompt,
    replay,
    said_before,
)
from storage.records import Conversation, Turn
from storage.settings import DEFAULT_SYSTEM_PROMPT

# Messages that a prompt is made from: as many as the live bot passes.
_KEPT = 30
WRITE = GenerationOptions(max_tokens=24, stop=(), seed=1)


class Listener:
    """Follows a replay as the bot does: listens to every message and answers where a reply is due.

    pause: called between a message and its reply, where the bot waits for further lines by the same person and lets
    the model read the question; None answers at once. sees_writers: Discord tells who is writing before the message
    is there, as its clients do whenever somebody types.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        has_recall: bool,
        is_listening: bool,
        options: GenerationOptions,
        past: dict[int, list[Turn]],
        pause: Callable[[], object] | None = None,
        sees_writers: bool = False,
    ) -> None:
        self._model, self._has_recall, self._is_listening, self._options = model, has_recall, is_listening, options
        self._pause, self._sees_writers = pause, sees_writers
        self._finder = LineFinder(model.count_tokens)
        self.past = past
        self._standing: dict[int, tuple[Turn, ...]] = {}

    def hear(self, message: Message, *, reads_along: bool = True) -> Any:
        """The reply, where one is due; otherwise None. Reading along is done to the end before the next message.

        reads_along False: skipped this time, because only the last state before a reply matters for it.
        """
        past = self.past[message.channel]
        if message.has_answer and self._is_listening and self._sees_writers:
            goes_on = bool(past) and past[-1].name == message.turn.name
            self.read_along(message.channel, typist=Typist(message.turn.name, goes_on))
        past.append(message.turn)
        reply = None
        if message.has_answer:
            lines = self._standing.get(message.channel, ())
            if not self._is_listening:
                lines = self.recalled(message.channel)
            request = ReplyRequest(
                Conversation(as_turns(past[-_KEPT:]), lines),
                self._options,
                DEFAULT_SYSTEM_PROMPT,
                message.channel,
                keep_turns=HISTORY,
            )
            if self._pause is not None:
                self._model.prepare(request)
                self._pause()
            reply = self._model.generate(request)
            past.append(Turn("", reply.text or "ok", True))
        if self._is_listening and reads_along:
            self.read_along(message.channel)
        return reply

    def read_along(self, channel: int, *, typist: Typist | None = None) -> None:
        """Compute what was said in a channel, to the end."""
        lines = self._standing[channel] = self.recalled(channel)
        self._model.listen(
            channel,
            Conversation(as_turns(self.past[channel][-_KEPT:]), lines),
            DEFAULT_SYSTEM_PROMPT,
            keep_turns=HISTORY,
            typist=typist,
        )
        self._model.wait_until_idle(timeout_seconds=300)

    def recalled(self, channel: int) -> tuple[Turn, ...]:
        past = self.past[channel]
        return self._finder.find(past, [turn.text for turn in past[-3:]]) if self._has_recall else ()


def tokens_left(stand_in: Path, channels: Sequence[Sequence[Turn]], *, replies: int) -> dict[str, Any]:
    """Tokens to prefill when a reply is due. `stand_in`: a tiny model with the real one's vocabulary; only counts."""
    figures: dict[str, Any] = {}
    for count in (1, 3, 8):
        messages = list(replay(channels, count=count, replies=replies, seed=count))
        for has_recall in (True, False):
            naive = _naive_tokens(stand_in, messages, said_before(channels, count=count), has_recall=has_recall)
            row: dict[str, Any] = {"naive": statistics.mean(naive), "naive p50": statistics.median(naive)}
            for name, is_listening, sees_writers, has_pause in (
                ("listening", True, True, False),
                ("typing unseen", True, False, False),
                ("not listening", False, False, False),
                ("after the pause", True, True, True),
            ):
                model = open_model(stand_in, ContextOptions(threads=1))
                listener = Listener(
                    model,
                    has_recall=has_recall,
                    is_listening=is_listening,
                    options=WRITE.with_changes(max_tokens=12),
                    past=said_before(channels, count=count),
                    sees_writers=sees_writers,
                    pause=partial(model.wait_until_idle, timeout_seconds=60) if has_pause else None,
                )
                ours = [reply.prefilled_tokens for message in messages if (reply := listener.hear(message)) is not None]
                model.close()
                row |= {name: statistics.mean(ours), f"{name} p50": statistics.median(ours)}
            figures[f"{count} channels, {'with' if has_recall else 'without'} retrieval"] = row
    for name, row in figures.items():
        full = figures[f"{name.split()[0]} channels, with retrieval"]
        row["ratio of means"] = row["listening"] / row["naive"]
        row["of p50"] = row["listening p50"] / row["naive p50"]
        row["of p50 to naive with retrieval"] = row["listening p50"] / full["naive p50"]
    return figures


def _naive_tokens(
    stand_in: Path, messages: Sequence[Message], past: dict[int, list[Turn]], *, has_recall: bool
) -> list[int]:
    """What `create_chat_completion` computes: all but the longest start in common with its last call."""
    model = open_model(stand_in, ContextOptions(threads=1))
    finder = LineFinder(model.count_tokens)
    before: list[int] = []
    found = []
    for message in messages:
        said = past[message.channel]
        said.append(message.turn)
        if not message.has_answer:
            continue
        lines = finder.find(said, [said[-1].text]) if has_recall else ()
        tokens = model.encode(naive_prompt(naive_messages(said, lines, DEFAULT_SYSTEM_PROMPT)), True)
        common = next(
            (index for index, (a, b) in enumerate(zip(before, tokens, strict=False)) if a != b),
            min(len(before), len(tokens)),
        )
        found.append(len(tokens) - common)
        before = tokens
        said.append(Turn("", "ok", True))
    model.close()
    return found[1:]


def latency(
    path: Path,
    options: ContextOptions,
    channels: Sequence[Sequence[Turn]],
    *,
    replies: int,
    is_busy: bool,
    pause_seconds: float = 0.0,
    sees_writers: bool = True,
) -> dict[str, Any]:
    """First token and whole reply, ours and naive in turns on the same replay, three channels. Counted from the moment
    a reply is due: the message, or the end of the pause that the bot makes for further lines by the same person."""
    from llama_cpp import Llama

    threads = options.threads
    peer = Llama(str(path), n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False)
    model = open_model(path, options)
    finder = LineFinder(model.count_tokens)
    listener = Listener(
        model,
        has_recall=True,
        is_listening=True,
        options=WRITE,
        past=said_before(channels, count=3),
        sees_writers=sees_writers,
        pause=partial(time.sleep, pause_seconds) if pause_seconds else None,
    )
    ours: list[tuple[float, float]] = []
    naive: list[tuple[float, float]] = []
    messages = list(replay(channels, count=3, replies=replies + 1, seed=11))
    with burner(1 if is_busy else 0):
        for channel in range(3):
            listener.read_along(channel)
        for index, message in enumerate(messages):
            if message.has_answer:
                said = [*listener.past[message.channel], message.turn]
                lines = finder.find(said, [said[-1].text])
                naive.append(_complete(peer, naive_messages(said, lines, DEFAULT_SYSTEM_PROMPT)))
            following = next((other for other in messages[index + 1 :] if other.channel == message.channel), None)
            reply = listener.hear(message, reads_along=following is not None and following.has_answer)
            if reply is not None:
                ours.append(
                    (
                        reply.first_token_ms,
                        reply.total_ms * WRITE.max_tokens / max(reply.reply_tokens, 1)
                        if reply.reply_tokens < WRITE.max_tokens // 2
                        else reply.total_ms,
                    )
                )
    model.close()
    peer.close()
    ours, naive = ours[1:], naive[1:]
    first = statistics.median(a[0] / b[0] for a, b in zip(naive, ours, strict=True))
    whole = statistics.median(a[1] / b[1] for a, b in zip(naive, ours, strict=True))
    return {
        "first token ms": statistics.median(value[0] for value in ours),
        "naive first token ms": statistics.median(value[0] for value in naive),
        "whole reply ms": statistics.median(value[1] for value in ours),
        "naive whole reply ms": statistics.median(value[1] for value in naive),
        "first token sooner": first,
        "whole reply sooner": whole,
        "replies": len(ours),
    }


def _complete(peer: Any, messages: list[dict[str, str]]) -> tuple[float, float]:
    started = time.perf_counter()
    first, pieces = 0.0, 0
    for chunk in peer.create_chat_completion(
        messages, max_tokens=WRITE.max_tokens, temperature=WRITE.temperature, stream=True, seed=1
    ):
        if "content" in chunk["choices"][0]["delta"]:
            pieces += 1
            first = first or time.perf_counter()
    end = time.perf_counter()
    first = first or end
    # A reply that ended early is reckoned at the full length, as ours is.
    scale = WRITE.max_tokens / max(pieces, 1) if pieces < WRITE.max_tokens // 2 else 1.0
    return (first - started) * 1000, (end - started) * 1000 * scale


def four_replies(path: Path, options: ContextOptions) -> dict[str, Any]:
    """Mean latency of four replies asked for at once, in order and in one batch, and what the probe would choose."""
    from model.chat.tuning import choose_parallel

    times: dict[str, list[float]] = {"in order": [], "one batch": []}
    models = {"in order": open_model(path, options), "one batch": open_model(path, options, parallel=4)}
    for number in range(3):
        for name, model in models.items():
            futures = [
                model.submit(
                    ReplyRequest(
                        Conversation((Turn(f"Ada{number}", f"hello {channel} {number}"),)),
                        GenerationOptions(max_tokens=24, stop=(), temperature=1.0, seed=5),
                        "be brief",
                        channel,
                    )
                )
                for channel in range(4)
            ]
            times[name].append(statistics.mean(future.result().total_ms for future in futures))
    for model in models.values():
        model.close()
    order, batch = min(times["in order"]), min(times["one batch"])
    return {
        "in order ms": order,
        "one batch ms": batch,
        "batch over order": batch / order,
        "batch pays": batch < order,
        "rule": choose_parallel({4: batch / order * 2.5}),
    }


def exactness(
    path: Path, options: ContextOptions, channels: Sequence[Sequence[Turn]], *, points: int
) -> dict[str, Any]:
    """Divergence (KL, nats) of next-token distributions from a fresh one-shot prefill, beside the noise floor."""
    import numpy as np

    model = open_model(path, options)
    reference = NativeModel(path, replace(options, cells=2048, sequences=1, ubatch=512))
    chunked = NativeModel(path, replace(options, cells=2048, sequences=1, ubatch=64))
    listener = Listener(
        model,
        has_recall=True,
        is_listening=True,
        options=WRITE.with_changes(max_tokens=8),
        past=said_before(channels, count=3),
    )

    def one_shot(native: NativeModel, tokens: list[int]) -> Any:
        native.clear()
        size = native.options.ubatch
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            native.decode(
                [
                    BatchToken(token, start + index, 0, start + index == len(tokens) - 1)
                    for index, token in enumerate(part)
                ]
            )
        return _log_softmax(native.logits(len(part) - 1))

    ours, floor, same = [], [], []
    for message in replay(channels, count=3, replies=points, seed=21):
        reply = listener.hear(message)
        if reply is None:
            continue
        engine, channel = model._loaded.engine, message.channel
        tokens = model.ask(partial(engine.cached_tokens, channel))
        if len(tokens) < 20:
            continue
        model.ask(partial(engine.prefill, channel, tokens))
        mine = _log_softmax(model.ask(lambda engine=engine: engine.native.logits(engine.last_row)))
        exact = one_shot(reference, tokens)
        ours.append(float((np.exp(exact) * (exact - mine)).sum()))
        again = one_shot(chunked, tokens)
        floor.append(float((np.exp(exact) * (exact - again)).sum()))
        same.append(int(exact.argmax() == mine.argmax()))
    model.close()
    reference.close()
    chunked.close()
    return {
        "mean KL": statistics.mean(ours),
        "mean KL of chunking alone": statistics.mean(floor),
        "same likeliest token": statistics.mean(same),
        "points": len(ours),
    }


def _log_softmax(logits: Any) -> Any:
    import numpy as np

    wide = logits.astype(np.float64)
    wide -= wide.max()
    return wide - np.log(np.exp(wide).sum())
