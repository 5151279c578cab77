"""Quiet hours as people type them: one reading for the settings room, the commands and the bot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gui.presenters import settings as room
from storage.errors import SettingError
from storage.quiet_hours import is_quiet_time, is_span, read_quiet_hours, step_time, tidy_quiet_hours
from storage.settings import QUIET_HOURS, RESPONSE_RATE, parse_stored
from tests.support import hostile_text


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("23:00-07:30", "23:00-07:30"),
        ("23-7", "23:00-07:00"),
        ("7-23", "07:00-23:00"),
        ("22:00–06:00", "22:00-06:00"),
        ("22:00 — 06:00", "22:00-06:00"),
        ("23.00-07.30", "23:00-07:30"),
        ("11pm-7am", "23:00-07:00"),
        ("11 PM to 7:30 a.m.", "23:00-07:30"),
        ("from 11 p. m. until 7 am", "23:00-07:00"),
        ("between 23h and 7h", "23:00-07:00"),
        ("22h30-6h", "22:30-06:00"),
        ("2230-0615", "22:30-06:15"),
        ("midnight to noon", "00:00-12:00"),
        ("12am-6am", "00:00-06:00"),
        ("12pm-2pm", "12:00-14:00"),
        ("24:00-7", "00:00-07:00"),
        ("22-24", "22:00-00:00"),
        ("11pm-7", "23:00-07:00"),
        ("9-5pm", "09:00-17:00"),
        ("11-7am", "23:00-07:00"),
        ("22-6am", "22:00-06:00"),
        ("23 Uhr bis 7 Uhr", "23:00-07:00"),
        ("２３：００－７：００", "23:00-07:00"),
        ("  ", ""),
        ("off", ""),
    ],
)
def test_what_people_type_is_read_and_stored_in_one_way(typed: str, stored: str) -> None:
    assert QUIET_HOURS.parse(typed) == stored
    assert QUIET_HOURS.parse(stored) == stored
    assert room.check(QUIET_HOURS, typed) == ""


@pytest.mark.parametrize(
    "typed",
    [
        "25:00-nonsense",
        "nonsense",
        "23:00",
        "23:60-7",
        "13pm-7am",
        "0am-7am",
        "25-7",
        "7:5-9",
        "23-7-9",
        "22:00 07:00",
        "weekend 23-7",
        "-5",
        "1e3-7",
        "23:00-07:00Z",
        "24:30-7",
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence_and_a_way_out(typed: str) -> None:
    with pytest.raises(SettingError, match=r"clock|not a valid time span") as refused:
        QUIET_HOURS.parse(typed)
    assert "23-7" in refused.value.cure
    assert room.check(QUIET_HOURS, typed) == refused.value.text()


@pytest.mark.parametrize("typed", ["0:00 to 23:59", "00:00-24:00", "0-0", "23:00-23:00", "7-6:45", "12am-11:59pm"])
def test_a_whole_day_is_no_quiet_hours(typed: str) -> None:
    with pytest.raises(SettingError, match="whole day"):
        QUIET_HOURS.parse(typed)


@pytest.mark.parametrize(
    ("span", "minute", "quiet"),
    [
        ("23:00-07:30", 23 * 60, True),
        ("23:00-07:30", 450, False),
        ("23:00-07:30", 449, True),
        ("23-7", 0, True),
        ("22-24", 1439, True),
        ("22-24", 0, False),
        ("09:00 - 17:00", 600, True),
        ("09:00-17:00", 1020, False),
        ("", 0, False),
        ("nonsense", 0, False),
    ],
)
def test_quiet_hours_may_pass_midnight(span: str, minute: int, quiet: bool) -> None:
    assert is_quiet_time(span, minute) is quiet


def test_a_value_stored_by_an_earlier_version_is_read_or_left_out() -> None:
    assert parse_stored([("quiet_hours", '"23-7"')])[QUIET_HOURS] == "23:00-07:00"
    assert parse_stored([("quiet_hours", '"25:00-nonsense"')])[QUIET_HOURS] == ""


def test_thousands_of_spaces_are_read_as_one() -> None:
    assert tidy_quiet_hours("23" + " " * 20_000 + "-" + " " * 20_000 + "7") == "23:00-07:00"
    with pytest.raises(SettingError):
        tidy_quiet_hours("23" + " " * 20_000 + "7")


@given(hostile_text.text)
def test_anything_typed_is_read_or_refused_and_reading_it_again_changes_nothing(words: str) -> None:
    try:
        tidy = tidy_quiet_hours(words)
    except SettingError as error:
        assert error.cure
        return
    assert tidy_quiet_hours(tidy) == tidy


@given(st.integers(0, 1439), st.integers(0, 1439))
def test_a_span_holds_exactly_its_minutes(start: int, end: int) -> None:
    text = f"{start // 60}:{start % 60:02d}-{end // 60}:{end % 60:02d}"
    try:
        span = read_quiet_hours(text)
    except SettingError:
        assert (end - start) % 1440 == 0 or (end - start) % 1440 > 1410
        return
    assert span is not None
    assert sum(span.contains(minute) for minute in range(1440)) == (end - start) % 1440


def test_the_rate_is_said_and_read_in_percent_everywhere() -> None:
    assert room.value_text(RESPONSE_RATE, 0.05) == "5 %"
    assert room.value_text(RESPONSE_RATE, 0.125) == "12.5 %"
    assert [RESPONSE_RATE.parse(room.typed(RESPONSE_RATE, raw)) for raw in ("5", "5 %", "12,5", "100%", "0")] == [
        0.05,
        0.05,
        0.125,
        1.0,
        0.0,
    ]
    assert room.check(RESPONSE_RATE, "101")
    assert room.check(RESPONSE_RATE, "often")
    assert "0.05" not in room.reset_tip(RESPONSE_RATE)
    row = next(row for row in room.rows_of("Behaviour") if row.key == RESPONSE_RATE.key)
    assert "%" in row.help
    assert "0 to 1" not in row.help


@pytest.mark.parametrize(
    ("time", "minutes", "after"),
    [
        ("22", 15, "22:15"),
        ("7.10", 15, "07:15"),
        ("7.10", -15, "07:00"),
        ("00:00", -15, "23:45"),
        ("23:50", 60, "00:00"),
        ("11pm", -60, "22:00"),
        ("nonsense", 15, "nonsense"),
        ("", 15, ""),
    ],
)
def test_a_time_steps_to_the_next_quarter_or_hour_and_nonsense_stays(time: str, minutes: int, after: str) -> None:
    assert step_time(time, minutes) == after


@pytest.mark.parametrize(
    ("text", "expected"), [("22:00", False), ("22-", False), ("23-7", True), ("0:00 to 23:59", True), ("", False)]
)
def test_a_whole_span_is_told_from_half_of_one(text: str, expected: bool) -> None:
    assert is_span(text) is expected
