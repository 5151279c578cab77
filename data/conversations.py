"""Messages to conversations: sessions by silence and reply links, bursts as one turn, the context of a turn. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

BURST_MS = 60_000
MIN_CONTEXT, MAX_CONTEXT = 5, 10
# How far back a reply may reach across the silence, and what of that conversation comes along with its parent.
_REACH_SESSIONS = 60
_CARRIED_TURNS = 4


@dataclass(slots=True)
class Line:
    """One message in readable text. words: what the author wrote ('' for a picture alone); text: with attachments.

    score: approvals minus disapprovals; reactions: how many in all. is_own: by the bot, context at most.
    """

    id: int
    author_id: int
    created_ms: int
    text: str
    words: str
    reply_to_id: int | None = None
    score: int = 0
    reactions: int = 0
    is_own: bool = False


@dataclass(slots=True)
class TurnOf:
    """What one person said in one go. id: of its first message. parent: id of the message it replies to."""

    id: int
    author_id: int
    start_ms: int
    end_ms: int
    text: str
    words: str
    parent: int | None
    score: int
    reactions: int
    is_own: bool
    messages: int = 1

    @classmethod
    def of(cls, line: Line) -> TurnOf:
        return cls(
            line.id,
            line.author_id,
            line.created_ms,
            line.created_ms,
            line.text,
            line.words,
            line.reply_to_id,
            line.score,
            line.reactions,
            line.is_own,
        )

    def takes(self, line: Line) -> bool:
        """True when the line goes on with this turn: same person, within a minute, not an answer to somebody else."""
        return (
            line.author_id == self.author_id
            and line.created_ms - self.end_ms <= BURST_MS
            and line.is_own == self.is_own
            and line.reply_to_id in (None, self.parent)
        )

    def add(self, line: Line) -> None:
        self.end_ms = line.created_ms
        self.text = f"{self.text}\n{line.text}" if self.text else line.text
        self.words = f"{self.words}\n{line.words}" if self.words and line.words else self.words or line.words
        self.score += line.score
        self.reactions += line.reactions
        self.messages += 1


@dataclass(slots=True)
class Session:
    """A conversation of one channel.

    unit: the session it belongs to by a reply across the silence (its own number otherwise): both go to the
    same part of the data. carried: the end of that earlier conversation up to the message replied to.
    """

    number: int
    channel_id: int
    unit: int
    turns: list[TurnOf] = field(default_factory=list)
    carried: list[TurnOf] = field(default_factory=list)

    @property
    def start_ms(self) -> int:
        return self.turns[0].start_ms

    @property
    def end_ms(self) -> int:
        return self.turns[-1].end_ms


def sessions(channel_id: int, lines: Iterable[Line], *, gap_ms: int, first_number: int = 0) -> Iterator[Session]:
    """The sessions of one channel; `lines` in the order they were written. A bounded part of the past is kept."""
    past: deque[tuple[Session, dict[int, int]]] = deque(maxlen=_REACH_SESSIONS)
    number = first_number
    current: Session | None = None
    places: dict[int, int] = {}  # message id -> turn, of the current session
    for line in lines:
        if current is not None and line.created_ms - current.end_ms > gap_ms:
            past.append((current, places))
            yield current
            current = None
        if current is None:
            current, places = Session(number, channel_id, number), {}
            number += 1
            _join_parent(current, line, past)
        if current.turns and current.turns[-1].takes(line):
            current.turns[-1].add(line)
        else:
            current.turns.append(TurnOf.of(line))
        places[line.id] = len(current.turns) - 1
    if current is not None:
        yield current


def _join_parent(session: Session, line: Line, past: Iterable[tuple[Session, dict[int, int]]]) -> None:
    if line.reply_to_id is None:
        return
    for earlier, places in past:
        place = places.get(line.reply_to_id)
        if place is not None:
            session.unit = earlier.unit
            session.carried = earlier.turns[max(0, place + 1 - _CARRIED_TURNS) : place + 1]
            return


def context_places(session: Session, place: int, *, size: int, places: dict[int, int]) -> list[int]:
    """Which turns stand before turn `place`: the last `size`, and first of all the one it replies to.

    Places count over carried + turns. places: turn id -> place, for the turns replied to.
    """
    start = max(0, place - size)
    parent = session.turns[place - len(session.carried)].parent
    answered = places.get(parent) if parent is not None else None
    if answered is None or not 0 <= answered < start:
        return list(range(start, place))
    return [answered, *range(start + 1, place)]
