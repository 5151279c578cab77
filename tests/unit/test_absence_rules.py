"""What a fetch may conclude from what it did not find: pure rules, examples as a table."""

from __future__ import annotations

from typing import Any

import pytest

from data.chat.absence import Absence, are_words_withheld, is_hollow, judge_absence


def person(message_id: int, content: str = "", **more: Any) -> dict[str, Any]:
    return {"id": str(message_id), "type": 0, "author": {"id": "7", "username": "mira"}, "content": content} | more


@pytest.mark.parametrize(
    ("kept", "hidden", "found", "expected"),
    [
        # one between two others is missing; at either end nothing proves that it was looked at
        (range(1, 11), [], {1, 2, 3, 5, 6, 7, 8, 9, 10}, Absence(hide=(4,))),
        (range(1, 11), [], set(range(2, 11)), Absence()),
        (range(1, 11), [], set(range(1, 10)), Absence()),
        # found again, or missed again
        (range(1, 11), [11, 12], {*range(1, 11), 11, 13}, Absence(again=(12,))),
        # a fifth is believed, one more is not
        (range(1, 11), [], set(range(1, 11)) - {4, 5}, Absence(hide=(4, 5))),
        (range(1, 11), [], set(range(1, 11)) - {4, 5, 6}, Absence(ask=(4, 5, 6))),
        # fifty of a thousand are believed, fifty-one are not; and then what is hidden counts no day either
        (range(1000), [], set(range(1000)) - set(range(100, 150)), Absence(hide=tuple(range(100, 150)))),
        (range(1000), [1001], {*range(1000), 1002} - set(range(100, 151)), Absence(ask=tuple(range(100, 151)))),
        # an empty answer
        (range(1, 201), [], set(), Absence(ask=tuple(range(1, 201)))),
        ([], [5], set(), Absence()),
        ([], [], set(), Absence()),
    ],
)
def test_what_follows_from_a_reading(kept: Any, hidden: list[int], found: set[int], expected: Absence) -> None:
    """Fault 61."""
    assert judge_absence(list(kept), hidden, found) == expected


@pytest.mark.parametrize(
    "content",
    [
        {"content": "words"},
        {"attachments": [{"filename": "a.png"}]},
        {"sticker_items": [{"name": "wave"}]},
        {"poll": {"question": {"text": "?"}}},
        {"message_snapshots": [{"message": {}}]},
        {"embeds": [{"title": "x"}]},
        {"author": {"id": "9", "bot": True}},
        {"webhook_id": "5"},
        {"type": 7},
    ],
)
def test_what_somebody_may_really_send_is_not_taken_for_withheld(content: dict[str, Any]) -> None:
    assert not is_hollow(person(1) | content)
    assert is_hollow(person(1))
    assert is_hollow(person(1, " \n"))


def test_words_are_withheld_when_most_of_a_page_has_none_and_not_for_one_odd_message() -> None:
    """Fault 62."""
    assert are_words_withheld([person(i) for i in range(5)], with_words=())
    # those that mention the bot keep their words whatever the intent
    assert are_words_withheld([*(person(i) for i in range(5)), person(9, "robin?")], with_words=())
    assert are_words_withheld([person(1)], with_words={1})
    assert not are_words_withheld([person(1), person(2, "hi")], with_words={1})
    assert not are_words_withheld([person(1)], with_words=())
    assert not are_words_withheld([], with_words=())
