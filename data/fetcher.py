"""Collects what is new on the server, politely and only where the owner said yes.

It may be cut off anywhere and continues there. A recent window is read again for edits, deletions and late reactions.
A fetch never erases because of what it does not find, see `data.chat.absence`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from data.access import Access, read_access
from data.channel_reader import ChannelReader, ChannelResult
from data.chat.audience import with_access_of
from data.discord_objects import (
    CAN_HOLD_THREADS,
    THREAD_LISTS,
    WITH_MESSAGES,
    channels_from_objects,
)
from data.fetcher_api import DiscordRest, FetchError, Json, NoAccessError
from storage import policy
from storage.deletions import erase_due
from storage.environment import Environment
from storage.errors import ConfigurationError
from storage.forgetting import sweep_if_free
from storage.jobs.progress import ProgressCallback, silent
from storage.jobs.results import ChannelFound, DiscoverResult, FetchResult
from storage.people import PRIVATE_THREAD, THREAD_KINDS
from storage.records import Channel
from storage.settings import REFRESH_DAYS
from storage.store import Store

log = logging.getLogger(__name__)
QUESTION = (
    "Were they deleted on Discord? Answer in the panel, People & channels, or with --were-deleted / --keep-absent."
)


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
        """Whether the policy for large or public servers applies."""
        return policy.is_large(self.members, is_discoverable=self.is_discoverable)

    def as_result(self) -> DiscoverResult:
        """What the job leaves for the panel."""
        return DiscoverResult(
            self.id,
            self.name,
            self.members,
            self.is_discoverable,
            self.is_large,
            tuple(ChannelFound(c.id, c.name, c.kind, c.is_private) for c in self.channels),
        )


@dataclass(frozen=True)
class FetchSummary:
    """What a whole fetch did."""

    channels: tuple[ChannelResult, ...]

    @property
    def new(self) -> int:
        """Messages that were not known before."""
        return sum(channel.new for channel in self.channels)

    @property
    def edited(self) -> int:
        """Messages whose words changed since they were stored."""
        return sum(channel.edited for channel in self.channels)

    @property
    def deleted(self) -> int:
        """Messages that Discord said were deleted."""
        return sum(channel.deleted for channel in self.channels)

    @property
    def missing(self) -> int:
        """Messages that were not found again, and are out of sight until they are."""
        return sum(channel.missing for channel in self.channels)

    @property
    def attention(self) -> tuple[str, ...]:
        """Sentences for the owner: which channels could not be read, and which ask something."""
        said = [f"#{c.name}: {c.problem.rstrip('.')}." for c in self.channels if c.problem and c.cure]
        said += sorted({c.cure for c in self.channels if c.problem and c.cure})
        said += [f"#{c.name}: {c.question}. {QUESTION}" for c in self.channels if c.question]
        return tuple(said)

    def as_result(self) -> FetchResult:
        """What the job leaves in its row."""
        return FetchResult(
            self.new,
            self.edited,
            self.deleted,
            self.missing,
            self.attention,
            tuple(channel.as_result() for channel in self.channels),
        )


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
        report: ProgressCallback = silent,
    ) -> None:
        self._store = store
        self._api = api
        self._server_id = server_id
        self._clock = clock
        self._report = report
        self._reader = ChannelReader(
            store,
            api,
            server_id=server_id,
            refresh_days=store.settings.get(REFRESH_DAYS) if refresh_days is None else refresh_days,
            clock=clock,
            report=report,
            look_again=lambda: read_access(api, server_id),
        )
        # The newest message of each channel and thread, as the server lists it.
        self._last_listed: dict[int, int] = {}

    async def discover(self) -> ServerView:
        """Look at the server and add its channels to the list, switched off. Reads no messages."""
        try:
            guild = await self._api.guild(self._server_id)
        except NoAccessError:
            raise await self._wrong_server() from None
        listed = await self._api.channels(self._server_id)
        self._note_last(listed)
        found = channels_from_objects(guild, listed, bot_ids=[self._api.bot_id])
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
        erase_due(self._store, clock=self._clock)
        access = await read_access(self._api, self._server_id)
        results = self._lost_channels(server)
        places = await self._places(server, access, results)
        for number, place in enumerate(places):
            results.append(await self._fetch_place(place, access, number, len(places)))
        sweep_if_free(self._store)  # what was erased leaves the files as well
        return FetchSummary(tuple(results))

    def _note_last(self, raws: Iterable[Json]) -> None:
        self._last_listed |= {int(raw["id"]): int(raw.get("last_message_id") or 0) for raw in raws}

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

    async def _places(self, server: ServerView, access: Access, results: list[ChannelResult]) -> list[Channel]:
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
        # Where a channel cannot be read, neither can its threads: it is named once.
        parents = [c for c in chosen if c.kind in CAN_HOLD_THREADS and not access.trouble(c)]
        threads = await self._threads(parents, results)
        results += [_refused(c, access) for c in chosen if c.kind in THREAD_LISTS and access.trouble(c)]
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
        self._note_last(raws)
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
        return self._reader.start_id(thread_id) < cursor

    # ---- one channel ------------------------------------------------------------------------------------

    async def _fetch_place(self, place: Channel, access: Access, number: int, total: int) -> ChannelResult:
        if access.trouble(place):
            result = _refused(place, access)
            log.warning("#%s: %s", place.name, result.problem)
            self._store.channels.switch(place.id, is_access_lost=not access.can_see(place))
            return result
        result = ChannelResult(place.id, place.name)
        last_listed = self._last_listed.get(place.id, 0)
        try:
            await self._reader.read(place, result, last_listed=last_listed, done=number / total, share=1 / total)
        except NoAccessError as error:
            log.warning("#%s: %s", place.name, error.text())
            result.problem, result.cure = error.what, error.cure
            self._store.channels.switch(place.id, is_access_lost=True)
        else:
            self._store.channels.switch(place.id, is_access_lost=False)
        log.info(
            "#%s: %d new, %d edited, %d missing, %d deleted; %s",
            place.name,
            result.new,
            result.edited,
            result.missing,
            result.deleted,
            result.problem or result.question or "read to its end",
        )
        return result

    async def _wrong_server(self) -> ConfigurationError:
        guilds = await self._api.my_guilds()
        known = ", ".join(f"{guild['name']} ({guild['id']})" for guild in guilds) or "none"
        return ConfigurationError(
            f"The bot is not on the server {self._server_id} (SERVER_ID in .env).",
            f"Invite it there, or set SERVER_ID to one it is on: {known}.",
        )


def _refused(place: Channel, access: Access) -> ChannelResult:
    return ChannelResult(place.id, place.name, problem=access.trouble(place), cure=access.cure(place))


def keep_access(store: Store, found: Sequence[Channel]) -> None:
    """Add the channels a server lists, and bring what is known about who may read them up to date."""
    store.channels.add(found)
    store.channels.update_access({new.id: partial(with_access_of, new=new) for new in found})


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
