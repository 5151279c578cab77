"""Find out what people brought: files, folders, stars the shell left alone, ZIP files; exports or a data package."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from data.data_package import DataPackage, Entry, PackageFiles, is_added_by_the_system, is_package, refuse_bomb
from data.export_formats import (
    ChatExporter,
    DirectMessagesInputError,
    Export,
    NotAnExportError,
    OtherFormatError,
    export_of,
)
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
    found = Found()
    if path.is_dir() and not _is_package_folder(path):
        raise BadInputError(f"{path} is a folder.", "Give the files in it.")
    _Search(found, guild_id, author).look_into(path)
    if found.problems:
        raise found.problems[0]
    if len(found.exports) != 1:
        raise BadInputError(f"{path.name} holds {len(found.exports)} exports.", "Unpack it and give one of them.")
    return found.exports[0]


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
    search = _Search(found, guild_id or usual_guild_id, author)
    if channels_file is not None:
        search.is_new(channels_file)
    for path in _named(inputs, found):
        if search.is_new(path):
            search.look_into(path)
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
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            found.problems.append(BadInputError(f"No file matches {path}.", "Check the folder and the ending."))
        yield from map(Path, matches)


# ---- files to exports ------------------------------------------------------------------------------


class _Search:
    """Fills a Found. Something named by its user must be an export; in a folder or a ZIP other files are left alone."""

    def __init__(self, found: Found, guild_id: int | None, author: Fields | None) -> None:
        self._found = found
        self._guild_id = guild_id
        self._author = author
        self._seen: set[str] = set()

    def is_new(self, path: Path) -> bool:
        """True the first time, whatever the file is called by."""
        real = os.path.realpath(path)
        is_new = real not in self._seen
        self._seen.add(real)
        return is_new

    def look_into(self, path: Path) -> None:
        """A file or folder somebody named."""
        if not path.is_dir():
            try:
                self._found.exports += self._in_file(path)
            except KnownError as error:
                self._found.problems.append(error)
        elif _is_package_folder(path):
            self._found.exports.append(self._package(path))
        else:
            files = [part for part in _files_below(path) if self.is_new(part)]
            lists = [part for part in files if part.name.lower() == CHANNEL_LIST]
            self._found.channels_file = self._found.channels_file or next(iter(lists), None)
            others = [part for part in files if part not in lists]
            self._take(path.name, {str(part.relative_to(path)): partial(self._in_folder, part) for part in others})

    def _take(self, place: str, looks: Mapping[str, Callable[[], list[Export]]]) -> None:
        """Everything in a folder or ZIP that is an export, by the names of its files."""
        ignored: list[str] = []
        unread: dict[str, OtherFormatError] = {}
        for name, look in looks.items():
            try:
                self._found.exports += look()
            except NotAnExportError:
                ignored.append(name)
            except OtherFormatError as error:
                unread[name] = error
            except KnownError as error:
                self._found.problems.append(error)
        # Many people export a channel in two formats; the one that is read is enough.
        read = {Path(name).with_suffix("") for name in looks.keys() - unread.keys() - set(ignored)}
        for name, problem in unread.items():
            if Path(name).with_suffix("") in read:
                ignored.append(name)
            else:
                self._found.problems.append(problem)
        if ignored:
            named = ", ".join(ignored[:5]) + (", ..." if len(ignored) > 5 else "")
            self._found.notes.append(f"{place}: {counted(len(ignored), 'other file')} left alone ({named}).")

    def _in_folder(self, path: Path) -> list[Export]:
        if not path.is_dir() and not path.name.lower().endswith(_ENDINGS):
            raise NotAnExportError(f"{path.name} is not an export.")
        return self._in_file(path)

    def _in_file(self, path: Path) -> list[Export]:
        if path.is_dir():
            return [self._package(path)]
        source, start = identified(Source(path))
        if not start.startswith(_ZIP):
            return [export_of(source, start)]
        entries = PackageFiles(path).entries()
        if is_package(entries):
            return [self._package(path)]
        before = len(self._found.exports) + len(self._found.problems)
        exports = [entry for entry in entries if entry.name.lower().endswith(_ENDINGS)]
        self._take(path.name, {entry.name: partial(_in_zip, path, entry) for entry in exports})
        if len(self._found.exports) + len(self._found.problems) > before:
            return []
        raise NotAnExportError(
            f"{path.name} is a ZIP file with neither a data package nor an export in it.",
            "Give the package as Discord sent it, or DiscordChatExporter's JSON files.",
        )

    def _package(self, path: Path) -> DataPackage:
        return DataPackage(path, "Discord data package", self._guild_id, author=self._author)


def _in_zip(path: Path, entry: Entry) -> list[Export]:
    refuse_bomb(path.name, entry)
    source, start = identified(Source(path, entry.stored_as))
    if start.startswith(_ZIP):
        raise BadInputError(f"{path.name} holds other ZIP files.", "Unpack it and give all of them at once.")
    return [export_of(source, start)]


def _files_below(path: Path) -> Iterator[Path]:
    """The files below a folder, by name; an unpacked data package comes as the folder it is."""
    for part in sorted(path.iterdir()):
        name = part.name
        if name.startswith(".") or is_added_by_the_system(name):
            continue
        if not part.is_dir() or (not part.is_symlink() and _is_package_folder(part)):
            yield part
        elif not part.is_symlink() and not name.endswith("_Files"):  # pictures put beside an export
            yield from _files_below(part)


def _is_package_folder(path: Path) -> bool:
    """True for the folder of a package (Account, Messages) and for its folder of messages, not for one above them:
    there the packages of several members may lie side by side."""
    return is_package(PackageFiles(path, depth=3).entries(), levels=2)


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
    listed = ", ".join(f"{name or '?'} ({number})" for number, name in sorted(servers.items()))
    chosen = guild_id or usual_guild_id
    if chosen is None:
        if len(servers) > 1:
            raise BadInputError(f"These exports are of several servers: {listed}.", "Choose yours with --server ID.")
        return
    kept = [
        export for export in found.exports if not isinstance(export, ChatExporter) or export.guild_id in (None, chosen)
    ]
    others = [export.name for export in found.exports if export not in kept]
    direct = [problem for problem in found.problems if isinstance(problem, DirectMessagesInputError)]
    if others and not kept:
        is_usual = guild_id is None
        raise BadInputError(
            f"Nothing here is of the server {chosen}{' (SERVER_ID in .env)' if is_usual else ''}, but of {listed}.",
            "To take it all the same, give --server ID.",
        )
    found.exports = kept
    if others:
        found.notes.append(f"Of other servers, left out: {', '.join(others)}.")
    if direct and kept:
        found.problems = [problem for problem in found.problems if problem not in direct]
        found.notes.append(f"Direct messages, left out: {counted(len(direct), 'file')}.")
