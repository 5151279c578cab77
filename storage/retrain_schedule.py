"""When a round of training begins on its own: once tonight, or every night that has brought enough new messages."""

from __future__ import annotations

import time

from storage.jobs.kinds import JobKind
from storage.settings import RETRAIN_AT_NIGHT, RETRAIN_REMINDER
from storage.store import Store

NIGHT_HOUR, NIGHT_HOURS = 2, 4
TONIGHT_FACT = "retrain_tonight_at"
# At most one round a night, however it ended.
BETWEEN_SECONDS = 18 * 3600.0


def next_night(now: float) -> float:
    """The next 02:00 of the computer's own time, seconds since 1970."""
    local = time.localtime(now)
    tonight = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, NIGHT_HOUR, 0, 0, 0, 0, -1))
    if tonight > now:
        return tonight
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday + 1, NIGHT_HOUR, 0, 0, 0, 0, -1))


def plan_tonight(store: Store, *, now: float) -> float:
    """Train once tonight; returns when."""
    at = next_night(now)
    store.facts.set(TONIGHT_FACT, at)
    return at


def forget_tonight(store: Store) -> None:
    """Not tonight after all."""
    store.facts.set(TONIGHT_FACT, 0.0)


def planned_tonight(store: Store, *, now: float) -> float:
    """When a round is planned, 0.0 for none; one whose night has passed while the computer was off is none."""
    at = store.facts.get(TONIGHT_FACT, 0.0)
    return at if at and now < at + NIGHT_HOURS * 3600 else 0.0


def take_due(store: Store, *, now: float) -> bool:
    """Whether a round should begin now; true once, for whoever starts it."""
    last = store.jobs.latest(JobKind.RETRAIN)
    if last is not None and (last.is_active or now - last.started_at < BETWEEN_SECONDS):
        return False
    planned = planned_tonight(store, now=now)
    if planned:
        if now < planned:
            return False
        forget_tonight(store)
        return True
    settings = store.settings.read()
    is_night = NIGHT_HOUR <= time.localtime(now).tm_hour < NIGHT_HOUR + NIGHT_HOURS
    if not (settings[RETRAIN_AT_NIGHT] and is_night and settings[RETRAIN_REMINDER]):
        return False
    prepared = store.jobs.latest(JobKind.PREPARE)
    since = prepared.started_at if prepared is not None else 0.0
    return store.messages.count_since(since) >= settings[RETRAIN_REMINDER]
