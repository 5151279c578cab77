"""Files people bring, made for a test: DiscordChatExporter's, data packages, and the command that imports them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts import fetch_and_embed
from storage.jobs.frame import exit_code_of
from storage.paths import Workspace
from storage.records import Message
from storage.store import Store

CASES = Path(__file__).resolve().parent.parent / "cases"
SERVER, GENERAL = 303000000000000001, 302000000000000001
FIRST_ID = 1_235_380_238_024_704_000
ANA = {"id": "301000000000000001", "name": "ana.l", "discriminator": "0000", "nickname": "Ana L", "isBot": False}
CLEO = {"id": "301000000000000003", "name": "cleo", "discriminator": "4821", "nickname": "Cleo", "isBot": False}


def case(number: str) -> Path:
    """The folder of a case."""
    return next(CASES.glob(f"{number}-*"))


def written(number: int, content: str, **fields: Any) -> dict[str, Any]:
    """A message as DiscordChatExporter writes it."""
    return {
        "id": str(FIRST_ID + (number << 22)),
        "type": "Default",
        "timestamp": "2024-05-02T00:00:01.000+00:00",
        "timestampEdited": None,
        "isPinned": False,
        "content": content,
        "author": ANA,
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": [],
    } | fields


def document(
    *messages: dict[str, Any], channel: int = GENERAL, guild: int = SERVER, kind: str = "GuildTextChat"
) -> dict[str, Any]:
    """A channel as DiscordChatExporter writes it."""
    return {
        "guild": {"id": str(guild), "name": "Friends of Cheese" if guild == SERVER else f"Server {guild}"},
        "channel": {
            "id": str(channel),
            "type": kind,
            "categoryId": None,
            "category": None,
            "name": f"room{channel % 7}",
        },
        "dateRange": {"after": None, "before": None},
        "exportedAt": "2025-11-02T10:22:32.1307262-05:00",
        "messages": list(messages),
        "messageCount": len(messages),
    }


def save(path: Path, value: Mapping[str, Any], **options: Any) -> Path:
    """Write JSON; options are json.dumps'."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, **({"indent": 2} | options)), encoding="utf-8")
    return path


def package_files(
    *texts: str, root: str = "", account: bool = True, folder: str = "Messages", member: Mapping[str, Any] = ANA
) -> dict[str, str]:
    """The files of a data package with one channel of the server and one of direct messages."""
    found = {
        f"{root}{folder}/index.json": json.dumps(
            {str(GENERAL): "general in Friends of Cheese", "302000000000000009": None}
        ),
        f"{root}{folder}/c{GENERAL}/channel.json": json.dumps(
            {
                "id": str(GENERAL),
                "type": "GUILD_TEXT",
                "name": "general",
                "guild": {"id": str(SERVER), "name": "Friends"},
            }
        ),
        f"{root}{folder}/c{GENERAL}/messages.json": json.dumps(
            [
                {"ID": FIRST_ID + (n << 22), "Timestamp": "2024-05-02 00:00:01", "Contents": text, "Attachments": ""}
                for n, text in enumerate(texts)
            ]
        ),
        f"{root}{folder}/c302000000000000009/channel.json": json.dumps({"id": "302000000000000009", "type": "DM"}),
        f"{root}{folder}/c302000000000000009/messages.json": json.dumps(
            [{"ID": FIRST_ID + 1, "Timestamp": "2024-05-02 00:00:01", "Contents": "psst", "Attachments": ""}]
        ),
    }
    if account:
        found[f"{root}Account/user.json"] = json.dumps({"id": member["id"], "username": member["name"]})
    return found


def pack(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A ZIP of these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return path


def unpack(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@dataclass
class Terminal:
    """`--import` as its user has it: exit code and every word, then what is stored."""

    root: Path
    capsys: pytest.CaptureFixture[str]
    code: int = 0
    words: str = ""

    def imports(self, *arguments: object) -> Terminal:
        """Run it; answers itself."""
        self.capsys.readouterr()
        command = ["--workspace", str(self.root), "--no-index", "--import", *map(str, arguments)]
        self.code = exit_code_of(lambda: fetch_and_embed.main(command))
        told = self.capsys.readouterr()
        self.words = told.out + told.err
        assert "Traceback" not in self.words
        return self

    def figure(self, name: str) -> str:
        """A figure of the last summary told."""
        return [line.split()[-1] for line in self.words.splitlines() if line.startswith(name)][-1]

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The workspace's store."""
        with Store.open(Workspace.at(self.root)) as opened:
            yield opened

    def messages(self) -> list[Message]:
        """All that is stored."""
        with self.store() as store:
            return [
                m for channel in store.channels.all() for page in store.messages.in_channel(channel.id) for m in page
            ]

    def said(self) -> list[str]:
        """All stored words."""
        return [message.content for message in self.messages()]
