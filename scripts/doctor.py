"""Look at everything a troubleshooter would, and say what cures it.

    python launcher.py --doctor            the same from the front door
    python scripts/doctor.py --offline     without asking Discord

Exit code 0: nothing stands in the way. 1: something does; each such line ends with its cure.
"""
from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap

if __name__ == "__main__":
    bootstrap.ensure()

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from scripts.progress import run_script, script_parser
from storage.environment import read_environment
from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace, unsafe_folder
from storage.settings import EMBEDDING_MODEL
from storage.store import Store

LOW_MEMORY_BYTES = 4 * 10 ** 9
LOW_DISK_BYTES = 5 * 10 ** 9
# Discord refuses signatures and tokens only when a clock is far off; this is where logs get misleading.
CLOCK_TOLERANCE_SECONDS = 60.0


class Verdict(StrEnum):
    """How a check came out."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    verdict: Verdict
    words: str
    cure: str = ""


Check = Callable[[], Iterator[Finding]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when something stands in the way."""
    parser = script_parser(__doc__)
    parser.add_argument("--offline", action="store_true", help="do not ask Discord")
    options = parser.parse_args(arguments)
    workspace = Workspace.at(options.workspace)
    findings = [*look_at_program(workspace)]
    try:
        with Store.open(workspace) as store, store.jobs.running("doctor") as job:
            findings += look_at_store(store)
            if not options.offline:
                findings += look_at_discord(store)
            job.result = {"findings": [asdict(finding) for finding in findings]}
    except KnownError as error:
        findings.append(Finding("Databases", Verdict.BAD, error.what, error.cure))
    for finding in findings:
        print(line(finding))
    return int(any(finding.verdict is Verdict.BAD for finding in findings))


def line(finding: Finding) -> str:
    """A finding as the terminal shows it."""
    mark = {Verdict.GOOD: "ok  ", Verdict.NOTE: "note", Verdict.BAD: "BAD "}[finding.verdict]
    cure = f"\n        -> {finding.cure}" if finding.cure else ""
    return f"{mark}  {finding.name}: {finding.words}{cure}"


