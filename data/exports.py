"""Files people bring: JSON lines of Discord messages, DiscordChatExporter JSON, Discord's data package. Streamed."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from data.export_objects import (
    DIRECT_KINDS,
    NO_MESSAGES,
    Fields,
    Parsed,
    parse_channel,
    parse_exporter_channel,
    parse_exporter_message,
    parse_message,
    parse_package_message,
)
from data.json_stream import MAX_VALUE_CHARS, JsonReader, open_text, parse_json, read_lines
from storage.errors import BadInputError
from storage.records import Channel
from storage.text import storable

# A data package's messages compress about 10:1; beyond these somebody packed a bomb.
_MAX_RATIO, _RATIO_FROM_BYTES = 200, 32 * 2**20
_MAX_UNPACKED_BYTES = 16 * 2**30
_EXPORTER_KEYS = {"guild", "channel", "dateRange", "exportedAt", "messages", "messageCount"}


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a file: `line` counts from 1 (of a package: the entry's position in its own file)."""

    parsed: Parsed
    line: int
    fraction: float


@dataclass
class Export:
    """An opened export: `items()` may be called again for another pass. `channels` grows while it is read."""

    path: Path
    format: str
    guild_id: int | None = None
    channels: dict[int, Channel] = field(default_factory=dict)

    def items(self) -> Iterator[Item]:
        """Every message in file order; BadInputError names file, line and what is wrong."""
        raise NotImplementedError


class JsonLines(Export):
    """One Discord message object a line."""

    def items(self) -> Iterator[Item]:
        size = max(self.path.stat().st_size, 1)
        with open(self.path, "rb") as file:
            for number, text in read_lines(file, self.path.name):
                parsed = _parse(_parse_line, text, self.path.name, number)
                yield Item(parsed, number, file.tell() / size)


class JsonArray(Export):
    """One array of Discord message objects."""

    def items(self) -> Iterator[Item]:
        size = max(self.path.stat().st_size, 1)
        with open_text(self.path) as file:
            reader = JsonReader(file, self.path.name)
            for line, raw in reader.elements():
                parsed = _parse(parse_message, raw, self.path.name, line)
                yield Item(parsed, line, min(reader.chars_read / size, 1.0))


class ChatExporter(Export):
    """DiscordChatExporter's JSON: one channel with its messages."""

    def items(self) -> Iterator[Item]:
        size, name = max(self.path.stat().st_size, 1), self.path.name
        with open_text(self.path) as file:
            reader = JsonReader(file, name)
            guild: Any = None
            channel: Channel | None = None
            for key in reader.keys():
                if key != "messages":
                    line, value = reader.line, reader.value()
                    if key == "guild":
                        guild = value
                    elif key == "channel":
                        channel = self._channel(value, guild, line)
                    continue
                if channel is None:
                    raise BadInputError(
                        f"{name}:{reader.line}: messages come before their channel.",
                        "Export it again with DiscordChatExporter, as JSON.",
                    )
                for line, raw in reader.elements():
                    parsed = _parse(parse_exporter_message, raw, name, line, channel_id=channel.id)
                    yield Item(parsed, line, min(reader.chars_read / size, 1.0))

    def _channel(self, value: Any, guild: Any, line: int) -> Channel:
        try:
            channel = parse_exporter_channel(value, guild=guild)
        except ValueError as error:
            raise _wrong(self.path.name, line, error) from None
        self.channels[channel.id] = channel
        return channel


