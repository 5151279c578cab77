"""What the panel reads several times a second, in one value: the bot, its controller, settings and jobs."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage.records import BotStatus, Job
from storage.settings import Settings


@dataclass(frozen=True)
class ControllerLook:
    """The controller's view, flattened: `state` is lower-case ('running', 'backoff', ...)."""

    state: str = "stopped"
    pid: int | None = None
    detail: str = ""
    seconds_until_retry: float | None = None
    starts_today: int = 0
    is_adopted: bool = False

    @classmethod
    def of(cls, view: Any) -> ControllerLook:
        """From bot_controller.ControllerView."""
        return cls(str(getattr(view.state, "value", view.state)).lower(), view.pid, view.detail,
                   view.seconds_until_retry, view.starts_today, view.is_adopted)


@dataclass(frozen=True)
class Pulse:
    """One reading. `jobs` are running now; `finished` are the newest ended ones, newest first."""

    now: float
    controller: ControllerLook
    status: BotStatus | None
    settings: Settings
    jobs: tuple[Job, ...] = ()
    finished: tuple[Job, ...] = ()

    @property
    def is_alive(self) -> bool:
        """True while a bot process exists."""
        return self.controller.state in ("starting", "running", "stopping")