def look_at_program(workspace: Workspace) -> Iterator[Finding]:
    """Python, packages, screen, memory, disk, folder: what needs no open database."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    yield Finding("Python", Verdict.GOOD if good else Verdict.BAD, version,
                  "" if good else "Install Python 3.11 or later from python.org.")
    yield from _packages()
    yield _tkinter()
    yield from _machine(workspace)
    trouble = unsafe_folder(str(workspace.root))
    yield Finding("Folder", Verdict.BAD if trouble else Verdict.GOOD, trouble or str(workspace.root),
                  "Move the workspace to a local folder and start with --workspace." if trouble else "")


def _packages() -> Iterator[Finding]:
    from importlib import metadata

    missing = []
    for text in (PROJECT_ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, separator, wanted = text.split("#")[0].split(";")[0].strip().partition("==")
        if not separator:
            continue
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found.split("+")[0] != wanted:
            missing.append(f"{name} {found} (wanted {wanted})")
    yield Finding("Packages", Verdict.BAD if missing else Verdict.GOOD,
                  ", ".join(missing) if missing else "all as pinned",
                  "Start through launcher.py, which installs them." if missing else "")


def _tkinter() -> Finding:
    try:
        import importlib

        importlib.import_module("_tkinter")
    except ImportError:
        return Finding("Window toolkit", Verdict.NOTE, "Python has no tkinter: the panel cannot open a window.",
                       "Debian, Ubuntu: sudo apt install python3-tk. Until then use --headless.")
    return Finding("Window toolkit", Verdict.GOOD, "tkinter is there")


def _machine(workspace: Workspace) -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    yield Finding("Memory", Verdict.GOOD if memory.available > LOW_MEMORY_BYTES else Verdict.NOTE,
                  f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
                  "" if memory.available > LOW_MEMORY_BYTES else "Close other programs: a 3B model needs about 3 GB.")
    existing = next(path for path in (workspace.root, *workspace.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    yield Finding("Disk", Verdict.GOOD if free > LOW_DISK_BYTES else Verdict.BAD, f"{free / 1e9:.0f} GB free",
                  "" if free > LOW_DISK_BYTES else "Free some space: models and backups need several GB.")


def look_at_store(store: Store) -> Iterator[Finding]:
    """Databases, messages, index, model, environment, bot."""
    for database in (store.control_db, store.messages_db):
        words = database.check()
        yield Finding(f"Database {database.path.name}", Verdict.GOOD if words == "ok" else Verdict.BAD, words,
                      "" if words == "ok" else "Restore a backup: python scripts/backup.py --restore FILE.")
    yield from _messages(store)
    yield _model(store)
    yield _environment(store)
    yield _bot(store)


def _messages(store: Store) -> Iterator[Finding]:
    count, waiting = store.messages.count(), store.messages.queue_length()
    yield Finding("Messages", Verdict.GOOD if count else Verdict.NOTE, f"{count:,} kept",
                  "" if count else "Fetch: python scripts/fetch_and_embed.py, or import a file with --import.")
    yield Finding("Index", Verdict.GOOD if not waiting else Verdict.NOTE,
                  "in step" if not waiting else f"{waiting:,} messages wait to be indexed",
                  "" if not waiting else "Run the fetch again; it catches up.")
    speaking = [channel for channel in store.channels.all() if channel.speak]
    yield Finding("Channels", Verdict.GOOD if speaking else Verdict.NOTE,
                  f"may speak in {', '.join('#' + channel.name for channel in speaking)}" if speaking
                  else "the bot may speak nowhere", "" if speaking else "Switch 'speak' on in People & channels.")


def _model(store: Store) -> Finding:
    from model.catalog import check_gguf, resolve_model
    from model.embeddings import query_embedder

    try:
        path = resolve_model(store.workspace, store.settings.read(), read_environment(store.workspace.env_file))
        check_gguf(path)
    except KnownError as error:
        return Finding("Chat model", Verdict.BAD, error.what, error.cure)
    try:
        query_embedder(store.settings.get(EMBEDDING_MODEL), store.workspace)
    except KnownError as error:
        return Finding("Chat model", Verdict.NOTE, f"{path.name}; without recall: {error.what}", error.cure)
    return Finding("Chat model", Verdict.GOOD, path.name)


def _environment(store: Store) -> Finding:
    try:
        environment = read_environment(store.workspace.env_file)
        environment.require_token()
    except KnownError as error:
        return Finding("Token", Verdict.NOTE, error.what, error.cure)
    missing = [name for name, value in (("SERVER_ID", environment.server_id), ("ADMIN_USERS", environment.admin_ids))
               if not value]
    return Finding("Token", Verdict.NOTE if missing else Verdict.GOOD,
                   f"set; {' and '.join(missing)} missing" if missing else "set, with server and admins",
                   "Enter them in Settings > Discord." if missing else "")


def _bot(store: Store) -> Finding:
    status = store.status.read_bot()
    if status is None:
        return Finding("Bot", Verdict.NOTE, "never started here", "Press Start in the panel.")
    age = time.time() - status.heartbeat_at
    if status.exit_code is None and age < 10:
        return Finding("Bot", Verdict.GOOD, f"running (process {status.pid}), model {status.model_state}")
    if status.exit_code:
        return Finding("Bot", Verdict.BAD, status.exit_reason or f"ended with code {status.exit_code}",
                       status.last_error_cure or "See logs/bot.log.")
    return Finding("Bot", Verdict.NOTE, "not running", "Press Start in the panel.")


def look_at_discord(store: Store) -> Iterator[Finding]:
    """Token, server, intent and clock, asked from Discord itself."""
    try:
        environment = read_environment(store.workspace.env_file)
    except KnownError as error:
        yield Finding("Discord", Verdict.BAD, error.what, error.cure)
        return
    if not environment.token:
        return
    import asyncio

    from data.fetcher_check import check_server

    try:
        check = asyncio.run(check_server(environment))
    except KnownError as error:
        yield Finding("Discord", Verdict.BAD, error.what, error.cure)
        return
    yield Finding("Discord", Verdict.GOOD, f"token accepted; the bot is {check.bot_name}")
    yield Finding("Message content intent", Verdict.GOOD if check.has_message_content else Verdict.BAD,
                  "on" if check.has_message_content else "off: the bot would see empty messages",
                  "" if check.has_message_content else
                  "discord.com/developers > your application > Bot > switch on 'Message Content Intent'.")
    yield Finding("Server", Verdict.GOOD if check.server_name else Verdict.BAD,
                  check.server_name or "the bot is not on the server with SERVER_ID",
                  "" if check.server_name else f"Invite it: {check.invite_url}")
    if abs(check.clock_offset_seconds) > CLOCK_TOLERANCE_SECONDS:
        yield Finding("Clock", Verdict.NOTE, f"{check.clock_offset_seconds:+.0f} s off Discord's",
                      "Switch on 'set time automatically' in the system settings.")


if __name__ == "__main__":
    run_script(main)
