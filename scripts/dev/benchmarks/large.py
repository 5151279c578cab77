"""A server with a million messages: what members, admins and the dashboard ask of it, and a flood on top.

Fills a workspace with messages of thirty members in thirty channels and a month of decisions, then times what is asked
for: `!botdata`, `!status`, the dashboard's figures, and `!forgetme` of one member. --flood SECONDS starts a real bot on
it (packaged small model, loopback Discord), says 200 messages a second with a `!botdata` twice a second, asks a
question in another channel every two seconds, and watches the heartbeat.

    python scripts/benchmark.py large [--messages 1000000] [--flood 60]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMBERS, CHANNELS = 30, 30
FIRST_MEMBER = 7_000_000_000_000_100
DECISIONS = 100_000
A_SECOND = 200
QUESTION_EVERY, COMMAND_EVERY = 2.0, 0.5
SETTLE_SECONDS = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many are stored (default: %(default)s)")
    parser.add_argument("--flood", type=float, default=0.0, metavar="SECONDS", help="how long the flood lasts")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fill, flood, ask; returns the figures."""
    from storage.paths import Workspace
    from storage.store import Store

    figures: dict[str, Any] = {"messages": options.messages}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.at(folder)
        with Store.open(workspace) as store:
            began = time.monotonic()
            fill(store, options.messages)
            figures["filling_seconds"] = round(time.monotonic() - began, 1)
            figures["database_megabytes"] = round(workspace.messages_db.stat().st_size / 1e6)
        if options.flood:
            figures["flood"] = flood(workspace, options.flood)
        with Store.open(workspace) as store:
            figures |= asked(store)
    return figures


def fill(store: Any, count: int) -> None:
    """Messages and decisions, past the triggers of the index queue."""
    from storage.records import Channel

    store.channels.add(
        [Channel(1000 + n, f"room-{n}", learn=True, recall=True, is_private=False) for n in range(CHANNELS)]
    )
    with store.messages_db.transaction() as connection:
        trigger = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'queue_new'").fetchone()[0]
        connection.execute("DROP TRIGGER queue_new")
        connection.executemany(
            "INSERT INTO members (id, username, display_name) VALUES (?, ?, ?)",
            ((FIRST_MEMBER + n, f"member{n}", f"Member {n}") for n in range(MEMBERS)),
        )
        connection.executemany(
            "INSERT INTO messages (id, channel_id, author_id, content, created_ms) VALUES (?, ?, ?, ?, ?)",
            (
                (
                    n,
                    1000 + n * 7 % CHANNELS,
                    FIRST_MEMBER + n * 11 % MEMBERS,
                    f"an older line, the {n}th, of them all",
                    n,
                )
                for n in range(1, count + 1)
            ),
        )
        connection.execute(trigger)
    now = time.time()
    with store.control_db.transaction() as connection:
        connection.executemany(
            "INSERT INTO activity (at, message_id, channel_id, author_id, author_name, spoke, reason, latency_ms) "
            "VALUES (?, ?, ?, ?, 'Member', ?, 'rolled 0.5 of 0.1', ?)",
            (
                (now - 26.0 * n, n, 1000 + n % CHANNELS, FIRST_MEMBER + n % MEMBERS, n % 20 == 0, 900.0)
                for n in range(1, DECISIONS + 1)
            ),
        )


def asked(store: Any) -> dict[str, float]:
    """Seconds of each by the clock and of the processor, the best of three; forgetting can be done once."""
    from bot.command_texts import botdata_text, status_text
    from gui.components.dashboard import read_figures
    from storage.forgetting import forget_member
    from storage.records import BotPhase, BotStatus

    now = time.time()
    status = BotStatus(1, BotPhase.RUNNING, now, now)
    works: tuple[tuple[str, Callable[[], object], int], ...] = (
        ("botdata", lambda: botdata_text(store, FIRST_MEMBER), 3),
        ("status", lambda: status_text(store, status, now), 3),
        ("dashboard", lambda: read_figures(store), 3),
        ("forgetme", lambda: forget_member(store, FIRST_MEMBER + 1), 1),
    )
    figures = {}
    for name, work, times in works:
        found = []
        for _ in range(times):
            began, worked = time.monotonic(), time.process_time()
            work()
            found.append((time.monotonic() - began, time.process_time() - worked))
        figures[f"{name}_seconds"], figures[f"{name}_processor_seconds"] = (round(each, 3) for each in min(found))
    return figures


