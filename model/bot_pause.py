"""Stop the running bot for a while: training or an evaluation wants its memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from data.chat.liveness import is_bot_alive
from storage.errors import KnownError
from storage.records import BotStatus, CommandKind
from storage.store import Store
from storage.system.processes import spawn

_STOPS_WITHIN_SECONDS = 60.0


def running_bot(store: Store, *, now: float | None = None) -> BotStatus | None:
    """The bot's last report when it is alive, else None."""
    status = store.status.read_bot()
    return status if is_bot_alive(status, now=time.time() if now is None else now) else None


@contextmanager
def paused_bot(
    store: Store,
    *,
    asked_by: str,
    wait_seconds: float = _STOPS_WITHIN_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bool]:
    """The bot stopped around a block, and started again afterwards however the block ends. True if it was running."""
    bot = running_bot(store)
    if bot is None:
        yield False
        return
    store.commands.ask(CommandKind.STOP, asked_by=asked_by)
    try:
        if not _has_stopped(store, wait_seconds, sleep):
            raise KnownError("The bot did not stop in time.", "Stop it in the panel, then try again.")
        yield True
    finally:
        # Whatever happened, also while it was stopping: it is started again, and not before the old one is gone.
        _has_stopped(store, wait_seconds, sleep)
        spawn(store.workspace, "bot/run.py", [] if bot.mode == "discord" else ["--offline"], name="bot")


def _has_stopped(store: Store, wait_seconds: float, sleep: Callable[[float], None]) -> bool:
    deadline = time.monotonic() + wait_seconds
    while running_bot(store) is not None:
        if time.monotonic() > deadline:
            return False
        sleep(0.2)
    return True
