"""What Live reads of the databases and writes into them; the functions run on the worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gui.components.room import Panel
from storage.live import LiveReading
from storage.records import Channel, CommandKind
from storage.store import Store
from storage.teaching import JudgedReply, Opinion, Taught, TaughtCounts

LINES = 40
DAY = 86_400.0
# How long the bot may take to carry out what it was asked; how often is looked.
OUTCOME_SECONDS, LOOK_MS = 12.0, 200
DONE = "done"


@dataclass(frozen=True)
class LiveData:
    """One reading, with everything that is said about it."""

    reading: LiveReading | None
    channels: dict[int, Channel] = field(default_factory=dict)
    marks: dict[int, Taught] = field(default_factory=dict)
    members: dict[int, tuple[int, int]] = field(default_factory=dict)
    taught: TaughtCounts = field(default_factory=TaughtCounts)
    drafts: tuple[Any, ...] = ()
    taught_mark: tuple[Any, ...] = ()


def read_live(
    store: Store, *, channel_id: int | None, only_spoken: bool, unless: tuple[Any, ...], limit: int = LINES
) -> LiveData:
    """Runs on the worker: the newest lines, or only the drafts while nothing else has changed."""
    taught_mark = (store.teaching.newest(), store.withdrawals.newest())
    reading = store.live.read(
        limit=limit,
        channel_id=channel_id,
        only_spoken=only_spoken,
        newest_withdrawal=hash(taught_mark),
        unless=unless,
    )
    if reading is None:
        return LiveData(None, drafts=store.notes.drafts())
    own = [entry.id for entry in reading.entries if entry.is_own]
    now = time.time()
    midnight = now - (now - time.timezone) % DAY
    return LiveData(
        reading,
        {channel.id: channel for channel in store.channels.all()},
        store.teaching.of_owner(own),
        store.teaching.members_balance(own),
        store.teaching.counts_since(midnight),
        reading.drafts,
        taught_mark,
    )


def judge(store: Store, reply_id: int, verdict: Opinion, *, better: str = "", flip: bool = False) -> None:
    """Runs on the worker. flip: the same word again takes it back."""
    known = store.teaching.of_owner([reply_id]).get(reply_id)
    if flip and known is not None and known.verdict is verdict and not known.better and not better:
        store.teaching.withdraw(reply_id)
        return
    reply = judged_reply(store, reply_id)
    if reply is not None:
        store.teaching.judge(reply, verdict, better=better)


def judged_reply(store: Store, reply_id: int) -> JudgedReply | None:
    """A reply as it can be judged, None when it is not there any more or was not the model's."""
    entry = store.live.entry(reply_id)
    return store.live.judged(entry.note) if entry is not None and entry.note is not None else None


def ask_bot(
    widget: Any,
    panel: Panel,
    kind: CommandKind,
    details: dict[str, Any],
    done: Callable[[], Any],
    refused: Callable[[str], Any],
) -> None:
    """Have the running bot do something and hear how it ended. widget: whose room it is for; nothing is told when it is
    gone. refused: gets the reason, '' when the bot never answered."""
    store, until = panel.store, time.monotonic() + OUTCOME_SECONDS

    def asked(number: int) -> None:
        panel.ask(lambda: store.commands.outcome(number), partial(told, number))

    def told(number: int, outcome: str) -> None:
        if not widget.winfo_exists():
            return
        if not outcome and time.monotonic() < until:
            widget.after(LOOK_MS, lambda: asked(number))
        elif outcome == DONE:
            done()
        else:
            refused(outcome)

    panel.ask(lambda: store.commands.ask(kind, asked_by="panel", details=details), asked)
