"""Look at everything a troubleshooter would, and say what cures it.

    python launcher.py --doctor            the same from the front door
    python scripts/doctor.py --offline     without asking Discord

Exit code 0: no problems. 1: problems; each such line ends with its cure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("--offline", action="store_true", help="do not ask Discord")
    # The launcher knows what the system starts at login; nothing in this folder may import the panel.
    made.add_argument("--autostart", choices=("on", "off"), help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from data.chat.audience import opened_channels
from data.chat.liveness import is_bot_alive
from scripts.installation.failures import how_to_get_tkinter
from scripts.installation.machine import find_cuda_version
from storage.artefacts import Pointer
from storage.backup import list_backups, quick_check
from storage.database import DAMAGED_CURE, side_files
from storage.environment import Environment, read_environment
from storage.errors import KnownError, disk_error
from storage.jobs.frame import run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import DoctorResult, FetchResult, FindingResult
from storage.paths import PROJECT_ROOT, Workspace, unsafe_folder
from storage.people import names_of
from storage.records import BotStatus, Channel, JobState, ModelState
from storage.settings import ADAPTER_PATH, CHAT_TEMPLATE, EMBEDDING_MODEL, FETCH_SCHEDULE, LAUNCH_AT_LOGIN
from storage.store import Store
from storage.system.long_paths import too_deep
from storage.system.processes import is_alive
from storage.version import program_version

if TYPE_CHECKING:
    from data.fetcher_check import ServerCheck

OLD_BACKUP_DAYS = 14
OLD_FETCH_DAYS = 14
DISCORD_LIMIT_SECONDS = 25.0
CHANNELS_ASKED = 20
LOW_MEMORY_BYTES = 4 * 10**9
LOW_DISK_BYTES = 5 * 10**9
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
    """Print the report; 1 when there are problems."""
    options = parser().parse_args(arguments)
    workspace = Workspace.at(options.workspace)
    findings = [*reported(lambda: look_at_program(workspace))]
    try:
        with Store.open(workspace) as store, store.jobs.running(JobKind.DOCTOR) as job:
            findings += look_at_store(store)
            findings += look_at_routine(store, autostart=options.autostart)
            if not options.offline:
                findings += look_at_discord(store)
            job.result = DoctorResult(
                tuple(FindingResult(each.name, each.verdict, each.words, each.cure) for each in findings)
            )
    except KnownError as error:
        findings.append(Finding("Databases", Verdict.BAD, error.what, error.cure))
        findings += reported(partial(look_at_files, workspace, told=error.what))
    except OSError as error:
        trouble = disk_error(error)
        findings.append(Finding("Disk", Verdict.BAD, trouble.what, trouble.cure))
        findings += reported(partial(look_at_files, workspace, told=trouble.what))
    for finding in findings:
        print(line(finding))
    bad = [finding.name for finding in findings if finding.verdict is Verdict.BAD]
    print(f"\nProblems: {', '.join(bad)}." if bad else "\nNo problems found.")
    return int(bool(bad))


def reported(check: Check) -> Iterator[Finding]:
    """A check's findings; what the disk refuses meanwhile is one of them."""
    try:
        yield from check()
    except OSError as error:
        trouble = disk_error(error)
        yield Finding("Disk", Verdict.BAD, trouble.what, trouble.cure)


def line(finding: Finding) -> str:
    """A finding as the terminal shows it."""
    mark = {Verdict.GOOD: "ok  ", Verdict.NOTE: "note", Verdict.BAD: "BAD "}[finding.verdict]
    cure = f"\n        -> {finding.cure}" if finding.cure else ""
    return f"{mark}  {finding.name}: {finding.words}{cure}"


