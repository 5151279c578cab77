"""What all groups of commands share: who may, how often, and what is said when something goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.command_limits import MemberLimits, Refusals
from bot.config import PREFIX
from bot.outbox import shortened
from storage.errors import KnownError

Context = commands.Context[Any]
# Its type asks for a parameter specification that a method in a cog cannot meet.
hybrid: Callable[..., Any] = commands.hybrid_command
log = logging.getLogger(__name__)


class NotAdminError(commands.CheckFailure):
    """Somebody else tried an admin's command."""


class CommandGroup(commands.Cog):
    """Commands of one subject. is_admin: whose commands they all are, and for whom no limit counts."""

    def __init__(self, *, is_admin: Callable[[int], bool]) -> None:
        self.is_admin = is_admin
        self._limits = MemberLimits()
        self._refusals = Refusals()

    async def cog_before_invoke(self, context: Context) -> None:
        """Nobody but an admin keeps the bot busy with members' commands."""
        if not self.is_admin(context.author.id):
            self._limits.spend(context)

    def offered(self, context: Context) -> Collection[commands.Command[Any, ..., Any]]:
        """Every command of the bot, whichever group it is in."""
        return [each for cog in context.bot.cogs.values() for each in cog.get_commands()]

    async def cog_command_error(self, context: Context, error: Exception) -> None:
        """One sentence for whoever asked; a traceback only into the log."""
        cause = _root_of(error)
        if isinstance(cause, commands.CommandOnCooldown):
            name = context.command.name if context.command else ""
            text = self._refusals.text(context.author.id, name, cause)
            if not text and context.interaction is None:
                return
        elif isinstance(cause, NotAdminError):
            text = "Only the bot's admins may do that."
        elif isinstance(cause, KnownError):
            text = cause.text()
        elif isinstance(cause, commands.UserInputError | app_commands.TransformerError):
            text = f"Usage: `{usage_of(context.command)}`" if context.command else "I did not understand that."
        elif isinstance(cause, discord.HTTPException | OSError):
            log.warning("A command could not be answered: %s", cause)
            return
        else:
            log.error("Command failed", exc_info=cause)
            text = "That went wrong; the details are in the log."
        await self.say(context, text or "One moment.")

    async def say(self, context: Context, text: str) -> discord.Message | None:
        """Answer whoever asked, without a ping; None when Discord refuses it."""
        try:
            return await context.send(
                shortened(text), allowed_mentions=discord.AllowedMentions.none(), ephemeral=True, suppress_embeds=True
            )
        except discord.HTTPException as error:
            log.warning("A command could not be answered: %s", error)
            return None


def usage_of(command: commands.Command[Any, ..., Any]) -> str:
    """'!setrate 0-1'."""
    return f"{PREFIX}{command.name} {command.usage or ''}".strip()


def _root_of(error: BaseException) -> BaseException:
    while isinstance(inner := getattr(error, "original", None), BaseException):
        error = inner
    return error
