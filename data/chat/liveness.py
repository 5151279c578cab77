"""Whether the bot is alive and watched, from the rows it and its supervisor leave. Pure.

Both processes stamp their row every second or two; a stamp that has grown old means that nobody is there, whatever the
row says. A stamp from the future is a clock that was set back, not a dead process.
"""

from __future__ import annotations

from storage.records import BotPhase, BotStatus, Supervisor

# Fifteen times the interval of the stamps: a busy computer must not look like a dead bot.
BOT_FRESH_SECONDS = 15.0
SUPERVISOR_FRESH_SECONDS = 20.0


def is_bot_alive(status: BotStatus | None, *, now: float) -> bool:
    """True while a bot process reports itself, from its start to the end of its stopping. now: seconds since 1970."""
    return (
        status is not None
        and status.exit_code is None
        and status.phase is not BotPhase.STOPPED
        and now - status.heartbeat_at < BOT_FRESH_SECONDS
    )


def is_bot_serving(status: BotStatus | None, *, now: float) -> bool:
    """True while a bot is alive and has not begun to stop: it will do what it is asked for."""
    return status is not None and status.phase is not BotPhase.STOPPING and is_bot_alive(status, now=now)


def is_supervised(supervisor: Supervisor | None, *, now: float) -> bool:
    """True while a launcher watches the bot, which may then simply end."""
    return supervisor is not None and now - supervisor.heartbeat_at < SUPERVISOR_FRESH_SECONDS
