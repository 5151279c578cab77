"""Erasure in files on disk: rows, documents, evaluation reports, logs, archives. Each answers whether it changed."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from storage.erasing.documents import is_training_row, quotes, without, words_of
from storage.stored_json import parse_json
from storage.system.files import remove_file, replace_file, write_whole
from storage.withdrawals import Subject

LINE_FILES = (".jsonl", ".ndjson")
_FRESH = ".erasing"
# Up to this many ids, names and words a file is first looked through for them before it is parsed.
_MOST_NEEDLES = 400
# Names in the few places where a program of ours printed one; everything else in a log goes by id.
_LOGGED_NAMES = (re.compile(r"^\s*largest share\s+(?P<name>.+): [\d.]+%"),)
_ID = re.compile(rb"(?<!\d)\d{1,20}(?!\d)")
_PREFIX = re.compile(rb"\[[^\]\n]{19}\] \[[A-Z]+\] (?:\[[\w.\-]+\] )?")


def clean_lines(path: Path, subject: Subject) -> bool:
    """JSON lines: a training row that quotes them goes; of anything else only what is theirs. Other lines keep their
    bytes."""
    if not may_hold(path, subject):
        return False
    fresh = path.with_name(path.name + _FRESH)
    is_changed = False
    with open(path, "rb") as old, open(fresh, "wb") as new:
        for line in old:
            kept = _kept_line(line, subject)
            is_changed |= kept != line
            new.write(kept)
    return _replaced(fresh, path, is_changed)


def clean_document(path: Path, subject: Subject) -> bool:
    """One JSON value: an export, a manifest, a description of a run."""
    if not may_hold(path, subject):
        return False
    try:
        value = parse_json(path.read_text(encoding="utf-8-sig"))
        cleaned = without(value, subject)
        is_changed = bool(cleaned != value)
    except (ValueError, RecursionError):  # no document of ours: nested deeper than can be walked through
        return False
    if not is_changed:
        return False
    write_whole(path, json.dumps(cleaned, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass"))
    return True


def clean_table(path: Path, subject: Subject) -> bool:
    """A CSV export: rows by them go (columns as DiscordChatExporter and Discord's package name them)."""
    if not may_hold(path, subject):
        return False
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    rows = list(csv.reader(io.StringIO(text)))
    if not rows:
        return False
    columns = {name.strip().casefold().replace("_", ""): number for number, name in enumerate(rows[0])}
    author = columns.get("authorid", columns.get("userid"))
    message = columns.get("id", columns.get("messageid"))
    kept = [rows[0], *(row for row in rows[1:] if not _is_row_theirs(row, author, message, subject))]
    if len(kept) == len(rows):
        return False
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n" if "\r\n" in text else "\n").writerows(kept)
    write_whole(path, out.getvalue().encode("utf-8", "surrogateescape"))
    return True


def clean_archive(path: Path, subject: Subject) -> bool:
    """A member's own data package goes as a whole; other archives are left to their owner."""
    if not (subject.members and zipfile.is_zipfile(path)):
        return False
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.casefold().endswith("account/user.json") or name.casefold() == "user.json":
                try:
                    owner = parse_json(archive.read(name)).get("id")
                except (ValueError, AttributeError, KeyError, RuntimeError, zipfile.BadZipFile):
                    continue
                if str(owner) in {str(number) for number in subject.members}:
                    break
        else:
            return False
    remove_file(path)
    return True


def drop_quotes(path: Path, subject: Subject) -> bool:
    """A page or a cache that quotes people without saying whom: it can be made again. For a single message only the
    files that repeat it go."""
    if not (subject.is_of_members or _repeats(path, subject)):
        return False
    remove_file(path)
    return True


def drop_samples(path: Path, subject: Subject) -> bool:
    """An evaluation keeps its figures and loses what it quotes."""
    if not (subject.is_of_members or _repeats(path, subject)):
        return False
    try:
        report = parse_json(path.read_text(encoding="utf-8"))
        quoted = [report["samples"], *(writer["memory"]["examples"] for writer in report["writers"])]
    except (ValueError, KeyError, TypeError):
        return clean_document(path, subject)
    if not any(quoted):
        return False
    for part in quoted:
        part.clear()
    write_whole(path, json.dumps(report, ensure_ascii=False, indent=1).encode("utf-8"))
    return True


def clean_log(path: Path, subject: Subject) -> bool:
    """Lines that hold an id of theirs lose their message, in place and of equal length: a running program has the file
    open and goes on writing at its end. The time, the level and the source stay."""
    wanted = {str(number).encode() for number in subject.members | subject.messages}
    names = subject.names
    is_changed = False
    with open(path, "r+b") as file:
        position = 0
        while line := file.readline():
            if not wanted.isdisjoint(_ID.findall(line)) or (names and _names_them(line, names)):
                prefix = _PREFIX.match(line)
                start = prefix.end() if prefix else 0
                body = line[start:].rstrip(b"\r\n")
                file.seek(position + start)
                file.write(b"*" * len(body))
                file.seek(position + len(line))
                is_changed = is_changed or body != b"*" * len(body)
            position += len(line)
    return is_changed


def may_hold(path: Path, subject: Subject) -> bool:
    """False only when nothing to look for stands in the file, in any way JSON may write it."""
    needles = [
        *(str(number) for number in (*subject.members, *subject.channels, *subject.messages)),
        *subject.names,
        *words_of(subject),
    ]
    if len(needles) > _MOST_NEEDLES:
        return True
    pattern = _needle_pattern(tuple(needles))
    return any(pattern.search(block) for block in _blocks(path))


def _kept_line(line: bytes, subject: Subject) -> bytes:
    try:
        value = parse_json(line)
        if is_training_row(value):
            return b"" if quotes(value, subject) else line
        cleaned = without(value, subject)
        is_changed = bool(cleaned != value)
    except (ValueError, RecursionError):
        return line
    if not is_changed:
        return line
    return b"" if cleaned is None else json.dumps(cleaned, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _is_row_theirs(row: list[str], author: int | None, message: int | None, subject: Subject) -> bool:
    def is_in(place: int | None, ids: frozenset[int]) -> bool:
        return place is not None and place < len(row) and row[place].isdigit() and int(row[place]) in ids

    return is_in(author, subject.members) or is_in(message, subject.messages)


def _replaced(fresh: Path, path: Path, is_changed: bool) -> bool:
    if is_changed:
        replace_file(fresh, path)
    else:
        remove_file(fresh)
    return is_changed


def _repeats(path: Path, subject: Subject) -> bool:
    """Whether a file repeats what one of the messages said, plain or as JSON or HTML escape it."""
    needles = {form for piece in words_of(subject) for form in (*_json_forms(piece), html.escape(piece))}
    if not needles:
        return False
    pattern = re.compile(b"|".join(re.escape(needle.encode("utf-8", "surrogatepass")) for needle in sorted(needles)))
    return any(pattern.search(block) for block in _blocks(path))


def _names_them(line: bytes, names: frozenset[str]) -> bool:
    text = line.decode("utf-8", "replace")
    return any(
        (found := pattern.match(text)) is not None and found["name"].casefold() in names for pattern in _LOGGED_NAMES
    )


@lru_cache(maxsize=8)
def _needle_pattern(needles: tuple[str, ...]) -> re.Pattern[bytes]:
    forms = {form for needle in needles for form in _json_forms(needle)}
    return re.compile(
        b"|".join(re.escape(form.encode("utf-8", "surrogatepass")) for form in sorted(forms)) or b"(?!)",
        re.IGNORECASE,
    )


def _json_forms(text: str) -> tuple[str, ...]:
    """As it is, and as JSON writes it with and without escapes; each in its own, lower and upper case."""
    cased = {text, text.lower(), text.upper(), text.title()}
    return tuple(
        {form for each in cased for form in (each, json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1])}
    )


def _blocks(path: Path, size: int = 1 << 22, overlap: int = 1 << 16) -> Iterator[bytes]:
    rest = b""
    with open(path, "rb") as file:
        while block := file.read(size):
            yield rest + block
            rest = block[-overlap:]


Cleaner = Callable[[Path, Subject], bool]


def clean_owners_file(path: Path, subject: Subject) -> bool:
    """Whatever the owner keeps beside the data sets: exports in any of the known forms."""
    suffix = path.suffix.lower()
    cleaners: dict[str, Cleaner] = {
        ".json": clean_document,
        ".csv": clean_table,
        ".zip": clean_archive,
        **dict.fromkeys(LINE_FILES, clean_lines),
    }
    cleaner = cleaners.get(suffix)
    return cleaner(path, subject) if cleaner else False


def is_left_as_it_is(path: Path, subject: Subject) -> bool:
    """True for a file that names them and that no rule here can clean: somebody has to look at it."""
    if path.suffix.lower() in (".json", ".csv", *LINE_FILES) or not subject.members:
        return False
    wanted = {str(number).encode() for number in subject.members}
    return any(not wanted.isdisjoint(_ID.findall(block)) for block in _blocks(path))
