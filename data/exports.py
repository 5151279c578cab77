"""Find out what people brought: files, folders, stars the shell left alone, ZIP files; exports or a data package."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.data_package import DataPackage, PackageFiles, is_added_by_the_system, is_package, refuse_bomb
from data.export_formats import ChatExporter, DirectMessagesInputError, Export, NotAnExportError, export_of
from data.export_objects import Fields
from data.export_sources import Source, identified
from storage.errors import BadInputError, KnownError
from storage.text import counted, storable

CHANNEL_LIST = "channels.json"
# What is looked into where nobody named the file itself; the rest of a folder is pictures and the like.
_ENDINGS = (".json", ".jsonl", ".ndjson", ".zip", ".gz", ".csv", ".html", ".htm", ".txt")
_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_STARS = re.compile(r"[*?\[]")
_PART_NUMBER = re.compile(r"[\s_.-]*(?:part)?[\s_.-]*\(?\d+\)?$", re.IGNORECASE)


@dataclass
class Found:
    """What is to be imported, what cannot be (a sentence each), and what is left out on purpose (a note each)."""

    exports: list[Export] = field(default_factory=list)
    problems: list[KnownError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    channels_file: Path | None = None


def open_export(path: Path, *, guild_id: int | None = None, author: Fields | None = None) -> Export:
    """The one export in a file or folder. `guild_id`, `author`: a data package's server to take, and its member."""
    if path.is_dir():
        if not _is_package_folder(path):
            raise BadInputError(f"{path} is a folder.", "Give the files in it.")
        return _package(path, guild_id, author)
    found = _in_file(path, guild_id, author)
    if len(found) != 1:
        raise BadInputError(f"{path.name} holds {len(found)} exports.", "Unpack it and give one of them.")
    return found[0]


def find_exports(
    inputs: Sequence[Path],
    *,
    guild_id: int | None = None,
    usual_guild_id: int | None = None,
    author: Fields | None = None,
    channels_file: Path | None = None,
) -> Found:
    """Everything to import in these files, folders and patterns with a star, each file once.

    guild_id: only this server. usual_guild_id: the server the program is set up for, taken where several are found.
    author: the member whose data packages these are, where a package does not say it. channels_file: no export, though
    it may lie among them.
    """
    found = Found(channels_file=channels_file)
    seen: set[str] = set()
    if channels_file is not None:
        seen.add(os.path.realpath(channels_file))
    for path in _named(inputs, found):
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            _look_into(path, found, seen, guild_id or usual_guild_id, author)
    _join_parts(found)
    _choose_server(found, guild_id, usual_guild_id)
    if not found.exports and not found.problems:
        names = ", ".join(str(path) for path in inputs)
        raise BadInputError(
            f"There is no export in {names}.", "Give DiscordChatExporter's JSON, JSON lines or a data package."
        )
    return found


# ---- names to files --------------------------------------------------------------------------------


def _named(inputs: Sequence[Path], found: Found) -> Iterator[Path]:
    """The files and folders of the command line; a star is expanded here where the shell does not do it."""
    for given in inputs:
        # Pasted from a file manager a name comes in quotes, and ~ stands for the home folder.
        path = Path(str(given).strip().strip("\"'")).expanduser()
        if path.exists() or not _STARS.search(str(path)):
            yield path
            continue
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            found.problems.append(BadInputError(f"No file matches {path}.", "Check the folder and the ending."))
        yield from map(Path, matches)


def _look_into(path: Path, found: Found, seen: set[str], guild_id: int | None, author: Fields | None) -> None:
    if not path.is_dir():
        try:
            _take(found, path, guild_id, author)
        except NotAnExportError as error:
            found.problems.append(error)
        return
    ignored: list[str] = []
    for part in _in_folder(path):
        real = os.path.realpath(part)
        if real in seen and part != path:
            continue
        seen.add(real)
        if part.is_dir():
            found.exports.append(_package(part, guild_id, author))
        elif part.name.lower() == CHANNEL_LIST:
            found.channels_file = found.channels_file or part
        elif part.suffix.lower() in _ENDINGS:
            try:
                _take(found, part, guild_id, author)
            except NotAnExportError:
                ignored.append(part.name)
        else:
            ignored.append(part.name)
    if ignored:
        named = ", ".join(ignored[:5]) + (", ..." if len(ignored) > 5 else "")
        found.notes.append(f"{path.name}: {counted(len(ignored), 'other file')} left alone ({named}).")


def _take(found: Found, path: Path, guild_id: int | None, author: Fields | None) -> None:
    """What is in the file, or the sentence that says why nothing is; NotAnExportError for what was never meant."""
    try:
        found.exports += _in_file(path, guild_id, author)
    except NotAnExportError:
        raise
    except KnownError as error:
        found.problems.append(error)


