"""The siege's disks: every program on a real file system that is full, nearly full or read-only.

A tmpfs of a fixed size where mounting is allowed (root on Linux); elsewhere the round says so and is not counted as a
failure. What is wanted: an end within a minute, no traceback, a sentence with a path when the work could not be done,
whole databases with the same messages afterwards, and success once there is room again.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model.catalog import offline_chat_model
from storage import policy
from storage.backup import create_backup
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import Channel
from storage.store import Store
from storage.system.processes import kill_tree
from tests.support.full_workspace import messages
from tests.support.training_data import write_prepared_folder

NAME = "disks"
SIZE_MEGABYTES = 24
LAST_BYTES = 160_000
STATES = ("full", "nearly full", "read-only")
_LIMIT_SECONDS, _STAY_SECONDS, _STOP_SECONDS = 90.0, 15.0, 30.0


@dataclass(frozen=True)
class Program:
    """may_do_without: it may end well although nothing can be written (it only looks). stays: it ends when told to."""

    name: str
    command: Callable[[Path], list[str]]
    may_do_without: bool = False
    stays: bool = False


def _script(name: str, *more: str) -> Callable[[Path], list[str]]:
    return lambda root: [str(PROJECT_ROOT / name), "--workspace", str(root), *more]


PROGRAMS = (
    Program("doctor", _script("scripts/doctor.py", "--offline"), may_do_without=True),
    Program(
        "import",
        _script("scripts/fetch_and_embed.py", "--no-index", "--import", str(PROJECT_ROOT / "data/demo/messages.jsonl")),
    ),
    Program("index", _script("scripts/fetch_and_embed.py", "--only-index")),
    Program("prepare", _script("scripts/2_prepare_training_data.py")),
    Program("backup", _script("scripts/backup.py")),
    Program("restore", _script("scripts/backup.py", "--restore")),
    Program("start anew", _script("scripts/backup.py", "--start-anew"), may_do_without=True),
    Program(
        "train", lambda root: _script("scripts/3_train_model.py", "--data", str(root / "set"), "--preflight")(root)
    ),
    Program("deploy", _script("scripts/5_deploy_bot.py", "--model", str(offline_chat_model()), "--force")),
    Program("versions", _script("scripts/5_deploy_bot.py", "--list"), may_do_without=True),
    Program("launcher", _script("launcher.py", "--headless", "--offline"), stays=True),
    Program("bot", _script("bot/run.py", "--offline"), stays=True),
)


class Disks:
    """Round after round through programs and states, in an order of its own."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self._folder = folder
        self._pairs = [(program, state) for program in PROGRAMS for state in STATES]
        dice.shuffle(self._pairs)
        self._next = 0

    def __call__(self) -> str:
        """The next program on the next disk; what went wrong, '' for nothing."""
        program, state = self._pairs[self._next % len(self._pairs)]
        self._next += 1
        return one_round(self._folder, program, state)


def one_round(folder: Path, program: Program, state: str) -> str:
    """One program on one disk; '' when all is as it should be, or where nothing can be mounted."""
    with small_disk(folder) as disk:
        if disk is None:
            return ""
        root = disk / "home"
        before = fill(root)
        with in_state(disk, state):
            code, said = run(program, root)
        trouble = judged(program, root, code, said) or after(root, before)
        return f"{program.name}, {state}: {trouble}" if trouble else ""


def judged(program: Program, root: Path, code: int | None, said: str) -> str:
    """What is wrong with how it ended."""
    if "Traceback" in said:
        return f"a traceback: {said[-400:]}"
    if code is None:
        return f"did not end: {said[-400:]}"
    if code == 0:
        return ""  # whether it did its work is seen afterwards
    if not program.may_do_without and str(root.parent) not in said and ".db" not in said:
        return f"no path in {said[-400:]!r}"
    return ""


def after(root: Path, before: int) -> str:
    """With room again: databases whole, no message lost, nothing half-made left to be taken for whole."""
    with Store.open(Workspace.at(root)) as store:
        if {store.messages_db.check(), store.control_db.check()} != {"ok"}:
            return "a database is damaged"
        if store.messages.count() < before:
            return f"{before - store.messages.count()} messages lost"
    return ""


def fill(root: Path) -> int:
    """A small workspace with a backup and a data set; how many messages are in it."""
    workspace = Workspace.at(root).create()
    with Store.open(workspace) as store:
        policy.record_policy(store.consents, accepted=True, given_by="siege")
        store.channels.add([Channel(1, "general", learn=True, recall=True, speak=True, is_private=False)])
        store.messages.save(messages())
        create_backup_without_spare(store)
        count = store.messages.count()
    write_prepared_folder(root / "set")
    return count


def create_backup_without_spare(store: Store) -> None:
    """A backup on a disk too small for the room that is usually left beside it."""
    from storage import backup

    spare, backup._SPARE_BYTES = backup._SPARE_BYTES, 0
    try:
        create_backup(store)
    finally:
        backup._SPARE_BYTES = spare


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of its own, None where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MEGABYTES}m", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        yield None
        return
    if subprocess.run(options, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def in_state(disk: Path, state: str) -> Iterator[None]:
    """Full, nearly full or read-only for a while."""
    ballast = disk / "ballast"
    if state == "read-only":
        _remount(disk, "ro")
    else:
        _write_until_full(ballast)
        if state == "nearly full":
            os.truncate(ballast, max(ballast.stat().st_size - LAST_BYTES, 0))
    try:
        yield
    finally:
        if state == "read-only":
            _remount(disk, "rw")
        ballast.unlink(missing_ok=True)


def run(program: Program, root: Path) -> tuple[int | None, str]:
    """Exit code, None when it had to be ended, and everything it said. What stays is told to stop after a while."""
    process = subprocess.Popen(
        [sys.executable, *program.command(root)],
        cwd=PROJECT_ROOT,
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "DISPLAY": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        said, _ = process.communicate(timeout=_STAY_SECONDS if program.stays else _LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        if not program.stays:
            kill_tree(process.pid)
            return None, process.communicate()[0]
        process.terminate()
        try:
            said, _ = process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            return None, process.communicate()[0]
    return process.returncode, said


def _remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


def _write_until_full(path: Path) -> None:
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
