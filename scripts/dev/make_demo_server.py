"""Turn the hand-written chat in data/demo/source/ into the files of a Discord server.

    python scripts/dev/make_demo_server.py            writes messages.jsonl, channels.json, guild.json, members.json
    python scripts/dev/make_demo_server.py --check    writes nothing; fails when the committed files are out of date

How a source file is written stands in data/demo/README.md. Everything the source leaves open (seconds
between messages, ids) is derived from the words themselves, so the same source always gives the same files.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from storage.jobs.arguments import plain_parser

FOLDER = Path(__file__).resolve().parents[2] / "data" / "demo"
FILES = ("messages.jsonl", "channels.json", "guild.json", "members.json")

DISCORD_EPOCH_MS = 1_420_070_400_000
VIEW_CHANNEL = "1024"
# What @everyone may do: view channels, send, react, embed links, attach files, read history.
EVERYONE_PERMISSIONS = str(1024 + 2048 + 64 + 16384 + 32768 + 65536)
TEXT_CHANNEL, PIN_NOTICE, JOIN, REPLY = 0, 6, 7, 19

_SCENE = re.compile(r"== (\d{4}-\d\d-\d\d \d\d:\d\d) #([\w-]+)$")
_PAUSE = re.compile(r"-- (\d+)([smh])$")
_NOTICE = re.compile(r"~ (join|pin) (\w+)$")
_LINE = re.compile(
    r'(?P<who>\w*)(?: >(?P<to>\w+)(?: "(?P<said>[^"]+)")?)?: ?'
    r"(?P<text>.*?)(?: ?\{(?P<extras>[^{}]*)\})?$"
)
_REACTION = re.compile(r"(?P<emoji>[^\d:]+|:\w+:)(?P<count>\d*)$")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


class SourceError(ValueError):
    """A line of the source that cannot be understood; says which."""


@dataclass(slots=True)
class Line:
    """One message as written: who, when, where, in answer to what, and what hangs on it."""

    who: str
    at: datetime
    channel: str
    text: str
    kind: int = 0
    reply_to: Line | None = None
    extras: tuple[str, ...] = ()
    id: int = field(default=0)


def read_source(folder: Path) -> list[Line]:
    """All messages of all source files, oldest first, with ids."""
    lines: list[Line] = []
    for path in sorted(folder.glob("[0-9]*.txt")):
        _read_file(path, lines)
    lines.sort(key=lambda line: line.at)
    _give_ids(lines)
    return lines


def _read_file(path: Path, lines: list[Line]) -> None:
    at, channel, who = datetime(2026, 1, 1, tzinfo=UTC), "", ""
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = raw.strip()
        if not text or text.startswith("//"):
            continue
        try:
            if scene := _SCENE.match(text):
                at, channel, who = datetime.strptime(scene[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC), scene[2], ""
            elif pause := _PAUSE.match(text):
                at += timedelta(seconds=int(pause[1]) * _UNIT_SECONDS[pause[2]])
            else:
                line = _read_line(text, at, channel, who, lines)
                at, who = line.at, line.who
                lines.append(line)
        except (SourceError, KeyError, TypeError) as error:
            raise SourceError(f"{path.name}:{number}: {error}: {text}") from error


def _read_line(text: str, at: datetime, channel: str, speaker: str, lines: list[Line]) -> Line:
    if not channel:
        raise SourceError("a message before the first '== date time #channel' line")
    if notice := _NOTICE.match(text):
        return Line(notice[2], at + _gap(text, at, True), channel, "", JOIN if notice[1] == "join" else PIN_NOTICE)
    match = _LINE.match(text)
    if match is None:
        raise SourceError("neither a scene, a pause, nor 'name: text'")
    who = match["who"] or speaker
    if not who:
        raise SourceError("':' continues a speaker, but nobody spoke yet")
    target = _target(match["to"], match["said"], channel, lines) if match["to"] else None
    return Line(
        who,
        at + _gap(text, at, who == speaker),
        channel,
        match["text"].strip().replace("\\n", "\n"),
        REPLY if target else 0,
        target,
        tuple((match["extras"] or "").split()),
    )


def _target(who: str, said: str | None, channel: str, lines: list[Line]) -> Line:
    """The newest message by `who` in the channel, or the newest one containing `said`."""
    for line in reversed(lines):
        if line.channel == channel and line.who == who and line.kind in (0, REPLY) and (not said or said in line.text):
            return line
    raise SourceError(f"nothing by {who} to reply to")


def _fraction(*parts: object) -> float:
    """A number in [0, 1) that depends only on the words given."""
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _gap(text: str, at: datetime, is_same_speaker: bool) -> timedelta:
    """How long the next message takes: reading, typing, and now and then looking away from the screen."""
    typing = 0.9 + 0.16 * len(text)
    if is_same_speaker:
        wait = typing * (0.35 + 0.9 * _fraction("typing", text, at))
    else:
        hesitation = 2 + 95 * _fraction("hesitation", text, at) ** 3
        wait = typing * (0.6 + _fraction("typing", text, at)) + hesitation
    return timedelta(milliseconds=int(wait * 1000))


def _give_ids(lines: list[Line]) -> None:
    previous_ms = 0
    for line in lines:
        ms = max(int(line.at.timestamp() * 1000), previous_ms + 1)
        line.at = datetime.fromtimestamp(ms / 1000, tz=UTC)
        line.id = _snowflake(ms, line.who, line.text)
        previous_ms = ms


def _snowflake(ms: int, *salt: object) -> int:
    return (ms - DISCORD_EPOCH_MS) << 22 | int(_fraction(ms, *salt) * 2**22)


@dataclass(frozen=True)
class Server:
    """The people and places of source/server.json as Discord objects."""

    guild: dict[str, Any]
    channels: dict[str, dict[str, Any]]
    members: dict[str, dict[str, Any]]
    emojis: dict[str, int]

    def user(self, key: str) -> dict[str, Any]:
        """A member as Discord's API describes a user."""
        return dict(self.members[key]["user"])


