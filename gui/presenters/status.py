"""The bot's state in words: one pill, one sentence, six facts, and which buttons make sense."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.snapshot import Pulse
from storage.records import BotStatus, ExitCode, ModelState
from storage.settings import MEMORY_LIMIT_GB, MEMORY_WARN_GB, QUIET_UNTIL

GIGABYTE = 1_000_000_000
# What fits beside the other five facts, with the size behind it.
MODEL_NAME_LENGTH = 22


@dataclass(frozen=True, slots=True)
class Fact:
    """A small figure with its name. tone: a colour name when it deserves attention."""

    label: str
    value: str
    tone: str = "text"


@dataclass(frozen=True, slots=True)
class StatusView:
    """Everything the head of Home, the sidebar and the tray show."""

    tone: str
    title: str
    detail: str
    facts: tuple[Fact, ...]
    problem: str = ""
    cure: str = ""
    action: str = texts.BUTTON_LOGS
    place: str = "logs"
    can_start: bool = False
    can_stop: bool = False
    can_restart: bool = False
    can_force: bool = False
    can_free: bool = False
    is_quiet: bool = False
    is_alive: bool = False

    @property
    def tray(self) -> str:
        """Which of the four tray pictures fits."""
        return {"good": "running", "busy": "busy", "bad": "error"}.get(self.tone, "stopped")


def status_view(pulse: Pulse, *, clicked: str = "") -> StatusView:
    """`clicked` is a wish not yet taken up ('start', 'stop', 'restart', 'force'): it shows at once."""
    tone, title, detail = _headline(pulse, clicked)
    problem, cure = _problem(pulse)
    action, place = _way_out(pulse, f"{problem} {cure}")
    state, waits = pulse.controller.state, bool(clicked)
    return StatusView(
        tone,
        title,
        detail,
        _facts(pulse),
        problem,
        cure,
        action,
        place,
        can_start=not waits and state in ("stopped", "failed", "backoff"),
        can_stop=not waits
        and state in ("starting", "running", "backoff", "failed")
        and (state != "failed" or pulse.controller.seconds_until_retry is not None),
        can_restart=not waits and state == "running",
        can_force=state in ("starting", "running", "stopping") and clicked != "force",
        can_free=not waits and state == "running" and _holds_model(pulse.status),
        is_quiet=_is_quiet(pulse),
        is_alive=pulse.is_alive,
    )


def _headline(pulse: Pulse, clicked: str) -> tuple[str, str, str]:
    state, status = pulse.controller.state, pulse.status
    if clicked == "start":
        return "busy", texts.STATE_STARTING, texts.DETAIL_STARTING
    if clicked in ("stop", "force") or state == "stopping":
        return "busy", texts.STATE_STOPPING, texts.DETAIL_STOPPING
    if clicked == "restart":
        return "busy", texts.STATE_STOPPING, texts.DETAIL_STOPPING
    if state == "backoff":
        seconds = max(1, round(pulse.controller.seconds_until_retry or 0))
        return "busy", texts.STATE_RESTARTING.format(seconds=seconds), _why_backoff(pulse)
    if state == "failed":
        retry = pulse.controller.seconds_until_retry
        detail = pulse.controller.detail or texts.DETAIL_STOPPED
        if _is_setup(pulse):
            is_token = "token" in pulse.controller.detail.lower()
            return "busy", texts.STATE_NO_TOKEN if is_token else texts.STATE_SETUP, detail
        title = texts.STATE_ERROR if retry is None else texts.STATE_RETRY_LATER.format(span=words.duration(retry))
        return "bad", title, detail
    if state == "starting":
        return _starting(status)
    if state == "running" and status is not None:
        return _running(pulse, status)
    return "idle", texts.STATE_STOPPED, _why_stopped(pulse)


def _starting(status: BotStatus | None) -> tuple[str, str, str]:
    if status is not None and status.model_state is ModelState.LOADING and status.exit_code is None:
        return "busy", texts.STATE_LOADING, texts.DETAIL_LOADING
    return "busy", texts.STATE_STARTING, texts.DETAIL_STARTING


def _running(pulse: Pulse, status: BotStatus) -> tuple[str, str, str]:
    if status.model_state is ModelState.LOADING:
        return "busy", texts.STATE_LOADING, texts.DETAIL_LOADING
    if status.model_state is ModelState.FAILED:
        return "bad", texts.STATE_NO_MODEL, status.model_error or texts.MODEL_FAILED_TITLE
    if status.mode == "offline":
        return "good", texts.STATE_OFFLINE, texts.DETAIL_OFFLINE
    if not status.is_connected:
        return "busy", texts.STATE_CONNECTING, texts.DETAIL_CONNECTING
    if _is_quiet(pulse):
        return "busy", texts.STATE_QUIET, texts.DETAIL_QUIET.format(until=words.clock(_quiet_until(pulse)))
    if status.latency_ms is None:
        return "good", texts.STATE_RUNNING, texts.DETAIL_RUNNING
    return "good", texts.STATE_RUNNING, texts.DETAIL_RUNNING_LATENCY.format(latency=round(status.latency_ms))


def _is_setup(pulse: Pulse) -> bool:
    """What keeps the bot from running is something the owner has still to enter, not something that broke."""
    said = f"{pulse.controller.detail} {pulse.controller.cure}"
    return pulse.controller.state == "failed" and "Settings > Discord" in said and " set." in pulse.controller.detail


def _way_out(pulse: Pulse, said: str) -> tuple[str, str]:
    """The button beside a problem and where it leads: the place its cure names, the logs where it names none."""
    if "Settings > Discord" in said or "token" in said.lower():
        return texts.BUTTON_TOKEN if "token" in said.lower() else texts.BUTTON_SETTINGS, "settings/Discord"
    if pulse.status is not None and pulse.is_alive and pulse.status.model_state is ModelState.FAILED:
        return texts.BUTTON_SETTINGS, "settings/Model"
    if (found := re.search(r"Settings > (\w+)", said)) is not None:
        return texts.BUTTON_SETTINGS, f"settings/{found[1]}"
    if "Training" in said:
        return texts.BUTTON_TRAINING, "training"
    return texts.BUTTON_LOGS, "logs"


def _holds_model(status: BotStatus | None) -> bool:
    return (
        status is not None and status.model_state is ModelState.READY and not (status.is_resting or status.is_borrowed)
    )


def clock_is_ahead(pulse: Pulse | None) -> float:
    """By how many seconds the computer's clock is ahead of Discord's, as far as a running bot knows."""
    if pulse is None or pulse.status is None or not pulse.is_alive:
        return 0.0
    return pulse.status.clock_is_ahead


def _is_quiet(pulse: Pulse) -> bool:
    return pulse.settings[QUIET_UNTIL] > pulse.now - clock_is_ahead(pulse)


def _quiet_until(pulse: Pulse) -> float:
    """As the computer's own clock shows it."""
    return pulse.settings[QUIET_UNTIL] + clock_is_ahead(pulse)


