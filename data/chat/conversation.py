"""Messages to conversations: sessions by silence and reply links, bursts as one turn, the context of a turn. Pure.

The data set and the live bot both read a channel through `sessions` and `turns_of`: a row has the turns that the bot
would have had in its author's place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from data.chat.window import MAX_CONTEXT
from storage.records import Turn

# One person's messages are one turn as long as each follows the last within a minute: what somebody adds later is a
# thought of its own. A reply has to look like a turn, so it must not be whatever a person said before others came.
BURST_MS = 60_000
# How far back a reply may reach across the silence, and what of that conversation comes along with its parent.
_REACH_SESSIONS = 60
_CARRIED_TURNS = MAX_CONTEXT


@dataclass(slots=True)
class Line:
    """One message in readable text, never empty.

    words: what the author wrote ('' for a picture alone); text: with attachments.
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
    mentions: tuple[int, ...] = ()


@dataclass(slots=True)
class SpokenTurn:
    """What one person said in one go, message by message: ids, texts and words as in `Line`.

    parent: id of the message that the first one replies to. score, reactions, mentions: of all of them.
    """

    author_id: int
    start_ms: int
    end_ms: int
    ids: list[int]
    texts: list[str]
    words: list[str]
    parent: int | None
    score: int
    reactions: int
    is_own: bool
    mentions: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, line: Line) -> SpokenTurn:
        """The turn that a line opens."""
        return cls(
            line.author_id,
            line.created_ms,
            line.created_ms,
            [line.id],
            [line.text],
            [line.words],
            line.reply_to_id,
            line.score,
            line.reactions,
            line.is_own,
            list(line.mentions),
        )

    @property
    def id(self) -> int:
        """The first message's."""
        return self.ids[0]

    @property
    def text(self) -> str:
        """All of it, a message a line, attachments included."""
        return "\n".join(self.texts)

    @property
    def said(self) -> str:
        """The words alone; '' where there are only pictures."""
        return "\n".join(words for words in self.words if words)

    def takes(self, line: Line) -> bool:
        """True when the line goes on with this turn: same person, within a minute, not an answer to somebody else."""
        return (
            self.goes_on(line.author_id, line.created_ms)
            and line.is_own == self.is_own
            and line.reply_to_id in (None, self.parent)
        )

    def goes_on(self, author_id: int, at_ms: int) -> bool:
        """Whether somebody who writes at a moment would go on with this turn, as far as can be told beforehand."""
        return author_id == self.author_id and at_ms - self.end_ms <= BURST_MS

    def add(self, line: Line) -> None:
        """Go on with the turn."""
        self.end_ms = line.created_ms
        self.ids.append(line.id)
        self.texts.append(line.text)
        self.words.append(line.words)
        self.score += line.score
        self.reactions += line.reactions
        self.mentions += line.mentions

    def until(self, message_id: int) -> SpokenTurn:
        """The turn as it was when one of its messages was the newest."""
        count = self.ids.index(message_id) + 1
        return replace(self, ids=self.ids[:count], texts=self.texts[:count], words=self.words[:count])


@dataclass(frozen=True, slots=True)
class Typist:
    """Somebody who is writing the next line. goes_on: as far as can be told it will be part of the last turn."""

    name: str
    goes_on: bool = False


@dataclass(slots=True)
class Session:
    """A conversation of one channel.

    unit: the session it belongs to by a reply across the silence (its own number otherwise): both go to the
    same part of the data. carried: the end of that earlier conversation up to the message replied to.
    """

    number: int
    channel_id: int
    unit: int
    turns: list[SpokenTurn] = field(default_factory=list)
    carried: list[SpokenTurn] = field(default_factory=list)

    @property
    def all_turns(self) -> list[SpokenTurn]:
        """What was carried over, then the conversation itself."""
        return [*self.carried, *self.turns]

    def places(self) -> dict[int, int]:
        """Of every message the number of its turn, counted over `all_turns`."""
        return {number: place for place, turn in enumerate(self.all_turns) for number in turn.ids}

    @property
    def start_ms(self) -> int:
        """When the first line was written."""
        return self.turns[0].start_ms

    @property
    def end_ms(self) -> int:
        """When the last line was written."""
        return self.turns[-1].end_ms


def sessions(channel_id: int, lines: Iterable[Line], *, gap_ms: int, first_number: int = 0) -> Iterator[Session]:
    """The sessions of one channel; `lines` in the order they were written. A bounded part of the past is kept."""
    past: deque[tuple[Session, dict[int, int]]] = deque(maxlen=_REACH_SESSIONS)
    number = first_number
    current: Session | None = None
    places: dict[int, int] = {}  # message id -> turn, of the current session
    for line in lines:
        if current is not None and is_new_session(current.end_ms, line.created_ms, gap_ms=gap_ms):
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
            current.turns.append(SpokenTurn.of(line))
        places[line.id] = len(current.turns) - 1
    if current is not None:
        yield current


def is_new_session(last_ms: int, next_ms: int, *, gap_ms: int) -> bool:
    """Whether the silence between two lines ends a conversation."""
    return next_ms - last_ms > gap_ms


def current_session(lines: Iterable[Line], *, gap_ms: int) -> Session | None:
    """The conversation that the last line belongs to, as the live bot sees it; None without lines."""
    newest = deque(sessions(0, lines, gap_ms=gap_ms), maxlen=1)
    return newest[0] if newest else None


def turns_of(
    spoken: Sequence[SpokenTurn], *, name_of: Callable[[int], str], is_self: Callable[[SpokenTurn], bool]
) -> tuple[Turn, ...]:
    """Turns as a prompt shows them. is_self: those of the voice that is to speak next."""
    return tuple(Turn(name_of(turn.author_id), turn.text, is_self(turn)) for turn in spoken)


def _join_parent(session: Session, line: Line, past: Iterable[tuple[Session, dict[int, int]]]) -> None:
    if line.reply_to_id is None:
        return
    for earlier, places in past:
        place = places.get(line.reply_to_id)
        if place is not None:
            session.unit = earlier.unit
            before = [*earlier.carried, *earlier.turns[:place], earlier.turns[place].until(line.reply_to_id)]
            session.carried = before[-_CARRIED_TURNS:]
            return


def context_places(session: Session, place: int, *, size: int, places: Mapping[int, int]) -> list[int]:
    """Which turns stand before turn `place`: the last `size`, up to the one it answers where it says which.

    The live bot's prompt ends with the line it answers too, whatever was said since. Places count over carried + turns.
    places: message id -> place.
    """
    answered = _answered(session, place, places)
    end = place if answered is None else answered + 1
    return list(range(max(0, end - size), end))


def spoken_before(
    session: Session, place: int, context: Sequence[int], *, places: Mapping[int, int]
) -> list[SpokenTurn]:
    """The turns at `context`, the last one only up to the message that turn `place` answers."""
    all_turns = session.all_turns
    spoken = [all_turns[number] for number in context]
    answered = _answered(session, place, places)
    if answered is not None and context and context[-1] == answered:
        parent = all_turns[place].parent
        assert parent is not None  # or nothing would be answered
        spoken[-1] = spoken[-1].until(parent)
    return spoken


def _answered(session: Session, place: int, places: Mapping[int, int]) -> int | None:
    """The place of the turn that a turn answers; None where it says none, or only goes on with what its author said."""
    turn = session.all_turns[place]
    answered = places.get(turn.parent) if turn.parent is not None else None
    if answered is None or answered >= place or session.all_turns[answered].author_id == turn.author_id:
        return None
    return answered
