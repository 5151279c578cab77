"""The `.env` file: token and ids, read once at start, never written to SQLite or a log."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from storage.errors import ConfigurationError
from storage.system.files import write_whole
from storage.typed_paths import clean_path

TOKEN = "DISCORD_TOKEN"
SERVER_ID = "SERVER_ID"
ADMIN_USERS = "ADMIN_USERS"
MODEL_PATH = "MODEL_PATH"
LOG_LEVEL = "LOG_LEVEL"
API_BASE = "DISCORD_API_BASE"
GATEWAY = "DISCORD_GATEWAY"
# Behind a value in quotes, or behind a bare one after a space.
_COMMENT = re.compile(r"""=[^\S\r\n]*(?:'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|[^\s'"#][^\r\n]*?)?(\s+#[^\r\n]*)""")
KEYS = (TOKEN, SERVER_ID, ADMIN_USERS, MODEL_PATH, LOG_LEVEL, API_BASE, GATEWAY)


@dataclass(frozen=True)
class Environment:
    """What `.env` says; the process's own variables win, so that a test or service can override."""

    token: str = field(default="", repr=False)
    server_id: int | None = None
    admin_ids: frozenset[int] = frozenset()
    model_path: str = ""
    log_level: str = ""
    api_base: str = ""
    gateway: str = ""

    def require_token(self) -> str:
        """The bot token, or a ConfigurationError that says where to put it."""
        if not self.token:
            raise ConfigurationError(
                "No Discord bot token is set.", "Enter it in Settings > Discord, or as DISCORD_TOKEN in .env."
            )
        return self.token


def read_environment(env_file: Path, *, process: Mapping[str, str] | None = None) -> Environment:
    """Read `env_file` (absent is fine). Raises ConfigurationError naming the key that makes no sense."""
    process = os.environ if process is None else process
    values: dict[str, str] = {}
    if env_file.exists():
        values = parse_environment(text_of(env_file))
    values |= {key: process[key] for key in KEYS if process.get(key)}
    server = values.get(SERVER_ID, "").strip()
    return Environment(
        token=values.get(TOKEN, "").strip(),
        server_id=_snowflake(SERVER_ID, server) if server else None,
        admin_ids=frozenset(
            _snowflake(ADMIN_USERS, part) for part in re.split(r"[,;\s]+", values.get(ADMIN_USERS, "").strip()) if part
        ),
        model_path=clean_path(values.get(MODEL_PATH, "")),
        log_level=values.get(LOG_LEVEL, "").strip().upper(),
        api_base=values.get(API_BASE, "").strip(),
        gateway=values.get(GATEWAY, "").strip(),
    )


def parse_environment(text: str) -> dict[str, str]:
    """Key -> value of an `.env` file's text; '' for a key without one."""
    return {key: value or "" for key, value in _values(text).items()}


def text_of(env_file: Path) -> str:
    """The file's text, also as Windows editors save it: with a byte-order mark, or in UTF-16."""
    try:
        raw = env_file.read_bytes()
        return raw.decode("utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{env_file} cannot be read: {error.strerror}.", "Check its permissions.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{env_file} is not UTF-8 text.", "Save it again as UTF-8 in your editor.") from error


def write_value(env_file: Path, key: str, value: str) -> None:
    """Set one key in `.env`, keeping comments, unknown lines and other keys; readable by its owner only.

    ConfigurationError when the value cannot be kept in such a file, or the file cannot be written.
    """
    if key not in KEYS:
        raise ValueError(f"unknown environment key {key}")
    if "\n" in value or "\r" in value:
        raise ConfigurationError(f"{key} must be a single line.", "Paste it again without line breaks.")
    target = env_file.resolve()  # where a link points to, so that the link stays
    text = text_of(target) if target.exists() else ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, with_value(text, key, value).encode("utf-8"), mode=0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{env_file} cannot be written: {error.strerror}.",
            "Close programs that have it open and check its permissions.",
        ) from error


def with_value(text: str, key: str, value: str) -> str:
    """An `.env` file's text with one key set, in the first spelling that is read back as it was meant."""
    wanted = _values(text) | {key: value}
    single = value.replace("\\", "\\\\").replace("'", "\\'")
    double = value.replace("\\", "\\\\").replace('"', '\\"')
    for spelling in (f"'{single}'", f'"{double}"', value):
        changed = _with_line(text, key, spelling)
        if _values(changed) == wanted:
            return changed
    raise ConfigurationError(f"This value of {key} cannot be kept in an .env file.", "Paste it again.")


def _with_line(text: str, key: str, spelling: str) -> str:
    from dotenv.parser import parse_stream

    end = "\r\n" if "\r\n" in text else "\n"
    parts: list[str] = []
    is_set = False
    for binding in parse_stream(io.StringIO(text, newline="")):
        original = binding.original.string
        if binding.key != key or binding.error:
            parts.append(original)
            continue
        if is_set:
            continue  # a second one would win over the first
        before = original[: len(original) - len(original.lstrip())]  # blank lines above belong to the binding
        export = "export " if re.match(r"\s*export\s", original) else ""
        comment = _COMMENT.search(original)
        parts.append(f"{before}{export}{key}={spelling}{comment[1] if comment else ''}{end}")
        is_set = True
    changed = "".join(parts)
    if is_set:
        return changed
    gap = end if changed and not changed.endswith(("\n", "\r")) else ""
    return f"{changed}{gap}{key}={spelling}{end}"


def _values(text: str) -> dict[str, str | None]:
    from dotenv import dotenv_values

    # interpolate=False: a token may hold a dollar sign
    return dict(dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False))


def _snowflake(key: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,20}", text) or int(text) >= 2**63:
        raise ConfigurationError(
            f"{key} in .env should be a Discord id (digits only), not {text[:40]!r}.",
            "Turn on Developer Mode in Discord, right-click and choose Copy ID.",
        )
    return int(text)
