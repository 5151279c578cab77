"""A member, a channel or a single message is forgotten: out of the databases at once, then out of every other file.
What is only set aside (members who are left out, channels that are learnt from no more, messages out of sight) leaves
what was made of it: data sets, evaluations, blind tests. The databases, exports and backups keep it for the day it
comes back.

The decision is stored first, in one transaction, with what to look for (`storage.withdrawals`); `sweep` then walks the
list of all files (`storage.artefacts`) and the copies. Cut short anywhere, the next sweep continues: the bot, a fetch,
a data set and a backup each begin with one. What a trained model has learnt stays in its weights until it is retrained;
every model's manifest then says that it is due.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.artefacts import MANIFEST, Care, Pointer, care_elsewhere, elsewhere, files, read_object, remembered
from storage.database import side_files
from storage.erasing import files as cleaning
from storage.erasing.backups import erase_from_backups, finish_swaps
from storage.erasing.databases import (
    erase_from_control,
    erase_from_copy,
    erase_from_taught,
    holds_any,
    write_anew,
)
from storage.erasing.documents import words_of
from storage.errors import AlreadyRunningError, KnownError
from storage.index_sync import purge_index
from storage.jobs.kinds import JobKind
from storage.jobs.results import BackupResult
from storage.paths import Workspace
from storage.store import Store
from storage.system.files import remove_file, remove_tree, write_whole
from storage.system.locks import FileLock
from storage.withdrawals import UNKNOWN_NAME, Subject, WithdrawalKind

log = logging.getLogger(__name__)

RETRAIN_DUE = "retrain_due"
LOCK_NAME = "sweep"
# How long somebody who asked to be forgotten waits for a sweep that is under way.
_PATIENCE_SECONDS = 600.0
_CLEANERS: dict[Care, cleaning.Cleaner] = {
    Care.ROWS: cleaning.clean_lines,
    Care.DOCUMENT: cleaning.clean_document,
    Care.QUOTES: cleaning.drop_quotes,
    Care.SAMPLES: cleaning.drop_samples,
    Care.OWNERS: cleaning.clean_owners_file,
    Care.LOG: cleaning.clean_log,
}
# Made of messages, and can be made again.
_MADE_OF_MESSAGES = (Care.ROWS, Care.DOCUMENT, Care.QUOTES, Care.SAMPLES)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed. remaining: sentences about what could not be done yet; it is tried again until it is."""

    messages: int
    files_changed: int
    playground_lines: int
    had_name: str
    remaining: tuple[str, ...] = ()


@dataclass
class Swept:
    """What a sweep changed, and what is left to do."""

    files_changed: int = 0
    playground_lines: int = 0
    remaining: list[str] = field(default_factory=list)


def forget_member(store: Store, member_id: int, *, clock: Callable[[], float] = time.time) -> Forgotten:
    """Remove everything of one member. Safe to repeat: a run cut short is completed by the next."""
    member = store.members.get(member_id)
    names = _names_in_manifests(store, member_id) | store.activity.names_of(member_id)
    ids = store.members.forget(member_id, names=names)
    mark_models(store.workspace, clock(), reason="a member was forgotten")
    swept = sweep(store, wait_seconds=_PATIENCE_SECONDS)
    log.info("A member was forgotten: %d messages, %d files", len(ids), swept.files_changed)
    name = (member.display_name or member.username) if member else ""
    return Forgotten(len(ids), swept.files_changed, swept.playground_lines, name, tuple(swept.remaining))


def forget_channel(store: Store, channel_id: int, *, clock: Callable[[], float] = time.time) -> Forgotten:
    """Remove everything said so far in a channel and its threads. Safe to repeat."""
    channel = store.channels.get(channel_id)
    ids = store.channels.forget_messages(channel_id)
    mark_models(store.workspace, clock(), reason="a channel was deleted")
    swept = sweep(store, wait_seconds=_PATIENCE_SECONDS)
    log.info("A channel was forgotten: %d messages, %d files", len(ids), swept.files_changed)
    name = channel.name if channel else ""
    return Forgotten(len(ids), swept.files_changed, swept.playground_lines, name, tuple(swept.remaining))


