"""What the bot needs to know about its place: who it is, who may steer it, where it lives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from storage.environment import Environment
from storage.errors import ConfigurationError, SettingError
from storage.settings import BOT_NAMES, Settings

PREFIX = "!"
_DURATION = re.compile(r"(?:(\d{1,9})\s*d)?\s*(?:(\d{1,9})\s*h)?\s*(?:(\d{1,9})\s*m(?:in)?)?", re.IGNORECASE)
LONGEST_QUIET_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ServerScope:
    """The one server that counts and the people who may steer."""

    server_id: int
    admin_ids: frozenset[int]

    @classmethod
    def from_environment(cls, environment: Environment) -> ServerScope:
        """ConfigurationError when no server is set."""
        if environment.server_id is None:
            raise ConfigurationError(
                "No Discord server is set.", "Enter its id in Settings > Discord, or as SERVER_ID in .env."
            )
        return cls(environment.server_id, environment.admin_ids)

    def is_admin(self, user_id: int) -> bool:
        """Whether this user may use the commands of the bot's owner."""
        return user_id in self.admin_ids


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot's own account."""

    id: int
    name: str
    username: str = ""

    def names(self, settings: Settings) -> tuple[str, ...]:
        """What it listens to without an @: its own names and the owner's extra ones."""
        extra = [name.strip() for name in settings[BOT_NAMES].split(",")]
        found = dict.fromkeys(name.casefold() for name in (self.name, self.username, *extra))
        return tuple(name for name in found if len(name) >= 2)


def is_named(content: str, names: Iterable[str]) -> bool:
    """True when one of the names stands in the text as a word of its own."""
    text = content.casefold()
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names)


def parse_duration(text: str) -> int:
    """Seconds of '2h', '1h30m', '45m' or '1d'; a bare number is minutes. SettingError names the forms."""
    text = text.strip()
    seconds = 0
    if text.isdecimal() and len(text) < 7:
        seconds = int(text) * 60
    elif text and (match := _DURATION.fullmatch(text)):
        days, hours, minutes = (int(group or 0) for group in match.groups())
        seconds = days * 86_400 + hours * 3600 + minutes * 60
    if not 0 < seconds <= LONGEST_QUIET_SECONDS:
        raise SettingError(
            f"'{text[:40]}' is not a valid duration.", "Write 30m, 2h, 1h30m or 1d (at most 30 days), or off."
        )
    return seconds
