"""How lines become sessions, turns and contexts."""

from __future__ import annotations

from data.chat.conversation import Line, Session, context_places, sessions, spoken_before

MINUTE = 60_000


def line(number: int, minute: float, author: int = 1, text: str = "", *, reply: int | None = None, **more: int) -> Line:
    words = text or f"line {number}"
    return Line(number, author, round(minute * MINUTE), words, words, reply, **more)


def split(*lines: Line, gap: float = 10) -> list[Session]:
    return list(sessions(5, lines, gap_ms=round(gap * MINUTE)))


def texts(found: list[Session]) -> list[list[str]]:
    return [[turn.text for turn in session.turns] for session in found]


def test_silence_ends_a_conversation() -> None:
    found = split(line(1, 0), line(2, 9.9, 2), line(3, 19.9, 1), line(4, 30, 2))
    assert texts(found) == [["line 1", "line 2", "line 3"], ["line 4"]]
    assert [session.unit for session in found] == [0, 1]


def test_a_burst_is_one_turn_with_its_line_breaks() -> None:
    said = ((0, "wait"), (0.5, "what"), (1.4, "no way"), (2.5, "ok"))
    found = split(*(line(number, minute, text=text) for number, (minute, text) in enumerate(said, start=1)))
    assert texts(found) == [["wait\nwhat\nno way", "ok"]]
    assert found[0].turns[0].id == 1
    assert found[0].turns[0].ids == [1, 2, 3]


def test_somebody_elses_word_or_an_answer_to_somebody_ends_a_burst() -> None:
    found = split(line(1, 0), line(2, 0.1, 2), line(3, 0.2), line(4, 0.3, reply=2), line(5, 0.4))
    assert texts(found) == [["line 1", "line 2", "line 3", "line 4\nline 5"]]


def test_reactions_of_a_burst_add_up() -> None:
    (session,) = split(line(1, 0, score=1, reactions=2), line(2, 0.1, score=2, reactions=3))
    assert (session.turns[0].score, session.turns[0].reactions) == (3, 5)


def test_a_reply_joins_its_parent_across_the_silence() -> None:
    found = split(*(line(n, n, n) for n in range(1, 7)), line(7, 600, 9, reply=5), line(8, 601, 8))
    assert [session.unit for session in found] == [0, 0]
    assert [turn.text for turn in found[1].carried] == ["line 1", "line 2", "line 3", "line 4", "line 5"]


def test_the_context_is_the_newest_turns_up_to_the_line_answered() -> None:
    """As the live bot sees it: its prompt ends with the line it answers, whatever was said since."""
    (session,) = split(*(line(n, n, n) for n in range(1, 9)), line(9, 9, 9, reply=4), line(10, 10, 9, reply=9))
    places = session.places()
    assert context_places(session, 8, size=3, places=places) == [1, 2, 3]
    assert context_places(session, 7, size=5, places=places) == [2, 3, 4, 5, 6]
    assert context_places(session, 9, size=2, places=places) == [7, 8], "who answers themselves only goes on"
    assert context_places(session, 0, size=5, places=places) == []


def test_of_a_burst_only_what_was_said_when_it_was_answered_is_context() -> None:
    (session,) = split(line(1, 0), line(2, 0.1), line(3, 0.2), line(4, 1, 2, reply=2))
    context = context_places(session, 1, size=5, places=session.places())
    assert [turn.text for turn in spoken_before(session, 1, context, places=session.places())] == ["line 1\nline 2"]