def _in_folder(path: Path) -> Iterator[Path]:
    """The files below a folder, by name; an unpacked data package comes as the folder it is."""
    if _is_package_folder(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        part = path / name
        if name.startswith(".") or is_added_by_the_system(name) or part.is_symlink():
            continue
        if not part.is_dir():
            yield part
        elif not name.endswith("_Files"):  # pictures DiscordChatExporter put beside an export
            yield from _in_folder(part)


def _is_package_folder(path: Path) -> bool:
    """True for the folder of a package (Account, Messages) and for its folder of messages, not for one above them:
    there the packages of several members may lie side by side."""
    return is_package(PackageFiles(path, depth=3).entries(), levels=2)


# ---- files to exports ------------------------------------------------------------------------------


def _in_file(path: Path, guild_id: int | None, author: Fields | None) -> list[Export]:
    source, start = identified(Source(path))
    if not start.startswith(_ZIP):
        return [export_of(source, start)]
    files = PackageFiles(path)
    entries = files.entries()
    if is_package(entries):
        return [_package(path, guild_id, author)]
    exports: list[Export] = []
    for entry in entries:
        if entry.name.lower().endswith(_ENDINGS) and not entry.name.lower().endswith((".zip", CHANNEL_LIST)):
            refuse_bomb(path.name, entry)
            exports.append(export_of(*identified(Source(path, entry.stored_as))))
    if exports:
        return exports
    if any(entry.name.lower().endswith(".zip") for entry in entries):
        raise BadInputError(f"{path.name} holds other ZIP files.", "Unpack it and give all of them at once.")
    raise BadInputError(
        f"{path.name} is a ZIP file with neither a data package nor an export in it.",
        "Give the package as Discord sent it, or DiscordChatExporter's JSON files.",
    )


def _package(path: Path, guild_id: int | None, author: Fields | None) -> DataPackage:
    return DataPackage(path, "Discord data package", guild_id, author=author)


# ---- what belongs together -------------------------------------------------------------------------


def _join_parts(found: Found) -> None:
    """Parts of one package (package-1.zip, package-2.zip): the account of one tells whose messages the others hold."""
    packages = [export for export in found.exports if isinstance(export, DataPackage)]
    if len(packages) < 2:
        return
    accounts: dict[str, Fields | None] = {}
    for package in packages:
        try:
            account = package.account()
        except KnownError:
            continue  # told when it is read
        if account is not None:
            key = _part_key(package.path)
            is_other = accounts.get(key, account) != account
            accounts[key] = None if is_other else account
    for package in packages:
        package.author = package.author or accounts.get(_part_key(package.path))
    with_messages = [package for package in packages if package.has_messages()]
    for package in packages:
        if with_messages and package not in with_messages:
            found.exports.remove(package)
            found.notes.append(f"{package.name} holds no messages.")


def _part_key(path: Path) -> str:
    return str(path.with_name(_PART_NUMBER.sub("", path.stem)).resolve()).casefold()


def _choose_server(found: Found, guild_id: int | None, usual_guild_id: int | None) -> None:
    """Exports of one server only: what is said on one must not be recalled on another."""
    servers = {
        export.guild_id: storable(export.server_name)
        for export in found.exports
        if isinstance(export, ChatExporter) and export.guild_id is not None
    }
    chosen = guild_id
    if chosen is None and len(servers) > 1:
        if usual_guild_id not in servers:
            listed = ", ".join(f"{name or '?'} ({number})" for number, name in sorted(servers.items()))
            raise BadInputError(f"These exports are of several servers: {listed}.", "Choose yours with --server ID.")
        chosen = usual_guild_id
    if chosen is None:
        return
    kept = [
        export for export in found.exports if not isinstance(export, ChatExporter) or export.guild_id in (None, chosen)
    ]
    others = [export.name for export in found.exports if export not in kept]
    direct = [problem for problem in found.problems if isinstance(problem, DirectMessagesInputError)]
    if others and not kept:
        listed = ", ".join(f"{name or '?'} ({number})" for number, name in sorted(servers.items()))
        raise BadInputError(
            f"None of these exports is of the server {chosen}; they are of {listed}.", "Choose yours with --server ID."
        )
    found.exports = kept
    if others:
        found.notes.append(f"Of other servers, left out: {', '.join(others)}.")
    if direct and kept:
        found.problems = [problem for problem in found.problems if problem not in direct]
        found.notes.append(f"Direct messages, left out: {counted(len(direct), 'file')}.")