class DataPackage(Export):
    """The ZIP Discord sends a member: that member's own messages. Nothing of it is unpacked to the disk."""

    def items(self) -> Iterator[Item]:
        try:
            with zipfile.ZipFile(self.path) as package:
                names = self._safe_names(package)
                author = self._member(package, names)
                folders = self._folders(package, names)
                total = max(sum(package.getinfo(name).file_size for name in folders.values()), 1)
                done = 0
                for channel_id, name in folders.items():
                    yield from self._messages(package, name, channel_id, author, done / total)
                    done += package.getinfo(name).file_size
        except zipfile.BadZipFile as error:
            raise BadInputError(
                f"{self.path.name} is a damaged ZIP file ({error}).", "Download your data package again."
            ) from None
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in an unknown way
            raise BadInputError(
                f"{self.path.name} cannot be read ({error}).", "Use the ZIP file as Discord sent it."
            ) from None

    def _safe_names(self, package: zipfile.ZipFile) -> list[str]:
        names = []
        unpacked = 0
        for entry in package.infolist():
            parts = entry.filename.replace("\\", "/").split("/")
            if entry.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
                raise BadInputError(
                    f"{self.path.name}: the entry {entry.filename[:80]!r} points outside the package.",
                    "This is not a package Discord made; do not use it.",
                )
            unpacked += entry.file_size
            is_bomb = entry.file_size > _RATIO_FROM_BYTES and entry.file_size > _MAX_RATIO * max(entry.compress_size, 1)
            if is_bomb or unpacked > _MAX_UNPACKED_BYTES:
                raise BadInputError(
                    f"{self.path.name}: the entry {entry.filename[:80]!r} unpacks to "
                    f"{entry.file_size / 2**20:,.0f} MB from {entry.compress_size / 2**10:,.0f} kB.",
                    "This is not a package Discord made; do not use it.",
                )
            names.append(entry.filename)
        return names

    def _member(self, package: zipfile.ZipFile, names: list[str]) -> Fields:
        name = next((name for name in names if re.fullmatch(r"(?:[^/]+/)?user\.json", name, re.IGNORECASE)), None)
        if name is None:
            raise BadInputError(
                f"{self.path.name} has no account/user.json: whose messages these are is unknown.",
                "Ask Discord for a package that includes your account and your messages.",
            )
        raw = self._small_json(package, name)
        user = raw if isinstance(raw, dict) else {}
        user = {key: user.get(key) for key in ("id", "username", "global_name")}
        _parse(parse_message, {"id": 1, "channel_id": 1, "author": user}, f"{self.path.name}/{name}", 1)
        return user

    def _folders(self, package: zipfile.ZipFile, names: list[str]) -> dict[int, str]:
        """Message files by channel, only of the chosen server; other servers and direct messages stay out."""
        found: dict[int, str] = {}
        servers: dict[int, str] = {}
        for name in names:
            match = re.fullmatch(r"(.*/c?(\d{1,19})/)messages\.(?:json|csv)", name, re.IGNORECASE)
            if not match or f"{match[1]}channel.json" not in names:
                continue
            raw = self._small_json(package, f"{match[1]}channel.json")
            raw = raw if isinstance(raw, dict) else {}
            named = raw.get("guild")
            guild: dict[str, Any] = named if isinstance(named, dict) else {}
            try:
                channel = parse_channel(
                    {
                        **raw,
                        "id": match[2],
                        "guild_id": guild.get("id"),
                        "type": raw.get("type") if isinstance(raw.get("type"), int) else 0,
                    }
                )
            except ValueError as error:
                raise _wrong(f"{self.path.name}/{match[1]}channel.json", 1, error) from None
            if channel.guild_id is None or channel.kind in DIRECT_KINDS:
                continue
            servers[channel.guild_id] = str(guild.get("name") or servers.get(channel.guild_id) or "?")
            if channel.guild_id == self.guild_id:
                self.channels[channel.id] = channel
                found[channel.id] = name
        if not found:
            listed = ", ".join(f"{storable(name)} ({number})" for number, name in sorted(servers.items())) or "none"
            problem = "none was chosen" if self.guild_id is None else f"{self.guild_id} is not among them"
            raise BadInputError(
                f"{self.path.name} holds messages of these servers: {listed}; {problem}.",
                "Choose yours with --server ID.",
            )
        return found

    def _messages(
        self, package: zipfile.ZipFile, name: str, channel_id: int, author: Fields, fraction: float
    ) -> Iterator[Item]:
        shown = f"{self.path.name}/{name}"
        with package.open(name) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
            rows = _csv_rows(text, shown) if name.lower().endswith("csv") else JsonReader(text, shown).elements()
            for line, raw in rows:
                yield Item(
                    _parse(parse_package_message, raw, shown, line, channel_id=channel_id, author=author),
                    line,
                    fraction,
                )

    def _small_json(self, package: zipfile.ZipFile, name: str) -> Any:
        with package.open(name) as file:
            raw = file.read(MAX_VALUE_CHARS + 1)
        try:
            if len(raw) > MAX_VALUE_CHARS:
                raise ValueError("too large")
            return parse_json(raw.decode("utf-8-sig"))
        except ValueError as error:
            raise _wrong(f"{self.path.name}/{name}", 1, error) from None


