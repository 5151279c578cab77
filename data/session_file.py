"""The first pass over the messages: readable lines, sessions, token counts; kept on disk, a few numbers in memory."""

from __future__ import annotations

import json
import marshal
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from data.chat.conversation import Line, Session, SpokenTurn, sessions
from data.chat.markup import to_model_text
from data.privacy import mask
from storage.jobs.progress import ProgressCallback, silent
from storage.reactions import reaction_balance
from storage.records import Channel, Mention, Reaction
from storage.store import Store

if TYPE_CHECKING:
    import numpy as np

CountTokens = Callable[[Sequence[str]], Sequence[int]]
# Tokens a chat template puts around a turn, at most.
TURN_OVERHEAD = 6
_SESSIONS_PER_COUNT = 64
GAP_BINS_SECONDS = (1, 5, 10, 30, 60, 300, 600, 3600, 86_400)


class Stage:
    """Sessions in a file, and per session and turn what the split and the balance need (about 60 bytes a turn)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.offsets, self.starts, self.ends, self.units, self.first_turns = (array("q") for _ in range(5))
        self.authors, self.turn_starts, self.lengths, self.reactions = array("q"), array("q"), array("i"), array("i")
        self.is_target = array("b")
        self.counts: Counter[str] = Counter()
        self.masked: Counter[str] = Counter()
        self.gap_bins = [0] * (len(GAP_BINS_SECONDS) + 1)
        self.first_id, self.last_id = 2**63 - 1, 0

    def fill(
        self,
        store: Store,
        channels: Sequence[Channel],
        *,
        absent: frozenset[int],
        names: Mapping[int, str],
        gap_ms: int,
        channel_names: Mapping[int, str],
        count_tokens: CountTokens,
        report: ProgressCallback = silent,
    ) -> None:
        """Read every channel; progress is told as a share of all their messages."""
        per_channel = store.messages.counts_by_channel()
        total = max(sum(per_channel.get(channel.id, 0) for channel in channels), 1)
        with open(self._path, "wb") as self._file:
            batch: list[Session] = []
            for channel in channels:
                lines = self._lines(store, channel, absent, names, channel_names, report, total)
                for session in sessions(channel.id, lines, gap_ms=gap_ms, first_number=len(self.offsets) + len(batch)):
                    batch.append(session)
                    if len(batch) >= _SESSIONS_PER_COUNT:
                        self._write(batch, names, count_tokens)
                        batch.clear()
            self._write(batch, names, count_tokens)

    def read(self, order: Sequence[int]) -> Iterator[tuple[int, Session, list[int]]]:
        """(position, session, tokens of carried + turns) of the sessions, in the order asked for."""
        with open(self._path, "rb") as file:
            for number in order:
                file.seek(self.offsets[number])
                channel_id, unit, carried, turns, tokens = marshal.load(file)
                yield (
                    number,
                    Session(
                        number,
                        channel_id,
                        unit,
                        [SpokenTurn(*turn) for turn in turns],
                        [SpokenTurn(*turn) for turn in carried],
                    ),
                    tokens,
                )

    def column(self, name: str) -> np.ndarray:
        """One of the arrays as numpy, without a copy."""
        import numpy as np

        values: array[int] = getattr(self, name)
        return np.frombuffer(values, dtype=values.typecode) if values else np.empty(0, dtype=values.typecode)

    # ---- inside -------------------------------------------------------------------------------------

    def _lines(
        self,
        store: Store,
        channel: Channel,
        absent: frozenset[int],
        names: Mapping[int, str],
        channel_names: Mapping[int, str],
        report: ProgressCallback,
        total: int,
    ) -> Iterator[Line]:
        previous_ms = 0
        for page, reactions in store.messages.in_channel_raw(channel.id):
            for row in page:
                if row["author_id"] in absent:
                    self.counts["absent member"] += 1
                    continue
                line = self._line(row, reactions.get(row["id"], ()), absent, names, channel_names)
                if line is None:
                    self.counts["without content"] += 1
                    continue
                self._note(line, previous_ms)
                previous_ms = line.created_ms
                yield line
            self.counts["read"] += len(page)
            report(
                min(self.counts["read"] / total, 1.0),
                "Reading conversations",
                done=self.counts["read"],
                unit="messages",
            )

    def _line(
        self,
        row: Any,
        reactions: Sequence[Reaction],
        absent: frozenset[int],
        names: Mapping[int, str],
        channel_names: Mapping[int, str],
    ) -> Line | None:
        message_id, author_id, content, created_ms, reply_to_id, attachments, stickers, mentions, is_own = row
        named = (
            ()
            if mentions == "[]"
            else tuple(_mention(number, name, absent, names) for number, name in json.loads(mentions))
        )
        text = words = to_model_text(content, named, channel_names)
        if attachments != "[]" or stickers != "[]":
            text = to_model_text(
                content, named, channel_names, attachments=json.loads(attachments), stickers=json.loads(stickers)
            )
        if not text:
            return None
        masked, found = mask(text)
        if found:
            self.masked.update(found)
            words = mask(words)[0] if text is not words else masked
            text = masked
        score = count = 0
        if reactions:
            score, count = reaction_balance(reactions), sum(reaction.count for reaction in reactions)
        return Line(
            message_id,
            author_id,
            created_ms,
            text,
            words,
            reply_to_id,
            score,
            count,
            bool(is_own),
            tuple(mention.id for mention in named),
        )

    def _note(self, line: Line, previous_ms: int) -> None:
        self.counts["bot's own"] += line.is_own
        self.counts["kept"] += not line.is_own
        self.first_id, self.last_id = min(self.first_id, line.id), max(self.last_id, line.id)
        if previous_ms:
            self.gap_bins[bisect_right(GAP_BINS_SECONDS, (line.created_ms - previous_ms) / 1000)] += 1

    def _write(self, batch: Sequence[Session], names: Mapping[int, str], count_tokens: CountTokens) -> None:
        assert self._file is not None
        every = [session.all_turns for session in batch]
        counted = iter(
            count_tokens([f"{names.get(turn.author_id, 'someone')}: {turn.text}" for turns in every for turn in turns])
        )
        for session, turns in zip(batch, every, strict=True):
            tokens = [next(counted) + TURN_OVERHEAD for _ in turns]
            self.offsets.append(self._file.tell())
            self.starts.append(session.start_ms)
            self.ends.append(session.end_ms)
            self.units.append(session.unit)
            self.first_turns.append(len(self.authors))
            for turn in session.turns:
                self.authors.append(turn.author_id)
                self.turn_starts.append(turn.start_ms)
                self.lengths.append(len(turn.said))
                self.reactions.append(min(turn.reactions, 1000))
                self.is_target.append(bool(turn.said) and not turn.is_own)
            marshal.dump(
                (
                    session.channel_id,
                    session.unit,
                    [_plain(turn) for turn in session.carried],
                    [_plain(turn) for turn in session.turns],
                    tokens,
                ),
                self._file,
            )


def _mention(member_id: int, name: str, absent: frozenset[int], names: Mapping[int, str]) -> Mention:
    """One person, one name: the one their own lines have, not the nickname of the day they were mentioned."""
    return Mention(member_id, "someone" if member_id in absent else names.get(member_id, name))


def _plain(turn: SpokenTurn) -> tuple[object, ...]:
    return tuple(getattr(turn, field.name) for field in fields(SpokenTurn))
