"""A round of training that begins on its own: once tonight, or every night with enough news."""

from __future__ import annotations

import time

from storage.records import Message
from storage.retrain_schedule import forget_tonight, next_night, plan_tonight, planned_tonight, take_due
from storage.settings import RETRAIN_AT_NIGHT, RETRAIN_REMINDER
from storage.store import Store

NOON = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))
NIGHT = time.mktime((2026, 11, 28, 2, 10, 0, 0, 0, -1))


def test_a_round_planned_for_tonight_begins_once_after_two(store: Store) -> None:
    assert next_night(NOON) == NIGHT - 600
    plan_tonight(store, now=NOON)
    assert not take_due(store, now=NOON)
    assert take_due(store, now=NIGHT)
    assert not take_due(store, now=NIGHT + 60)


def test_a_night_that_passed_while_the_computer_was_off_starts_nothing_in_the_morning(store: Store) -> None:
    plan_tonight(store, now=NOON)
    morning = NIGHT + 8 * 3600
    assert planned_tonight(store, now=morning) == 0.0
    assert not take_due(store, now=morning)
    plan_tonight(store, now=NOON)
    forget_tonight(store)
    assert not take_due(store, now=NIGHT)


def test_every_night_only_with_enough_new_messages_and_once_a_night(store: Store) -> None:
    store.settings.set(RETRAIN_AT_NIGHT, True, changed_by="test")
    store.settings.set(RETRAIN_REMINDER, 3, changed_by="test")
    messages = [Message(n << 22, 1, 10, "mira", "hello", 1_700_000_000_000) for n in (1, 2, 3)]
    store.messages.save(messages[:2])
    assert not take_due(store, now=NIGHT)
    store.messages.save(messages)
    assert not take_due(store, now=NOON)
    assert take_due(store, now=NIGHT)
    with store.jobs.running("retrain"):
        assert not take_due(store, now=time.time())
    store.settings.set(RETRAIN_AT_NIGHT, False, changed_by="test")
    assert not take_due(store, now=NIGHT)