def look_at_program(workspace: Workspace) -> Iterator[Finding]:
    """Program, Python, packages, screen, memory, disk, folder: what needs no open database."""
    yield Finding("Program", Verdict.GOOD, f"version {program_version()}")
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    yield Finding(
        "Python",
        Verdict.GOOD if good else Verdict.BAD,
        version,
        "" if good else "Install Python 3.11 or later from python.org.",
    )
    yield from _packages()
    if (unused := graphics_card_unused(_version_of("torch"), find_cuda_version())) is not None:
        yield unused
    yield _tkinter()
    yield from _machine(workspace)
    trouble = unsafe_folder(str(workspace.root)) or too_deep(str(workspace.root))
    yield Finding(
        "Folder",
        Verdict.BAD if trouble else Verdict.GOOD,
        trouble or str(workspace.root),
        "Move the workspace to a local folder and start with --workspace." if trouble else "",
    )


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
    yield Finding(
        "Packages",
        Verdict.BAD if missing else Verdict.GOOD,
        ", ".join(missing) if missing else "all as pinned",
        "Start through launcher.py, which installs them." if missing else "",
    )


def _version_of(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def graphics_card_unused(torch_version: str, cuda_version: tuple[int, int] | None) -> Finding | None:
    """A note where PyTorch's build is for the processor though there is an NVIDIA driver by now."""
    if not torch_version.endswith("+cpu") or cuda_version is None:
        return None
    return Finding(
        "Graphics card",
        Verdict.NOTE,
        "there is an NVIDIA driver, but what was installed is for the processor",
        "Delete the folder .venv and start launcher.py: the versions for the card are installed.",
    )


def _tkinter() -> Finding:
    try:
        import importlib

        importlib.import_module("_tkinter")
    except ImportError:
        return Finding(
            "Window toolkit",
            Verdict.NOTE,
            "Python has no tkinter: the panel cannot open a window.",
            f"{how_to_get_tkinter().capitalize()}. Until then use --headless.",
        )
    return Finding("Window toolkit", Verdict.GOOD, "tkinter is there")


def _machine(workspace: Workspace) -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    yield Finding(
        "Memory",
        Verdict.GOOD if memory.available > LOW_MEMORY_BYTES else Verdict.NOTE,
        f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
        "" if memory.available > LOW_MEMORY_BYTES else "Close other programs: a 3B model needs about 3 GB.",
    )
    existing = next(path for path in (workspace.root, *workspace.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    yield Finding(
        "Disk",
        Verdict.GOOD if free > LOW_DISK_BYTES else Verdict.BAD,
        f"{free / 1e9:.0f} GB free",
        "" if free > LOW_DISK_BYTES else "Free some space: models and backups need several GB.",
    )


def look_at_store(store: Store) -> Iterator[Finding]:
    """Databases, messages, index, model, environment, bot."""
    for database in (store.control_db, store.messages_db):
        words = database.check()
        yield Finding(
            f"Database {database.path.name}",
            Verdict.GOOD if words == "ok" else Verdict.BAD,
            words,
            "" if words == "ok" else DAMAGED_CURE,
        )
    yield from _messages(store)
    yield _index(store)
    yield _model(store)
    yield _environment(store.workspace)
    yield _bot(store)


def look_at_files(workspace: Workspace, *, told: str) -> Iterator[Finding]:
    """What can be seen of a workspace whose databases cannot be opened for use: everything is only read.

    told: the trouble that was named already.
    """
    for path in (workspace.control_db, workspace.messages_db):
        if path.is_file() and not any(side.exists() and side.stat().st_size for side in side_files(path)):
            finding = _database_file(path)
            if finding.verdict is Verdict.GOOD or path.name not in told:
                yield finding
    try:
        pointer = Pointer.read(workspace)
    except (OSError, ValueError) as error:
        yield Finding("Model in use", Verdict.BAD, f"its pointer cannot be read ({error})", "Deploy a model again.")
    else:
        if pointer is not None and pointer.file:
            is_there = (workspace.finetuned_models / pointer.file).is_file()
            cure = "" if is_there else "python scripts/5_deploy_bot.py --list shows the others."
            words = pointer.file if is_there else f"{pointer.file} is gone"
            yield Finding("Model in use", Verdict.GOOD if is_there else Verdict.BAD, words, cure)
    yield _environment(workspace)
    yield _newest_backup(workspace, is_needed=workspace.messages_db.exists())


def _database_file(path: Path) -> Finding:
    words = quick_check(path)
    if words == "ok":
        return Finding(f"Database {path.name}", Verdict.GOOD, "whole, as far as it can be read")
    return Finding(f"Database {path.name}", Verdict.BAD, words, DAMAGED_CURE)


def _messages(store: Store) -> Iterator[Finding]:
    count = store.messages.count()
    yield Finding(
        "Messages",
        Verdict.GOOD if count else Verdict.NOTE,
        f"{count:,} kept",
        "" if count else "Fetch: python scripts/fetch_and_embed.py, or import a file with --import.",
    )
    yield from _absent_messages(store)
    channels = store.channels.all()
    speaking = [channel for channel in channels if channel.speak and not channel.is_access_lost]
    yield Finding(
        "Channels",
        Verdict.GOOD if speaking else Verdict.NOTE,
        f"may speak in {', '.join('#' + channel.name for channel in speaking)}"
        if speaking
        else "replies are switched off in every channel",
        "" if speaking else "Switch 'speak' on in People & channels.",
    )
    if opened := opened_channels(channels):
        yield Finding(
            "Opened channels",
            Verdict.NOTE,
            f"Discord opened {names_of(opened)} to more people; closed here until you answer",
            "Answer in People & channels, or with !channels open or close.",
        )


def _absent_messages(store: Store) -> Iterator[Finding]:
    for question in store.withheld.questions():
        yield Finding(
            "Absent messages",
            Verdict.NOTE,
            f"{question.missing:,} of {question.kept:,} messages kept from #{question.channel_name} were not there at "
            "the last fetch; nothing was changed",
            "Were they deleted on Discord? Answer in People & channels, or with python scripts/fetch_and_embed.py "
            f"--were-deleted or --keep-absent {question.channel_id}.",
        )
    hidden = store.withheld.missing()
    if hidden:
        where = ", ".join(f"{m.count:,} in #{m.channel_name}" for m in hidden)
        yield Finding(
            "Missing messages",
            Verdict.GOOD,
            f"{where}: hidden because fetches did not find them. People & channels > Removed brings them back.",
        )


def _index(store: Store) -> Finding:
    from model.embeddings import is_here, serving_model
    from storage.vectordb import VectorIndex

    waiting = store.messages.queue_length()
    try:
        wanted = store.settings.get(EMBEDDING_MODEL)
        index = VectorIndex.open(store.workspace.embeddings, model=wanted, dimension=384)
        made_by = index.made_by
        if made_by not in ("", wanted) and serving_model(wanted, store.workspace, made_by=made_by) == made_by:
            index = VectorIndex.open(store.workspace.embeddings, model=made_by, dimension=384)
        trouble, rows = str(index.state) if index.needs_rebuild else "", index.count()
    except Exception as error:  # a damaged index raises whatever its Rust core feels like
        trouble, rows = f"cannot be read ({type(error).__name__})", 0
    if trouble:
        return Finding(
            "Search index",
            Verdict.NOTE,
            f"{trouble}: the bot answers without recalling anything",
            "Rebuild it: python scripts/fetch_and_embed.py --rebuild-index",
        )
    if waiting:
        return Finding(
            "Search index",
            Verdict.NOTE,
            f"{rows:,} messages; {waiting:,} more wait to be indexed",
            "The running bot catches up automatically; without it: python scripts/fetch_and_embed.py --only-index",
        )
    if index.model != wanted:
        return Finding(
            "Search index",
            Verdict.NOTE,
            f"{rows:,} messages, in step; made by {index.model}, which serves until {wanted} has its own",
            "The running bot or the next fetch makes it."
            if is_here(wanted, store.workspace)
            else f"Better recall: python scripts/download_model.py {wanted}",
        )
    return Finding("Search index", Verdict.GOOD, f"{rows:,} messages, in step")


def _model(store: Store) -> Finding:
    from model.catalog import resolve_model
    from model.chat.trial import require_usable
    from model.embeddings import is_here, serving_model

    try:
        settings = store.settings.read()
        path = resolve_model(store.workspace, settings, read_environment(store.workspace.env_file))
        adapter = Path(settings[ADAPTER_PATH]) if settings[ADAPTER_PATH] else None
        require_usable(path, adapter, store.facts, chat_template=settings[CHAT_TEMPLATE])
    except KnownError as error:
        return Finding("Chat model", Verdict.BAD, error.what, error.cure)
    wanted = store.settings.get(EMBEDDING_MODEL)
    if not is_here(serving_model(wanted, store.workspace), store.workspace):
        return Finding(
            "Chat model",
            Verdict.NOTE,
            f"{path.name}; without recall: the embedding model {wanted} is not on this computer",
            f"python scripts/download_model.py {wanted}",
        )
    return Finding("Chat model", Verdict.GOOD, path.name)


def _environment(workspace: Workspace) -> Finding:
    try:
        environment = read_environment(workspace.env_file)
        environment.require_token()
    except KnownError as error:
        return Finding("Token", Verdict.NOTE, error.what, error.cure)
    missing = [
        name
        for name, value in (("SERVER_ID", environment.server_id), ("ADMIN_USERS", environment.admin_ids))
        if not value
    ]
    return Finding(
        "Token",
        Verdict.NOTE if missing else Verdict.GOOD,
        f"set; {' and '.join(missing)} missing" if missing else "set, with server and admins",
        "Enter them in Settings > Discord." if missing else "",
    )


def _bot(store: Store) -> Finding:
    status = store.status.read_bot()
    if status is None:
        return Finding("Bot", Verdict.NOTE, "never started here", "Press Start in the panel.")
    age = time.time() - status.heartbeat_at
    if is_bot_alive(status, now=time.time()):
        return _running_bot(status)
    if status.exit_code is None and is_alive(status.pid):
        return Finding(
            "Bot",
            Verdict.BAD,
            f"process {status.pid} has been silent for {age:.0f} s",
            "Press Stop, then Start in the panel; an open panel does so automatically within 90 s.",
        )
    if status.exit_code is None:
        return Finding(
            "Bot",
            Verdict.NOTE,
            "stopped unexpectedly (killed, or the computer lost power)",
            "Press Start in the panel; logs/bot.log and logs/bot.stacks.log may say more.",
        )
    if status.exit_code:
        return Finding(
            "Bot",
            Verdict.BAD,
            status.exit_reason or f"ended with code {status.exit_code}",
            status.last_error_cure or "See logs/bot.log.",
        )
    return Finding("Bot", Verdict.NOTE, "not running", "Press Start in the panel.")


def _running_bot(status: BotStatus) -> Finding:
    if status.model_state is ModelState.FAILED:
        return Finding(
            "Bot",
            Verdict.BAD,
            f"running (process {status.pid}) without a model: {status.model_error}",
            "Choose a model in Settings > Model; the bot tries again every 30 s.",
        )
    if status.last_error:
        return Finding(
            "Bot", Verdict.NOTE, f"running (process {status.pid}): {status.last_error}", status.last_error_cure
        )
    return Finding("Bot", Verdict.GOOD, f"running (process {status.pid}), model {status.model_state}")


def look_at_routine(store: Store, *, autostart: str | None) -> Iterator[Finding]:
    """What should happen on its own: backups, fetches, the start at login; and who may read the token."""
    yield _newest_backup(store.workspace, is_needed=store.messages.count() > 0)
    fetch = store.jobs.latest(JobKind.FETCH)
    if fetch is not None and fetch.state in (JobState.FAILED, JobState.LOST):
        yield Finding(
            "Last fetch", Verdict.NOTE, f"failed: {fetch.error}"[:300], "Run it again; it continues where it stopped."
        )
    elif fetch is not None and (said := FetchResult.of(fetch).attention):
        yield Finding("Last fetch", Verdict.NOTE, " ".join(said[:3])[:600], said[-1] if len(said) > 3 else "")
    elif fetch is not None:
        yield _age(
            "Last fetch",
            fetch.started_at,
            OLD_FETCH_DAYS,
            "Run it, or schedule it: Settings > Data > Scheduled fetch.",
        )
    yield from _schedule(store)
    wanted = store.settings.get(LAUNCH_AT_LOGIN)
    if autostart is not None and (autostart == "on") != wanted:
        yield Finding(
            "Start at login",
            Verdict.NOTE,
            f"is {autostart}, though the settings say {'on' if wanted else 'off'}",
            "Switch it off and on again in Settings > Startup.",
        )
    elif autostart is not None:
        yield Finding("Start at login", Verdict.GOOD, autostart)
    env_file = store.workspace.env_file
    if os.name != "nt" and env_file.exists() and env_file.stat().st_mode & 0o077:
        yield Finding(
            "Token file", Verdict.NOTE, "other users of this computer may read .env", f"chmod 600 '{env_file}'"
        )


def _newest_backup(workspace: Workspace, *, is_needed: bool) -> Finding:
    backups = list_backups(workspace.backups)
    return _age(
        "Backup",
        backups[-1].created_at if backups else None,
        OLD_BACKUP_DAYS,
        "Make one: 'Back up now' in the panel, or python scripts/backup.py.",
        is_needed=is_needed,
    )


def _age(name: str, moment: float | None, limit_days: int, cure: str, *, is_needed: bool = True) -> Finding:
    if moment is None:
        return Finding(name, Verdict.NOTE if is_needed else Verdict.GOOD, "none yet", cure if is_needed else "")
    days = max(time.time() - moment, 0.0) / 86_400
    words = "today" if days < 1 else f"{days:.0f} days ago"
    return Finding(name, Verdict.NOTE, words, cure) if days > limit_days else Finding(name, Verdict.GOOD, words)


def _schedule(store: Store) -> Iterator[Finding]:
    from storage.system.schedule import Scheduler, Task

    wanted = store.settings.get(FETCH_SCHEDULE)
    if wanted in ("", "off"):
        return
    is_known = Scheduler(Task.for_workspace(store.workspace)).status() != "Not scheduled."
    yield Finding(
        "Scheduled fetch",
        Verdict.GOOD if is_known else Verdict.NOTE,
        wanted if is_known else f"{wanted} is set, but the system knows nothing of it",
        "" if is_known else f"python scripts/fetch_and_embed.py --schedule {wanted}",
    )


def look_at_discord(store: Store) -> Iterator[Finding]:
    """Token, server, intent and clock, asked from Discord itself."""
    try:
        environment = read_environment(store.workspace.env_file)
    except KnownError as error:
        yield Finding("Discord", Verdict.BAD, error.what, error.cure)
        return
    if not environment.token:
        return
    try:
        check, refused = asyncio.run(asyncio.wait_for(_ask_discord(store, environment), DISCORD_LIMIT_SECONDS))
    except TimeoutError:
        yield Finding(
            "Discord",
            Verdict.BAD,
            "cannot be reached",
            "Check the internet connection; status: discordstatus.com. A running bot keeps trying.",
        )
        return
    except KnownError as error:
        yield Finding("Discord", Verdict.BAD, error.what, error.cure)
        return
    yield Finding("Discord", Verdict.GOOD, f"token accepted; the bot is {check.bot_name}")
    yield Finding(
        "Message content intent",
        Verdict.GOOD if check.has_message_content else Verdict.BAD,
        "on" if check.has_message_content else "off: the bot would see empty messages",
        ""
        if check.has_message_content
        else "discord.com/developers > your application > Bot > switch on 'Message Content Intent'.",
    )
    yield Finding(
        "Server",
        Verdict.GOOD if check.server_name else Verdict.BAD,
        check.server_name or "the bot is not on the server with SERVER_ID",
        "" if check.server_name else f"Invite it: {check.invite_url}",
    )
    if refused:
        yield Finding(
            "Permissions",
            Verdict.BAD,
            f"the bot cannot read {names_of(refused)}",
            "Give its role 'View Channel' and 'Read Message History' there, or switch the channel off.",
        )
    if abs(check.clock_offset_seconds) > CLOCK_TOLERANCE_SECONDS:
        yield Finding(
            "Clock",
            Verdict.NOTE,
            f"{check.clock_offset_seconds:+.0f} s off Discord's",
            "Switch on 'set time automatically' in the system settings.",
        )


async def _ask_discord(store: Store, environment: Environment) -> tuple[ServerCheck, list[Channel]]:
    from data.fetcher_check import check_server, unreadable_channels

    check = await check_server(environment)
    used = [channel for channel in store.channels.all() if channel.speak or channel.learn][:CHANNELS_ASKED]
    refused = await unreadable_channels(environment, [channel.id for channel in used]) if check.server_name else []
    return check, [channel for channel in used if channel.id in refused]


if __name__ == "__main__":
    run_script(main)