def _why_backoff(pulse: Pulse) -> str:
    return pulse.controller.detail or texts.DETAIL_BACKOFF


def _why_stopped(pulse: Pulse) -> str:
    status = pulse.status
    if status is None:
        return texts.DETAIL_NEVER
    if status.exit_code not in (None, ExitCode.STOPPED, ExitCode.RESTART) and status.exit_reason:
        return texts.DETAIL_STOPPED_REASON.format(
            ago=words.ago(pulse.now - status.heartbeat_at), reason=status.exit_reason
        )
    return texts.DETAIL_STOPPED


def _problem(pulse: Pulse) -> tuple[str, str]:
    status, settings, controller = pulse.status, pulse.settings, pulse.controller
    if controller.state == "failed":
        return controller.detail, controller.cure
    if status is None:
        return "", ""
    if not pulse.is_alive:
        is_bad = status.exit_code == ExitCode.CONFIGURATION and controller.state == "stopped"
        return (status.exit_reason or status.last_error, status.last_error_cure) if is_bad else ("", "")
    if status.model_state is ModelState.FAILED:
        return status.model_error or texts.MODEL_FAILED_TITLE, texts.MODEL_FAILED_CURE
    if status.last_error:
        return status.last_error, status.last_error_cure
    if status.memory_bytes > settings[MEMORY_WARN_GB] * GIGABYTE:
        limit = words.size(settings[MEMORY_LIMIT_GB] * GIGABYTE)
        return (
            texts.MEMORY_WARNING.format(
                used=words.size(status.memory_bytes), limit=words.size(settings[MEMORY_WARN_GB] * GIGABYTE)
            ),
            texts.MEMORY_WARNING_CURE.format(limit=limit),
        )
    return "", ""


