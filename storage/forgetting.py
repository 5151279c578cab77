"""A member is forgotten: their messages leave every copy in the workspace. Used by !forgetme and the panel.

What a trained model has learnt stays in its weights until it is retrained; that is said plainly, and every model's
manifest then says that it is due. Backups are not rewritten: a restore applies the erasure again.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.paths import Workspace
from storage.store import Store
from storage.system.files import replace_file, write_whole

log = logging.getLogger(__name__)

RETRAIN_DUE = "retrain_due"
_PLACEHOLDER = "someone"
_LINE_FILES = (".jsonl", ".ndjson")
# Below data_storage: pages and quizzes that quote members without saying who said what. They can be made again.
_QUOTING = (
    "messages/*/report.html",
    "evaluation/**/*.html",
    "evaluation/**/*.jsonl",
    "blind_tests/*/quiz.json",
    "blind_tests/*/*.html",
)
_TEXT_FILES = (".json", ".html", ".htm", ".md", ".txt", ".csv", ".log", ".out")
# Names shorter than this are everyday words too often to be replaced in running text.
_SHORTEST_NAME = 3


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed."""

    messages: int
    files_changed: int
    playground_lines: int
    had_name: str


def forget_member(store: Store, member_id: int, *, clock: Callable[[], float] = time.time) -> Forgotten:
    """Remove everything of one member. Safe to repeat: a run cut short is completed by the next."""
    member = store.members.get(member_id)
    names = (
        tuple(name for name in (member.display_name, member.username) if name and name != _PLACEHOLDER)
        if member
        else ()
    )
    # The files first: afterwards nobody knows the name to look for any more.
    files = _drop_quotes(store.workspace) + sum(_clean_file(path, member_id, names) for path in _files(store))
    lines = store.playground.forget(_mentions_of(member_id, names))
    store.activity.forget_author(member_id)
    ids = store.members.forget(member_id)
    store.messages.forget_name(member_id)
    mark_models(store.workspace, clock(), reason="a member was forgotten")
    log.info("A member was forgotten: %d messages, %d files", len(ids), files)
    return Forgotten(len(ids), files, lines, names[0] if names else "")


def mark_models(workspace: Workspace, since: float, *, reason: str) -> int:
    """Write into the manifest of every model kept so far that it should be retrained; returns how many there are."""
    marked = 0
    for path in sorted(workspace.finetuned_models.glob("*.json")):
        manifest = _manifest(path)
        if manifest is not None:
            manifest["provenance"] = {**manifest["provenance"], RETRAIN_DUE: {"since": since, "reason": reason}}
            fresh = path.with_name(path.name + ".marking")
            fresh.write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
            replace_file(fresh, path)
            marked += 1
    return marked


def retrain_reason(workspace: Workspace) -> str:
    """Why the model in use should be retrained, '' when nothing speaks for it."""
    try:
        name = Path(json.loads((workspace.finetuned_models / "current.json").read_text(encoding="utf-8"))["file"]).stem
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    manifest = _manifest(workspace.finetuned_models / f"{name}.json")
    due = manifest["provenance"].get(RETRAIN_DUE) if manifest else None
    return str(due.get("reason", "")) if isinstance(due, dict) else ""


def _manifest(path: Path) -> dict[str, Any] | None:
    """A model's manifest (model/publishing/deployment.py), None for any other file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_one = isinstance(record, dict) and "sha256" in record and isinstance(record.get("provenance"), dict)
    return record if is_one else None


def _files(store: Store) -> Iterable[Path]:
    workspace = store.workspace
    for folder in (workspace.message_files, workspace.finetuned_models, workspace.logs):
        for path in sorted(folder.rglob("*")):
            is_text = path.suffix.lower() in _LINE_FILES + _TEXT_FILES or ".log" in path.name
            if path.is_file() and not path.is_symlink() and is_text:
                yield path


def _drop_quotes(workspace: Workspace) -> int:
    """Quotations nobody can be told from go altogether: evaluation pages and samples, kept answers, blind tests."""
    changed = 0
    try:
        for path in sorted({path for pattern in _QUOTING for path in workspace.data.glob(pattern)}):
            path.unlink()
            changed += 1
        for path in [
            *(workspace.data / "evaluation").glob("**/report.json"),
            *workspace.finetuned_models.glob("*.report.json"),
        ]:
            changed += _drop_samples(path)
    except OSError as error:
        raise StorageError(
            f"A page that quotes members could not be removed ({error}).",
            "Close other programs that have it open and type the command again.",
        ) from None
    return changed


def _drop_samples(path: Path) -> bool:
    """An evaluation keeps its figures and loses what it quotes."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        quotes = [report["samples"], *(writer["memory"]["examples"] for writer in report["writers"])]
    except (ValueError, KeyError, TypeError):
        return False
    if not any(quotes):
        return False
    for quote in quotes:
        quote.clear()
    write_whole(path, json.dumps(report, ensure_ascii=False, indent=1).encode("utf-8"))
    return True


