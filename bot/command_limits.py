"""How often a member may use the members' commands: nobody keeps the bot busy with them.

Each command twice in twenty seconds per member, so that a second thought about leaving is never refused. The first
refusal is answered, further ones in the same time are not: an answer to each would be a flood of its own. Admins are
free.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from discord.ext import commands

USES, SECONDS = 2, 20.0
_MOST_TOLD = 1_000
Context = commands.Context[Any]
Command = TypeVar("Command", bound=commands.Command[Any, ..., Any])


def limited(function: Command) -> Command:
    """Mark a command as one that counts: `MemberLimits.spend` looks for the mark."""
    function.extras["limited"] = True
    return function


class MemberLimits:
    """The uses that are left to each member, kept by the bot that counts them: a decorator's mapping would be shared
    by every bot of a process."""

    def __init__(self) -> None:
        self._left: dict[str, commands.CooldownMapping[Context]] = {}

    def spend(self, context: Context) -> None:
        """Take one use; CommandOnCooldown where none is left."""
        command = context.command
        if command is None or not command.extras.get("limited"):
            return
        mapping = self._left.setdefault(
            command.qualified_name, commands.CooldownMapping.from_cooldown(USES, SECONDS, commands.BucketType.user)
        )
        moment = (context.message.edited_at or context.message.created_at).timestamp()
        bucket = mapping.get_bucket(context, moment)
        if bucket is not None and (wait := bucket.update_rate_limit(moment)):
            raise commands.CommandOnCooldown(bucket, wait, commands.BucketType.user)


class Refusals:
    """Which refusal is worth a sentence."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_until: dict[tuple[int, str], float] = {}

    def text(self, member_id: int, command: str, error: commands.CommandOnCooldown) -> str:
        """What to say, '' when it was said a moment ago."""
        now = self._clock()
        if self._told_until.get((member_id, command), 0.0) > now:
            return ""
        if len(self._told_until) >= _MOST_TOLD:
            self._told_until = {key: until for key, until in self._told_until.items() if until > now}
        self._told_until[member_id, command] = now + error.retry_after
        return f"One moment: ask again in {math.ceil(error.retry_after)} s."
