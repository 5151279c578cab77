"""Run the bot for a while and hurt it: does anything get lost, answered twice, or told to the wrong people?

    python scripts/dev/soak.py                                 ten minutes with the demo server's messages
    python scripts/dev/soak.py --minutes 240 --messages FOLDER hours, with any messages.jsonl, channels.json, guild.json

A real launcher supervises a real bot with the packaged small model on a Discord server of our own (loopback). Half of
the messages are history to fetch, the other half is said live while faults are injected, one after another: kill -9,
SIGSTOP, a cut network, a dropped connection that repeats events, a model reload, its memory freed, a fetch, an import
and a backup at the same time, and a disk that is full for a while (a limit on the size of the bot's files stands for
it). It ends with a table; exit code 1 when something was lost, answered twice or leaked. Linux only (it needs prlimit).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import bootstrap
from storage.jobs.arguments import plain_parser
from storage.paths import PROJECT_ROOT


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser(__doc__)
    made.add_argument("--minutes", type=float, default=10.0, help="how long messages are said (default: 10)")
    made.add_argument(
        "--messages",
        type=Path,
        default=PROJECT_ROOT / "data" / "demo",
        metavar="FOLDER",
        help="messages.jsonl, channels.json and guild.json (default: the demo server)",
    )
    made.add_argument("--workspace", type=Path, metavar="DIR", help="an empty folder to keep (default: none)")
    made.add_argument("--seed", type=int, default=1)
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import psutil

from data.discord_objects import channels_from_objects
from scripts.dev.soak_account import CANARY, EMBEDDER, Tally, account, sizes
from storage import policy
from storage.backup import create_backup
from storage.paths import Workspace
from storage.records import Channel, CommandKind, Message, ModelState
from storage.settings import EMBEDDING_MODEL, MAX_TOKENS, MODEL_PATH, RECALL_MIN_SIMILARITY, REPLIES_PER_HOUR, Setting
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World

OWNER = 7_000_000_000_000_009
CANARY_CHANNEL = 4_242
ASKED_EVERY, CANARY_EVERY = 6, 25
SAY_SECONDS, FAULT_SECONDS, SAMPLE_SECONDS = 0.5, 14.0, 1.0
START_SECONDS, SETTLE_SECONDS = 600.0, 60.0


class Soak:
    """One run: a workspace, a server, a launcher and a list of faults."""

    def __init__(self, workspace: Workspace, messages: Path, *, minutes: float, seed: int) -> None:
        self.dice = random.Random(seed)
        self.minutes = minutes
        self.folder = messages
        self.world, self.live = split_world(messages)
        self.server = DiscordServer(self.world)
        self.server.repeats_events_on_resume = True
        self.workspace = workspace
        self.store = Store.open(workspace)
        self.tally = Tally()
        self.launcher: subprocess.Popen[bytes] | None = None
        self.sizes_before: dict[str, int] = {}

    # ---- set-up -----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The owner's choices, and a private channel with a canary that may be recalled there only."""
        policy.record_policy(self.store.consents, accepted=True, given_by="soak")
        found = channels_from_objects(self.world.guild_json(), self.world.guild_channels())
        self.store.channels.add(found)
        policy.choose_channels(self.store.channels, [channel.id for channel in found if not channel.is_private])
        self.store.channels.add([Channel(CANARY_CHANNEL, "vault", recall=True, is_private=True)])
        self.store.messages.save(
            [Message(n, CANARY_CHANNEL, OWNER, "Olga", f"the vault code is {CANARY} {n}", n) for n in range(1, 6)]
        )
        choices: tuple[tuple[Setting[Any], Any], ...] = (
            (MODEL_PATH, "smollm2-135m-instruct"),
            (EMBEDDING_MODEL, EMBEDDER),
            (MAX_TOKENS, 50),
            (RECALL_MIN_SIMILARITY, 0.0),
            (REPLIES_PER_HOUR, 2000),
        )
        for setting, value in choices:
            self.store.settings.set(setting, value, changed_by="soak")

    def start(self) -> None:
        """Server, first fetch and launcher; returns when the bot is ready."""
        self.server.start()
        if self._job("fetch", "fetch_and_embed.py").wait(START_SECONDS) != 0:
            raise SystemExit(f"the first fetch failed: see {self.workspace.logs}")
        self.launcher = subprocess.Popen(
            [sys.executable, "launcher.py", "--headless", "--workspace", str(self.workspace.root)],
            cwd=PROJECT_ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait(self._is_ready, START_SECONDS, "a ready bot")
        self.sizes_before = sizes(self.workspace)

    def run(self) -> None:
        """Say, hurt and sample until the time is up."""
        end = time.monotonic() + self.minutes * 60
        faults = cycle(self._faults())
        next_fault, next_sample, number = time.monotonic() + FAULT_SECONDS, 0.0, 0
        messages = cycle(self.live)
        while (now := time.monotonic()) < end:
            number += 1
            self._say(next(messages), number)
            if now >= next_sample:
                next_sample = now + SAMPLE_SECONDS
                self._sample()
            # The last minute is left in peace, so that the end is not counted as damage.
            if now >= next_fault and now < end - min(60.0, self.minutes * 12):
                fault = next(faults)
                self.tally.faults[fault.__name__.strip("_").replace("_", " ")] += 1
                fault()
                next_fault = time.monotonic() + FAULT_SECONDS
            time.sleep(SAY_SECONDS * self.dice.uniform(0.5, 1.0))

    def finish(self) -> None:
        """Let it settle, stop in order, and fetch what was said while nobody listened."""
        self._wait(self._is_ready, START_SECONDS, "a ready bot after the last fault")
        self._wait(lambda: not self.store.activity.due(), SETTLE_SECONDS, "the last answers", must=False)
        assert self.launcher is not None
        self.launcher.send_signal(signal.SIGTERM)
        self.launcher.wait(SETTLE_SECONDS)
        for process in list(self.tally.jobs.values()):
            process.wait(START_SECONDS)
        for name in ("fetch", "final"):
            self._reap()
            self._job(name, "fetch_and_embed.py").wait(START_SECONDS)
        self._reap()

    def close(self) -> None:
        """End what still runs."""
        status = self.store.status.read_bot()
        if self.launcher is not None and self.launcher.poll() is None:
            self.launcher.kill()
            self.launcher.wait()
        if status is not None and status.exit_code is None and psutil.pid_exists(status.pid):
            os.kill(status.pid, signal.SIGKILL)
        for process in self.tally.jobs.values():
            process.kill()
        self.server.close()
        self.store.close()

    # ---- what happens ----------------------------------------------------------------------------------

    def _say(self, message: dict[str, Any], number: int) -> None:
        content = message["content"]
        if number % CANARY_EVERY == 0:
            content = f"<@{BOT_ID}> what is the vault code?"
        elif number % ASKED_EVERY == 0:
            content = f"<@{BOT_ID}> {content}"
        channel, author = int(message["channel_id"]), int(message["author"]["id"])
        self.server.begin_to_write(channel, author)
        time.sleep(SAY_SECONDS * self.dice.uniform(0.0, 0.5))
        said = self.server.say(channel, author, content)
        self.tally.said[said] = message | {"content": content}
        if not self._is_ready():
            self.tally.while_down.add(said)

    def _faults(self) -> list[Callable[[], None]]:
        return [
            self._kill,
            self._network_cut,
            self._fetch,
            self._reload,
            self._dropped_connection,
            self._disk_full,
            self._import,
            self._pause,
            self._free_the_model,
            self._backup,
            self._kill_the_launcher,
        ]

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _pause(self) -> None:
        """Shorter than the limit after which a frozen bot is replaced."""
        self._signal(signal.SIGSTOP)
        time.sleep(4)
        self._signal(signal.SIGCONT)

    def _network_cut(self) -> None:
        self.server.go_away()
        time.sleep(6)
        self.server.listen()

    def _dropped_connection(self) -> None:
        self.server.close_gateway(1011)

    def _reload(self) -> None:
        self.store.commands.ask(CommandKind.RELOAD_MODEL, asked_by="soak")

    def _free_the_model(self) -> None:
        self.store.commands.ask(CommandKind.FREE_MODEL, asked_by="soak")

    def _disk_full(self) -> None:
        """The bot's files may not grow: writes fail as on a full disk, in that process alone."""
        status = self.store.status.read_bot()
        if status is None or not psutil.pid_exists(status.pid):
            return
        process = psutil.Process(status.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (4096, psutil.RLIM_INFINITY))
        time.sleep(5)
        process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))

    def _fetch(self) -> None:
        self._job("fetch", "fetch_and_embed.py")

    def _import(self) -> None:
        self._job("import", "fetch_and_embed.py", "--import", str(self.folder / "messages.jsonl"), "--no-index")

    def _backup(self) -> None:
        backup = create_backup(self.store)
        self.tally.job_codes["backup 0"] += int(backup.folder.is_dir())

    def _kill_the_launcher(self) -> None:
        assert self.launcher is not None
        self.launcher.kill()
        self.launcher.wait()
        self.launcher = subprocess.Popen(
            [sys.executable, "launcher.py", "--headless", "--workspace", str(self.workspace.root)],
            cwd=PROJECT_ROOT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    # ---- small parts ------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        return (
            os.environ
            | self.server.environment
            | {"ADMIN_USERS": str(OWNER), "GOMP_SPINCOUNT": "1000", "PYTHONPATH": str(PROJECT_ROOT)}
        )

    def _job(self, name: str, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        self._reap()
        if name in self.tally.jobs:
            return self.tally.jobs[name]
        with open(self.workspace.logs / f"soak-{name}.out.log", "ab") as output:
            process = subprocess.Popen(
                [sys.executable, f"scripts/{script}", "--workspace", str(self.workspace.root), *arguments],
                cwd=PROJECT_ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.tally.jobs[name] = process
        return process

    def _reap(self) -> None:
        for name, process in list(self.tally.jobs.items()):
            if process.poll() is not None:
                self.tally.job_codes[f"{name} {process.returncode}"] += 1
                del self.tally.jobs[name]

    def _signal(self, number: int) -> None:
        status = self.store.status.read_bot()
        if status is not None and status.exit_code is None and psutil.pid_exists(status.pid):
            os.kill(status.pid, number)

    def _is_ready(self) -> bool:
        status = self.store.status.read_bot()
        return (
            status is not None
            and status.exit_code is None
            and status.is_connected
            and status.model_state is ModelState.READY
            and time.time() - status.heartbeat_at < 5
            and psutil.pid_exists(status.pid)
            and self.server.is_anyone_online
        )

    def _sample(self) -> None:
        self._reap()
        status = self.store.status.read_bot()
        if status is not None and self._is_ready():
            try:
                self.tally.memory.append((time.monotonic(), psutil.Process(status.pid).memory_info().rss))
            except psutil.Error:
                return

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str, *, must: bool = True) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                if must:
                    raise SystemExit(f"Waited {seconds:.0f} s for {what}: see {self.workspace.logs}")
                return
            time.sleep(0.2)


def split_world(folder: Path) -> tuple[World, list[dict[str, Any]]]:
    """The first half of a folder's messages as history, the second half to be said live (people, public channels)."""
    guild = json.loads((folder / "guild.json").read_text(encoding="utf-8"))
    world = World(guild_id=int(guild["id"]), name=guild["name"])
    for raw in json.loads((folder / "channels.json").read_text(encoding="utf-8")):
        world.add_channel(raw["name"], channel_id=int(raw["id"]), kind=raw.get("type", 0))
        world.channels[int(raw["id"])]["permission_overwrites"] = raw.get("permission_overwrites", [])
    messages = [json.loads(line) for line in (folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()]
    messages = [raw for raw in messages if int(raw["channel_id"]) in world.channels]
    half = len(messages) // 2
    for raw in messages[:half]:
        world.load(raw)
    world.add_member(OWNER, "Olga")
    live = [
        raw
        for raw in messages[half:]
        if not raw["author"].get("bot")
        and raw.get("type", 0) in (0, 19)
        and not world.channels[int(raw["channel_id"])]["permission_overwrites"]
        and raw["content"].strip()
    ]
    for raw in live:
        world.users.setdefault(int(raw["author"]["id"]), raw["author"])
    return world, live


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, 1 when something was lost, double or leaked."""
    options = parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("The soak run needs Linux (it limits the bot's files through prlimit).", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="soak-") as passing:
        soak = Soak(
            Workspace.at(options.workspace or passing).create(),
            options.messages,
            minutes=options.minutes,
            seed=options.seed,
        )
        try:
            soak.prepare()
            soak.start()
            print(f"Ready; saying messages for {options.minutes:g} minutes.", file=sys.stderr)
            soak.run()
            soak.finish()
            counted = account(
                soak.tally, soak.store, soak.world, token=soak.server.token, sizes_before=soak.sizes_before
            )
        finally:
            soak.close()
    width = max(len(what) for what, _, _ in counted)
    for what, figure, is_bad in counted:
        print(f"{what:<{width}}  {figure}{'   <-- BAD' if is_bad else ''}")
    return int(any(is_bad for _, _, is_bad in counted))


if __name__ == "__main__":
    sys.exit(main())