def read_server(path: Path) -> Server:
    """Give everybody and everything of server.json an id made from its creation date."""
    plan = json.loads(path.read_text(encoding="utf-8"))
    guild_id = str(_dated_id(plan["created"], plan["name"]))
    members = {key: _member(key, entry) for key, entry in plan["members"].items()}
    roles = [{"id": guild_id, "name": "@everyone", "permissions": EVERYONE_PERMISSIONS}]
    roles += [
        {"id": str(_dated_id(plan["created"], "role", name)), "name": name, "permissions": "0"}
        for name in plan["roles"]
    ]
    role_ids = {role["name"]: role["id"] for role in roles}
    for key, entry in plan["members"].items():
        members[key]["roles"] = [role_ids[name] for name in entry.get("roles", [])]
    emojis = {name: _dated_id(plan["created"], "emoji", name) for name in plan["emojis"]}
    guild = {
        "id": guild_id,
        "name": plan["name"],
        "owner_id": members[plan["owner"]]["user"]["id"],
        "roles": roles,
        "emojis": [{"id": str(number), "name": name, "animated": False} for name, number in emojis.items()],
    }
    channels = {
        name: _channel(name, position, entry, guild_id, role_ids)
        for position, (name, entry) in enumerate(plan["channels"].items())
    }
    return Server(guild, channels, members, emojis)


def _dated_id(date: str, *salt: object) -> int:
    start = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC)
    return _snowflake(int(start.timestamp() * 1000) + int(_fraction(*salt) * 80_000_000), *salt)


def _member(key: str, entry: dict[str, Any]) -> dict[str, Any]:
    user = {
        "id": str(_dated_id(entry["created"], key)),
        "username": entry["username"],
        "discriminator": "0",
        "global_name": entry["name"],
        "avatar": None,
        "bot": entry.get("bot", False),
    }
    return {
        "user": user,
        "nick": None,
        "joined_at": f"{entry['joined']}T12:00:00+00:00",
        "roles": [],
        "opted_out": entry.get("opted_out", False),
    }


def _channel(name: str, position: int, entry: dict[str, Any], guild_id: str, roles: dict[str, str]) -> dict[str, Any]:
    overwrites: list[dict[str, Any]] = []
    if "only" in entry:
        overwrites = [
            {"id": guild_id, "type": 0, "allow": "0", "deny": VIEW_CHANNEL},
            {"id": roles[entry["only"]], "type": 0, "allow": VIEW_CHANNEL, "deny": "0"},
        ]
    return {
        "id": str(_dated_id(entry["created"], "channel", name)),
        "type": TEXT_CHANNEL,
        "guild_id": guild_id,
        "name": name,
        "position": position,
        "topic": entry["topic"],
        "parent_id": None,
        "nsfw": False,
        "rate_limit_per_user": 0,
        "permission_overwrites": overwrites,
        "last_message_id": None,
    }


