"""What the panel reads several times a second, in one value: the bot, its controller, settings and jobs."""

from __future__ import annotations

from dataclasses import dataclass

from bot_controller import ControllerView
from storage.incidents import Incident
from storage.jobs.runner import SettingUp
from storage.records import BotStatus, Job
from storage.settings import Settings


@dataclass(frozen=True)
class ControllerLook:
    """The controller's view, flattened: `state` is lower-case ('running', 'backoff', ...)."""

    state: str = "stopped"
    pid: int | None = None
    detail: str = ""
    cure: str = ""
    seconds_until_retry: float | None = None
    is_adopted: bool = False
    crashes: int = 0

    @classmethod
    def of(cls, view: ControllerView) -> ControllerLook:
        """From bot_controller.ControllerView."""
        return cls(
            view.state.value, view.pid, view.detail, view.cure, view.seconds_until_retry, view.is_adopted, view.crashes
        )


@dataclass(frozen=True)
class Pulse:
    """One reading. `jobs` are running now; `finished` are the newest ended ones, newest first.

    setting_up: jobs that install what they need before they can report. incidents: what interrupted the bot lately.
    """

    now: float
    controller: ControllerLook
    status: BotStatus | None
    settings: Settings
    jobs: tuple[Job, ...] = ()
    finished: tuple[Job, ...] = ()
    setting_up: tuple[SettingUp, ...] = ()
    incidents: tuple[Incident, ...] = ()

    @property
    def is_alive(self) -> bool:
        """True while a bot process exists."""
        return self.controller.state in ("starting", "running", "stopping")