def sweep(store: Store, *, wait_seconds: float = 0.0) -> Swept:
    """Remove from every file what was withdrawn and not swept yet. AlreadyRunningError while another one is at it for
    longer than `wait_seconds`. What fails is told and stays to be done; the rest is done all the same."""
    swept = Swept()
    if store.withdrawals.oldest_unswept() is None:
        return swept
    with FileLock(store.workspace.locks / f"{LOCK_NAME}.lock", holder="Erasing").acquire(timeout_seconds=wait_seconds):
        subject = store.withdrawals.unswept()
        if subject:
            _clean(store, subject, swept)
        aside = _set_aside(store, subject.through)
        if aside:
            _clean_files(store, aside, swept, _MADE_OF_MESSAGES)
            with _telling(swept, "What a preparation left behind"):
                swept.files_changed += _drop_leftovers(store)
        if aside.members - subject.members:  # who was forgotten is marked as that
            mark_models(store.workspace, time.time(), reason="a member was left out")
        if swept.remaining:
            log.warning("Not erased everywhere yet: %s", " ".join(swept.remaining))
            return swept
        store.withdrawals.drop_words(subject)
        if subject:
            with _telling(swept, "The databases"):
                _write_databases_anew(store, subject)
        if not swept.remaining:
            store.withdrawals.mark_swept(subject)
    return swept


def sweep_if_free(store: Store) -> None:
    """A sweep before or after other work, unless another process is at it or it cannot be done now."""
    try:
        sweep(store)
    except KnownError as error:
        log.warning("Files not cleaned: %s", error.text())


def mark_models(workspace: Workspace, since: float, *, reason: str) -> int:
    """Write into the manifest of every model kept so far that it should be retrained; returns how many there are."""
    marked = 0
    for path in sorted(workspace.finetuned_models.glob("*.json")):
        manifest = _manifest(path)
        if manifest is not None:
            manifest["provenance"] = {**manifest["provenance"], RETRAIN_DUE: {"since": since, "reason": reason}}
            write_whole(path, json.dumps(manifest, ensure_ascii=False, indent=1).encode("utf-8"))
            marked += 1
    return marked


def retrain_reason(workspace: Workspace) -> str:
    """Why the model in use should be retrained, '' when nothing speaks for it."""
    name = Pointer.in_use(workspace)
    manifest = _manifest(workspace.finetuned_models / f"{name}.json") if name else None
    due = manifest["provenance"].get(RETRAIN_DUE) if manifest else None
    return str(due.get("reason", "")) if isinstance(due, dict) else ""


def _manifest(path: Path) -> dict[str, Any] | None:
    """A model's manifest (model/publishing/deployment.py), None for any other file."""
    record = read_object(path)
    is_one = record is not None and "sha256" in record and isinstance(record.get("provenance"), dict)
    return record if is_one else None


# ---- one sweep ----------------------------------------------------------------------------------------


def _clean(store: Store, subject: Subject, swept: Swept) -> None:
    workspace = store.workspace
    with _telling(swept, "The test chat"), store.control_db.transaction() as connection:
        swept.playground_lines = erase_from_control(connection, subject, kept=store.messages.known_ids)
    with _telling(swept, "What the bot was taught"), store.messages_db.transaction() as connection:
        erase_from_taught(connection, subject)
    _clean_files(store, subject, swept, _CLEANERS)
    with _telling(swept, "What a preparation left behind"):
        swept.files_changed += _drop_leftovers(store)
    swept.files_changed += _clean_side_copies(workspace, subject, swept)
    with _telling(swept, "The search index"):
        purge_index(store, subject)
    for folder in _backup_folders(store):
        with _telling(swept, f"The backups in {folder.name}"):
            swept.files_changed += erase_from_backups(folder, subject, time.time())


def _set_aside(store: Store, through: int) -> Subject:
    """What left use up to a row of the withdrawals and is out of use still, as something to look for in files."""
    ids = store.withdrawals.set_aside(through=through)
    members = store.members.absent_ids() & ids[WithdrawalKind.ABSENT]
    hidden = store.withheld.known(sorted(ids[WithdrawalKind.HIDDEN]))
    learnt = {channel.id for channel in store.channels.trainable()}
    switched = ids[WithdrawalKind.UNLEARNT]
    threads = {channel.id for channel in store.channels.all() if channel.parent_id in switched}
    channels = (switched | threads) - learnt
    names = {name.casefold() for member_id in members for name in _names_of(store, member_id)}
    return Subject(
        members,
        dict.fromkeys(channels, float("inf")),
        frozenset(hidden).union(*(store.messages.ids_in(channel_id) for channel_id in channels)),
        frozenset(names),
        tuple(store.withheld.words_of(hidden)),
        through,
    )


def _names_of(store: Store, member_id: int) -> set[str]:
    """What a member is called, and was in what was made earlier."""
    member = store.members.get(member_id)
    names = _names_in_manifests(store, member_id) | store.activity.names_of(member_id)
    names |= {member.display_name, member.username} if member else set()
    return {name for name in names if name.strip() and name != UNKNOWN_NAME}


