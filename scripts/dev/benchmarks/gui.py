"""The panel: launch to usable, memory, idle processor time, and the longest callback on the Tk thread.

A workspace with --messages messages (a million by default) is made first; then the real window is opened in a process
of its own, measured at rest and hidden, walked through every room, and flooded with --rate log lines a second and,
with Live open, with --talk messages a second. The
longest callback counts everything the Tk thread runs between two turns of its loop, building of rooms included; its
processor time beside it says what of that was waiting for other programs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from scripts.dev.take_screenshots import display
from storage.errors import KnownError
from storage.live import ReplyNote
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import Activity, Channel, Message
from storage.store import Store

ROOMS = ("playground", "live", "taught", "figures", "people", "training", "logs", "settings", "first_run", "home")
GOALS = {"usable_seconds": 1.5, "memory_mb": 80.0, "hidden_cpu_percent": 1.0, "longest_callback_ms": 50.0}
SAVE_ROWS = 5_000
DISCORD_EPOCH_MS, FIRST_MS = 1_420_070_400_000, 1_700_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--messages", type=int, default=1_000_000, help="messages stored (default: 1,000,000)")
    parser.add_argument("--rate", type=int, default=1000, help="log lines a second (default: 1,000)")
    parser.add_argument("--talk", type=int, default=20, help="messages a second while Live is open (default: 20)")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each measured part (default: 15)")
    parser.add_argument("--workspace", type=Path, help="keep the generated workspace here and use it again")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--inside", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make the workspace, then measure in a fresh process."""
    if options.inside:
        return measure(Path(options.inside), options.rate, options.talk, options.seconds)
    with tempfile.TemporaryDirectory(prefix="panel-bench-") as temporary, display(1200, 800):
        folder = options.workspace or Path(temporary)
        fill(Workspace.at(folder).create(), options.messages)
        started = time.time()
        figures_file = folder / "figures.json"
        command = [
            sys.executable,
            str(PROJECT_ROOT / "scripts" / "benchmark.py"),
            "gui",
            "--inside",
            str(folder),
            "--talk",
            str(options.talk),
            "--rate",
            str(options.rate),
            "--seconds",
            str(options.seconds),
            "--json",
            str(figures_file),
        ]
        done = subprocess.run(
            command, env=os.environ | {"PANEL_BENCH_STARTED": str(started)}, check=False, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            raise KnownError("The panel could not be measured.", "See the lines above.")
        figures: dict[str, Any] = json.loads(figures_file.read_text(encoding="utf-8"))
    return figures | {"messages": options.messages, "log_lines_per_second": options.rate}


def report(figures: dict[str, Any]) -> str:
    """A table with the goals beside the figures."""
    names = {
        "usable_seconds": "launch to usable, s",
        "usable_cpu_seconds": "its processor time, s",
        "memory_start_mb": "memory at the start, MB",
        "memory_mb": "memory after every room was open, MB",
        "visible_cpu_percent": "processor time visible and idle, %",
        "hidden_cpu_percent": "processor time hidden, %",
        "longest_callback_ms": "longest callback, ms",
        "longest_callback_cpu_ms": "its processor time, ms",
        "rooms_callback_ms": "longest while building rooms, ms",
        "live_cpu_percent": "processor time, Live and its talk, %",
        "live_callback_ms": "longest while the talk passes, ms",
        "live_callback_cpu_ms": "its processor time, ms",
        "flood_callback_ms": "longest in the flood, ms",
        "flood_callback_p99_ms": "99 of 100 in the flood, ms",
        "flood_lines": "log lines shown in the flood",
        "messages": "messages in the database",
    }
    lines = [f"{'figure':<42}{'value':>14}{'goal':>12}"]
    for key, name in names.items():
        if key in figures:
            goal = f"< {GOALS[key]:g}" if key in GOALS else ""
            lines.append(f"{name:<42}{figures[key]:>14,.6g}{goal:>12}")
    return "\n".join(lines)


def fill(workspace: Workspace, count: int) -> None:
    """Messages of 60 authors in 12 channels, unless they are there."""
    with Store.open(workspace) as store:
        present = store.messages.count()
        if present >= count:
            return
        store.channels.add(Channel(n, f"channel-{n}", learn=True, is_private=False) for n in range(1, 13))
        dice = random.Random(1)
        for first in range(present, count, SAVE_ROWS):
            rows = []
            for number in range(first, min(first + SAVE_ROWS, count)):
                author = min(int(dice.paretovariate(1.1)), 60)
                at = FIRST_MS + number * 3000
                rows.append(
                    Message(
                        at - DISCORD_EPOCH_MS << 22 | number % 4096,
                        1 + number % 12,
                        author,
                        f"member {author}",
                        f"message number {number}",
                        at,
                    )
                )
            store.messages.save(rows)
            if first % 100_000 == 0:
                print(f"{first:,} of {count:,} messages written", file=sys.stderr, flush=True)


def measure(folder: Path, rate: int, talk: int, seconds: float) -> dict[str, Any]:
    """In a process of its own: open the panel and look at it from inside."""
    import psutil

    started = float(os.environ["PANEL_BENCH_STARTED"])
    me = psutil.Process()
    with Store.open(Workspace.at(folder)) as store:
        controller, panel = import_module("bot_controller"), import_module("gui.app")
        app = panel.App(store, controller.BotController(store, offline=True), controller.JobRunner(store), demo=False)
        app._tick()
        turns = Turns(app)
        turns.until(lambda: app.window.front is not None and app.pulse is not None)
        usable, usable_cpu = time.time() - started, time.process_time()
        start_memory = me.memory_info().rss
        turns.clear()
        app.go("home")
        turns.run(3.0)
        rooms, own = [], []
        for room in ROOMS:
            turns.clear()
            app.go(room)
            turns.until(lambda room=room: app.window.front.key == room)
            turns.run(1.5)
            rooms.append(max(turns.times))
            own.append(max(turns.own))
        memory = me.memory_info().rss
        turns.clear()
        visible = processor_share(me, lambda: turns.rest(seconds))
        app.root.withdraw()
        turns.run(1.0)
        hidden = processor_share(me, lambda: turns.rest(seconds))
        app.root.deiconify()
        live_share, live_times, live_own = watch_live(app, turns, me, folder, talk, seconds)
        shown = flood(app, turns, store.workspace.logs / "bot.log", rate, seconds)
        flooded, own = sorted(turns.times), [*own, max(turns.own)]
        app.quit(leave_running=True)
    return {
        "usable_seconds": usable,
        "usable_cpu_seconds": usable_cpu,
        "memory_start_mb": start_memory / 1e6,
        "memory_mb": memory / 1e6,
        "visible_cpu_percent": visible,
        "hidden_cpu_percent": hidden,
        "rooms_callback_ms": max(rooms) * 1000,
        "live_cpu_percent": live_share,
        "live_callback_ms": max(live_times) * 1000,
        "live_callback_cpu_ms": max(live_own) * 1000,
        "flood_callback_ms": flooded[-1] * 1000,
        "flood_callback_p99_ms": flooded[int(len(flooded) * 0.99)] * 1000,
        "longest_callback_ms": max(*rooms, flooded[-1], *live_times) * 1000,
        "longest_callback_cpu_ms": max(*own, *live_own) * 1000,
        "flood_lines": shown,
    }


class Turns:
    """Runs the Tk loop event by event and keeps how long each one took."""

    def __init__(self, app: Any) -> None:
        self._app, self._tk = app, import_module("_tkinter")
        self.times: list[float] = []
        self.own: list[float] = []

    def clear(self) -> None:
        """Forget what was measured so far."""
        self.times.clear()
        self.own.clear()

    def run(self, seconds: float) -> None:
        """Turn the window's loop for so many seconds."""
        end = time.perf_counter() + seconds
        self._turn(lambda: time.perf_counter() > end)

    def until(self, condition: Any) -> None:
        """Turn the window's loop until something is true, 60 s at most."""
        end = time.perf_counter() + 60
        self._turn(lambda: condition() or time.perf_counter() > end)

    def rest(self, seconds: float) -> None:
        """As the main loop does: sleep until something happens."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._app.root.tk.dooneevent(0)

    def _turn(self, is_over: Any) -> None:
        interpreter, wait = self._app.root.tk, self._tk.DONT_WAIT
        while not is_over():
            before, own = time.perf_counter(), time.thread_time()
            if interpreter.dooneevent(wait):
                self.times.append(time.perf_counter() - before)
                self.own.append(time.thread_time() - own)
            else:
                time.sleep(0.002)


def processor_share(process: Any, work: Any) -> float:
    """Percent of one processor used by the process while `work` runs."""
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    work()
    return float(sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began) * 100


def watch_live(
    app: Any, turns: Turns, process: Any, folder: Path, rate: int, seconds: float
) -> tuple[float, list[float], list[float]]:
    """Live open while messages pass: processor share, and how long each callback took (all of it, its own time)."""
    app.go("live")
    turns.until(lambda: app.window.front.key == "live")
    turns.run(1.0)
    speaker = multiprocessing.get_context("spawn").Process(target=speak, args=(folder, rate, seconds))
    turns.clear()
    speaker.start()
    share = processor_share(process, lambda: turns.run(seconds + 2.0))
    speaker.join()
    return share, list(turns.times), list(turns.own)


def speak(folder: Path, rate: int, seconds: float) -> None:
    """What a busy server leaves in the databases: messages, decisions, every tenth of them answered."""
    with Store.open(Workspace.at(folder)) as store:
        end, number = time.time() + seconds, 0
        while time.time() < end:
            for _ in range(max(rate // 10, 1)):
                number += 1
                at = int(time.time() * 1000)
                said = Message(
                    at - DISCORD_EPOCH_MS << 22 | number % 4096,
                    1 + number % 3,
                    number % 60,
                    f"member {number % 60}",
                    f"a line of the usual length that somebody says, number {number}",
                    at,
                )
                answered = number % 10 == 0
                reply = said.id + (1 << 21) if answered else None
                row = Activity(
                    time.time(),
                    said.id,
                    said.channel_id,
                    said.author_id,
                    said.author_name,
                    answered,
                    "mentioned" if answered else "rolled 0.61 against 5%",
                    latency_ms=1400.0 if answered else None,
                    reply_id=reply,
                )
                store.messages.save([said])
                store.activity.add([row])
                if reply is not None:
                    own = replace(said, id=reply, author_id=99, author_name="bot", is_own=True, reply_to_id=said.id)
                    store.messages.save([own])
                    note = ReplyNote(reply, said.channel_id, said.id, time.time(), "voice", (reply,), (said.id,))
                    store.notes.add(note)
            time.sleep(0.1)


def flood(app: Any, turns: Turns, path: Path, rate: int, seconds: float) -> int:
    """Lines appended to the log the open room shows, from another process as in real life."""
    app.go("logs")
    turns.until(lambda: app.window.front.key == "logs")
    turns.run(1.0)
    before = app.window.front._shown
    script = (
        "import sys, time\nfile, rate = open(sys.argv[1], 'a'), int(sys.argv[2])\n"
        "n, end = 0, time.time() + float(sys.argv[3])\nwhile time.time() < end:\n"
        " for _ in range(rate // 20):\n  n += 1\n"
        "  file.write(f'[2025-11-02 14:32:15] [INFO] [bot.flood] a line of the usual length, number {n}\\n')\n"
        " file.flush()\n time.sleep(0.05)\n"
    )
    writer = threading.Thread(
        target=lambda: subprocess.run([sys.executable, "-c", script, str(path), str(rate), str(seconds)], check=False)
    )
    turns.clear()
    writer.start()
    turns.run(seconds + 1.0)
    writer.join()
    return int(app.window.front._shown - before)
