"""Collects what is new on the server, politely and only where the owner said yes.

A page and its cursor are stored in one transaction, so a fetch may be cut off anywhere and goes on there. A recent
window is read again for edits, deletions and late reactions. The order inside a page is never relied on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from data.chat.audience import with_access_of
from data.discord_objects import (
    CAN_HOLD_THREADS,
    THREAD_LISTS,
    WITH_MESSAGES,
    channels_from_objects,
    message_from_object,
)
from data.fetcher_api import PAGE_SIZE, DiscordRest, FetchError, Json, NoAccessError
from data.privacy import skip_reason
from storage import policy
from storage.environment import Environment
from storage.errors import ConfigurationError
from storage.jobs import Report, silent
from storage.people import PRIVATE_THREAD, THREAD_KINDS
from storage.records import DISCORD_EPOCH_MS, Channel, snowflake_ms
from storage.settings import REFRESH_DAYS
from storage.store import Store

log = logging.getLogger(__name__)
EVERYTHING = 100_000  # days: look again at the whole history
_LONG_AGO = 0


@dataclass(frozen=True)
class ServerView:
    """The server as the bot sees it: what the owner is asked about."""

    id: int
    name: str
    members: int
    is_discoverable: bool
    channels: tuple[Channel, ...]

    @property
    def is_large(self) -> bool:
        return policy.is_large(self.members, is_discoverable=self.is_discoverable)

    def as_result(self) -> dict[str, Any]:
        """For `jobs.result`, where the panel reads it."""
        return {
            "server_id": self.id,
            "name": self.name,
            "members": self.members,
            "is_discoverable": self.is_discoverable,
            "is_large": self.is_large,
            "channels": [
                {"id": c.id, "name": c.name, "kind": c.kind, "is_private": c.is_private} for c in self.channels
            ],
        }


@dataclass
class ChannelResult:
    """What one channel, thread or post gave."""

    id: int
    name: str
    new: int = 0
    edited: int = 0
    deleted: int = 0
    requests: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    problem: str = ""

    def as_result(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "new": self.new,
            "edited": self.edited,
            "deleted": self.deleted,
            "requests": self.requests,
            "skipped": dict(self.skipped),
            "problem": self.problem,
        }


@dataclass(frozen=True)
class FetchSummary:
    """What a whole fetch did."""

    channels: tuple[ChannelResult, ...]

    @property
    def new(self) -> int:
        return sum(channel.new for channel in self.channels)

    @property
    def edited(self) -> int:
        return sum(channel.edited for channel in self.channels)

    @property
    def deleted(self) -> int:
        return sum(channel.deleted for channel in self.channels)

    def as_result(self) -> dict[str, Any]:
        """For `jobs.result`."""
        return {
            "new": self.new,
            "edited": self.edited,
            "deleted": self.deleted,
            "channels": [channel.as_result() for channel in self.channels],
        }


class Fetcher:
    """Reads one server through `api` into the store."""

    def __init__(
        self,
        store: Store,
        api: DiscordRest,
        server_id: int,
        *,
        refresh_days: int | None = None,
        clock: Callable[[], float] = time.time,
        report: Report = silent,
    ) -> None:
        self._store = store
        self._api = api
        self._server_id = server_id
        self._refresh_days = store.settings.get(REFRESH_DAYS) if refresh_days is None else refresh_days
        self._clock = clock
        self._report = report

    async def discover(self) -> ServerView:
        """Look at the server and add its channels to the list, switched off. Reads no messages."""
        try:
            guild = await self._api.guild(self._server_id)
        except NoAccessError:
            raise await self._wrong_server() from None
        found = channels_from_objects(guild, await self._api.channels(self._server_id), bot_ids=[self._api.bot_id])
        keep_access(self._store, found)
        return ServerView(
            self._server_id,
            guild["name"],
            int(guild.get("approximate_member_count") or 0),
            "DISCOVERABLE" in guild.get("features", ()),
            tuple(self._store.channels.get(channel.id) or channel for channel in found),
        )

    async def fetch(self) -> FetchSummary:
        """Everything new in the channels the owner chose. FetchError when the owner's answers are missing."""
        require_policy(self._store)
        self._report(0.0, "Looking at the server")
        server = await self.discover()
        require_confirmed(self._store, server)
        results = self._lost_channels(server)
        places = await self._places(server, results)
        for number, place in enumerate(places):
            results.append(await self._fetch_place(place, number, len(places)))
        return FetchSummary(tuple(results))

    # ---- where to look --------------------------------------------------------------------------------

    def _lost_channels(self, server: ServerView) -> list[ChannelResult]:
        """Chosen channels that are no longer on the server: nothing of them is recalled any more."""
        present = {channel.id for channel in server.channels}
        lost = [
            c
            for c in self._store.channels.all()
            if c.guild_id == self._server_id
            and c.id not in present
            and c.kind not in THREAD_KINDS
            and (c.learn or c.recall or c.speak)
        ]
        for channel in lost:
            self._store.channels.switch(channel.id, is_access_lost=True)
        return [ChannelResult(c.id, c.name, problem="gone from the server") for c in lost]

    async def _places(self, server: ServerView, results: list[ChannelResult]) -> list[Channel]:
        """Chosen channels and their threads. Private ones only with the owner's own yes."""
        chosen: list[Channel] = []
        for found in server.channels:
            channel = self._store.channels.get(found.id)
            if channel is None or not channel.learn:
                continue
            if channel.is_private and not channel.include_private:
                results.append(ChannelResult(channel.id, channel.name, problem="private: needs your own yes"))
                continue
            chosen.append(channel)
        threads = await self._threads([c for c in chosen if c.kind in CAN_HOLD_THREADS], results)
        return [c for c in chosen if c.kind in WITH_MESSAGES] + threads

    async def _threads(self, parents: list[Channel], results: list[ChannelResult]) -> list[Channel]:
        """Threads and posts with something to read."""
        if not parents:
            return []
        by_id = {parent.id: parent for parent in parents}
        raws = [raw for raw in await self._api.active_threads(self._server_id) if int(raw["parent_id"] or 0) in by_id]
        for parent in parents:
            if self._may_have_archived(parent):
                try:
                    raws += await self._archived(parent)
                except NoAccessError as error:
                    results.append(ChannelResult(parent.id, parent.name, problem=error.what))
        threads = {int(raw["id"]): raw for raw in raws}
        self._store.channels.add(
            [
                Channel(
                    id=thread_id,
                    name=str(raw.get("name") or ""),
                    kind=int(raw["type"]),
                    parent_id=int(raw["parent_id"]),
                    guild_id=self._server_id,
                )
                for thread_id, raw in threads.items()
            ]
        )
        kept = [
            self._store.channels.get(thread_id)
            for thread_id in sorted(threads)
            if self._has_news(thread_id, threads[thread_id])
        ]
        return [
            thread
            for thread in kept
            if thread is not None and (thread.kind != PRIVATE_THREAD or thread.include_private)
        ]

    def _may_have_archived(self, parent: Channel) -> bool:
        """A channel read to its end that never had a thread needs no further question."""
        if parent.kind in THREAD_LISTS or not self._store.messages.is_backfilled(parent.id):
            return True
        return any(c.parent_id == parent.id and c.kind in THREAD_KINDS for c in self._store.channels.all())

    async def _archived(self, parent: Channel) -> list[Json]:
        """Archived threads, public and (where the bot may) private, until a page brings nothing new."""
        found: list[Json] = []
        for is_private in (False, True):
            if is_private and not parent.include_private:
                continue
            before: str | None = None
            while True:
                page, has_more = await self._api.archived_threads(parent.id, is_private=is_private, before=before)
                found += page
                if not has_more or not page or not any(self._has_news(int(raw["id"]), raw) for raw in page):
                    break
                before = min(raw["thread_metadata"]["archive_timestamp"] for raw in page)
        return found

    def _has_news(self, thread_id: int, raw: Json) -> bool:
        """True unless the thread is read to its end and nothing of it is recent enough to look at again."""
        cursor = self._store.messages.cursor(thread_id)
        if not self._store.messages.is_backfilled(thread_id) or int(raw.get("last_message_id") or 0) > cursor:
            return True
        return self._start_id(thread_id, cursor) < cursor

    # ---- one channel ------------------------------------------------------------------------------------

    async def _fetch_place(self, place: Channel, number: int, total: int) -> ChannelResult:
        result = ChannelResult(place.id, place.name)
        try:
            await self._read(place, result, number / total, 1 / total)
        except NoAccessError as error:
            log.warning("#%s: %s", place.name, error.text())
            result.problem = error.what
            self._store.channels.switch(place.id, is_access_lost=True)
        else:
            self._store.channels.switch(place.id, is_access_lost=False)
        log.info("#%s: %d new, %d edited, %d deleted", place.name, result.new, result.edited, result.deleted)
        return result

    async def _read(self, place: Channel, result: ChannelResult, done: float, share: float) -> None:
        """Forwards from the start of the window, page by page."""
        start = position = self._start_id(place.id, self._store.messages.cursor(place.id))
        newest_known = self._store.messages.newest_id(place.id)
        is_checked = False
        while True:
            self._report(
                done + share * self._fraction(start, position), f"#{place.name}", done=result.new, unit="messages"
            )
            page = await self._page(place.id, result, after=position)
            fresh = [raw for raw in page if int(raw["id"]) > position]
            is_last = len(page) < PAGE_SIZE or not fresh
            if not is_last and not is_checked:
                is_checked = True
                if await self._leaves_a_gap(place.id, result, position, fresh):
                    await self._read_backwards(place, result, position, newest_known)
                    return
            end = max((int(raw["id"]) for raw in fresh), default=position)
            self._keep(
                place.id,
                result,
                fresh,
                after=position,
                until=max(newest_known, end) if is_last else end,
                newest_known=newest_known,
                cursor=(place.id, end, is_last),
            )
            if is_last:
                return
            position = end

    async def _page(self, channel_id: int, result: ChannelResult, **where: int) -> list[Json]:
        result.requests += 1
        return await self._api.history(channel_id, **where)

    async def _leaves_a_gap(self, channel_id: int, result: ChannelResult, position: int, page: list[Json]) -> bool:
        """Whether a full page is not the next one: a server may give the newest messages after an id instead."""
        first = min(int(raw["id"]) for raw in page)
        between = await self._page(channel_id, result, before=first, limit=1)
        return any(int(raw["id"]) > position for raw in between)

    async def _read_backwards(self, place: Channel, result: ChannelResult, start: int, newest_known: int) -> None:
        """From the newest message down to `start`; the cursor moves once, at the end."""
        top, before = start, 2**63 - 1
        while True:
            page = await self._page(place.id, result, before=before)
            fresh = [raw for raw in page if start < int(raw["id"]) < before]
            is_last = len(fresh) < PAGE_SIZE
            bottom = start if is_last else min(int(raw["id"]) for raw in fresh) - 1
            top = max([top, *(int(raw["id"]) for raw in fresh)])
            self._keep(
                place.id,
                result,
                fresh,
                after=bottom,
                until=before - 1,
                newest_known=newest_known,
                cursor=(place.id, top, True) if is_last else None,
            )
            if is_last:
                return
            self._report(0.0, f"#{place.name}", done=result.new, unit="messages")
            before = bottom + 1

    def _keep(
        self,
        channel_id: int,
        result: ChannelResult,
        page: list[Json],
        *,
        after: int,
        until: int,
        newest_known: int,
        cursor: tuple[int, int, bool] | None,
    ) -> None:
        """Store a page that covers after < id <= until: what is kept but not in it was deleted on Discord."""
        reasons = {int(raw["id"]): skip_reason(raw) for raw in page}
        result.skipped.update(reason for reason in reasons.values() if reason is not None)
        away = {member.id for member in self._store.members.all() if member.is_opted_out}
        messages = [
            message_from_object(raw)
            for raw in page
            if reasons[int(raw["id"])] is None and int(raw["author"]["id"]) not in away
        ]
        # The bot's own replies are kept though bots are skipped; what was edited into a bare link is not.
        present = {message_id for message_id, reason in reasons.items() if reason in (None, "bot")}
        with self._store.messages_db.transaction():
            # Only what was here before the first request: the running bot may have stored newer ones meanwhile.
            known = self._store.messages.ids_between(channel_id, after, min(until, newest_known))
            gone = [message_id for message_id in known if message_id not in present]
            result.deleted += self._store.messages.delete(gone, erased_at=self._clock())
            saved = self._store.messages.save(messages, cursor=cursor)
        result.new += saved.new
        result.edited += saved.edited

    def _start_id(self, channel_id: int, cursor: int) -> int:
        """Where to begin: the cursor, or the start of the window where something kept is recent enough."""
        window = window_start_id(self._clock(), self._refresh_days)
        if window >= cursor or not self._store.messages.ids_between(channel_id, window, cursor):
            return cursor
        return window

    def _fraction(self, start: int, position: int) -> float:
        now_ms = self._clock() * 1000
        begin = snowflake_ms(start) if start else snowflake_ms(self._server_id)
        return min(max((snowflake_ms(position) - begin) / max(now_ms - begin, 1.0), 0.0), 1.0)

    async def _wrong_server(self) -> ConfigurationError:
        guilds = await self._api.my_guilds()
        known = ", ".join(f"{guild['name']} ({guild['id']})" for guild in guilds) or "none"
        return ConfigurationError(
            f"The bot is not on the server {self._server_id} (SERVER_ID in .env).",
            f"Invite it there, or set SERVER_ID to one it is on: {known}.",
        )


