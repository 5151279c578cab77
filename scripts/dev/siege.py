"""The siege, reduced: the fault tests of docs/RELIABILITY.md in parts, kills at random moments, a table at the end.

    python scripts/dev/siege.py --minutes 20            as much of both as fits
    python scripts/dev/siege.py --minutes 3 --parts 0   kills only

A killed job is started again; then both databases must be whole and its result the same as without the kill. What is
killed: an import, a fetch from the loopback Discord, preparing data sets, a backup, and forgetting a member. It exits 1
when something failed. The seed is printed; `--seed` repeats the moments (the computer's speed is not repeated).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import bootstrap
from storage.jobs.arguments import plain_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser(__doc__)
    made.add_argument("--minutes", type=float, default=20.0, help="how long it may take (default: 20)")
    made.add_argument("--parts", type=int, default=8, help="into how many parts the fault tests are cut; 0: none")
    made.add_argument("--seed", type=int, default=None, help="repeat the moments of an earlier run")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

import hashlib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from scripts.dev.fault_table import run_part
from storage import policy
from storage.backup import list_backups, verify
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import Channel
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World

DEMO = PROJECT_ROOT / "data" / "demo"
FORGET = (
    "import sys; from storage.forgetting import forget_member; from storage.paths import Workspace; "
    "from storage.store import Store\n"
    "with Store.open(Workspace.at(sys.argv[1])) as store: forget_member(store, int(sys.argv[2]))"
)
# Share of the time that the kills get when the fault tests run too.
_KILLS_SHARE = 0.3


@dataclass
class Tally:
    """One row of the table."""

    name: str
    rounds: int = 0
    failed: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The count of one attack, as the table prints it."""
        return f"{self.name:24} {self.rounds:6} {self.rounds - len(self.failed):9} {len(self.failed):7}"