def flood(workspace: Any, seconds: float) -> dict[str, Any]:
    """A real bot under 200 messages a second: the oldest heartbeat, the questions' waits, what was stored."""
    import psutil

    from storage.store import Store
    from tests.support.discord_server import DiscordServer
    from tests.support.discord_world import BOT_ID, World
    from tests.support.live_bot import MIRA, TAM, offline_model_environment, prepare, running_bot

    world = World()
    for channel_id, name in ((1000, "general"), (1001, "noise")):
        world.add_channel(name, channel_id=channel_id)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam")):
        world.add_member(user_id, name)
    ages, waits, is_over = list[float](), list[float](), threading.Event()
    with DiscordServer(world) as server:
        prepare(workspace, server)
        with running_bot(workspace, server, environment=offline_model_environment()) as bot:
            bot.wait_until_ready()

            def watch() -> None:
                with Store.open(workspace) as seen:
                    while not is_over.wait(0.25):
                        status = seen.status.read_bot()
                        ages.append(time.time() - (status.heartbeat_at if status else 0.0))

            watching = threading.Thread(target=watch)
            watching.start()
            said, open_questions = list[int](), dict[int, float]()
            process = psutil.Process(bot.process.pid)
            worked, began = sum(process.cpu_times()[:2]), time.monotonic()
            next_question, next_command = began + 1.0, began
            try:
                while (now := time.monotonic()) < began + seconds:
                    said.append(server.say(1001, TAM if len(said) % 2 else MIRA, f"noise {len(said)}"))
                    if now >= next_command:
                        server.say(1001, TAM, "!botdata")
                        next_command = now + COMMAND_EVERY
                    if now >= next_question and not open_questions:
                        open_questions[server.say(1000, MIRA, f"<@{BOT_ID}> are you there?")] = now
                        next_question = now + QUESTION_EVERY
                    _close(bot.store, open_questions, waits)
                    time.sleep(max(0.0, began + len(said) / A_SECOND - time.monotonic()))
                took, worked = time.monotonic() - began, sum(process.cpu_times()[:2]) - worked
                deadline = time.monotonic() + SETTLE_SECONDS
                while time.monotonic() < deadline and (
                    open_questions or len(bot.store.messages.known_ids(said)) < len(said)
                ):
                    _close(bot.store, open_questions, waits)
                    time.sleep(0.2)
            finally:
                is_over.set()
                watching.join()
            return {
                "seconds": seconds,
                "said": len(said),
                "a_second": round(len(said) / seconds),
                "bot_processor_share": round(worked / took, 2),
                "computer_load": round(psutil.getloadavg()[0], 1),
                "stored": len(bot.store.messages.known_ids(said)),
                "all_stored_seconds_after_the_end": round(time.monotonic() - began - seconds, 1),
                "oldest_heartbeat_seconds": round(max(ages), 1),
                "questions": len(waits) + len(open_questions),
                "answered": len(waits),
                "longest_wait_seconds": round(max(waits, default=-1.0), 1),
            }


def _close(store: Any, open_questions: dict[int, float], waits: list[float]) -> None:
    """Note the wait of every question that has its answer."""
    for question, asked_at in list(open_questions.items()):
        row = store.activity.about(question)
        if row is not None and row.reply_id is not None:
            waits.append(time.monotonic() - asked_at)
            del open_questions[question]


def report(figures: dict[str, Any]) -> str:
    """The figures as lines."""
    lines = [f"{name.replace('_', ' '):<36} {value}" for name, value in figures.items() if name != "flood"]
    for name, value in figures.get("flood", {}).items():
        lines.append(f"flood: {name.replace('_', ' '):<29} {value}")
    print("goals: botdata and status 0.2 s, forgetme 2 s, heartbeat 10 s, answer 15 s", file=sys.stderr)
    return "\n".join(lines)
