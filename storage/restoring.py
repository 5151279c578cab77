"""Bringing a backup back: staged beside its place without anybody who was erased since, then swapped in."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from storage import unfinished_restore as unfinished
from storage import withheld
from storage.artefacts import POINTER
from storage.backup import (
    CONTROL,
    ENV,
    MESSAGES,
    Backup,
    Restored,
    free_name,
    list_backups,
    open_copy,
    settings_in,
    verify,
)
from storage.database import connect
from storage.environment import read_environment, text_of, with_value
from storage.erasing.databases import erase_from_copy
from storage.erasing.files import clean_document, drop_samples
from storage.errors import StorageError, shortened_path
from storage.index_sync import purge_folder
from storage.jobs.progress import ProgressCallback, silent
from storage.migrations import MESSAGES_MIGRATIONS, migrate
from storage.paths import Workspace
from storage.system.files import flush_file, make_private, remove_file, remove_tree
from storage.system.locks import sole_use
from storage.unfinished_restore import STAGED, Marker, Swap
from storage.withdrawals import Subject

_ACCESS = (
    "SELECT is_private, discord_private, owner_private, audience, accepted_audience, access_lost, channel_id "
    "FROM channel_allowlist"
)
_PUT_ACCESS = (
    "UPDATE channel_allowlist SET is_private = ?, discord_private = ?, owner_private = ?, audience = ?, "
    "accepted_audience = ?, access_lost = ? WHERE channel_id = ?"
)
_MODELS, _INDEX = "models/finetuned/", "embeddings/"


def restore(workspace: Workspace, backup: Backup, *, report: ProgressCallback = silent) -> Restored:
    """Put a checked backup in place of what is there; the present databases are set aside, nothing is lost.

    What was erased, and who opted out, since the backup is taken out again. `.env` stays as it is
    but for the harmless keys of the backup's (`storage.backup.settings_in`).
    Nothing that is there changes before everything is staged; a failure in the swap is undone, and a kill is repaired
    by the next start (`storage.unfinished_restore`). AlreadyRunningError while the bot, the panel or a job uses the
    workspace.
    """
    try:
        workspace.create()
        unfinished.finish(workspace)
        with sole_use(workspace):
            verify(backup, report=report)
            return _staged_and_swapped(_Stage(workspace, backup, known_decisions(workspace, backup)), report)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"The backup {backup.folder.name} could not be restored to {shortened_path(workspace.root)} ({error}). "
            "Everything is as it was.",
            "Free some space and close other programs that have files of the workspace open, then try again.",
        ) from error


def _staged_and_swapped(stage: _Stage, report: ProgressCallback) -> Restored:
    workspace = stage.workspace
    try:
        unfinished.write_marker(workspace, stage.marker(is_swapping=False))
        restored = stage.fill(report)
        unfinished.write_marker(workspace, stage.marker(is_swapping=True))
    except BaseException:
        _tidy_up(workspace, stage)
        raise
    try:
        unfinished.swap_all(workspace, stage.swaps)
    except OSError:
        with suppress(OSError):  # should this fail too, the marker stays and the next start completes the swap
            unfinished.swap_back(workspace, stage.swaps)
            _tidy_up(workspace, stage)
        raise
    _tidy_up(workspace, stage)
    return restored


def _tidy_up(workspace: Workspace, stage: _Stage) -> None:
    """Nothing staged is left and no marker. What cannot be removed now goes with the next start."""
    with suppress(OSError):
        unfinished.drop_staged(workspace, stage.swaps)
        unfinished.remove_marker(workspace)


@dataclass
class Decisions:
    """Erasures anybody knows of, and the newest word on who is left out, member -> (opted out, excluded), and on who
    may read which channel. hidden: what the newest database keeps out of sight, None when none could be read."""

    erasures: dict[tuple[str, int], float] = field(default_factory=dict)
    absences: dict[int, tuple[int, int]] = field(default_factory=dict)
    access: list[tuple[object, ...]] = field(default_factory=list)
    hidden: withheld.Snapshot | None = None
    by_owner: set[int] = field(default_factory=set)

    def read(self, connection: sqlite3.Connection) -> None:
        """Add what a messages.db says; its word on who is left out is taken as the newer one."""
        rows = connection.execute("SELECT kind, id, erased_at FROM erasures").fetchall()
        self.erasures |= {(row[0], row[1]): max(row[2], self.erasures.get((row[0], row[1]), 0.0)) for row in rows}
        self.absences |= {
            row[2]: (row[0], row[1]) for row in connection.execute("SELECT opted_out, excluded, id FROM members")
        }
        with suppress(sqlite3.OperationalError):  # a copy of an older version: nobody had said anything yet
            self.access = [tuple(row) for row in connection.execute(_ACCESS)]
        with suppress(sqlite3.OperationalError):  # a database from before anything was hidden
            owned = connection.execute("SELECT id FROM erasures WHERE kind = 'message' AND by_owner = 1")
            self.by_owner |= {row[0] for row in owned}
            self.hidden = withheld.snapshot(connection)
            # Erased once and found on Discord again since.
            back = self.hidden.in_sight
            self.erasures = {key: at for key, at in self.erasures.items() if key[0] != "message" or key[1] not in back}

    @property
    def subject(self) -> Subject:
        """What must not come back."""
        return Subject(
            frozenset(number for kind, number in self.erasures if kind == "member"),
            {number: at for (kind, number), at in self.erasures.items() if kind == "channel"},
            frozenset(number for kind, number in self.erasures if kind == "message"),
        )

    def apply(self, messages_db: Path) -> None:
        """To a copy that nobody has open, brought to the present schema first."""
        with closing(connect(messages_db)) as connection:
            migrate(connection, messages_db, MESSAGES_MIGRATIONS, keeps_copy=False)
        erase_from_copy(messages_db, self.subject, time.time())
        with closing(connect(messages_db)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT OR IGNORE INTO erasures (kind, id, erased_at, by_owner) VALUES (?, ?, ?, ?)",
                [
                    (kind, number, at, int(kind == "message" and number in self.by_owner))
                    for (kind, number), at in self.erasures.items()
                ],
            )
            connection.executemany(
                "UPDATE members SET opted_out = ?, excluded = ? WHERE id = ?",
                [(*choice, number) for number, choice in self.absences.items()],
            )
            # Somebody who left before they ever wrote anything in this copy.
            connection.executemany(
                "INSERT OR IGNORE INTO members (id, username, display_name, opted_out, excluded) "
                "VALUES (?, '', 'someone', ?, ?)",
                [(number, *choice) for number, choice in self.absences.items() if any(choice)],
            )
            if self.hidden is not None:
                withheld.apply(connection, self.hidden)
            connection.executemany(_PUT_ACCESS, self.access)
            # Hidden is not erased: no file is to lose these.
            connection.execute(
                "DELETE FROM withdrawals WHERE kind = 'message' AND id IN (SELECT id FROM withheld_messages)"
            )
            connection.execute("COMMIT")


def known_decisions(workspace: Workspace, backup: Backup | None = None) -> Decisions:
    """From the present database, every copy beside it, every backup that is newer than `backup`, and a restore that was
    cut short. The newest file has the last word on who is left out."""
    decisions = Decisions()
    with suppress(StorageError):
        if (marker := unfinished.read_marker(workspace)) is not None:
            decisions.erasures |= {(kind, number): at for kind, number, at in marker.erasures}
            decisions.absences |= {number: (out, excluded) for out, excluded, number in marker.absences}
    sources = [workspace.messages_db, *workspace.database_folder.glob("before-restore-*/messages.db")]
    folders = {workspace.backups, *([backup.folder.parent] if backup else [])}
    sources += [
        other.folder / MESSAGES
        for folder in folders
        for other in list_backups(folder)
        if backup is None or _is_newer(other, backup)
    ]
    there = [path for path in sources if path.is_file() and path.stat().st_size]
    for path in sorted(there, key=lambda path: path.stat().st_mtime_ns):
        # Damage may be the very reason for the restore.
        with suppress(sqlite3.Error), _reading(workspace, path) as connection:
            decisions.read(connection)
    return decisions


def _is_newer(one: Backup, other: Backup) -> bool:
    """Within a folder by the order in which they were made, which no clock changes; between two by their time."""
    if one.folder.parent == other.folder.parent:
        return one.order > other.order
    return one.created_at > other.created_at


class _Stage:
    """Everything of a backup, beside its place."""

    def __init__(self, workspace: Workspace, backup: Backup, decisions: Decisions) -> None:
        self.workspace = workspace
        self._backup = backup
        self._decisions = decisions
        aside = free_name(workspace.database_folder / f"before-restore-{time.strftime('%Y%m%d-%H%M%S')}")
        # messages.db first: a control.db alone is never taken for a new install, a messages.db alone is safe.
        databases = [self._of(target, aside / target.name) for target in (workspace.messages_db, workspace.control_db)]
        models = [self._of(workspace.root / name) for name in self._changed_models()]
        models.sort(key=lambda swap: swap.target.endswith(f"/{POINTER}"))  # the pointer after what it points to
        environment = [self._of(workspace.env_file)] if ENV in backup.files else []
        self.swaps = (*databases, self._of(workspace.embeddings), *models, *environment)

    def marker(self, *, is_swapping: bool) -> Marker:
        return Marker(
            str(self._backup.folder),
            is_swapping,
            self.swaps,
            tuple((kind, number, at) for (kind, number), at in self._decisions.erasures.items()),
            tuple((*choice, number) for number, choice in self._decisions.absences.items()),
        )

    def fill(self, report: ProgressCallback) -> Restored:
        """Copy, take out what was erased since, and count."""
        report(0.5, "Copying the backup")
        for name, target in ((CONTROL, self.workspace.control_db), (MESSAGES, self.workspace.messages_db)):
            _copy(self._backup.folder / name, _staged(target))
        messages_db = _staged(self.workspace.messages_db)
        before = _count(messages_db)
        subject = self._decisions.subject
        self._decisions.apply(messages_db)
        if subject:
            erase_from_copy(_staged(self.workspace.control_db), subject, time.time())
        after = _count(messages_db)
        self._fill_index(subject)
        self._fill_models(subject)
        if ENV in self._backup.files:
            self._fill_environment()
        for swap in self.swaps:
            _flush(self.workspace.root / swap.staged)
        needs_token = not read_environment(self.workspace.env_file, process={}).token
        return Restored(self._backup.folder, after, before - after, len(subject.members), needs_token)

    def _of(self, target: Path, aside: Path | None = None) -> Swap:
        """aside: where what is there is kept; only until the end of the swap when None."""
        paths = (_staged(target), target, aside or target.with_name(f"{target.name}.old{STAGED}"))
        return Swap(*(path.relative_to(self.workspace.root).as_posix() for path in paths))

    def _changed_models(self) -> list[str]:
        """Model files that are not there as the backup has them."""
        found = []
        for name, entry in self._backup.files.items():
            target = self.workspace.root / name
            if name.startswith(_MODELS) and not (
                target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == _mark(entry)
            ):
                found.append(name)
        return found

    def _fill_index(self, subject: Subject) -> None:
        staged = _staged(self.workspace.embeddings)
        remove_tree(staged)
        staged.mkdir(parents=True)
        names = [name for name in self._backup.files if name.startswith(_INDEX)]
        for name in names:
            _copy(self._backup.folder / name, staged / name.removeprefix(_INDEX))
        if subject and names:
            purge_folder(staged, subject)

    def _fill_models(self, subject: Subject) -> None:
        for name in self._changed_models():
            staged = _staged(self.workspace.root / name)
            _copy(self._backup.folder / name, staged)
            if subject and name.endswith(".report.json"):
                drop_samples(staged, subject)
            elif subject and name.endswith(".json") and not name.endswith(f"/{POINTER}"):
                clean_document(staged, subject)

    def _fill_environment(self) -> None:
        """The one that is there, with the harmless keys of the backup's."""
        present = self.workspace.env_file
        text = text_of(present) if present.exists() else ""
        for key, value in settings_in(self._backup).values.items():
            text = with_value(text, key, value)
        staged = _staged(present)
        remove_file(staged)
        staged.touch(mode=0o600)
        staged.write_bytes(text.encode("utf-8"))


def _staged(target: Path) -> Path:
    return target.with_name(target.name + STAGED)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_file(target)
    shutil.copy2(source, target)
    make_private(target)


def _flush(path: Path) -> None:
    """On disk, so that a power cut after the swap finds whole files."""
    for each in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        with suppress(OSError):  # a read-only file of a model cannot be opened for it everywhere
            flush_file(each)


def _count(messages_db: Path) -> int:
    with closing(sqlite3.connect(messages_db)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM messages WHERE is_own = 0").fetchone()[0])


def _mark(entry: dict[str, int]) -> tuple[int, int]:
    return entry["bytes"], entry["mtime_ns"]


def _reading(workspace: Workspace, path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """The present database with its journal played back; copies strictly as they lie there."""
    return closing(sqlite3.connect(path)) if path == workspace.messages_db else open_copy(path)
