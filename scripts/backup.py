"""Back up the workspace, or bring a backup back.

  python scripts/backup.py                                 a backup now (safe while the bot runs)
  python scripts/backup.py --list
  python scripts/backup.py --restore backup-20260501-040000
  python scripts/backup.py --schedule weekly --keep 4      every week; the four newest are kept
  python scripts/backup.py --start-anew                    a database is damaged and there is no backup

A backup holds both databases, the search index, the finetuned models and .env without the token. Restoring sets
the present databases aside, and whatever members had erased since stays erased. Starting over sets damaged databases
aside and carries over what can still be read of them; a fetch brings the rest of the messages again.
"""

from __future__ import annotations

import argparse
import getpass
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.jobs.results import BackupResult
from storage.typed_paths import typed_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("--folder", metavar="DIR", type=typed_path, help="where backups are kept (default: backups/)")
    made.add_argument(
        "--keep",
        metavar="N",
        type=int,
        help="delete older backups than the N newest afterwards (default with --schedule: the setting, 4)",
    )
    action = made.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="show the backups there are")
    action.add_argument(
        "--restore",
        metavar="BACKUP",
        nargs="?",
        const="newest",
        help="bring a backup back: its name, its folder, or nothing for the newest",
    )
    action.add_argument(
        "--start-anew",
        action="store_true",
        help="set damaged databases aside and go on with what can be read of them, without a backup",
    )
    action.add_argument(
        "--schedule",
        metavar="WHEN",
        help="weekly, daily, weekly@sun-04:30, daily@04:30, off or status: let the system do it",
    )
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from storage.backup import Backup, Restored, create_backup, list_backups, prune, read_backup, settings_in
from storage.environment import TOKEN, write_value
from storage.errors import BadInputError
from storage.forgetting import sweep_if_free
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.paths import PROJECT_ROOT, Workspace
from storage.restoring import restore
from storage.salvage import start_anew
from storage.settings import KEEP_BACKUPS
from storage.system.launch_entry import windowless_python
from storage.system.schedule import Scheduler, Task, parse_schedule
from storage.system.streams import is_person_there