def _facts(pulse: Pulse) -> tuple[Fact, ...]:
    status = pulse.status
    if status is None or not pulse.is_alive or status.exit_code is not None:
        empty = (
            texts.FACT_UPTIME,
            texts.FACT_MEMORY,
            texts.FACT_MODEL,
            texts.FACT_LATENCY,
            texts.FACT_LAST_REPLY,
            texts.FACT_QUEUE,
        )
        return tuple(Fact(label, texts.NONE, "faint") for label in empty)
    return (
        Fact(texts.FACT_UPTIME, words.duration(pulse.now - status.started_at)),
        _memory(pulse, status),
        _model(status),
        _discord(status),
        _last_reply(pulse, status),
        Fact(texts.FACT_QUEUE, str(status.queue_length), "busy" if status.queue_length > 3 else "text"),
    )


def _memory(pulse: Pulse, status: BotStatus) -> Fact:
    used = status.memory_bytes
    tone = "text"
    if used > pulse.settings[MEMORY_LIMIT_GB] * GIGABYTE:
        tone = "bad"
    elif used > pulse.settings[MEMORY_WARN_GB] * GIGABYTE:
        tone = "busy"
    return Fact(texts.FACT_MEMORY, words.size(used) if used else texts.NONE, tone)


def _model(status: BotStatus) -> Fact:
    if status.model_state is ModelState.READY and status.is_resting:
        return Fact(texts.FACT_MODEL, texts.MODEL_RESTING, "muted")
    if status.model_state is ModelState.READY:
        size = f" · {words.size(status.model_bytes)}" if status.model_bytes else ""
        return Fact(texts.FACT_MODEL, f"{words.middle(status.model_name, MODEL_NAME_LENGTH)}{size}")
    named = {ModelState.LOADING: (texts.MODEL_LOADING, "busy"), ModelState.FAILED: (texts.MODEL_FAILED, "bad")}
    text, tone = named.get(status.model_state, (texts.MODEL_NONE, "faint"))
    return Fact(texts.FACT_MODEL, text, tone)


def _discord(status: BotStatus) -> Fact:
    if status.mode == "offline":
        return Fact(texts.FACT_LATENCY, texts.DISCORD_OFFLINE, "muted")
    if not status.is_connected:
        return Fact(texts.FACT_LATENCY, texts.DISCORD_OFF, "busy")
    return Fact(texts.FACT_LATENCY, f"{status.latency_ms:.0f} ms" if status.latency_ms is not None else "connected")


def _last_reply(pulse: Pulse, status: BotStatus) -> Fact:
    if status.last_reply_at is None:
        return Fact(texts.FACT_LAST_REPLY, texts.NONE, "faint")
    took = f"{status.last_reply_seconds:.1f} s, " if status.last_reply_seconds is not None else ""
    return Fact(texts.FACT_LAST_REPLY, took + words.ago(pulse.now - status.last_reply_at))


def tray_tip(pulse: Pulse, view: StatusView) -> str:
    """The tooltip: state, and while it runs replies and memory."""
    if not pulse.is_alive or pulse.status is None:
        return texts.TRAY_TIP.format(app=texts.APP_NAME, state=view.title)
    return texts.TRAY_TIP_STATS.format(
        app=texts.APP_NAME,
        state=view.title,
        replies=words.plural(pulse.status.replies, "reply", "replies"),
        memory=words.size(pulse.status.memory_bytes),
    )
