"""The settings room: groups of rows, each with its control, its meaning, and whether a value is allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gui import texts
from gui.presenters import format as words
from gui.presenters.plain import plain
from storage.environment import Environment
from storage.errors import KnownError, SettingError
from storage.people import THREAD_KINDS
from storage.quiet_hours import read_quiet_hours
from storage.records import Channel
from storage.settings import (
    BLOCKED_WORDS,
    FETCH_SCHEDULE,
    MODEL_PATH,
    QUIET_HOURS,
    QUIET_UNTIL,
    REGISTRY,
    RESPONSE_RATE,
    STOP_STRINGS,
    SYSTEM_PROMPT,
    Setting,
    Settings,
)
from storage.system.schedule import parse_schedule

GROUPS = tuple(texts.SETTINGS_GROUPS)
HIDDEN = frozenset({QUIET_UNTIL.key})
# Longer texts get several lines.
MULTILINE = {SYSTEM_PROMPT.key: 9, STOP_STRINGS.key: 2, BLOCKED_WORDS.key: 2}
FILES = frozenset({MODEL_PATH.key, "adapter_path"})
SECRET_SHOWN = "•" * 24
_TOKEN_SHAPE = re.compile(r"[\w-]{18,}\.[\w-]{4,}\.[\w-]{20,}")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is shown. control: switch, choice, number, text, file, time_span or lines."""

    key: str
    label: str
    help: str
    control: str
    choices: tuple[str, ...]
    needs_restart: bool
    lines: int = 1


@dataclass(frozen=True, slots=True)
class TokenView:
    """The token's line: never the token itself unless asked for."""

    text: str
    is_set: bool
    note: str = ""


def rows_of(group: str) -> tuple[SettingRow, ...]:
    """The settings of a group in the registry's order."""
    return tuple(_row(setting) for setting in REGISTRY.values() if setting.group == group and setting.key not in HIDDEN)


def find_rows(query: str, *, most: int = 14) -> tuple[SettingRow, ...]:
    """The settings that have all the words of a query in their name, meaning or group; those named so come first."""
    wanted = query.casefold().split()
    found: list[tuple[bool, int, Setting[Any]]] = []
    for setting in REGISTRY.values():
        if setting.key in HIDDEN or not wanted:
            continue
        name = f"{setting.label} {setting.key.replace('_', ' ')}".casefold()
        more = (
            f"{setting.help} {texts.SETTINGS_GROUPS.get(setting.group, '')} {texts.SETTINGS_ALSO.get(setting.key, '')}"
        )
        if all(word in f"{name} {more.casefold()}" for word in wanted):
            found.append((not all(word in name for word in wanted), len(found), setting))
    return tuple(_row(setting) for *_, setting in sorted(found, key=lambda each: each[:2])[:most])


def _row(setting: Setting[Any]) -> SettingRow:
    text = setting.help
    if setting.is_share and setting.low is not None and setting.high is not None:
        text = f"{setting.help} {words.percent(setting.low)} to {words.percent(setting.high)}."
    elif setting.low is not None and setting.high is not None and setting.type is not bool:
        text = f"{setting.help} {setting.low:g} to {setting.high:g}{' ' + setting.unit if setting.unit else ''}."
    return SettingRow(
        setting.key,
        setting.label,
        text,
        _control(setting),
        setting.choices,
        setting.needs_restart,
        MULTILINE.get(setting.key, 1),
    )


def _control(setting: Setting[Any]) -> str:
    if setting.type is bool:
        return "switch"
    if setting.choices:
        return "choice"
    if setting.key in FILES:
        return "file"
    if setting.key == QUIET_HOURS.key:
        return "time_span"
    if setting.key in MULTILINE:
        return "lines"
    return "number" if setting.type in (int, float) else "text"


def value_text(setting: Setting[Any], value: Any) -> str:
    """A stored value as it stands in a field."""
    if setting.is_share:
        return f"{round(value * 100, 4):g} %"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def check(setting: Setting[Any], raw: str) -> str:
    """Why a typed value is not allowed, '' when it is."""
    try:
        setting.parse(typed(setting, raw))
        if setting.key == FETCH_SCHEDULE.key and raw.strip():
            parse_schedule(raw)
    except KnownError as error:
        return plain(error.text()) or error.what
    return ""