def _clean_files(store: Store, subject: Subject, swept: Swept, cares: Collection[Care]) -> None:
    """Every file that gets one of these cares, in the workspace and in our folders outside."""
    for path, kind in files(store.workspace, *cares):
        with _telling(swept, path.name):
            swept.files_changed += _CLEANERS[kind.care](path, subject)
            if kind.care is Care.OWNERS and path.is_file() and cleaning.is_left_as_it_is(path, subject):
                # Not tried again: no rule of ours can take one person out of such a file.
                log.warning("%s names a member who was forgotten: delete it or clean it by hand", path)
    for folder in elsewhere(store.facts, store.jobs, store.workspace):
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
            care = care_elsewhere(path)
            if care in cares and care in _CLEANERS:
                with _telling(swept, str(path)):
                    swept.files_changed += _CLEANERS[care](path, subject)


@contextmanager
def _telling(swept: Swept, what: str) -> Iterator[None]:
    """One file that cannot be changed now keeps nobody from cleaning the others."""
    try:
        yield
    except AlreadyRunningError as error:
        swept.remaining.append(f"{what}: waits for its end ({error.what})")
    except KnownError as error:
        swept.remaining.append(f"{what}: {error.what}")
    except (OSError, sqlite3.Error, RuntimeError) as error:  # RuntimeError is what LanceDB's core raises
        log.debug("A file could not be cleaned", exc_info=True)
        swept.remaining.append(f"{what} could not be changed ({error}).")


def _drop_leftovers(store: Store) -> int:
    """What killed work left half-made, unless a preparation is under way (AlreadyRunningError): it cleans its own."""
    workspace = store.workspace
    outside = {*elsewhere(store.facts, store.jobs, workspace), *remembered(store.facts)}
    beside = [folder.with_name(f".{folder.name}.{ending}") for folder in outside for ending in ("partial", "old")]
    folders = {_leftover_root(path) for path, _ in files(workspace, Care.LEFTOVER)} | set(beside)
    found = [folder for folder in folders if folder.is_dir()]
    if not found:
        return 0
    with FileLock(workspace.locks / "prepare.lock", holder="Preparing a data set"):
        for folder in found:
            if not remove_tree(folder):
                raise OSError(f"{folder} is held by another program")
    return len(found)


def _leftover_root(path: Path) -> Path:
    """The half-made folder itself: the last one above the file whose name says so."""
    marks = (".partial", ".old", ".restoring")
    return next(
        (folder for folder in path.parents if folder.suffix in marks or folder.name.startswith("salvage-")), path.parent
    )


def _clean_side_copies(workspace: Workspace, subject: Subject, swept: Swept) -> int:
    """Copies of the databases that a restore, a migration or damage left; one that cannot be read goes."""
    changed = 0
    for path, _ in files(workspace, Care.COPY):
        if path.name.endswith(("-journal", "-wal", "-shm", ".creating", ".restoring")):
            if path.suffix in (".creating", ".restoring"):
                remove_file(path)
                changed += 1
            continue
        with _telling(swept, path.name):
            try:
                changed += erase_from_copy(path, subject, time.time())
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # locked or full: another time
                    raise
                # What could be read of it was carried over when it was set aside (storage/salvage.py).
                for gone in (path, *side_files(path)):
                    remove_file(gone)
                changed += 1
    return changed


def _backup_folders(store: Store) -> list[Path]:
    """Ours, and where else a backup of this workspace was made, as far as it can be reached now."""
    found = {store.workspace.backups: None}
    for job in store.jobs.recent(limit=500):
        if job.kind == JobKind.BACKUP and (made := BackupResult.of(job).folder):
            found[Path(made).parent] = None
    for folder in found:
        finish_swaps(folder)
    return [folder for folder in found if folder.is_dir()]


def _write_databases_anew(store: Store, subject: Subject) -> None:
    needles = [piece.encode("utf-8", "surrogatepass") for piece in words_of(subject)]
    for database in (store.messages_db, store.control_db):
        # A single message is overwritten with zeros as it is deleted; usually nothing of it is left.
        paths = [path for path in (database.path, *side_files(database.path)) if path.exists()]
        if subject.is_of_members or any(holds_any(path, needles) for path in paths):
            write_anew(database.connection())


def _names_in_manifests(store: Store, member_id: int) -> set[str]:
    """What a member was called when a data set was prepared: its rows know nobody but by that."""
    folders = [path.parent for path in store.workspace.message_files.glob(f"**/{MANIFEST}")]
    found = set()
    for folder in (*folders, *elsewhere(store.facts, store.jobs, store.workspace)):
        manifest = read_object(folder / MANIFEST) or {}
        for share in manifest.get("shares") or ():
            if isinstance(share, dict) and share.get("author_id") == member_id and share.get("name"):
                found.add(str(share["name"]))
    return found