def keep_access(store: Store, found: Sequence[Channel]) -> None:
    """Add the channels a server lists, and bring what is known about who may read them up to date."""
    store.channels.add(found)
    store.channels.update_access({new.id: partial(with_access_of, new=new) for new in found})


def window_start_id(now: float, days: int) -> int:
    """The snowflake of the moment `days` ago."""
    return max((int((now - days * 86_400) * 1000) - DISCORD_EPOCH_MS) << 22, _LONG_AGO)


def require_policy(store: Store) -> None:
    """The owner's yes to the collection policy, or FetchError."""
    if not policy.is_accepted(store.consents):
        raise FetchError(
            "The question about collecting messages has not been answered with yes.",
            "Run scripts/fetch_and_embed.py in a terminal, or answer it in the panel: Getting started.",
        )


def require_confirmed(store: Store, server: ServerView) -> None:
    """The owner's confirmation where the server is open to everyone or large, or FetchError."""
    if server.is_large and not policy.is_large_server_confirmed(store.consents, server.id):
        raise FetchError(
            policy.large_server_text(server.name, server.members, is_discoverable=server.is_discoverable),
            "Confirm it in a terminal: python scripts/fetch_and_embed.py --confirm-large-server.",
        )


def require_server(environment: Environment) -> int:
    """SERVER_ID, or a ConfigurationError that says where to put it."""
    if environment.server_id is None:
        raise ConfigurationError(
            "No Discord server is set.", "Enter its id in Settings > Discord, or as SERVER_ID in .env."
        )
    return environment.server_id
