"""Files people bring: JSON lines of Discord messages, DiscordChatExporter JSON. Streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.export_objects import (
    NO_MESSAGES,
    DirectMessagesError,
    Parsed,
    parse_channel,
    parse_exporter_channel,
    parse_exporter_message,
    parse_message,
)
from data.export_sources import Source
from data.json_stream import JsonReader, parse_json, read_lines
from storage.errors import BadInputError
from storage.records import Channel
from storage.text import storable

_EXPORTER_KEYS = {"guild", "channel", "dateRange", "exportedAt", "messages", "messageCount"}
# DiscordChatExporter's other formats, by how they begin.
_OTHER_FORMATS = {
    "web page (HTML)": re.compile(r"\s*<(?:!doctype html|html)", re.IGNORECASE),
    "table (CSV)": re.compile(r'"?(?:AuthorID"?,"?)?Author"?,"?Date"?,"?Content', re.IGNORECASE),
    "plain text": re.compile(r"=+\s+Guild: "),
}
_PACKAGE_TABLE = re.compile(r'"?ID"?[,;\t]"?Timestamp"?[,;\t]"?Contents')


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

    @property
    def name(self) -> str:
        """For sentences."""
        return self.path.name

    def items(self) -> Iterator[Item]:
        """Every message in file order; BadInputError names file, line and what is wrong."""
        raise NotImplementedError


@dataclass
class SourceExport(Export):
    """An export that is one stream."""

    source: Source = field(default_factory=lambda: Source(Path()))

    @property
    def name(self) -> str:
        """The file, or the entry of the ZIP."""
        return self.source.name


class JsonLines(SourceExport):
    """One Discord message object a line."""

    def items(self) -> Iterator[Item]:
        """The messages one after another. BadInputError names the line that cannot be read."""
        with self.source.open() as opened:
            for number, text in read_lines(opened.binary, self.name):
                parsed = checked(_parse_line, text, self.name, number)
                yield Item(parsed, number, opened.fraction())


class JsonArray(SourceExport):
    """One array of Discord message objects."""

    def items(self) -> Iterator[Item]:
        """The messages one after another. BadInputError names the line that cannot be read."""
        with self.source.open() as opened:
            reader = JsonReader(opened.text(), self.name)
            for line, raw in reader.elements():
                yield Item(checked(parse_message, raw, self.name, line), line, opened.fraction())
            reader.finish()


class ChatExporter(SourceExport):
    """DiscordChatExporter's JSON: one channel, or a part of one, with its messages."""

    server_name: str = ""

    def items(self) -> Iterator[Item]:
        """The messages one after another, with the channel from the file's head.

        BadInputError names the line that cannot be read.
        """
        with self.source.open() as opened:
            reader = JsonReader(opened.text(), self.name)
            head: dict[str, tuple[int, Any]] = {}
            for key in reader.keys():  # noqa: SIM118 - a reader of a stream, no dictionary
                if key != "messages":
                    line = reader.line
                    head[key] = (line, reader.value())
                    continue
                channel = self._channel(head, reader.line)
                for line, raw in reader.elements():
                    parsed = checked(parse_exporter_message, raw, self.name, line, channel_id=channel.id)
                    yield Item(parsed, line, opened.fraction())
            reader.finish()

    def read_head(self) -> None:
        """Find out channel and server from what stands before the messages."""
        with self.source.open() as opened:
            reader = JsonReader(opened.text(), self.name)
            head: dict[str, tuple[int, Any]] = {}
            for key in reader.keys():  # noqa: SIM118 - a reader of a stream, no dictionary
                if key == "messages":
                    break
                line = reader.line
                head[key] = (line, reader.value())
            self._channel(head, reader.line)
        guild = head.get("guild", (0, {}))[1]
        self.server_name = str(guild.get("name") or "") if isinstance(guild, dict) else ""

    def _channel(self, head: dict[str, tuple[int, Any]], line: int) -> Channel:
        if "channel" not in head:
            raise BadInputError(
                f"{self.name}:{line}: messages come before their channel.",
                "Export it again with DiscordChatExporter, as JSON.",
            )
        at, raw = head["channel"]
        try:
            channel = parse_exporter_channel(raw, guild=head.get("guild", (0, None))[1])
        except DirectMessagesError as error:
            kind = "the direct messages of a group" if error.is_group else "direct messages"
            raise DirectMessagesInputError(
                f"{self.name} is an export of {kind}" + (f" ({error.name})" if error.name else "") + ", not of a "
                "server's channel. This program does not take those.",
                "Export the channels of your server.",
            ) from None
        except ValueError as error:
            raise wrong(self.name, at, error) from None
        self.channels[channel.id] = channel
        self.guild_id = channel.guild_id
        return channel


