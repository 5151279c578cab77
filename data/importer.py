"""Messages from files into the store: the whole file is checked before the first row is written."""

from __future__ import annotations

import hashlib
import logging
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from data.export_formats import Export, Item, read_channels
from data.export_objects import Fields
from data.exports import open_export
from data.privacy import Skip
from storage.errors import BadInputError
from storage.jobs.progress import ProgressCallback, silent
from storage.messages import Saved
from storage.records import Channel, Message
from storage.store import Store

log = logging.getLogger(__name__)

Enable = Literal["all"] | Sequence[int]
# listed: as the channel list says by its permission overwrites; a channel that says nothing is private.
Visibility = Literal["public", "private", "listed"]
_BATCH = 2_000
_REPORT_EVERY = 2_000
# Reading everything once to check it takes about a third of the time.
_CHECK_SHARE = 0.35


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What became of a file. considered: what people wrote = links + empty + kept."""

    file: str
    format: str
    read: int
    considered: int
    bots: int
    system: int
    links: int
    empty: int
    kept: int
    duplicates: int
    new: int
    edited: int
    channels: int
    channels_new: int

    def as_row(self) -> dict[str, Any]:
        """For a job row."""
        return asdict(self)


def import_file(
    store: Store,
    path: Path,
    *,
    channels_file: Path | None = None,
    enable: Enable | None = None,
    visibility: Visibility | None = None,
    guild_id: int | None = None,
    author: Fields | None = None,
    given_by: str = "owner",
    report: ProgressCallback = silent,
) -> ImportSummary:
    """Bring a file's messages into the store (`import_export`). `guild_id` chooses the server of a data package and
    `author` names its member where the package does not."""
    return import_export(
        store,
        open_export(path, guild_id=guild_id, author=author),
        channels_file=channels_file,
        enable=enable,
        visibility=visibility,
        given_by=given_by,
        report=report,
    )


def import_export(
    store: Store,
    export: Export,
    *,
    channels_file: Path | None = None,
    enable: Enable | None = None,
    visibility: Visibility | None = None,
    given_by: str = "owner",
    is_one_of_many: bool = False,
    report: ProgressCallback = silent,
) -> ImportSummary:
    """Bring an export's messages into the store; a second run of the same file changes nothing.

    The file is read twice: once to check every message (BadInputError: nothing was written), once to write
    them in short transactions, so that a running bot is never locked out. Cut short in the second pass, a
    rerun completes it. New channels come in off and private; `enable` and `visibility` are the owner's answers.
    is_one_of_many: the channels to enable may be in another of the files.
    """
    path, name = export.path, export.name
    listed = {channel.id: channel for channel in read_channels(channels_file)} if channels_file else {}
    stamp = _stamp(path)
    check = _Check()
    for item in _reported(export.items(), report, "Checking the file", 0.0, _CHECK_SHARE):
        check.add(item)
    check.refuse_contradictions(name)
    channels = _channels_of(check, export, listed, store)
    chosen = _chosen(enable, channels, store, name, may_be_elsewhere=is_one_of_many)
    if _stamp(path) != stamp:
        raise BadInputError(f"{name} changed while it was read.", "Wait until it is complete, then import it.")
    channels_new = store.channels.add(_described(channel, store, channel.id in listed) for channel in channels.values())
    _record_answers(store, chosen, channels, visibility, given_by)
    new, edited = _write(store, export, report)
    log.info("Imported %s: %d messages, %d new", name, check.read, new)
    return check.summary(name, export.format, new=new, edited=edited, channels=len(channels), channels_new=channels_new)


def member_of_package(store: Store, member_id: int) -> Fields:
    """A user object for --author: with the names known here, or a name that any other source replaces."""
    known = store.members.get(member_id)
    if known is None or not known.username:
        return {"id": member_id, "username": "", "global_name": f"member {member_id}"}
    return {"id": member_id, "username": known.username, "global_name": known.display_name}


class _Check:
    """The first pass: counts, ids and channels; 16 bytes a message."""

    def __init__(self) -> None:
        self.read = 0
        self.kept = 0
        self.skipped: Counter[Skip] = Counter()
        self.channel_ids: set[int] = set()
        self.duplicates = 0
        self._ids = array("q")
        self._origins = array("q")
        self._lines = array("q")

    def add(self, item: Item) -> None:
        message = item.parsed.message
        self.read += 1
        self.channel_ids.add(message.channel_id)
        self._ids.append(message.id)
        self._origins.append(_origin(message))
        self._lines.append(item.line)
        if item.parsed.skip is None:
            self.kept += 1
        else:
            self.skipped[item.parsed.skip] += 1

    def refuse_contradictions(self, name: str) -> None:
        """The same message twice is an overlap of exports; one id for two messages is a broken file."""
        import numpy as np

        ids = np.frombuffer(self._ids, dtype=np.int64) if self._ids else np.empty(0, dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        repeated = np.flatnonzero(ids[order][1:] == ids[order][:-1])
        self.duplicates = len(repeated)
        for place in repeated.tolist():
            first, second = int(order[place]), int(order[place + 1])
            if self._origins[first] != self._origins[second]:
                raise BadInputError(
                    f"{name}:{self._lines[second]}: the id {ids[second]} stands in line "
                    f"{self._lines[first]} for another author or channel.",
                    "Nothing of the file was kept; correct it or export it again.",
                )

    def summary(self, name: str, kind: str, **figures: int) -> ImportSummary:
        bots, system = self.skipped[Skip.BOT], self.skipped[Skip.SYSTEM]
        return ImportSummary(
            name,
            kind,
            self.read,
            considered=self.read - bots - system,
            bots=bots,
            system=system,
            links=self.skipped[Skip.LINK],
            empty=self.skipped[Skip.EMPTY],
            kept=self.kept,
            duplicates=self.duplicates,
            **figures,
        )


def _write(store: Store, export: Export, report: ProgressCallback) -> tuple[int, int]:
    new = edited = 0
    batch: list[Item] = []
    for item in _reported(export.items(), report, "Writing messages", _CHECK_SHARE, 1.0):
        if item.parsed.skip in (None, Skip.LINK):
            batch.append(item)
        if len(batch) == _BATCH:
            saved = _save(store, batch)
            new, edited = new + saved.new, edited + saved.edited
            batch.clear()
    saved = _save(store, batch)
    return new + saved.new, edited + saved.edited


def _save(store: Store, batch: Sequence[Item]) -> Saved:
    """Write what is kept. A message edited down to a bare link loses the words it had, as with any edit."""
    links = store.messages.get([item.parsed.message.id for item in batch if item.parsed.skip is not None])
    return store.messages.save(
        [item.parsed.message for item in batch if item.parsed.skip is None or item.parsed.message.id in links]
    )


def _origin(message: Message) -> int:
    text = f"{message.author_id}/{message.channel_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def _reported(items: Iterator[Item], report: ProgressCallback, step: str, start: float, end: float) -> Iterator[Item]:
    count = 0
    for count, item in enumerate(items, start=1):
        if count % _REPORT_EVERY == 0:
            report(start + (end - start) * item.fraction, step, done=count, unit="messages")
        yield item
    report(end, step, done=count, unit="messages")


def _channels_of(check: _Check, export: Export, listed: dict[int, Channel], store: Store) -> dict[int, Channel]:
    """The list's channels and those the file names; a channel nobody names gets its id as its name."""
    channels = {**export.channels, **listed}
    for channel_id in sorted(check.channel_ids - channels.keys()):
        channels[channel_id] = store.channels.get(channel_id) or Channel(channel_id, _unnamed(channel_id))
    return channels


