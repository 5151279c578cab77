"""A talk as a running bot leaves it in the databases: messages, decisions, replies and what they were made of."""

from __future__ import annotations

import os
import time
from typing import Any

from storage.live import ReplyNote
from storage.records import Activity, BotPhase, BotStatus, Channel, Message, ModelState
from storage.store import Store

LOUNGE, STOAT, WILLOW, BOT = 1000, 21, 22, 99
_FIRST = 1_400_000_000_000_000_000


def on_discord(**changes: Any) -> BotStatus:
    """The row of a bot that is connected; its process is this one."""
    now = time.time()
    values: dict[str, Any] = dict(
        pid=os.getpid(),
        phase=BotPhase.RUNNING,
        heartbeat_at=now,
        started_at=now - 7260,
        is_connected=True,
        model_state=ModelState.READY,
        model_name="server-voice 3",
    )
    return BotStatus(**(values | changes))


class Talk:
    """Says things in #lounge, one after another."""

    def __init__(self, store: Store) -> None:
        self.store, self._number = store, 0
        store.channels.add([Channel(LOUNGE, "lounge", learn=True, recall=True, speak=True, is_private=False)])

    def hear(
        self, text: str, *, author: int = STOAT, name: str = "stoat", reason: str = "", spoke: bool = False
    ) -> int:
        """A member's message and what was decided about it."""
        number = self._next()
        self.store.messages.save([Message(number, LOUNGE, author, name, text, self._ms(), username=name)])
        reason = reason or "rolled 0.61 against 5%"
        self.store.activity.add([Activity(time.time(), number, LOUNGE, author, name, spoke, reason, is_due=spoke)])
        return number

    def answer(self, asked: int, text: str, *, context: tuple[int, ...] = ()) -> int:
        """The bot's reply to a message."""
        number = self._next()
        said = Message(number, LOUNGE, BOT, "bot", text, self._ms(), is_own=True, reply_to_id=asked, username="bot")
        self.store.messages.save([said])
        about = self.store.activity.about(asked)
        assert about is not None
        done = Activity(about.at, asked, LOUNGE, STOAT, "stoat", True, about.reason, 1400.0, 600.0, reply_id=number)
        self.store.activity.settle([done])
        ids = context or (asked,)
        self.store.notes.add(ReplyNote(number, LOUNGE, asked, time.time(), "server-voice 3", (number,), ids, ids[:1]))
        return number

    def _next(self) -> int:
        self._number += 1
        return _FIRST + (self._number << 22)

    def _ms(self) -> int:
        return int(time.time() * 1000)