def typed(setting: Setting[Any], raw: str) -> str:
    """What stands in a field, as the setting reads it: a field that shows percent takes 5 for 5 %."""
    if setting.is_share and raw.strip() and not raw.strip().endswith("%"):
        return f"{raw.strip()}%"
    return raw if setting.type is str else raw.strip()


def reading(setting: Setting[Any], raw: str) -> str:
    """How a typed value was understood, where people write it in many ways; '' where there is nothing to say."""
    try:
        if setting.key == QUIET_HOURS.key and (span := read_quiet_hours(raw)) is not None:
            start, end = span.text.split("-")
            return texts.QUIET_READING.format(start=start, end=end, span=words.duration(span.minutes * 60))
        if setting.key == RESPONSE_RATE.key and raw.strip():
            return texts.RATE_HINT.format(count=f"{setting.parse(typed(setting, raw)) * 100:g}")
    except SettingError:
        return ""
    return ""


def is_default(setting: Setting[Any], settings: Settings) -> bool:
    """Whether a setting stands at its default."""
    return bool(settings[setting] == setting.default)


def reset_tip(setting: Setting[Any]) -> str:
    """What the reset button would put, for its tip."""
    shown = value_text(setting, setting.default)
    shown = shown if len(shown) < 60 else shown[:57] + "…"
    return texts.RESET_TIP.format(value=shown or texts.RESET_EMPTY)


def token_view(environment: Environment, *, is_shown: bool, is_overridden: bool = False) -> TokenView:
    """Dots, the token when asked for, or that there is none."""
    if not environment.token:
        return TokenView(texts.TOKEN_NONE, False)
    note = texts.TOKEN_OVERRIDDEN if is_overridden else ""
    return TokenView(environment.token if is_shown else SECRET_SHOWN, True, note)


def token_problem(raw: str) -> str:
    """A hint about a pasted token; '' when it has the right shape."""
    token = clean_token(raw)
    return "" if _TOKEN_SHAPE.fullmatch(token) else texts.TOKEN_LOOKS_WRONG


def clean_token(raw: str) -> str:
    """What people paste: surrounding blanks, quotes or the word Bot are not part of it."""
    return raw.strip().strip("\"'").removeprefix("Bot ").strip()


def ids_problem(raw: str) -> str:
    """For server and admin ids: digits, separated by commas."""
    parts = [part for part in re.split(r"[,;\s]+", raw.strip()) if part]
    wrong = [part for part in parts if not re.fullmatch(r"\d{5,20}", part)]
    return f"{wrong[0][:30]!r} is not a Discord id: digits only." if wrong else ""


def channel_lines(channels: list[Channel]) -> tuple[tuple[str, str], ...]:
    """('#general', 'learn, recall, speak') for the read-only list; threads follow their parent and are left out."""
    lines = []
    for channel in channels:
        if channel.kind in THREAD_KINDS:
            continue
        on = [
            word
            for word, value in zip(texts.CHANNEL_SWITCHES, (channel.learn, channel.recall, channel.speak), strict=True)
            if value
        ]
        lines.append((f"#{channel.name}", ", ".join(on) or "off"))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class GpuView:
    """Whether layers can go to a GPU here, and why (not)."""

    is_usable: bool
    text: str


def gpu_view(fact: dict[str, Any] | None) -> GpuView:
    """From the fact the bot stores after loading its model: {supported, name, free_bytes, total_bytes}."""
    if not fact:
        return GpuView(True, texts.GPU_UNKNOWN)
    if not fact.get("supported"):
        return GpuView(False, texts.GPU_NONE)
    free, total = fact.get("free_bytes"), fact.get("total_bytes")
    if not free or not total:
        return GpuView(True, "")
    return GpuView(
        True, texts.GPU_FREE.format(name=fact.get("name", "GPU"), free=words.size(free), total=words.size(total))
    )
