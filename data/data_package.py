"""Discord's data package: the messages of the one member who asked for it. Nothing of it is unpacked to the disk.

People pass it on in many shapes: the ZIP as it came, packed again on a Mac (the folder in it, __MACOSX beside it),
unpacked, in several parts, in another language. Only the small file of the account, the channels of one server and
their messages are read, whatever else is in it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

from data.export_formats import Export, Item, checked, wrong
from data.export_objects import DIRECT_KINDS, Fields, parse_message, parse_package_channel, parse_package_message
from data.export_sources import as_utf8, readable
from data.json_stream import MAX_VALUE_CHARS, JsonReader, parse_json
from storage.errors import BadInputError
from storage.text import storable

# A data package's messages compress about 10:1; beyond these somebody packed a bomb.
_MAX_RATIO, _RATIO_FROM_BYTES = 200, 32 * 2**20
_MAX_UNPACKED_BYTES = 16 * 2**30
_ACCOUNT = re.compile(r"(?:[^/]+/){0,4}user\.json", re.IGNORECASE)
_CHANNEL = re.compile(r"(.*/|)c?(\d{1,19})/channel\.json", re.IGNORECASE)
_MESSAGES = re.compile(r"(.*/|)c?(\d{1,19})/messages\.(?:json|csv)", re.IGNORECASE)
_READ = (_ACCOUNT, _CHANNEL, _MESSAGES)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a package: its name with slashes, its name as stored, its size unpacked and packed (bytes)."""

    name: str
    stored_as: str
    size: int
    packed: int


@dataclass(frozen=True)
class PackageFiles:
    """A ZIP or a folder with a package's files, without what a Mac or Windows adds. depth: of folders looked at."""

    path: Path
    depth: int = 6

    def entries(self) -> list[Entry]:
        """Every file, read from the directory only."""
        found = self._in_folder() if self.path.is_dir() else self._in_zip()
        return [entry for entry in found if not is_added_by_the_system(entry.name)]

    @contextmanager
    def open(self, entry: Entry) -> Iterator[IO[bytes]]:
        """The content of one of them; BadInputError when it is damaged or locked."""
        with readable(f"{self.path.name}/{entry.name}"):
            if self.path.is_dir():
                with open(self.path / entry.stored_as, "rb") as file:
                    yield as_utf8(file)
            else:
                with zipfile.ZipFile(self.path) as package, package.open(entry.stored_as) as file:
                    yield as_utf8(file)

    def _in_zip(self) -> list[Entry]:
        with readable(self.path.name), zipfile.ZipFile(self.path) as package:
            return [
                Entry(info.filename.replace("\\", "/"), info.filename, info.file_size, info.compress_size)
                for info in package.infolist()
                if not info.is_dir()
            ]

    def _in_folder(self) -> list[Entry]:
        found = []
        for folder, inner, names in os.walk(self.path):
            above = Path(folder).relative_to(self.path)
            if len(above.parts) >= self.depth - 1:
                inner.clear()
            for name in sorted(names):
                size = Path(folder, name).lstat().st_size
                found.append(Entry((above / name).as_posix(), str(above / name), size, size))
        return found


def is_added_by_the_system(name: str) -> bool:
    """What a Mac (__MACOSX, ._x, .DS_Store) or Windows (desktop.ini, Thumbs.db) puts beside people's files."""
    parts = name.split("/")
    return (
        "__MACOSX" in parts
        or parts[-1].startswith("._")
        or parts[-1].lower() in (".ds_store", "desktop.ini", "thumbs.db")
    )


def refuse_bomb(name: str, entry: Entry, *, is_too_much: bool = False) -> None:
    """BadInputError for an entry of the ZIP `name` that unpacks to far more than text does."""
    if is_too_much or (entry.size > _RATIO_FROM_BYTES and entry.size > _MAX_RATIO * max(entry.packed, 1)):
        raise BadInputError(
            f"{name}: the entry {entry.name[:80]!r} unpacks to {entry.size / 2**20:,.0f} MB from "
            f"{entry.packed / 2**10:,.0f} kB.",
            "This is not a package Discord made; do not use it.",
        )


def is_package(entries: Sequence[Entry], *, levels: int = 9) -> bool:
    """True for a member's data package or a part of one, complete or not, at most so many folders down."""
    depths = {_ACCOUNT: levels - 1, _CHANNEL: levels, _MESSAGES: levels}
    names = [(entry.name, entry.name.count("/")) for entry in entries]
    return any(depth <= most and kind.fullmatch(name) for name, depth in names for kind, most in depths.items())