@dataclass(frozen=True)
class Attack:
    """A job that is killed. start: from which folder; command: for a workspace; result: what must be the same."""

    name: str
    start: Path
    command: Callable[[Path], list[str]]
    result: Callable[[Workspace], str]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, root: Path, *, kill_after: float | None = None) -> tuple[int, float]:
        """Exit code and seconds; killed after a while when asked."""
        began = time.monotonic()
        process = subprocess.Popen(
            self.command(root),
            cwd=PROJECT_ROOT,
            env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)} | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(kill_after if kill_after is not None else 300.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.returncode, time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 when something failed."""
    options = parser().parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10_000)
    end = time.monotonic() + options.minutes * 60
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="siege-") as folder, loopback() as server:
        share = _KILLS_SHARE if options.parts else 1.0
        rows = kills(Path(folder), server, random.Random(seed), until=time.monotonic() + options.minutes * 60 * share)
    rows += fault_tests(options.parts, until=end)
    print(f"\n{'':24} rounds  survived  failed")
    for row in rows:
        print(row.line())
        for words in row.failed:
            print(f"    {words}")
    return int(any(row.failed for row in rows))


def fault_tests(parts: int, *, until: float) -> list[Tally]:
    """Part after part, while another one as long as the longest so far still fits; what was left out is said."""
    row, longest = Tally("fault tests, parts"), 0.0
    for part in range(1, parts + 1):
        if time.monotonic() + longest > until:
            print(f"Left out for lack of time: parts {part} to {parts} of {parts}")
            break
        began = time.monotonic()
        row.rounds += 1
        if code := run_part(part, parts):
            row.failed.append(f"part {part}/{parts}: exit code {code}")
        longest = max(longest, time.monotonic() - began)
    return [row] if parts else []


def kills(folder: Path, server: DiscordServer, dice: random.Random, *, until: float) -> list[Tally]:
    """Round after round of every attack until the time is over; at least one of each."""
    found = attacks(folder, server)
    rows, usual = {attack.name: Tally(attack.name) for attack in found}, dict[str, tuple[str, float]]()
    while True:
        for attack in found:
            if rows[attack.name].rounds and time.monotonic() > until:
                return list(rows.values())
            root = folder / "round"
            if attack.name not in usual:
                shutil.copytree(attack.start, root)
                code, seconds = attack.run(root)
                usual[attack.name] = (attack.result(Workspace.at(root)) if code == 0 else "", seconds)
                shutil.rmtree(root)
            rows[attack.name].rounds += 1
            if trouble := one_round(attack, root, *usual[attack.name], dice):
                rows[attack.name].failed.append(trouble)


def one_round(attack: Attack, root: Path, wanted: str, seconds: float, dice: random.Random) -> str:
    """Kill it at a random moment, run it again; '' when all is as it should be."""
    if not wanted:
        return "does not end well even when left alone"
    moment = dice.uniform(0.0, seconds)
    shutil.copytree(attack.start, root)
    try:
        attack.run(root, kill_after=moment)
        code, _ = attack.run(root)
        if code:
            return f"killed after {moment:.2f} s: the next run ended with {code}"
        with Store.open(Workspace.at(root)) as store:
            if {store.messages_db.check(), store.control_db.check()} != {"ok"}:
                return f"killed after {moment:.2f} s: a database is damaged"
        return "" if attack.result(Workspace.at(root)) == wanted else f"killed after {moment:.2f} s: another result"
    finally:
        shutil.rmtree(root)


def attacks(folder: Path, server: DiscordServer) -> list[Attack]:
    """What is killed, each from a workspace of its own."""
    empty, filled, chosen = (folder / name for name in ("empty", "filled", "chosen"))
    Store.open(Workspace.at(empty)).close()
    shutil.copytree(empty, filled)
    subprocess.run([*_import(filled)], cwd=PROJECT_ROOT, check=True, stdout=subprocess.DEVNULL)
    with Store.open(Workspace.at(filled)) as store:
        member = max(counts := store.messages.counts_by_author(), key=lambda author: counts[author])
        policy.record_policy(store.consents, accepted=True, given_by="siege")
        for channel in store.channels.all():
            store.channels.switch(channel.id, is_private=False)
        policy.choose_channels(store.channels, [channel.id for channel in store.channels.all()])
    shutil.copytree(empty, chosen)
    with Store.open(Workspace.at(chosen)) as store:
        policy.record_policy(store.consents, accepted=True, given_by="siege")
        _choose(store, server)

    def script(name: str, *more: str) -> Callable[[Path], list[str]]:
        path = str(PROJECT_ROOT / "scripts" / name)
        return lambda root: [sys.executable, path, "--workspace", str(root), *more]

    return [
        Attack("import", empty, _import, messages),
        Attack("fetch", chosen, script("fetch_and_embed.py", "--no-index"), messages, dict(server.environment)),
        Attack("prepare", filled, script("2_prepare_training_data.py"), prepared),
        Attack("backup", filled, script("backup.py"), backed_up),
        Attack("forget", filled, lambda root: [sys.executable, "-c", FORGET, str(root), str(member)], messages),
    ]


def _import(root: Path) -> list[str]:
    path = str(PROJECT_ROOT / "scripts" / "fetch_and_embed.py")
    files = [str(DEMO / "messages.jsonl"), "--channels", str(DEMO / "channels.json")]
    return [sys.executable, path, "--workspace", str(root), "--no-index", "--import", *files]


def _choose(store: Store, server: DiscordServer) -> None:
    store.channels.add(
        [
            Channel(int(raw["id"]), raw["name"], kind=raw["type"], guild_id=server.world.guild_id, is_private=False)
            for raw in server.world.guild_channels()
        ]
    )
    policy.choose_channels(store.channels, [channel.id for channel in store.channels.all()])


def messages(workspace: Workspace) -> str:
    """A digest of everything that is kept of members, '' for nothing."""
    digest = hashlib.sha256()
    with Store.open(workspace) as store:
        query = "SELECT id, channel_id, author_id, content, reply_to_id FROM messages ORDER BY 1"
        for row in store.messages_db.rows(query):
            digest.update(repr(tuple(row)).encode())
        is_anything = store.messages.count() > 0
    return digest.hexdigest() if is_anything else ""


def prepared(workspace: Workspace) -> str:
    """A digest of the rows of the newest data set that is finished."""
    digest = hashlib.sha256()
    manifests = sorted(workspace.message_files.rglob("manifest.json"))
    for path in sorted(manifests[-1].parent.glob("*.jsonl")) if manifests else ():
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest() if manifests else ""


def backed_up(workspace: Workspace) -> str:
    """The newest backup is whole; how many messages are in it."""
    newest = list_backups(workspace.backups)[-1]
    verify(newest)
    return str(newest.messages)


@contextmanager
def loopback() -> Iterator[DiscordServer]:
    """A Discord of our own with a few channels of history."""
    world = World()
    world.add_member(7_000_000_000_000_001, "Mira")
    for number in range(3):
        world.add_channel(f"room-{number}", channel_id=1000 + number)
        for line in range(400):
            world.write(1000 + number, 7_000_000_000_000_001, f"line {line} of room {number}")
    with DiscordServer(world) as server:
        yield server


if __name__ == "__main__":
    sys.exit(main())
