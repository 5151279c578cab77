"""Reads one channel into the store, page by page, and judges what it did not find.

A page and its cursor are stored in one transaction, so a reading may be cut off anywhere and continues there. The order
inside a page is never relied on. Nothing is taken for deleted because a page was empty, short or without words.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from data.access import INTENT_CURE, Access
from data.chat.absence import Absence, are_words_withheld, judge_absence
from data.discord_objects import message_from_object
from data.fetcher_api import PAGE_SIZE, DiscordRest, Json
from data.privacy import Skip, skip_reason
from storage.jobs.progress import ProgressCallback
from storage.jobs.results import ChannelFetched
from storage.records import DISCORD_EPOCH_MS, Channel, snowflake_ms
from storage.store import Store

log = logging.getLogger(__name__)
_LONG_AGO = 0
_LARGEST_ID = 2**63 - 1
# What was hidden as missing so long ago at most is looked for again, whatever the window.
LOOK_AGAIN_DAYS = 30


@dataclass
class ChannelResult:
    """What one channel, thread or post gave.

    missing: hidden, because they were not found between two messages that were. returned: hidden before and found.
    unclear: not found, too many to believe; nothing was done to them. deleted: missed on enough days and erased.
    """

    id: int
    name: str
    new: int = 0
    edited: int = 0
    deleted: int = 0
    missing: int = 0
    returned: int = 0
    unclear: int = 0
    kept: int = 0
    requests: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    cure: str = ""

    @property
    def question(self) -> str:
        """What only the owner can answer, '' when nothing is unclear."""
        if not self.unclear:
            return ""
        return f"{self.unclear:,} of {self.kept:,} messages kept from it were not there; nothing was changed"

    def as_result(self) -> ChannelFetched:
        """What the job leaves in its row."""
        return ChannelFetched(
            id=self.id,
            name=self.name,
            new=self.new,
            edited=self.edited,
            deleted=self.deleted,
            missing=self.missing,
            returned=self.returned,
            unclear=self.unclear,
            requests=self.requests,
            skipped=dict(self.skipped),
            problem=self.problem,
            cure=self.cure,
        )


@dataclass
class _Reading:
    """One pass through a channel: where it began, what was kept before the first request, and what it found."""

    place: Channel
    result: ChannelResult
    start: int
    newest_kept: int
    last_listed: int
    found: set[int] = field(default_factory=set)

    @property
    def end(self) -> int:
        return max(self.found, default=self.start)


class ChannelReader:
    """Reads channels of one server. `look_again`: the bot's access as it is at this moment."""

    def __init__(
        self,
        store: Store,
        api: DiscordRest,
        *,
        server_id: int,
        refresh_days: int,
        clock: Callable[[], float],
        report: ProgressCallback,
        look_again: Callable[[], Any],
    ) -> None:
        self._store = store
        self._api = api
        self._server_id = server_id
        self._refresh_days = refresh_days
        self._clock = clock
        self._report = report
        self._look_again = look_again

    def start_id(self, channel_id: int) -> int:
        """Where to begin: the cursor, or before it, where something kept is recent or missing."""
        cursor = self._store.messages.cursor(channel_id)
        begin = min(cursor, self._first_to_settle(channel_id))
        window = window_start_id(self._clock(), self._refresh_days)
        if window < begin and self._store.messages.ids_between(channel_id, window, cursor):
            begin = window
        if begin == cursor:
            return cursor
        # One message more: only between two that are read can one be missing.
        below = self._store.messages.id_below(channel_id, begin + 1)
        return below - 1 if below else begin

    async def read(self, place: Channel, result: ChannelResult, *, last_listed: int, done: float, share: float) -> None:
        """Forwards from the start of the window. last_listed: the newest message id the server names, 0 if none.

        done, share: of the whole fetch, for the progress.
        """
        start = position = self.start_id(place.id)
        reading = _Reading(place, result, start, self._store.messages.newest_id(place.id), last_listed)
        is_checked = False
        while True:
            self._report(
                done + share * self._fraction(start, position), f"#{place.name}", done=result.new, unit="messages"
            )
            page, is_full = await self._page(reading, after=position)
            fresh = [raw for raw in page if int(raw["id"]) > position]
            if await self._is_withheld(reading, fresh):
                return
            if is_full and fresh and not is_checked:
                is_checked = True
                if await self._leaves_a_gap(reading, position, fresh):
                    await self._read_backwards(reading)
                    return
            end = max((int(raw["id"]) for raw in fresh), default=position)
            is_last = not fresh or (not is_full and end >= last_listed)
            if is_last and await self._was_shut_out(reading, end):
                return
            is_complete = is_last and (end > 0 or not last_listed)
            self._keep(reading, fresh, cursor=(place.id, end, is_complete))
            if is_last:
                self._conclude(reading)
                return
            position = end

    async def _page(self, reading: _Reading, **where: int) -> tuple[list[Json], bool]:
        """A page and whether it is full. A short one is asked for once more before it counts as the end."""
        page = await self._ask(reading, **where)
        is_at_end = where.get("after", -1) >= max(reading.last_listed, reading.newest_kept)
        if len(page) >= PAGE_SIZE or (not page and is_at_end):
            return page, len(page) >= PAGE_SIZE
        again = await self._ask(reading, **where)
        whole = {raw["id"]: raw for raw in (*page, *again)}
        # One that grew is full for our purpose: what follows it decides whether it was the last.
        return list(whole.values()), len(again) >= PAGE_SIZE or len(whole) > len(page)

    async def _ask(self, reading: _Reading, **where: int) -> list[Json]:
        reading.result.requests += 1
        return await self._api.history(reading.place.id, **where)

    async def _leaves_a_gap(self, reading: _Reading, position: int, page: list[Json]) -> bool:
        """Whether a full page is not the next one: a server may give the newest messages after an id instead."""
        first = min(int(raw["id"]) for raw in page)
        between = await self._ask(reading, before=first, limit=1)
        return any(int(raw["id"]) > position for raw in between)

    async def _read_backwards(self, reading: _Reading) -> None:
        """From the newest message down to the start; the cursor moves once, at the end."""
        before = _LARGEST_ID
        while True:
            page, _ = await self._page(reading, before=before)
            fresh = [raw for raw in page if reading.start < int(raw["id"]) < before]
            if await self._is_withheld(reading, fresh):
                return
            is_last = not fresh or any(int(raw["id"]) <= reading.start for raw in page)
            if is_last and not fresh and await self._shut_out_now(reading):
                return
            top = max(reading.end, *(int(raw["id"]) for raw in fresh)) if fresh else reading.end
            self._keep(reading, fresh, cursor=(reading.place.id, top, True) if is_last else None)
            if is_last:
                self._conclude(reading)
                return
            self._report(0.0, f"#{reading.place.name}", done=reading.result.new, unit="messages")
            before = min(int(raw["id"]) for raw in fresh)

    # ---- what an answer is worth --------------------------------------------------------------------------

    async def _is_withheld(self, reading: _Reading, page: list[Json]) -> bool:
        """True when a page came without its words: nothing of it is stored and the cursor stays before it."""
        kept = self._store.messages.get([int(raw["id"]) for raw in page])
        if not are_words_withheld(page, {i for i, message in kept.items() if message.content.strip()}):
            return False
        access: Access = await self._look_again()
        reading.result.problem = access.trouble(reading.place) or (
            f"Discord gave {len(page):,} messages without their words; nothing was changed"
        )
        reading.result.cure = INTENT_CURE
        return True

    async def _was_shut_out(self, reading: _Reading, end: int) -> bool:
        """True when the channel ends before what is known of it because the bot may not read it any more."""
        if end >= max(reading.newest_kept, reading.last_listed):
            return False
        return await self._shut_out_now(reading)

    async def _shut_out_now(self, reading: _Reading) -> bool:
        access: Access = await self._look_again()
        reading.result.problem = access.trouble(reading.place)
        if reading.result.problem:
            reading.result.cure = access.cure(reading.place)
        return bool(reading.result.problem)

    # ---- what is stored -----------------------------------------------------------------------------------

    def _keep(self, reading: _Reading, page: list[Json], *, cursor: tuple[int, int, bool] | None) -> None:
        reasons = {int(raw["id"]): skip_reason(raw) for raw in page}
        reading.found.update(reasons)
        reading.result.skipped.update(reason for reason in reasons.values() if reason is not None)
        away = {member.id for member in self._store.members.all() if member.is_opted_out}
        # What was edited into a bare link loses the words it had, as with any edit.
        links = self._store.messages.holds([i for i, reason in reasons.items() if reason is Skip.LINK])
        messages = [
            message_from_object(raw, is_read_by_bot=True)
            for raw in page
            if (reasons[int(raw["id"])] is None or int(raw["id"]) in links) and int(raw["author"]["id"]) not in away
        ]
        with self._store.messages_db.transaction():
            reading.result.returned += self._store.withheld.seen(list(reasons))
            saved = self._store.messages.save(messages, cursor=cursor, is_from_server=True)
        reading.result.new += saved.new
        reading.result.edited += saved.edited

    def _conclude(self, reading: _Reading) -> None:
        """At the end of a whole pass: what is kept, was here before the first request, and was not found."""
        place, result, now = reading.place, reading.result, self._clock()
        with self._store.messages_db.transaction():
            # Not newer ones: the running bot may have stored them meanwhile.
            kept = self._store.messages.ids_between(place.id, reading.start, reading.newest_kept)
            by_owner = self._store.withheld.kept_ids(place.id)
            hidden = self._store.withheld.missing_ids(place.id)
            absence = judge_absence([i for i in kept if i not in by_owner], hidden, reading.found)
            self._apply(place.id, result, absence, now)
        result.kept = len(kept)

    def _apply(self, channel_id: int, result: ChannelResult, absence: Absence, now: float) -> None:
        self._store.withheld.ask(channel_id, absence.ask, now=now)
        result.unclear = len(absence.ask)
        result.missing = self._store.withheld.mark_missing(absence.hide, now=now)
        settled = self._store.withheld.missed_again(absence.again, now=now)
        result.deleted = self._store.messages.delete(settled, erased_at=now)

    # ---- where in the channel -----------------------------------------------------------------------------

    def _first_to_settle(self, channel_id: int) -> int:
        since = self._clock() - LOOK_AGAIN_DAYS * 86_400
        oldest = self._store.withheld.oldest_unsettled(channel_id, since=since)
        return _LARGEST_ID if oldest is None else oldest - 1

    def _fraction(self, start: int, position: int) -> float:
        now_ms = self._clock() * 1000
        begin = snowflake_ms(start) if start else snowflake_ms(self._server_id)
        return min(max((snowflake_ms(position) - begin) / max(now_ms - begin, 1.0), 0.0), 1.0)


def window_start_id(now: float, days: int) -> int:
    """The snowflake of the moment `days` ago."""
    return max((int((now - days * 86_400) * 1000) - DISCORD_EPOCH_MS) << 22, _LONG_AGO)
