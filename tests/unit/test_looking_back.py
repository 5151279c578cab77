"""How talk falls into exchanges, and which lines stand for one."""

from __future__ import annotations

from data.chat.looking_back import exchanges, left_at, quotations
from storage.records import Message, Reaction

GAP = 600_000
HOUR = 3_600_000


def said(minute: float, author: int, text: str = "that is what I say", channel: int = 1, **more: object) -> Message:
    number = int(minute * 60_000) + channel
    return Message(number, channel, author, f"p{author}", text, int(minute * 60_000), **more)  # type: ignore[arg-type]


def test_a_long_silence_parts_two_exchanges_and_channels_never_mix() -> None:
    talk = [said(0, 1), said(1, 2), said(1, 3, channel=2), said(2, 4, channel=2), said(30, 1), said(31, 2)]
    found = exchanges(talk, gap_ms=GAP)
    assert sorted([m.id for m in each.messages] for each in found) == [
        [talk[0].id, talk[1].id],
        [talk[2].id, talk[3].id],
        [talk[4].id, talk[5].id],
    ]


def test_many_people_come_before_many_lines_and_a_monologue_is_no_exchange() -> None:
    crowd = [said(n, n) for n in range(6)]
    pair = [said(100 + n, n % 2) for n in range(10)]
    alone = [said(200 + n, 9) for n in range(50)]
    found = exchanges([*alone, *pair, *crowd], gap_ms=GAP)
    assert [each.messages[0].id for each in found] == [crowd[0].id, pair[0].id]


def test_what_people_reacted_to_makes_an_exchange_livelier() -> None:
    plain = [said(0, 1), said(1, 2)]
    laughed = [said(100, 1), said(101, 2, reactions=(Reaction("😂", 4),))]
    assert exchanges([*plain, *laughed], gap_ms=GAP)[0].messages[0].id == laughed[0].id


def test_an_exchange_is_told_by_its_beginning_and_what_was_reacted_to_or_answered_in_order() -> None:
    talk = [
        said(0, 1, "lol"),
        said(1, 2, "did anybody see the game"),
        said(2, 3, "no"),
        said(3, 4, "the goalkeeper lost his shoe"),
        said(4, 1, "a rather long line that nobody cared about at all"),
        said(5, 2, "he played on without it", reactions=(Reaction("😂", 3),)),
    ]
    talk.append(said(6, 3, "which one was it", reply_to_id=talk[3].id))
    chosen = quotations(exchanges(talk, gap_ms=GAP)[0], limit=3)
    assert [m.id for m in chosen] == [talk[1].id, talk[3].id, talk[5].id]


def test_short_lines_are_quoted_where_there_are_no_others() -> None:
    talk = [said(0, 1, "lol"), said(1, 2, "same")]
    assert quotations(exchanges(talk, gap_ms=GAP)[0], limit=3) == tuple(talk)


def test_somebody_left_when_they_last_wrote_before_an_hour_of_silence() -> None:
    now = 100 * HOUR
    assert left_at([now - 2 * HOUR, now - 3 * HOUR], now_ms=now) == now - 2 * HOUR
    # A line written a moment ago does not hide the hours before it.
    assert left_at([now - 60_000, now - 9 * HOUR], now_ms=now) == now - 9 * HOUR
    assert left_at([now - 60_000, now - 600_000], now_ms=now) is None
    assert left_at([], now_ms=now) is None
