"""Members' commands that quote what was said: !missed, !onthisday, !quote.

A line is quoted where it could be recalled: only from channels that everybody who reads the answer can read, never of
a member who is left out, and through the rules for everything that is sent. When a quoted message is deleted, so is
the answer that quotes it.
"""

from __future__ import annotations

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import discord
from discord import app_commands
from discord.ext import commands

from bot.command_groups import CommandGroup, Context, hybrid
from bot.command_limits import limited
from bot.config import PREFIX, parse_duration
from bot.outbox import Refused, prepare
from bot.storage_thread import StorageThread
from data.chat.looking_back import Exchange, exchanges, left_at, quotations, reactions_of
from data.chat.markup import to_model_text
from storage.records import Message
from storage.settings import LOOKING_BACK, SESSION_GAP_MINUTES, Settings
from storage.store import Store

log = logging.getLogger(__name__)

EXCHANGES_SHOWN = 3
LINES_SHOWN = 3
QUOTED_CHARACTERS = 180
MOST_READ = 5_000
YEARS_BACK = 15
ANSWERS_KEPT = 200
LONGEST_ABSENCE_SECONDS = 14 * 86_400
OFF = "Its owner has switched these commands off."
NOWHERE = "Ask on the server: here nobody knows which channels you may read."


class LookingBack(CommandGroup):
    """What members may ask about what was said.

    sources: the ids of the channels whose lines may be quoted in a channel; it reads the database. is_admin: for whom
    no limit counts.
    """

    def __init__(
        self,
        store: Store,
        storage: StorageThread,
        *,
        sources: Callable[[int], list[int]],
        is_admin: Callable[[int], bool],
        wall_clock: Callable[[], float] = time.time,
        choose: Callable[[Sequence[int]], float] = lambda _weights: random.random(),
    ) -> None:
        super().__init__(is_admin=is_admin)
        self._store = store
        self._storage = storage
        self._sources = sources
        self._wall_clock = wall_clock
        self._choose = choose
        # Of the newest answers, which messages they quote; by the answer's id.
        self._quoted: OrderedDict[int, tuple[discord.Message, frozenset[int]]] = OrderedDict()

    @commands.Cog.listener()
    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """A deleted message takes the answers along that quote it."""
        await self._take_back({payload.message_id})

    @commands.Cog.listener()
    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """The same for many at once."""
        await self._take_back(payload.message_ids)

    @limited
    @hybrid(usage="2h", description="What was said here since you last wrote, as quotations with links")
    @app_commands.describe(since="how far back, such as 2h or 1d; left out: since you last wrote")
    async def missed(self, context: Context, since: str = "") -> None:
        """What was said since you were here."""
        seconds = parse_duration(since) if since else None
        await self._answer(context, lambda settings: self._missed(context, seconds, settings))

    @limited
    @hybrid(description="What was said on this day in earlier years")
    async def onthisday(self, context: Context) -> None:
        """What was said on this day in earlier years."""
        await self._answer(context, lambda settings: self._on_this_day(context, settings))

    @limited
    @hybrid(usage="@member", description="Something a member once said")
    @app_commands.describe(member="whom to quote")
    async def quote(self, context: Context, member: discord.Member | None = None) -> None:
        """Something a member once said."""
        author_id = (member or context.author).id
        await self._answer(context, lambda settings: self._quote(context, author_id, settings))

    # ---- what is said: on the storage thread -------------------------------------------------------------

    def _missed(self, context: Context, seconds: int | None, settings: Settings) -> tuple[str, set[int]]:
        now_ms = int(self._wall_clock() * 1000)
        furthest = now_ms - LONGEST_ABSENCE_SECONDS * 1000
        if seconds is not None:
            start = max(now_ms - seconds * 1000, furthest)
        else:
            own = self._store.messages.times_of(context.author.id, since_ms=furthest, limit=MOST_READ)
            last = left_at(own, now_ms=now_ms)
            if last is None and own:
                return f"You have been here. `{PREFIX}missed 6h` looks further back.", set()
            start = furthest if last is None else last + 1
        messages = self._readable(context, start, now_ms + 1)
        found = exchanges(messages, gap_ms=round(settings[SESSION_GAP_MINUTES] * 60_000))
        if not found:
            return f"Nothing was talked about since <t:{start // 1000}:R>.", set()
        people = len({message.author_id for message in messages})
        head = f"Since <t:{start // 1000}:R>: {len(messages):,} messages of {people} people."
        return self._told(context, head, found[:EXCHANGES_SHOWN], settings)

    def _on_this_day(self, context: Context, settings: Settings) -> tuple[str, set[int]]:
        today = datetime.fromtimestamp(self._wall_clock()).replace(hour=0, minute=0, second=0, microsecond=0)
        found: list[Exchange] = []
        for year in range(today.year - 1, today.year - 1 - YEARS_BACK, -1):
            try:
                day = today.replace(year=year)
            except ValueError:  # 29 February
                continue
            start, end = (int(moment.timestamp() * 1000) for moment in (day, day + timedelta(days=1)))
            messages = self._readable(context, start, end)
            found += exchanges(messages, gap_ms=round(settings[SESSION_GAP_MINUTES] * 60_000))[:1]
        if not found:
            return "Nothing that I know of was said on this day in earlier years.", set()
        return self._told(context, "On this day:", found[:EXCHANGES_SHOWN], settings)

    def _quote(self, context: Context, author_id: int, settings: Settings) -> tuple[str, set[int]]:
        if author_id in self._store.members.absent_ids():
            return "They are not quoted: they, or the bot's owner, left their messages out.", set()
        known = self._store.messages.quotable_by(author_id, self._sources(context.channel.id), limit=MOST_READ)
        # What people reacted to is what they remember.
        weights = [1 + 3 * reactions_of(message) for message in known]
        place = self._choose(weights) * sum(weights)
        for message, weight in sorted(zip(known, weights, strict=True), key=lambda each: each[0].id):
            place -= weight
            if place < 0 and (line := self._line(message, settings)):
                return f"{line}\n<t:{message.created_ms // 1000}:D> {_link(context, message)}", {message.id}
        return "Nothing of theirs that could be quoted here.", set()

    def _readable(self, context: Context, start_ms: int, end_ms: int) -> list[Message]:
        absent = self._store.members.absent_ids()
        messages = self._store.messages.between(
            self._sources(context.channel.id), start_ms=start_ms, end_ms=end_ms, limit=MOST_READ
        )
        return [m for m in messages if m.author_id not in absent and not m.is_own]

    def _told(self, context: Context, head: str, found: Sequence[Exchange], settings: Settings) -> tuple[str, set[int]]:
        blocks, quoted = [head], set[int]()
        for exchange in found:
            first = exchange.messages[0]
            block = [
                f"<#{exchange.channel_id}> <t:{first.created_ms // 1000}:f>, {len(exchange.messages)} messages of "
                f"{exchange.people}: {_link(context, first)}"
            ]
            for message in quotations(exchange, limit=LINES_SHOWN):
                if line := self._line(message, settings):
                    block.append(line)
                    quoted.add(message.id)
            blocks.append("\n".join(block))
        return "\n".join(blocks), quoted

    def _line(self, message: Message, settings: Settings) -> str:
        """'> **Mira:** did anybody see that', '' for what may not be sent."""
        text = to_model_text(
            message.content, message.mentions, self._store.channels.names(), attachments=message.attachments
        )
        text = " ".join(text.split())
        if len(text) > QUOTED_CHARACTERS:
            text = text[: QUOTED_CHARACTERS - 1].rstrip() + "…"
        sent = prepare(text, settings)
        if isinstance(sent, Refused):
            return ""
        return f"> **{discord.utils.escape_markdown(message.author_name)}:** {' '.join(sent.bursts)}"

    # ---- inner -------------------------------------------------------------------------------------------

    async def _answer(self, context: Context, tell: Callable[[Settings], tuple[str, set[int]]]) -> None:
        settings = await self._storage.run(self._store.settings.read)
        if not settings[LOOKING_BACK]:
            await self.say(context, OFF)
            return
        if context.guild is None:
            await self.say(context, NOWHERE)
            return
        text, quoted = await self._storage.run(tell, settings)
        sent = await self.say(context, text)
        if sent is not None and quoted:
            self._quoted[sent.id] = (sent, frozenset(quoted))
            while len(self._quoted) > ANSWERS_KEPT:
                self._quoted.popitem(last=False)

    async def _take_back(self, deleted: Collection[int]) -> None:
        for answer_id in [number for number, (_, quoted) in self._quoted.items() if quoted & set(deleted)]:
            answer, _ = self._quoted.pop(answer_id)
            try:
                await answer.delete()
            except discord.HTTPException as error:
                log.warning("An answer that quotes a deleted message could not be taken back: %s", error)


def _link(context: Context, message: Message) -> str:
    guild = context.guild
    return f"<https://discord.com/channels/{guild.id if guild else '@me'}/{message.channel_id}/{message.id}>"