class NotAnExportError(BadInputError):
    """A file that is sound, but of something else."""


class OtherFormatError(BadInputError):
    """An exporter's file, in a format that lacks what is needed."""


class PartOfPackageError(BadInputError):
    """One file out of a member's data package."""

    @classmethod
    def of(cls, name: str) -> PartOfPackageError:
        """The sentence about a file called so."""
        return cls(
            f"{name} is one file of a member's data package; whose messages and of which channel stands in others.",
            "Give the whole package: the ZIP file as Discord sent it, or the folder it was unpacked to.",
        )


class DirectMessagesInputError(BadInputError):
    """An export of what people said to each other outside the server."""


def export_of(source: Source, start: bytes) -> Export:
    """The export a source holds, from its first bytes; for an exporter's file its head is read."""
    text = start.decode("utf-8-sig", "replace").lstrip()
    name = source.name
    if not text:
        raise BadInputError(f"{name} is empty.", "Give a file with messages.")
    if text.startswith("["):
        _refuse_other_json(name, text[1:].lstrip())
        return JsonArray(source.path, "JSON array of messages", source=source)
    first_key = re.match(r'\{\s*"([^"\\]{1,40})"\s*:\s*(\S?)', text)
    if first_key and first_key[1] in _EXPORTER_KEYS and (first_key[1] != "messages" or first_key[2] in ("[", "")):
        export = ChatExporter(source.path, "DiscordChatExporter", source=source)
        export.read_head()
        return export
    if text.startswith("{"):
        _refuse_other_json(name, text)
        return JsonLines(source.path, "JSON lines of messages", source=source)
    if _PACKAGE_TABLE.match(text):
        raise PartOfPackageError.of(name)
    for kind, beginning in _OTHER_FORMATS.items():
        if beginning.match(text):
            raise OtherFormatError(
                f"{name} is DiscordChatExporter's {kind}, which does not hold what is needed (ids, replies, edits).",
                "Export the channel again with the format JSON (in a terminal: --format Json).",
            )
    raise NotAnExportError(
        f"{name}:1: this is neither JSON lines, DiscordChatExporter JSON nor a data package.",
        "The file should start with '{', '[' or a ZIP header.",
    )


def _refuse_other_json(name: str, text: str) -> None:
    """NotAnExportError where the first JSON object of a text has nothing of a message. A part of one passes."""
    try:
        first, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return  # cut off or wrong: told with its line when it is read
    if "\ufffd" in text[:end] or not isinstance(first, dict) or {"channel_id", "author", "content"} & first.keys():
        return
    if {"ID", "Contents"} <= first.keys():
        raise PartOfPackageError.of(name)
    fields = ", ".join(storable(key)[:20] for key in list(first)[:4]) or "none"
    raise NotAnExportError(
        f"{name} is JSON, but not of messages (its first fields: {fields}).",
        "Give an export of a channel; a list of channels goes with --channels.",
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
    with Source(path).open() as opened:
        for line, raw in JsonReader(opened.text(), path.name).elements():
            yield checked(parse_channel, raw, path.name, line)


def _channel_lines(path: Path) -> Iterator[Channel]:
    with open(path, "rb") as file:
        for number, text in read_lines(file, path.name):
            yield checked(lambda line: parse_channel(parse_json(line)), text, path.name, number)


def _parse_line(text: str) -> Parsed:
    return parse_message(parse_json(text))


def checked(parse: Any, raw: Any, name: str, line: int, **more: Any) -> Any:
    """parse(raw), its ValueError as a BadInputError that names file and line."""
    try:
        return parse(raw, **more)
    except ValueError as error:
        raise wrong(name, line, error) from None


def wrong(name: str, line: int, error: ValueError) -> BadInputError:
    """The sentence for a value that is not what it should be."""
    what = f"not valid JSON ({error.msg})" if isinstance(error, json.JSONDecodeError) else str(error)[:300]
    return BadInputError(f"{name}:{line}: {what}.", "Nothing of the file was kept; correct it or export it again.")
