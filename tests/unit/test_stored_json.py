"""A row or small file that cannot be read is told once and counts as absent."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.catalog import resolve_model
from model.publishing.deployment import read_pointer
from storage import stored_json
from storage.environment import Environment
from storage.errors import KnownError
from storage.records import BotPhase, BotStatus, JobState
from storage.settings import TEMPERATURE
from storage.store import Store

NESTED = "[" * 100_000 + "]" * 100_000
BROKEN = [
    "",
    "{",
    "null",
    "[]",
    "7",
    '"x"',
    '{"phase": "odd"}',
    '{"phase": 1, "pid": "x"}',
    NESTED,
    "\x00",
    '{"pid": {}}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_spoiled_status_row_is_no_status(store: Store, body: str) -> None:
    """Fault 92: the launcher, the bot and the doctor read it first of all."""
    store.control_db.execute("INSERT INTO bot_status (id, pid, heartbeat_at, body) VALUES (1, 1, 1.0, ?)", (body,))
    assert store.status.read_bot() is None
    store.status.write_bot(BotStatus(1, BotPhase.RUNNING, 2.0, 1.0))
    assert store.status.read_bot() == BotStatus(1, BotPhase.RUNNING, 2.0, 1.0)


def test_one_spoiled_field_of_a_status_row_is_left_out(store: Store) -> None:
    """Fault 92."""
    body = '{"pid": 5, "phase": "running", "heartbeat_at": 1, "started_at": 1.5, "latency_ms": "x", "replies": 3}'
    store.control_db.execute("INSERT INTO bot_status (id, pid, heartbeat_at, body) VALUES (1, 1, 1.0, ?)", (body,))
    assert store.status.read_bot() == BotStatus(5, BotPhase.RUNNING, 1, 1.5, replies=3)


@pytest.mark.parametrize("body", BROKEN)
def test_a_spoiled_fact_is_its_default(store: Store, body: str) -> None:
    """Fault 92."""
    store.control_db.execute("INSERT INTO facts (key, value) VALUES ('f', ?)", (body,))
    for default in ({"a": 1}, (0, 0)):
        assert type(store.facts.get("f", default)) in (dict, tuple, list)
    assert isinstance(store.facts.get("f", 0.0), int | float)


@pytest.mark.parametrize("body", BROKEN)
def test_a_spoiled_setting_and_a_spoiled_job_do_not_stop_anybody(store: Store, body: str) -> None:
    """Fault 92."""
    store.control_db.execute(
        "INSERT INTO config (key, value, changed_by, changed_at) VALUES ('temperature', ?, 'x', 1)", (body,)
    )
    assert 0 <= store.settings.read()[TEMPERATURE] <= 1
    with store.jobs.running("fetch"):
        pass
    store.control_db.execute("UPDATE jobs SET result = ?, state = 'odd'", (body,))
    (job,) = store.jobs.recent()
    assert job.state is JobState.LOST
    assert isinstance(job.result, dict)


@pytest.mark.parametrize("text", [NESTED, '{"file": [[[]]]}', '{"file": {"file": "x"}}', "[]", "{", "\x00"])
def test_a_spoiled_pointer_to_the_model_is_a_sentence(store: Store, text: str) -> None:
    """Fault 92: nested without end it was a traceback at the start."""
    store.workspace.finetuned_models.mkdir(parents=True, exist_ok=True)
    (store.workspace.finetuned_models / "current.json").write_text(text, encoding="utf-8")
    for read in (
        lambda: read_pointer(store.workspace),
        lambda: resolve_model(store.workspace, store.settings.read(), Environment()),
    ):
        with pytest.raises(KnownError):
            read()


def test_it_is_told_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 92."""
    monkeypatch.setattr(stored_json, "_told", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert stored_json.read_json("{", "The fact 'x'", 7) == 7
    assert [record.message for record in caplog.records] == [
        "The fact 'x' cannot be read (JSONDecodeError); it counts as not there."
    ]


@given(st.text(max_size=50), st.sampled_from([None, 0, 0.5, True, "", [], {}, (1, 2)]))
def test_any_text_gives_a_value_of_the_defaults_kind(text: str, default: object) -> None:
    value = stored_json.read_json(text, "x", default)
    if isinstance(default, dict | str | bool):
        assert type(value) is type(default)
    elif isinstance(default, tuple):
        assert len(value) == 2