def open_export(path: Path, *, guild_id: int | None = None) -> Export:
    """Find out what a file is from its first bytes. `guild_id`: the server to take from a data package."""
    try:
        with open(path, "rb") as file:
            start = file.read(64 * 1024)
    except IsADirectoryError:
        raise BadInputError(f"{path} is a folder.", "Give the files in it.") from None
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror}).", "Check the name of the file.") from None
    if start.startswith(b"PK"):
        return DataPackage(path, "Discord data package", guild_id)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInputError(f"{path.name}:1: the file is UTF-16.", "Save it as UTF-8.")
    text = start.decode("utf-8-sig", "ignore").lstrip()
    if not text:
        raise BadInputError(f"{path.name} is empty.", "Give a file with messages.")
    if text.startswith("["):
        return JsonArray(path, "JSON array of messages")
    first_key = re.match(r'\{\s*"([^"\\]{1,40})"', text)
    if first_key and first_key[1] in _EXPORTER_KEYS:
        return ChatExporter(path, "DiscordChatExporter")
    if text.startswith("{"):
        return JsonLines(path, "JSON lines of messages")
    raise BadInputError(
        f"{path.name}:1: this is neither JSON lines, DiscordChatExporter JSON nor a data package.",
        "The file should start with '{', '[' or a ZIP header.",
    )


def read_channels(path: Path) -> list[Channel]:
    """Channel objects (a JSON array, or one a line), off and private; without categories."""
    if not path.is_file():
        raise BadInputError(f"{path} is not a file.", "Check the name of the channel list.")
    with open(path, "rb") as file:
        is_array = file.read(4096).decode("utf-8-sig", "ignore").lstrip().startswith("[")
    channels = list(_channel_array(path) if is_array else _channel_lines(path))
    return [channel for channel in channels if channel.kind not in NO_MESSAGES]


def _channel_array(path: Path) -> Iterator[Channel]:
    with open_text(path) as file:
        for line, raw in JsonReader(file, path.name).elements():
            yield _parse(parse_channel, raw, path.name, line)


def _channel_lines(path: Path) -> Iterator[Channel]:
    with open(path, "rb") as file:
        for number, text in read_lines(file, path.name):
            yield _parse(lambda line: parse_channel(parse_json(line)), text, path.name, number)


def _csv_rows(text: IO[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(MAX_VALUE_CHARS)
    rows = csv.DictReader(text)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise _wrong(name, rows.line_num, ValueError(str(error))) from None
    except UnicodeDecodeError:
        raise _wrong(name, rows.line_num, ValueError("not UTF-8 text")) from None


def _parse_line(text: str) -> Parsed:
    return parse_message(parse_json(text))


def _parse(parse: Any, raw: Any, name: str, line: int, **more: Any) -> Any:
    try:
        return parse(raw, **more)
    except ValueError as error:
        raise _wrong(name, line, error) from None


def _wrong(name: str, line: int, error: ValueError) -> BadInputError:
    what = f"not valid JSON ({error.msg})" if isinstance(error, json.JSONDecodeError) else str(error)[:300]
    return BadInputError(f"{name}:{line}: {what}.", "Nothing of the file was kept; correct it or export it again.")