def to_discord(line: Line, server: Server) -> dict[str, Any]:
    """One message as Discord's API gives it."""
    content, mentions = _markup(line, server)
    message: dict[str, Any] = {
        "id": str(line.id),
        "type": line.kind,
        "channel_id": server.channels[line.channel]["id"],
        "author": server.user(line.who),
        "content": content,
        "timestamp": _time(line.at),
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": "@everyone" in content,
        "mentions": mentions,
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "flags": 0,
        "components": [],
    }
    if line.reply_to is not None:
        message["message_reference"] = {
            "type": 0,
            "channel_id": message["channel_id"],
            "message_id": str(line.reply_to.id),
            "guild_id": server.guild["id"],
        }
    for extra in line.extras:
        _add_extra(message, extra, line, server)
    return message


def _markup(line: Line, server: Server) -> tuple[str, list[dict[str, Any]]]:
    named = [line.reply_to.who] if line.reply_to is not None and line.reply_to.who != line.who else []

    def mention(match: re.Match[str]) -> str:
        if match[1] not in server.members:
            return match[0]
        named.append(match[1])
        return f"<@{server.members[match[1]]['user']['id']}>"

    def channel(match: re.Match[str]) -> str:
        return f"<#{server.channels[match[1]]['id']}>" if match[1] in server.channels else match[0]

    def emoji(match: re.Match[str]) -> str:
        return f"<:{match[1]}:{server.emojis[match[1]]}>" if match[1] in server.emojis else match[0]

    content = re.sub(r"@(\w+)", mention, line.text)
    content = re.sub(r"(?<!\S)#([\w-]+)", channel, content)
    content = re.sub(r":(\w+):", emoji, content)
    return content, [server.user(key) for key in dict.fromkeys(named)]


def _add_extra(message: dict[str, Any], extra: str, line: Line, server: Server) -> None:
    word, _, value = extra.partition("=")
    if word == "edit":
        seconds = int(value) if value else 6 + int(50 * _fraction("edit", line.id))
        message["edited_timestamp"] = _time(line.at + timedelta(seconds=seconds))
    elif word == "pin":
        message["pinned"] = True
    elif word == "file":
        message["attachments"].append(_attachment(value, line))
    elif word == "sticker":
        message["sticker_items"] = [{"id": str(_snowflake(1_700_000_000_000, value)), "name": value, "format_type": 1}]
    elif reaction := _REACTION.match(extra):
        message.setdefault("reactions", []).append(_reaction(reaction["emoji"], int(reaction["count"] or 1), server))
    else:
        raise SourceError(f"unknown extra {extra!r} on {line.text!r}")


_CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def _attachment(name: str, line: Line) -> dict[str, Any]:
    number = str(line.id - (line.id % 4096) + 17)
    url = f"https://cdn.invalid/attachments/{number}/{name}"
    size = 20_000 + int(900_000 * _fraction("size", name, line.id))
    return {
        "id": number,
        "filename": name,
        "size": size,
        "url": url,
        "proxy_url": url,
        "content_type": _CONTENT_TYPES[name.rsplit(".", 1)[1]],
    }


def _reaction(emoji: str, count: int, server: Server) -> dict[str, Any]:
    name = emoji.strip(":")
    identity = {"id": str(server.emojis[name]), "name": name} if name in server.emojis else {"id": None, "name": emoji}
    return {
        "emoji": identity,
        "count": count,
        "count_details": {"burst": 0, "normal": count},
        "burst_colors": [],
        "me": False,
        "me_burst": False,
        "burst_me": False,
        "burst_count": 0,
    }


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def make(source: Path) -> dict[str, str]:
    """The text of every output file by name."""
    server = read_server(source / "server.json")
    messages = [to_discord(line, server) for line in read_source(source)]
    for message in messages:
        channel = next(c for c in server.channels.values() if c["id"] == message["channel_id"])
        channel["last_message_id"] = message["id"]
    return {
        "messages.jsonl": "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages),
        "channels.json": _pretty(list(server.channels.values())),
        "guild.json": _pretty(server.guild),
        "members.json": _pretty(list(server.members.values())),
    }


def _pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files; 1 when a check fails or a source line cannot be read."""
    parser = plain_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is out of date")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        files = make(FOLDER / "source")
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        stale = [name for name in FILES if (options.out / name).read_text(encoding="utf-8") != files[name]]
        print(
            f"Out of date: {', '.join(stale)}. Run: python scripts/dev/make_demo_server.py" if stale else "Up to date."
        )
        return 1 if stale else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (options.out / name).write_text(text, encoding="utf-8", newline="\n")
    print(f"{files['messages.jsonl'].count(chr(10))} messages written to {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
