"""What the siege kills: jobs with a start, what must hold right after the kill, and what the next run must end with."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from model.catalog import offline_chat_model, resolve_model
from model.files.parts import model_sha256
from model.publishing import deployment
from model.training.base_model import dequantised
from storage import policy
from storage.backup import create_backup, list_backups, verify
from storage.database import Database
from storage.environment import Environment
from storage.errors import KnownError
from storage.migrations import CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import Channel, Message
from storage.settings import EMBEDDING_MODEL, TEMPERATURE
from storage.store import Store
from storage.system.processes import kill_tree
from storage.vectordb import VectorIndex
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World
from tests.support.switched_bot import publish
from tests.support.training_data import write_prepared_folder, write_tiny_base

DEMO = PROJECT_ROOT / "data" / "demo"
EMBEDDER, DIMENSION = "all-MiniLM-L6-v2", 384
# So many of the sample server's messages are embedded: more only take longer.
INDEXED = 120
_FORGET = (
    "import sys; from storage.forgetting import forget_member; from storage.paths import Workspace; "
    "from storage.store import Store\n"
    "with Store.open(Workspace.at(sys.argv[1])) as store: forget_member(store, int(sys.argv[2]))"
)
_OPEN = (
    "import sys; from storage.paths import Workspace; from storage.store import Store\n"
    "Store.open(Workspace.at(sys.argv[1])).close()"
)
Command = Callable[[Path], list[str]]


def nothing_else(_: Workspace) -> str:
    """No claim about the moment after the kill but whole databases, which every attack makes."""
    return ""


@dataclass(frozen=True)
class Attack:
    """A job that is killed.

    start: the folder it begins from, copied for every round. result: a digest of what the job is for, '' for nothing;
    after a kill and another run it must be the same as without the kill. again: what the owner does after the kill
    where that is not the same command. survives: what must hold right after the kill, '' or the trouble.
    """

    name: str
    start: Path
    command: Command
    result: Callable[[Workspace], str]
    again: Command | None = None
    survives: Callable[[Workspace], str] = nothing_else
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, root: Path, *, kill_after: float | None = None, is_again: bool = False) -> tuple[int, float]:
        """Exit code and seconds; killed with everything it started after a while when asked."""
        command = (self.again or self.command)(root) if is_again else self.command(root)
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "GOMP_SPINCOUNT": "0"} | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(kill_after if kill_after is not None else 600.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.returncode, time.monotonic() - began

    def fresh(self, root: Path) -> None:
        """A copy of the start. Model files are shared: nothing may write into one that is there."""
        shutil.copytree(self.start, root, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    if source.endswith((".gguf", ".safetensors")):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


NAMES = (
    "import",
    "fetch",
    "prepare",
    "backup",
    "restore",
    "forget",
    "migrate",
    "index",
    "rebuild the index",
    "deploy",
    "train",
)
# Quick enough for every run of the tests.
QUICK = ("backup", "restore", "forget", "migrate")


class Starts:
    """Where attacks begin, each made once and only when it is wanted."""

    def __init__(self, folder: Path, server: DiscordServer) -> None:
        self.folder, self.server = folder, server

    def attack(self, name: str) -> Attack:
        """The attack of this name (see NAMES)."""
        return {
            "import": self._import,
            "fetch": self._fetch,
            "prepare": lambda: Attack("prepare", self._filled(), _script("2_prepare_training_data.py"), prepared),
            "backup": self._backup,
            "restore": self._restore,
            "forget": self._forget,
            "migrate": self._migrate,
            "index": self._index,
            "rebuild the index": self._rebuild,
            "deploy": self._deploy,
            "train": self._train,
        }[name]()

    def _import(self) -> Attack:
        return Attack("import", self._empty(), _import, messages)

    def _fetch(self) -> Attack:
        root = self._once("chosen")
        if root.is_new:
            with Store.open(Workspace.at(root.path)) as store:
                policy.record_policy(store.consents, accepted=True, given_by="siege")
                _choose(store, self.server)
        command = _script("fetch_and_embed.py", "--no-index")
        return Attack("fetch", root.path, command, messages, environment=dict(self.server.environment))

    def _backup(self) -> Attack:
        root = self._once("backed-up", self._filled())
        if root.is_new:
            with Store.open(Workspace.at(root.path)) as store:
                for moment in (1_700_000_000.0, 1_700_086_400.0):
                    create_backup(store, clock=partial(float, moment))
        command = _script("backup.py", "--keep", "1")
        return Attack("backup", root.path, command, backed_up, survives=backups_are_whole)

    def _restore(self) -> Attack:
        root = self._once("to-restore", self._filled())
        if root.is_new:
            with Store.open(Workspace.at(root.path)) as store:
                create_backup(store)
                busiest = _busiest(store)
                store.settings.set(TEMPERATURE, 0.31, changed_by="siege")
                store.members.forget(busiest)
        return Attack("restore", root.path, _script("backup.py", "--restore"), restored)

    def _forget(self) -> Attack:
        root = self._filled()
        with Store.open(Workspace.at(root)) as store:
            member = _busiest(store)
        return Attack("forget", root, lambda at: [sys.executable, "-c", _FORGET, str(at), str(member)], messages)

    def _migrate(self) -> Attack:
        root = self._once("older", None)
        if root.is_new:
            _write_oldest_schema(Workspace.at(root.path).create())
        command = lambda at: [sys.executable, "-c", _OPEN, str(at)]  # noqa: E731 - a command is a value here
        return Attack("migrate", root.path, command, migrated)

    def _index(self) -> Attack:
        return Attack("index", self._few(), _script("fetch_and_embed.py", "--only-index"), indexed)

    def _rebuild(self) -> Attack:
        root = self._once("indexed", self._few())
        if root.is_new:
            subprocess.run(
                _script("fetch_and_embed.py", "--only-index")(root.path),
                cwd=PROJECT_ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        command = _script("fetch_and_embed.py", "--rebuild-index")
        return Attack("rebuild the index", root.path, command, indexed, survives=can_be_searched)

    def _deploy(self) -> Attack:
        root = self._once("deployed")
        new = self.folder / "new.gguf"
        if root.is_new:
            old = self.folder / "old.gguf"
            for path, mark in ((old, b"old"), (new, b"new")):
                shutil.copyfile(offline_chat_model(), path)
                with path.open("ab") as file:  # another hash; llama.cpp reads nothing that is not in its tables
                    file.write(mark * 8)
            publish(Workspace.at(root.path), old)
        command = _script("5_deploy_bot.py", "--model", str(new), "--force")
        return Attack("deploy", root.path, command, deployed, survives=pointer_leads_to_a_whole_model)

    def _train(self) -> Attack:
        root = self._once("to-train")
        if root.is_new:
            base = dequantised(offline_chat_model(), self.folder / "whole-base")
            write_tiny_base(root.path / "base", base.folder)
            shutil.rmtree(base.folder)
            write_prepared_folder(root.path / "prepared")
        options = ("--recipe", "cpu-smoke", "--method", "sft+dpo", "--set", "sft.max_steps=8", "dpo.max_steps=4")
        more = ("sft.epochs=9", "dpo.epochs=9", "sft.batch_size=2", "lora.r=8", "save_every=1", "log_every=1")

        def begin(at: Path) -> list[str]:
            folders = ("--data", str(at / "prepared"), "--base", str(at / "base"), "--out", str(at / "run"))
            return _script("3_train_model.py", *folders, "--no-export", *options, *more)(at)

        def go_on(at: Path) -> list[str]:
            if not (at / "run").exists():
                return begin(at)
            return _script("3_train_model.py", "--out", str(at / "run"), "--resume", "--no-export")(at)

        return Attack("train", root.path, begin, trained, again=go_on)

    # ---- folders --------------------------------------------------------------------------------------------

    def _empty(self) -> Path:
        return self._once("empty").path

    def _filled(self) -> Path:
        """The sample server, everything chosen."""
        root = self._once("filled")
        if root.is_new:
            subprocess.run(
                _import(root.path),
                cwd=PROJECT_ROOT,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            with Store.open(Workspace.at(root.path)) as store:
                policy.record_policy(store.consents, accepted=True, given_by="siege")
                for channel in store.channels.all():
                    store.channels.switch(channel.id, is_private=False)
                policy.choose_channels(store.channels, [channel.id for channel in store.channels.all()])
        return root.path

    def _few(self) -> Path:
        """As many messages as are indexed in a few seconds."""
        root = self._once("few")
        if root.is_new:
            with Store.open(Workspace.at(root.path)) as store:
                store.settings.set(EMBEDDING_MODEL, EMBEDDER, changed_by="siege")
                store.channels.add([Channel(1, "general", learn=True, recall=True, is_private=False)])
                store.messages.save(
                    [Message(n, 1, 7 + n % 5, "m", f"line {n} about thing {n * n % 97}", n) for n in range(1, INDEXED)]
                )
        return root.path

    def _once(self, name: str, origin: Path | None = None) -> _Start:
        path = self.folder / name
        if path.exists():
            return _Start(path, is_new=False)
        if origin is not None:
            shutil.copytree(origin, path)
        elif name != "older":
            Store.open(Workspace.at(path)).close()
        return _Start(path, is_new=True)


@dataclass(frozen=True)
class _Start:
    path: Path
    is_new: bool


def _script(name: str, *more: str) -> Command:
    path = str(PROJECT_ROOT / "scripts" / name)
    return lambda root: [sys.executable, path, "--workspace", str(root), *more]


def _import(root: Path) -> list[str]:
    files = [str(DEMO / "messages.jsonl"), "--channels", str(DEMO / "channels.json")]
    return _script("fetch_and_embed.py", "--no-index", "--import", *files)(root)


def _choose(store: Store, server: DiscordServer) -> None:
    store.channels.add(
        [
            Channel(int(raw["id"]), raw["name"], kind=raw["type"], guild_id=server.world.guild_id, is_private=False)
            for raw in server.world.guild_channels()
        ]
    )
    policy.choose_channels(store.channels, [channel.id for channel in store.channels.all()])


def _busiest(store: Store) -> int:
    counts = store.messages.counts_by_author()
    return max(counts, key=lambda author: counts[author])


def _write_oldest_schema(workspace: Workspace, count: int = 20_000) -> None:
    """Both databases as the first version made them, with messages in them."""
    for path, migrations in (
        (workspace.messages_db, MESSAGES_MIGRATIONS[:1]),
        (workspace.control_db, CONTROL_MIGRATIONS[:1]),
    ):
        database = Database(path, migrations).open()
        if path == workspace.messages_db:
            with database.transaction() as connection:
                connection.executemany(
                    "INSERT INTO messages (id, channel_id, author_id, content, created_ms) VALUES (?, 1, ?, ?, ?)",
                    ((n, n % 30, f"a line of an older version, number {n}", n) for n in range(1, count + 1)),
                )
        database.close()


# ---- results ---------------------------------------------------------------------------------------------


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
    """One whole backup is left, with all messages, and nothing half-made or half-deleted beside it."""
    found = list_backups(workspace.backups)
    if len(found) != 1:
        return f"{len(found)} backups"
    verify(found[0])
    return str(found[0].messages)


def backups_are_whole(workspace: Workspace) -> str:
    """Whatever is listed as a backup can be restored, and there is at least one."""
    found = list_backups(workspace.backups)
    try:
        for backup in found:
            verify(backup)
    except KnownError as error:
        return error.text()
    return "" if found else "no backup is left"


def restored(workspace: Workspace) -> str:
    """The messages, and the setting that only the present database had."""
    with Store.open(workspace) as store:
        temperature = store.settings.get(TEMPERATURE)
    return f"{messages(workspace)} {temperature}"


def migrated(workspace: Workspace) -> str:
    """Messages and schema."""
    digest = messages(workspace)
    with Store.open(workspace) as store:
        for database in (store.messages_db, store.control_db):
            rows = database.rows("SELECT name, sql FROM sqlite_master ORDER BY name")
            version = database.value("PRAGMA user_version")
            digest += f" {hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()[:8]}-{version}"
    return digest


def indexed(workspace: Workspace) -> str:
    """Index and messages agree and nothing waits; '' otherwise."""
    with Store.open(workspace) as store:
        wanted = sorted(message.id for page in store.messages.in_channel(1) for message in page)
        waiting = store.messages.queue_length()
    found = sorted(_index(workspace).ids().tolist())
    return str(len(found)) if found == wanted and not waiting else ""


def can_be_searched(workspace: Workspace) -> str:
    """While an index is made again the one before serves."""
    count = _index(workspace).count()
    return "" if count == INDEXED - 1 else f"the index has {count} rows after the kill"


def _index(workspace: Workspace) -> VectorIndex:
    return VectorIndex.open(workspace.embeddings, model=EMBEDDER, dimension=DIMENSION)


def deployed(workspace: Workspace) -> str:
    """The version in use."""
    version = deployment.current(workspace)
    return version.name if version and not pointer_leads_to_a_whole_model(workspace) else ""


def pointer_leads_to_a_whole_model(workspace: Workspace) -> str:
    """Old or new, every byte of it."""
    try:
        version = deployment.current(workspace)
        with Store.open(workspace) as store:
            path = resolve_model(workspace, store.settings.read(), Environment())
    except KnownError as error:
        return error.text()
    if version is None or path != deployment.model_path(workspace, version).resolve():
        return f"the pointer leads to {path}"
    return "" if model_sha256(path) == version.sha256 else f"{path.name} is not whole"


def trained(workspace: Workspace) -> str:
    """A digest of the finished adapter's weights."""
    found = sorted((workspace.root / "run").glob("**/adapter/adapter_model.safetensors"))
    last = workspace.root / "run" / "dpo" / "adapter" / "adapter_model.safetensors"
    return hashlib.sha256(last.read_bytes()).hexdigest() if last in found else ""


def left_running(root: Path) -> Iterator[psutil.Process]:
    """Processes that still work in a folder after the kill."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(root) in word for word in process.info["cmdline"] or ()):
            yield process


def end_what_is_left(root: Path, *, patience: float = 30.0) -> list[str]:
    """Command lines of what a killed job left running for longer than that; it is ended."""
    deadline = time.monotonic() + patience
    while found := list(left_running(root)):
        if time.monotonic() > deadline:
            lines = [" ".join(process.info["cmdline"])[:200] for process in found]
            for process in found:
                kill_tree(process.pid)
            return lines
        time.sleep(0.1)
    return []


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
