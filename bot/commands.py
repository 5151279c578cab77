"""Commands."""
from __future__ import annotations

from typing import TYPE_CHECKING

from discord.ext import commands

from bot.handlers import Handlers
from bot.outbox import Outbox

if TYPE_CHECKING:
    from bot.run import Services


class AdminCommands(commands.Cog):
    """To come."""

    def __init__(self, services: Services, handlers: Handlers, outbox: Outbox) -> None:
        self._services, self._handlers, self._outbox = services, handlers, outbox
