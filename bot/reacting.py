"""Reacting with an emoji where it stays silent: which messages, with what, and when it must not.

What members react to is learnt beside the index (`model.emoji_reactions`); here the owner's rate, the clock and the
place decide. No language model takes part, and a flood is cheap: most messages are passed over by one random number,
before anything is looked up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import discord

from bot.decisions import IncomingMessage, ReplyCounts, may_react
from bot.storage_thread import StorageThread
from model.emoji_reactions import LARGEST_RATIO, EmojiReactions, model_file
from storage.records import Channel
from storage.settings import REACTION_RATE, Settings
from storage.store import Store

if TYPE_CHECKING:
    from bot.recall import Recall

log = logging.getLogger(__name__)

# Looked up at the same time; in a flood the rest is passed over.
MOST_AT_ONCE = 4
KEPT = 500
# People do not react the moment a message appears.
SHORTEST_SECONDS, LONGEST_SECONDS = 2.0, 25.0


class Reactor:
    """Reacts to messages; remembers its newest reactions so that they can be taken back."""

    def __init__(
        self,
        store: Store,
        storage: StorageThread,
        recall: Recall,
        *,
        roll: Callable[[], float] = random.random,
        sleep: Callable[[float], Any] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._storage = storage
        self._recall = recall
        self._roll = roll
        self._sleep = sleep
        self._counts = ReplyCounts(clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._given: OrderedDict[int, tuple[discord.PartialMessage, str]] = OrderedDict()
        self._learnt: tuple[float, EmojiReactions | None] = (-1.0, None)
        self._refused: set[int] = set()
        self._last_trouble = ""

    def consider(
        self,
        message: discord.Message,
        seen: IncomingMessage,
        settings: Settings,
        channel: Channel | None,
        *,
        minute_of_day: int,
    ) -> None:
        """Perhaps react to a message that is not answered; returns at once."""
        rate = settings[REACTION_RATE]
        drawn = self._roll()
        if drawn >= rate * LARGEST_RATIO or len(self._tasks) >= MOST_AT_ONCE or channel is None:
            return
        activity = self._counts.activity(seen.channel_id, seen.author_id, waiting=0, waiting_limit=1, as_of=seen.at)
        if seen.channel_id in self._refused or not may_react(seen, settings, channel, activity, minute_of_day):
            return
        task = asyncio.create_task(self._react(message, seen, rate, drawn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def take_back(self, message_id: int) -> bool:
        """Remove the bot's reaction from a message; False when it gave none, as far as it remembers."""
        given = self._given.pop(message_id, None)
        if given is None:
            return False
        message, emoji = given
        guild = message.guild
        try:
            if guild is not None:
                await message.remove_reaction(emoji, guild.me)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.warning("A reaction could not be taken back: %s", error)
        return True

    def permissions_changed(self, channel_id: int | None = None) -> None:
        """A refusal of before says nothing any more, in one channel or (None) in all."""
        if channel_id is None:
            self._refused.clear()
        else:
            self._refused.discard(channel_id)

    async def close(self) -> None:
        """Drop what was put off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- inner -------------------------------------------------------------------------------------------

    async def _react(self, message: discord.Message, seen: IncomingMessage, rate: float, drawn: float) -> None:
        try:
            if not seen.content.strip() or await self._storage.run(self._is_absent, seen.author_id):
                return
            found = await self._recall.with_index(lambda _, embedder: self._judge(seen.content, embedder))
        except Exception as error:
            # The index's core and a missing embedder raise what they like: a reaction is a courtesy.
            self._tell(error)
            return
        if found is None:
            return
        ratio, emoji = found
        chance = min(rate * ratio, 1.0)
        usable = _usable(message, emoji)
        if drawn >= chance or not usable:
            return
        await self._sleep(SHORTEST_SECONDS + (LONGEST_SECONDS - SHORTEST_SECONDS) * self._roll())
        if await self._give(message, seen, usable):
            note = f"reacted with {emoji.partition(':')[0]} ({chance:.0%} chance, {ratio:.1f} times the usual)"
            await self._storage.run(self._store.activity.add_note, seen.id, note)

    def _tell(self, error: Exception) -> None:
        """Once for each kind of trouble, not once for each message."""
        kind = type(error).__name__
        if kind != self._last_trouble:
            log.warning("Not reacting with emoji: %s: %s", kind, error)
        self._last_trouble = kind

    async def _give(self, message: discord.Message, seen: IncomingMessage, emoji: str) -> bool:
        try:
            await message.add_reaction(emoji)
        except discord.Forbidden:
            self._refused.add(seen.channel_id)
            log.warning("No permission to react in channel %s", seen.channel_id)
            return False
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.debug("No reaction: %s", error)  # the message is gone, or its author has blocked the bot
            return False
        self._counts.replied(seen.channel_id, seen.author_id, is_asked=False)
        partial = message.channel.get_partial_message(message.id)  # type: ignore[union-attr]
        self._given[message.id] = (partial, emoji)
        while len(self._given) > KEPT:
            self._given.popitem(last=False)
        return True

    def _is_absent(self, author_id: int) -> bool:
        return author_id in self._store.members.absent_ids()

    def _judge(self, text: str, embedder: Any) -> tuple[float, str] | None:
        """On the thread of the index. How likely a reaction is against the average, and which; None: nothing learnt."""
        learnt = self._current(model_file(self._store.workspace))
        if learnt is None or learnt.embedder != embedder.name:
            return None
        vector = embedder.embed([text])[0]
        return learnt.ratio(vector, text), learnt.pick(vector, text, roll=self._roll())

    def _current(self, path: Path) -> EmojiReactions | None:
        try:
            changed = path.stat().st_mtime
        except OSError:
            return None
        if changed != self._learnt[0]:
            self._learnt = (changed, EmojiReactions.load(path))
        return self._learnt[1]


def _usable(message: discord.Message, emoji: str) -> str:
    """The emoji as Discord takes it, '' for one of a server the bot is not on or that was deleted."""
    name, _, number = emoji.partition(":")
    if not number:
        return name
    known = {str(each.id): each for each in message.guild.emojis} if message.guild else {}
    found = known.get(number)
    return str(found) if found is not None and found.is_usable() else ""
