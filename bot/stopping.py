"""How the bot ends: asked once, in order, each step with a bound, the whole inside the supervisor's ten seconds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from storage.errors import ConfigurationError, KnownError
from storage.records import ExitCode

# The supervisor kills after ten seconds; some pass before the request is read and after the last step.
STOP_SECONDS = 7.5
LAST_RESORT_SECONDS = 9.0


@dataclass(frozen=True, slots=True)
class Ending:
    """The exit code and what the panel says about it."""

    code: int = ExitCode.STOPPED
    reason: str = ""
    cure: str = ""


class StopRequest:
    """Why and how the bot ends; the first request wins. From then on the steps of the stop share one allowance."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = asyncio.Event()
        self._clock = clock
        self._ends_at: float | None = None
        self.ending = Ending()

    def ask(self, exit_code: int, reason: str, *, cure: str = "", within: float = STOP_SECONDS) -> None:
        """End with this code, in order. within: seconds the whole stop may take, where the system allows less."""
        if not self._event.is_set():
            self.ending = Ending(exit_code, reason, cure)
            self.begin(within=within)
            self._event.set()

    def begin(self, *, within: float = STOP_SECONDS) -> None:
        """The time a stop may take runs from now, asked for or not."""
        if self._ends_at is None:
            self._ends_at = self._clock() + within

    def allow(self, seconds: float) -> float:
        """How long a step may take: `seconds`, or what is left of the whole when the bot is stopping."""
        return seconds if self._ends_at is None else max(min(seconds, self._ends_at - self._clock()), 0.0)

    @property
    def is_asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return once a stop is asked for; at once where it was."""
        await self._event.wait()


class LastResort:
    """Ends the process where an orderly stop gets stuck: a native call cannot be interrupted, only left behind."""

    def __init__(self, end: Callable[[Ending], None], *, seconds: float = LAST_RESORT_SECONDS) -> None:
        self._end = end
        self._seconds = seconds
        self._timer: threading.Timer | None = None

    def arm(self, ending: Ending) -> None:
        """From now on the process ends with `ending` unless `disarm` comes first."""
        self._timer = threading.Timer(self._seconds, self._end, (ending,))
        self._timer.name, self._timer.daemon = "last resort", True
        self._timer.start()

    def disarm(self) -> None:
        """The stop was orderly."""
        if self._timer is not None:
            self._timer.cancel()


def ending_of(error: BaseException) -> Ending:
    """How the bot ends when this ended its work."""
    if isinstance(error, KnownError):
        code = ExitCode.CONFIGURATION if isinstance(error, ConfigurationError) else ExitCode.CRASH
        return Ending(code, error.what, error.cure)
    return Ending(ExitCode.CRASH, f"Unexpected error: {type(error).__name__}: {error}"[:300])
