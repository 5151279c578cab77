"""A supervised bot on a loopback Discord: real messages replayed quickly, mentions among them.

The launcher runs headless and starts the bot with the model of --model (the packaged small one by default). The
busiest stretch of each of three channels is replayed at once at --speed times its pace; silences longer than half a
minute are shortened to that. Reported: the event loop's lag while replies are due, latencies, decisions, and whether
every mention was answered once, no message was over 2,000 characters and nobody was pinged but the person answered.

    python scripts/benchmark.py discord --data DIR        (guild.json, channels.json, messages.jsonl)
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

LONGEST_SILENCE_SECONDS = 30.0
MENTION_EVERY = 20
START_SECONDS, ANSWER_SECONDS = 180.0, 240.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="folder with channels.json and messages.jsonl")
    parser.add_argument("--messages", type=int, default=500, help="how many messages to replay (default 500)")
    parser.add_argument("--speed", type=float, default=10.0, help="times the real pace (default 10)")
    parser.add_argument("--rate", type=float, default=0.05, help="response rate for messages nobody asked about")
    parser.add_argument("--model", type=Path, help="GGUF file (default: the packaged small model)")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Replay and measure; returns the figures."""
    from tests.support.discord_server import DiscordServer
    from tests.support.discord_world import World

    stretches = busiest_stretches(options.data, options.messages)
    world = World()
    for raw in json.loads((options.data / "channels.json").read_text(encoding="utf-8")):
        if int(raw["id"]) in stretches:
            world.add_channel(raw["name"], channel_id=int(raw["id"]))
    for messages in stretches.values():
        for message in messages:
            author = message["author"]
            world.add_member(int(author["id"]), author.get("global_name") or author["username"])
    with tempfile.TemporaryDirectory() as folder, DiscordServer(world) as server:
        return _replay(options, Path(folder), server, stretches)


