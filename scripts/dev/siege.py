"""The siege: jobs and the bot killed at random moments, disks that fill up, the fault tests, and a table at the end.

    python scripts/dev/siege.py                              all of it, in under 25 minutes
    python scripts/dev/siege.py --parts 0 --minutes 5        without the fault tests of docs/RELIABILITY.md
    python scripts/dev/siege.py --parts 0 --rounds 1 --only migrate backup

A killed job is started again; then both databases must be whole, its result the same as without the kill, and nothing
left running. What is killed, and what must hold right after the kill, is in siege_attacks.py and siege_bot.py, the
disks in siege_disks.py. It exits 1 when something failed. The seed is printed; `--seed` repeats the moments (the
computer's speed is not repeated).
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
    made.add_argument("--minutes", type=float, default=24.0, help="how long it may take (default: 24)")
    made.add_argument("--rounds", type=int, default=0, help="so many kills of each kind, however long they take")
    made.add_argument("--parts", type=int, default=8, help="into how many parts the fault tests are cut; 0: none")
    made.add_argument("--only", nargs="+", metavar="NAME", default=[], help="only these kinds; a wrong name lists them")
    made.add_argument("--seed", type=int, default=None, help="repeat the moments of an earlier run")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser, groups=("runtime", "offline", "train", "dev"))

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scripts.dev import siege_bot, siege_disks
from scripts.dev.fault_table import run_part
from scripts.dev.siege_attacks import NAMES, Attack, Starts, end_what_is_left, loopback
from storage.paths import Workspace
from storage.store import Store

# Share of the time that the fault tests leave to the rest.
_KILLS_SHARE = 0.4
# A script spends its first moments on imports; kills there are the least interesting ones.
_EARLIEST = 0.15
Round = Callable[[], str]


@dataclass
class Tally:
    """One row of the table."""

    name: str
    rounds: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The count of one kind, as the table prints it."""
        survived = self.rounds - len(self.failed)
        return f"{self.name:24} {self.rounds:6} {survived:9} {len(self.failed):7} {self.seconds:8.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 when something failed."""
    options = parser().parse_args(arguments)
    every = (*NAMES, siege_bot.NAME, siege_disks.NAME)
    if unknown := set(options.only) - set(every):
        print(f"Not a kind: {', '.join(sorted(unknown))}. There are: {', '.join(every)}", file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10_000)
    began = time.monotonic()
    end = began + options.minutes * 60
    print(f"seed {seed}", flush=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="siege-") as folder, loopback() as server:
        rounds = _rounds(Path(folder), Starts(Path(folder), server), random.Random(seed), options.only or every)
        share = _KILLS_SHARE if options.parts else 1.0
        rows = play(rounds, until=began + options.minutes * 60 * share, times=options.rounds)
    rows += fault_tests(options.parts, until=end)
    print(f"\n{'':24} rounds  survived  failed  seconds")
    for row in rows:
        print(row.line())
        for words in row.failed:
            print(f"    {words}")
    total = Tally("all", sum(row.rounds for row in rows), time.monotonic() - began)
    total.failed = [words for row in rows for words in row.failed]
    print(total.line(), flush=True)
    return int(bool(total.failed))


def play(rounds: dict[str, Round], *, until: float, times: int = 0) -> list[Tally]:
    """Each kind at least once, then whichever has had the least time, until it is over; or `times` rounds of each."""
    rows = {name: Tally(name) for name in rounds}
    while True:
        waiting = [row for row in rows.values() if row.rounds < max(times, 1)]
        if not waiting and (times or time.monotonic() > until):
            return list(rows.values())
        row = min(waiting or rows.values(), key=lambda row: row.seconds)
        began = time.monotonic()
        trouble = rounds[row.name]()
        row.rounds += 1
        row.seconds += time.monotonic() - began
        print(f"{row.name}: {trouble or 'survived'} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
        if trouble:
            row.failed.append(trouble)


def _rounds(folder: Path, starts: Starts, dice: random.Random, names: Sequence[str]) -> dict[str, Round]:
    found: dict[str, Round] = {name: Kills(starts, name, folder / "round", dice) for name in names if name in NAMES}
    if siege_bot.NAME in names:
        found[siege_bot.NAME] = lambda: siege_bot.one_round(folder / "bot", dice)
    if siege_disks.NAME in names:
        found[siege_disks.NAME] = siege_disks.Disks(folder / "disks", dice)
    return found


class Kills:
    """Rounds of one attack: what it ends with when left alone is found out first."""

    def __init__(self, starts: Starts, name: str, root: Path, dice: random.Random) -> None:
        self._starts, self._name, self._root, self._dice = starts, name, root, dice
        self._attack: Attack | None = None
        self._wanted, self._seconds = "", 0.0

    def __call__(self) -> str:
        """The next round of it; what went wrong, '' for nothing."""
        if self._attack is None:
            self._attack = self._starts.attack(self._name)
            self._wanted, self._seconds = left_alone(self._attack, self._root)
        return one_round(self._attack, self._root, self._wanted, self._dice.uniform(_EARLIEST, 1.0) * self._seconds)


def left_alone(attack: Attack, root: Path) -> tuple[str, float]:
    """What the job ends with, '' when it does not end well, and how long it takes."""
    attack.fresh(root)
    try:
        code, seconds = attack.run(root)
        return (attack.result(Workspace.at(root)) if code == 0 else ""), seconds
    finally:
        shutil.rmtree(root)


def one_round(attack: Attack, root: Path, wanted: str, moment: float) -> str:
    """Kill it at a moment, look, run it again, look again; '' when all is as it should be."""
    if not wanted:
        return "does not end well even when left alone"
    attack.fresh(root)
    try:
        attack.run(root, kill_after=moment)
        found = _after_the_kill(attack, root) or after_the_next_run(attack, root, wanted)
    finally:
        end_what_is_left(root, patience=0.0)
        shutil.rmtree(root)
    return f"killed after {moment:.2f} s: {found}" if found else ""


def _after_the_kill(attack: Attack, root: Path) -> str:
    if left := end_what_is_left(root):
        return f"left running: {'; '.join(left)}"
    return attack.survives(Workspace.at(root))


def after_the_next_run(attack: Attack, root: Path, wanted: str) -> str:
    """The job as its owner starts it again: what is wrong with its end, '' for nothing."""
    code, _ = attack.run(root, is_again=True)
    if code:
        return f"the next run ended with {code}"
    with Store.open(Workspace.at(root)) as store:
        if {store.messages_db.check(), store.control_db.check()} != {"ok"}:
            return "a database is damaged"
    return "" if attack.result(Workspace.at(root)) == wanted else "another result"


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
        row.seconds += time.monotonic() - began
    return [row] if parts else []


if __name__ == "__main__":
    sys.exit(main())