# Short forms for people: Sunday night, when chat is asleep.
_SHORT_SCHEDULES = {"weekly": "weekly@sun-04:30", "daily": "daily@04:30"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it asks."""
    options = parser().parse_args(arguments)
    workspace = Workspace.at(options.workspace)
    folder = options.folder or workspace.backups
    if options.list:
        show(list_backups(folder))
    elif options.restore is not None:
        bring_back(workspace, folder, options.restore)
    elif options.start_anew:
        begin_anew(workspace)
    elif options.schedule:
        set_schedule(options, workspace)
    else:
        make(options, folder)


def make(options: argparse.Namespace, folder: Path) -> None:
    """A backup now, then the old ones go."""
    if options.keep is not None and options.keep < 1:
        raise BadInputError("--keep must be at least 1.", "Give the number of backups to keep.")
    with open_store(options) as store, job(store, JobKind.BACKUP) as progress:
        sweep_if_free(store)
        backup = create_backup(store, folder=folder, report=progress.report)
        gone = prune(folder, keep=options.keep) if options.keep else []
        progress.result = BackupResult(
            str(backup.folder), backup.total_bytes, backup.messages, tuple(path.name for path in gone)
        )
    print_summary(
        [
            ("backup", backup.folder),
            ("size", _size(backup.total_bytes)),
            ("messages", backup.messages),
            *(("deleted", path.name) for path in gone),
        ]
    )


def show(backups: Sequence[Backup]) -> None:
    """One line a backup, newest last."""
    if not backups:
        print("There are no backups yet: python scripts/backup.py makes one.")
    for backup in backups:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(backup.created_at))
        print(f"{backup.folder.name}  {when}  {_size(backup.total_bytes)}  {backup.messages:,} messages")


def bring_back(workspace: Workspace, folder: Path, name: str) -> None:
    """Restore, then ask for the token if there is none."""
    backup = find(folder, name)
    for line in environment_lines(backup):
        print(line)
    progress = TerminalProgress()
    restored = restore(workspace, backup, report=progress.report)
    progress.close()
    print_summary(_restored_lines(restored))
    if restored.needs_token and is_person_there():
        token = getpass.getpass("Discord bot token (it is never part of a backup; Enter to do it later): ").strip()
        if token:
            write_value(workspace.env_file, TOKEN, token)


def environment_lines(backup: Backup) -> list[str]:
    """What the backup's `.env` will change and what of it is left, said before anything happens."""
    found = settings_in(backup)
    lines = [f"Taken into .env: {key}={shown(value)}" for key, value in found.values.items()]
    if found.left_out:
        lines.append(
            f"Left as it is in .env: {', '.join(shown(key) for key in found.left_out)} (a backup from elsewhere could "
            "name other admins or another address for the token). Enter them in Settings > Discord if they are yours."
        )
    return lines


def shown(text: str) -> str:
    """On one line and without control marks: it comes from a file of somebody else."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:200]


def begin_anew(workspace: Workspace) -> None:
    """Say what was carried over, and what to do about the rest."""
    progress = TerminalProgress()
    found = start_anew(workspace, report=progress.report)
    progress.close()
    if not found:
        print("Both databases are whole; nothing was changed.")
        return
    lines: list[tuple[str, object]] = []
    for salvaged in found:
        lines.append(("set aside", salvaged.aside))
        lines += [(f"  {table}", f"{count:,} rows carried over") for table, count in salvaged.rows.items()]
        lines += [(f"  {table}", "not read to its end: some of it is lost") for table in salvaged.cut_short]
    print_summary(lines)
    print(
        "Next: check the settings and channels in the panel, ask members who had opted out, and fetch the messages "
        "again: python scripts/fetch_and_embed.py"
    )


def find(folder: Path, name: str) -> Backup:
    """A backup by name or folder, or the newest."""
    if name != "newest":
        return read_backup(folder / name if (folder / name).is_dir() else typed_path(name))
    backups = list_backups(folder)
    if not backups:
        raise BadInputError(
            f"There is no backup in {folder}.", "Name the folder with --folder, or continue without one: --start-anew."
        )
    return backups[-1]


def set_schedule(options: argparse.Namespace, workspace: Workspace) -> None:
    """Hand the backup to the system's own scheduler."""
    with open_store(options) as store:
        keep = options.keep or store.settings.get(KEEP_BACKUPS)
    scheduler = Scheduler(task(workspace, keep, options.folder))
    wanted = options.schedule.strip().lower()
    if wanted == "status":
        print(scheduler.status())
        return
    schedule = parse_schedule(_SHORT_SCHEDULES.get(wanted, wanted))
    if schedule is None:
        scheduler.remove()
        print("The scheduled backup is off.")
        return
    keeper = scheduler.install(schedule)
    print(f"A backup will be made {schedule.words} by {keeper}; the {keep} newest are kept.")


def task(workspace: Workspace, keep: int, folder: Path | None) -> Task:
    """The scheduled command; one of its own per workspace."""
    number = hashlib.sha256(str(workspace.root).encode()).hexdigest()[:8]
    where = ("--folder", str(folder.resolve())) if folder else ()
    script = PROJECT_ROOT / "scripts" / "backup.py"
    return Task(
        f"discord-personality-backup-{number}",
        (str(windowless_python()), str(script), "--workspace", str(workspace.root), "--keep", str(keep), *where),
        PROJECT_ROOT,
    )


def _restored_lines(restored: Restored) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [("restored", restored.backup), ("messages", restored.messages)]
    if restored.erased_messages:
        lines.append(("erased since, and again", restored.erased_messages))
    if restored.needs_token:
        lines.append(("token", "not part of a backup: enter it in Settings > Discord, or as DISCORD_TOKEN in .env"))
    return lines


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


if __name__ == "__main__":
    run_script(main)