def busiest_stretches(folder: Path, count: int) -> dict[int, list[dict[str, Any]]]:
    """Of the three channels with the most messages, a third of `count` each: the stretch that took the least time."""
    channels: dict[int, list[dict[str, Any]]] = {}
    with open(folder / "messages.jsonl", encoding="utf-8") as lines:
        for line in lines:
            message = json.loads(line)
            if not message["author"].get("bot") and message["content"]:
                channels.setdefault(int(message["channel_id"]), []).append(message)
    chosen = sorted(channels, key=lambda c: -len(channels[c]))[:3]
    return {channel: _busiest(channels[channel], (count + number) // 3) for number, channel in enumerate(chosen)}


def _busiest(messages: list[dict[str, Any]], length: int) -> list[dict[str, Any]]:
    pauses = _pauses(messages)
    total = [0.0]
    for pause in pauses:
        total.append(total[-1] + pause)
    starts = range(max(len(messages) - length, 1))
    start = min(starts, key=lambda at: total[min(at + length, len(total) - 1)] - total[at])
    return messages[start : start + length]


def _pauses(messages: list[dict[str, Any]]) -> list[float]:
    """Seconds before each message, silences shortened."""
    moments = [datetime.fromisoformat(message["timestamp"]).timestamp() for message in messages]
    return [0.0, *(min(max(b - a, 0.0), LONGEST_SILENCE_SECONDS) for a, b in itertools.pairwise(moments))]


def _replay(options: argparse.Namespace, folder: Path, server: Any, stretches: dict[int, Any]) -> dict[str, Any]:
    from model.catalog import offline_chat_model
    from storage.paths import PROJECT_ROOT, Workspace
    from storage.records import CommandKind, ModelState
    from storage.settings import REPLIES_PER_CHANNEL_HOUR, REPLIES_PER_HOUR, RESPONSE_RATE
    from storage.store import Store
    from tests.support.live_bot import prepare

    workspace = Workspace.at(folder).create()
    high = {REPLIES_PER_HOUR.key: 2000, REPLIES_PER_CHANNEL_HOUR.key: 1000, RESPONSE_RATE.key: options.rate}
    prepare(workspace, server, **high)
    variables = (
        os.environ
        | server.environment
        | {
            "MODEL_PATH": str(options.model or offline_chat_model()),
            "BOT_MEASURE_LAG": "1",
            "ADMIN_USERS": "1",
            "PYTHONPATH": str(PROJECT_ROOT),
        }
    )
    launcher = subprocess.Popen(
        [sys.executable, str(PROJECT_ROOT / "launcher.py"), "--headless", "--workspace", str(folder)],
        cwd=PROJECT_ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        with Store.open(workspace) as store:
            _wait(
                lambda: (
                    (s := store.status.read_bot()) is not None and s.is_connected and s.model_state is ModelState.READY
                ),
                START_SECONDS,
                "the bot",
            )
            print("The bot is online; replaying.", file=sys.stderr)
            mentions, said, started = _play(options, server, stretches)
            _wait(
                lambda: store.activity.totals_since(0).seen >= len(said) and not store.activity.due(),
                ANSWER_SECONDS,
                "all decisions and answers",
            )
            figures = _figures(store, server, mentions, said, time.monotonic() - started)
            store.commands.ask(CommandKind.STOP, asked_by="benchmark")
            _wait(lambda: (s := store.status.read_bot()) is not None and s.exit_code is not None, 30, "the stop")
            return figures
    finally:
        launcher.terminate()
        launcher.wait(30)


def _play(options: argparse.Namespace, server: Any, stretches: dict[int, Any]) -> tuple[list[int], list[int], float]:
    from tests.support.discord_world import BOT_ID

    mentions: list[int] = []
    said: list[int] = []
    guard = threading.Lock()

    def channel(channel_id: int, messages: list[dict[str, Any]], offset: int) -> None:
        for number, (message, pause) in enumerate(zip(messages, _pauses(messages), strict=True)):
            author = int(message["author"]["id"])
            time.sleep(pause / options.speed / 2)
            server.begin_to_write(channel_id, author)
            time.sleep(pause / options.speed / 2)
            is_mention = number % MENTION_EVERY == offset
            content = f"<@{BOT_ID}> {message['content']}"[:2000] if is_mention else message["content"]
            message_id = server.say(channel_id, author, content)
            with guard:
                said.append(message_id)
                if is_mention:
                    mentions.append(message_id)

    started = time.monotonic()
    threads = [
        threading.Thread(target=channel, args=(channel_id, messages, 5 + 6 * number))
        for number, (channel_id, messages) in enumerate(stretches.items())
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return mentions, said, started


def _figures(store: Any, server: Any, mentions: list[int], said: list[int], seconds: float) -> dict[str, Any]:
    from storage.control import LOOP_LAG_FACT

    rows = [store.activity.about(message_id) for message_id in said]
    asked = [store.activity.about(message_id) for message_id in mentions]
    own = [row for row in rows if row is not None and row.latency_ms is not None]
    latencies = sorted(row.latency_ms / 1000 for row in own)
    per_message = Counter(row["message_id"] for row in store.control_db.rows("SELECT message_id FROM activity"))
    people = {int(m["id"]): int(m["author"]["id"]) for room in server.world.messages.values() for m in room}
    answered = {row.reply_id: people.get(row.message_id) for row in rows if row is not None and row.reply_id}
    wrong_pings = [sent for sent in server.world.sent if sent.pings - {f"user {answered.get(int(sent.message['id']))}"}]
    return {
        "messages": len(said),
        "seconds": round(seconds, 1),
        "decisions_stored": sum(row is not None for row in rows),
        "stored_twice": sum(n > 1 for n in per_message.values()),
        "mentions": len(mentions),
        "mentions_answered": sum(row is not None and row.spoke for row in asked),
        "answered_twice": sum(n > 1 for n in Counter(s.reply_to for s in server.world.sent if s.reply_to).values()),
        "mentions_unanswered": Counter(
            row.reason if row else "no decision" for row in asked if row is None or not row.spoke
        ),
        "replies": len({row.reply_id for row in rows if row is not None and row.reply_id}),
        "sent_messages": len(server.world.sent),
        "longest": max((len(sent.content) for sent in server.world.sent), default=0),
        "pings_of_others": len(wrong_pings),
        "loop_lag_ms": store.facts.get(LOOP_LAG_FACT, {}),
        "latency_s_p50": statistics.median(latencies) if latencies else None,
        "latency_s_p90": latencies[int(len(latencies) * 0.9)] if latencies else None,
        "first_token_ms_p50": statistics.median(row.first_token_ms for row in own) if own else None,
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    return "\n".join(f"{name:<20} {json.dumps(value, ensure_ascii=False)}" for name, value in figures.items())


def _wait(condition: Any, seconds: float, what: str) -> None:
    from storage.errors import KnownError

    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise KnownError(f"Waited {seconds:.0f} s for {what}.", "See logs/bot.log of the workspace.")
        time.sleep(0.2)