def _described(channel: Channel, store: Store, is_listed: bool) -> Channel:
    """How a channel is added. Of one that is known, an old export changes neither name nor kind: a private thread must
    not become a channel. The owner's list does."""
    known = store.channels.get(channel.id)
    if known is None or is_listed or known.name == _unnamed(channel.id):
        return replace(channel, is_private=True)
    return replace(known, guild_id=known.guild_id or channel.guild_id)


def _unnamed(channel_id: int) -> str:
    return f"channel-{channel_id}"


def _chosen(
    enable: Enable | None, channels: dict[int, Channel], store: Store, name: str, *, may_be_elsewhere: bool
) -> list[int]:
    if enable is None:
        return []
    if enable == "all":
        return list(channels)
    unknown = [channel_id for channel_id in enable if channel_id not in channels and not store.channels.get(channel_id)]
    if may_be_elsewhere:
        return [int(channel_id) for channel_id in enable if channel_id not in unknown]
    if unknown:
        raise BadInputError(
            f"The channel {unknown[0]} is neither in {name} nor known.",
            "--enable-channels takes 'all' or channel ids, separated by commas.",
        )
    return [int(channel_id) for channel_id in enable]


def _record_answers(
    store: Store, chosen: Sequence[int], channels: dict[int, Channel], visibility: Visibility | None, given_by: str
) -> None:
    asked = chosen or (list(channels) if visibility else [])
    if not asked:
        return
    chosen_ids = set(chosen)
    with store.messages_db.transaction():
        for channel_id in asked:
            switches: dict[str, bool] = {"learn": True, "recall": True} if channel_id in chosen_ids else {}
            is_listed_private = channel_id not in channels or channels[channel_id].is_private
            if visibility == "listed" and is_listed_private:
                # Not the owner's word: a list without the server's roles cannot tell, and Discord may know better.
                store.channels.update_access({channel_id: lambda known: replace(known, is_private=True)})
            elif visibility is not None:
                switches["is_private"] = visibility == "private"
            if switches:
                store.channels.switch(channel_id, **switches)
        answer = f"{'enabled' if chosen else 'not enabled'}, {visibility or 'visibility not stated'}"
        store.consents.record(
            "import_channels",
            answer,
            given_by=given_by,
            wording=("Learn from and recall the messages of these channels: " + ", ".join(map(str, asked[:200]))),
        )


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