@dataclass
class DataPackage(Export):
    """A package, or one part of it. `author`: whose it is, where it does not say so itself."""

    author: Fields | None = None
    files: PackageFiles = field(init=False)

    def __post_init__(self) -> None:
        self.files = PackageFiles(self.path)

    def items(self) -> Iterator[Item]:
        """The member's messages in the chosen server, channel by channel."""
        entries = self._safe_entries()
        author = self._account(entries) or self.author
        if author is None:
            raise BadInputError(
                f"{self.path.name} has no account/user.json: whose messages these are is unknown.",
                "Give the whole package, with the folder of the account in it; if Discord sent several ZIP files, give "
                "all of them at once. Otherwise say whose they are with --author ID (Discord shows it after a right "
                "click on the member: Copy User ID, in developer mode).",
            )
        chosen = self._of_server(entries)
        total, done = max(sum(entry.size for entry in chosen.values()), 1), 0
        for channel_id, entry in chosen.items():
            yield from self._messages(entry, channel_id, author, done / total)
            done += entry.size

    def account(self) -> Fields | None:
        """The member it belongs to (id, username, global_name); None when that part is not in it."""
        return self._account(self._safe_entries())

    def has_messages(self) -> bool:
        """False for a part that holds none at all."""
        return any(_MESSAGES.fullmatch(entry.name) for entry in self.files.entries())

    def _safe_entries(self) -> list[Entry]:
        """Its files; BadInputError where what is read of them is made to do harm."""
        entries, unpacked = self.files.entries(), 0
        for entry in entries:
            parts = entry.name.split("/")
            if entry.name.startswith("/") or ".." in parts or ":" in parts[0]:
                raise BadInputError(
                    f"{self.path.name}: the entry {entry.name[:80]!r} points outside the package.",
                    "This is not a package Discord made; do not use it.",
                )
            if not any(kind.fullmatch(entry.name) for kind in _READ):
                continue  # pictures and activity, which may be most of it, are not read
            unpacked += entry.size
            refuse_bomb(self.path.name, entry, is_too_much=unpacked > _MAX_UNPACKED_BYTES)
        return entries

    def _account(self, entries: Sequence[Entry]) -> Fields | None:
        found = [entry for entry in entries if _ACCOUNT.fullmatch(entry.name)]
        if not found:
            return None
        entry = min(found, key=lambda entry: entry.name.count("/"))
        raw = self._small_json(entry)
        user = raw if isinstance(raw, dict) else {}
        user = {key: user.get(key) for key in ("id", "username", "global_name")}
        checked(parse_message, {"id": 1, "channel_id": 1, "author": user}, f"{self.path.name}/{entry.name}", 1)
        return user

    def _of_server(self, entries: Sequence[Entry]) -> dict[int, Entry]:
        """Message files by channel, only of the chosen server; other servers and direct messages stay out."""
        messages = {match[1] + match[2]: entry for entry in entries if (match := _MESSAGES.fullmatch(entry.name))}
        found: dict[int, Entry] = {}
        servers: dict[int, str] = {}
        is_listed = False
        for entry in entries:
            match = _CHANNEL.fullmatch(entry.name)
            if not match:
                continue
            try:
                channel, server = parse_package_channel(self._small_json(entry), channel_id=match[2])
            except ValueError as error:
                raise wrong(f"{self.path.name}/{entry.name}", 1, error) from None
            if channel.guild_id is None or channel.kind in DIRECT_KINDS:
                continue
            is_listed |= channel.guild_id == self.guild_id
            place = match[1] + match[2]
            if place not in messages:
                servers.setdefault(channel.guild_id, server)
                continue
            servers[channel.guild_id] = server if server != "?" else servers.get(channel.guild_id, "?")
            if channel.guild_id == self.guild_id:
                self.channels[channel.id] = channel
                found[channel.id] = messages[place]
        if not found:
            raise self._without_messages(servers, is_listed=is_listed, is_empty=not messages)
        return found

    def _without_messages(self, servers: dict[int, str], *, is_listed: bool, is_empty: bool) -> BadInputError:
        if is_listed or is_empty:
            where = f" for the server {self.guild_id}" if is_listed and self.guild_id else ""
            return BadInputError(
                f"{self.path.name} has no messages in it{where}"
                + (": its channels are listed, but Discord left the messages files out." if servers else "."),
                "If Discord sent several ZIP files, give all of them at once. Otherwise ask Discord for the data "
                "again, with Messages ticked, or use an export made with DiscordChatExporter.",
            )
        listed = ", ".join(f"{storable(name)} ({number})" for number, name in sorted(servers.items())) or "none"
        problem = "none was chosen" if self.guild_id is None else f"{self.guild_id} is not among them"
        return BadInputError(
            f"{self.path.name} holds messages of these servers: {listed}; {problem}.", "Choose yours with --server ID."
        )

    def _messages(self, entry: Entry, channel_id: int, author: Fields, fraction: float) -> Iterator[Item]:
        shown = f"{self.path.name}/{entry.name}"
        with self.files.open(entry) as binary:
            text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            rows = _csv_rows(text, shown) if entry.name.lower().endswith("csv") else JsonReader(text, shown).elements()
            for line, raw in rows:
                parsed = checked(parse_package_message, raw, shown, line, channel_id=channel_id, author=author)
                yield Item(parsed, line, fraction)

    def _small_json(self, entry: Entry) -> Any:
        with self.files.open(entry) as file:
            raw = file.read(MAX_VALUE_CHARS + 1)
        try:
            if len(raw) > MAX_VALUE_CHARS:
                raise ValueError("too large")
            return parse_json(raw.decode("utf-8-sig"))
        except ValueError as error:
            raise wrong(f"{self.path.name}/{entry.name}", 1, error) from None


def _csv_rows(text: IO[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(MAX_VALUE_CHARS)
    first = text.readline(200)
    # A spreadsheet program saves with what its country writes lists with.
    delimiter = max(",;\t", key=first.count)
    rows = csv.DictReader(chain([first], text), delimiter=delimiter)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise wrong(name, rows.line_num, ValueError(str(error))) from None
    except UnicodeDecodeError:
        raise wrong(name, rows.line_num, ValueError("not UTF-8 text")) from None