def _clean_file(path: Path, member_id: int, names: tuple[str, ...]) -> bool:
    """True when something had to be removed. A file that cannot be rewritten raises StorageError naming it."""
    needles = [str(member_id), *(name for name in names if len(name) >= _SHORTEST_NAME)]
    try:
        if not _holds_any(path, needles):
            return False
        if path.suffix.lower() in _LINE_FILES:
            return _clean_lines(path, member_id, names)
        if ".log" in path.name:
            return _clean_log(path, member_id, names)
        return _clean_document(path, member_id, names)
    except OSError as error:
        raise StorageError(
            f"{path.name} could not be changed ({error}).",
            "Close other programs that have it open and type the command again.",
        ) from None


def _holds_any(path: Path, needles: Iterable[str]) -> bool:
    """Whether any needle stands in the file, read in pieces, plain or as JSON escapes it."""
    wanted = {text.encode() for needle in needles for text in (needle, json.dumps(needle)[1:-1])}
    longest = max(map(len, wanted), default=0)
    rest = b""
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            piece = rest + block
            if any(needle in piece for needle in wanted):
                return True
            rest = piece[-longest:]
    return False


def _clean_lines(path: Path, member_id: int, names: tuple[str, ...]) -> bool:
    """Drop the rows that hold something of theirs; a row is theirs by id or by name."""
    is_theirs = _mentions_of(member_id, names)
    fresh = path.with_name(path.name + ".forgetting")
    dropped = 0
    with (
        open(path, encoding="utf-8", errors="surrogateescape") as old,
        open(fresh, "w", encoding="utf-8", errors="surrogateescape") as new,
    ):
        for line in old:
            try:
                is_out = is_theirs(json.loads(line))
            except ValueError:
                is_out = str(member_id) in line or any(name in line for name in names)
            if is_out:
                dropped += 1
            else:
                new.write(line)
    replace_file(fresh, path)
    return dropped > 0


def _clean_document(path: Path, member_id: int, names: tuple[str, ...]) -> bool:
    """An export, a manifest or a report: their entries go out of lists, their name out of the rest."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    cleaned = text
    if path.suffix.lower() == ".json":
        try:
            cleaned = json.dumps(
                _without(json.loads(text), _mentions_of(member_id, names)), ensure_ascii=False, indent=1
            )
        except ValueError:
            cleaned = text
    cleaned = _renamed(cleaned, member_id, names)
    if cleaned == text:
        return False
    fresh = path.with_name(path.name + ".forgetting")
    fresh.write_text(cleaned, encoding="utf-8", errors="surrogateescape")
    replace_file(fresh, path)
    return True


def _clean_log(path: Path, member_id: int, names: tuple[str, ...]) -> bool:
    """In place and of equal length: a running program has the file open and goes on writing at its end."""
    needles = [needle.encode() for needle in (str(member_id), *names) if len(needle) >= _SHORTEST_NAME]
    changed = False
    with open(path, "r+b") as file:
        content = file.read()
        for needle in needles:
            pattern = re.compile(rb"(?<![\w])" + re.escape(needle) + rb"(?![\w])")
            for match in pattern.finditer(content):
                file.seek(match.start())
                file.write(b"*" * len(needle))
                changed = True
    return changed


def _mentions_of(member_id: int, names: tuple[str, ...]) -> Callable[[Any], bool]:
    """Whether a JSON value holds something said by the member, wherever in it."""
    folded = {name.casefold() for name in names}

    def holds(value: Any) -> bool:
        if isinstance(value, dict):
            if any(key in value and str(value[key]) == str(member_id) for key in ("author_id", "user_id", "id")):
                return True
            if isinstance(value.get("name"), str) and "text" in value and value["name"].casefold() in folded:
                return True
            return any(holds(part) for part in value.values())
        if isinstance(value, list):
            return any(holds(part) for part in value)
        return isinstance(value, str) and f"<@{member_id}>" in value.replace("<@!", "<@")

    return holds


def _without(value: Any, is_theirs: Callable[[Any], bool]) -> Any:
    """Lists lose their entries of the member; everything else stays."""
    if isinstance(value, list):
        return [_without(part, is_theirs) for part in value if not (isinstance(part, dict) and is_theirs(part))]
    if isinstance(value, dict):
        return {key: _without(part, is_theirs) for key, part in value.items()}
    return value


def _renamed(text: str, member_id: int, names: tuple[str, ...]) -> str:
    for name in (str(member_id), *names):
        if len(name) >= _SHORTEST_NAME:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _PLACEHOLDER, text)
    return text
