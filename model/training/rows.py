"""Prepared folders, and their rows as token lists: the only place where training meets the prompt format.

A folder holds train.jsonl, validation.jsonl, preferences.jsonl, kto.jsonl and manifest.json (written by
scripts/2_prepare_training_data.py). Rows are text; they are rendered with model.prompts, exactly as in chat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from data.chat.rows import (
    JUDGED,
    PREFERENCES,
    SESSIONS,
    TRAIN,
    JudgedRow,
    PreferenceRow,
    RowType,
    SessionRow,
    SessionTurn,
    TrainingRow,
    count_rows,
    read_rows,
)
from data.chat.window import end_of_text, fit
from model.prompts import (
    LAYOUT,
    UNKNOWN_OWN_NAME,
    ChatTemplate,
    Encode,
    lines_of,
    render,
    reply_pieces,
    system_pieces,
    tokenise,
    turn_pieces,
)
from storage.errors import BadInputError
from storage.records import Conversation, Turn
from storage.stored_json import parse_json

MANIFEST = "manifest.json"
# What a loss passes over (PyTorch's cross entropy).
IGNORED = -100
# Of a conversation that is longer than a training row, so much of what was said before is the next row's context.
_OVERLAP_SHARE = 0.25
# Well-liked messages whose pairs are held back, to see whether the preferred side became likelier: every tenth.
HELD_BACK_EVERY = 10


@dataclass(frozen=True)
class PreparedFolder:
    """A data set on disk: its system prompt, prompt layout, hash and where its rows are."""

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> PreparedFolder:
        """Read the manifest; BadInputError when this is not a finished prepared folder."""
        cure = "Run scripts/2_prepare_training_data.py and give its output folder."
        if not (path / MANIFEST).is_file():
            raise BadInputError(f"{path} holds no {MANIFEST}: it is not a finished data set.", cure)
        try:
            manifest = parse_json((path / MANIFEST).read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadInputError(f"{path / MANIFEST} cannot be read ({error}).", cure) from error
        if not isinstance(manifest, dict) or not (path / TRAIN).is_file():
            raise BadInputError(f"{path} holds no {TRAIN}.", cure)
        return cls(path, manifest)

    @property
    def system_prompt(self) -> str:
        """The system prompt the rows were rendered with."""
        return str(self.manifest.get("system_prompt", ""))

    @property
    def own_name(self) -> str:
        """What the bot is called on the server the data is of."""
        return str(self.manifest.get("own_name") or UNKNOWN_OWN_NAME)

    @property
    def layout(self) -> int:
        """The prompt layout's number the rows were made for."""
        return int(self.manifest.get("layout", LAYOUT))

    @property
    def data_hash(self) -> str:
        """The data set's own hash, or one of its files where the manifest has none."""
        return str(self.manifest.get("hash") or _hash_files(self.path / TRAIN, self.path / PREFERENCES))

    @property
    def layout_warning(self) -> str:
        """A sentence when the rows were prepared for another prompt layout, else ''."""
        if self.layout == LAYOUT:
            return ""
        return (
            f"This data set was prepared for prompt layout {self.layout}, this program speaks layout {LAYOUT}. "
            "The rows are rendered in the present layout; prepare the data again to be sure."
        )

    def count(self, name: str) -> int:
        """Number of rows of one file."""
        return count_rows(self.path / name)


def _hash_files(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Example:
    """A prompt and what should follow it, as token ids; the loss is taken over `reply` alone, or a part of it."""

    prompt: list[int]
    reply: list[int]
    # Which of the reply's tokens the loss is taken over; empty for all of them.
    learnt: tuple[bool, ...] = ()

    @property
    def labels(self) -> list[int]:
        """The reply with IGNORED in place of what is context."""
        if not self.learnt:
            return self.reply
        return [token if kept else IGNORED for token, kept in zip(self.reply, self.learnt, strict=True)]


@dataclass(frozen=True)
class PreferenceExample:
    """One prompt, two replies."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


@dataclass
class Skipped:
    """Rows left out and why, for the report: nothing vanishes silently."""

    too_long: int = 0
    empty: int = 0
    trimmed: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    tokens: list[int]
    is_learnt: bool


def _transcript(head: list[int], lines: Sequence[_Line]) -> list[Example]:
    """One row: everything before the first learnt line is the prompt; no row where nothing is left to learn.

    A conversation's first line has nothing before it: it is context.
    """
    first = next((number for number, line in enumerate(lines) if number and line.is_learnt), None)
    if first is None:
        return []
    prompt = head + [token for line in lines[:first] for token in line.tokens]
    reply = [token for line in lines[first:] for token in line.tokens]
    learnt = tuple(line.is_learnt for line in lines[first:] for _ in line.tokens)
    return [Example(prompt, reply, () if all(learnt) else learnt)]


@dataclass(frozen=True)
class Renderer:
    """Rows to token ids. `encode(text, special)` is the tokenizer's, without BOS; max_length counts all tokens."""

    encode: Encode
    template: ChatTemplate
    system_prompt: str
    max_length: int
    own_name: str = UNKNOWN_OWN_NAME

    @property
    def of_lines(self) -> Renderer:
        """The same for measuring: a transcript's reply ends with its line, as in the whole conversations that are
        learnt from, which hold no end token. It would count as a surprise that grows with the training."""
        return replace(self, template=replace(self.template, stop=""))

    def example(self, row: TrainingRow, skipped: Skipped) -> Example | None:
        """Prompt and reply of an SFT row, or None when the reply is empty or cannot fit."""
        replies = self._replies([row.reply], row, skipped)
        if replies is None:
            return None
        return Example(self._prompt(row.conversation, self.max_length - len(replies[0]), skipped), replies[0])

    def preference(self, row: PreferenceRow, skipped: Skipped) -> PreferenceExample | None:
        """Prompt and both replies of a pair, or None when a side is empty or cannot fit."""
        replies = self._replies([row.chosen, row.rejected], row.place, skipped)
        if replies is None:
            return None
        longest = max(len(reply) for reply in replies)
        return PreferenceExample(self._prompt(row.place.conversation, self.max_length - longest, skipped), *replies)

    def session(self, row: SessionRow) -> list[Example]:
        """A whole conversation as transcripts of at most max_length tokens, the loss on every line that is learnt.

        A line is one message with its speaker's name; one too long for a transcript of its own is left out.
        """
        lines = [line for turn in row.turns for line in self._lines(turn)]
        head = tokenise(system_pieces(self.system_prompt, self.template), self.encode)
        made: list[Example] = []
        start = read = 0
        while read < len(lines):
            end, room = start, self.max_length - len(head)
            while end < len(lines) and len(lines[end].tokens) <= room:
                room -= len(lines[end].tokens)
                end += 1
            # What is said again for context was learnt in the row before.
            again = [replace(line, is_learnt=False) for line in lines[start:read]]
            made += _transcript(head, [*again, *lines[read:end]])
            if end == read:  # not even alone: it is left out
                read = start = read + 1
                continue
            read, start = end, self._again_from(lines, end, len(head))
        return made

    def _again_from(self, lines: Sequence[_Line], end: int, head: int) -> int:
        """Where the transcript that goes on with line `end` begins: a line back if that fits, a few short ones.

        Without any of them the line would have nothing before it and could not be learnt.
        """
        if end == len(lines):
            return end
        room, said_again, start = self.max_length - head - len(lines[end].tokens), 0, end
        while start:
            said_again += len(lines[start - 1].tokens)
            if said_again > room or (start < end and said_again > self.max_length * _OVERLAP_SHARE):
                break
            start -= 1
        return start

    def _lines(self, turn: SessionTurn) -> list[_Line]:
        spoken = Turn(turn.name, turn.text, turn.is_own)
        return [
            _Line(
                tokenise(turn_pieces([replace(spoken, text=line)], self.template, self.own_name), self.encode),
                turn.is_learnt,
            )
            for line in lines_of(turn.text)
        ]

    def reply_tokens(self, reply: str) -> list[int]:
        """The reply and the token that ends it."""
        return tokenise(reply_pieces(reply, self.template, self.own_name), self.encode)

    def prompt_tokens(self, conversation: Conversation) -> list[int]:
        """The untrimmed prompt, up to and including the assistant's opening."""
        named = replace(conversation, own_name=self.own_name)
        return tokenise(render(named, system_prompt=self.system_prompt, template=self.template), self.encode)

    def _replies(self, texts: Sequence[str], row: TrainingRow, skipped: Skipped) -> list[list[int]] | None:
        if not all(text.strip() for text in texts):
            skipped.empty += 1
            return None
        replies = [self.reply_tokens(text) for text in texts]
        room = self.max_length - len(self.prompt_tokens(Conversation(())))
        if max(len(reply) for reply in replies) > room:
            skipped.too_long += 1
            skipped.ids.append(row.id)
            return None
        return replies

    def _prompt(self, conversation: Conversation, budget: int, skipped: Skipped) -> list[int]:
        """The prompt within `budget` tokens, cut as the live bot cuts it.

        The system prompt always stays; the caller made sure that it fits.
        """
        fitted = fit(
            conversation,
            budget=budget,
            cost=lambda shorter: len(self.prompt_tokens(shorter)),
            shorten=partial(end_of_text, count_tokens=lambda text: len(self.encode(text, False))),
        )
        skipped.trimmed += fitted != conversation
        return self.prompt_tokens(fitted)


def examples(
    folder: PreparedFolder, name: str, renderer: Renderer, skipped: Skipped, *, limit: int = 0
) -> list[Example]:
    """Rendered rows of train.jsonl or validation.jsonl, evenly spread over the file when `limit` is smaller."""
    rows = _spread(folder, name, TrainingRow.parse, limit)
    return [example for row in rows if (example := renderer.example(row, skipped)) is not None]


def session_examples(
    folder: PreparedFolder, renderer: Renderer, *, limit: int = 0, most_tokens: int = 0
) -> list[Example]:
    """Whole conversations as transcripts; of more than `limit`, or than make `most_tokens` together where that is
    given instead, those at equal distances."""
    made = [example for row in read_rows(folder.path / SESSIONS, SessionRow.parse) for example in renderer.session(row)]
    if most_tokens:
        tokens = sum(len(example.prompt) + len(example.reply) for example in made)
        limit = max(len(made) * most_tokens // max(tokens, 1), 1)
    return made if not limit or len(made) <= limit else [made[index * len(made) // limit] for index in range(limit)]


def preference_examples(
    folder: PreparedFolder, renderer: Renderer, skipped: Skipped, *, limit: int = 0
) -> tuple[list[PreferenceExample], list[PreferenceExample]]:
    """Pairs to train on and pairs held back.

    One well-liked message may stand in several pairs: they stay together, or the held-back ones would be known.
    """
    groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[PreferenceExample]] = {}
    for row in _spread(folder, PREFERENCES, PreferenceRow.parse, limit):
        pair = renderer.preference(row, skipped)
        if pair is not None:
            groups.setdefault((tuple(pair.prompt), tuple(pair.chosen)), []).append(pair)
    messages = list(groups.values())
    every = min(HELD_BACK_EVERY, max(len(messages), 2))
    held_back = [pair for index, group in enumerate(messages) if index % every == every - 1 for pair in group]
    kept = [pair for index, group in enumerate(messages) if index % every != every - 1 for pair in group]
    return kept, held_back


def disliked_examples(folder: PreparedFolder, renderer: Renderer, skipped: Skipped) -> list[Example]:
    """Replies people disliked (KTO alone can learn from them: they have no better side). The other rows of kto.jsonl
    are the pairs again, one side at a time.
    """
    paired = {row.place.id for row in read_rows(folder.path / PREFERENCES, PreferenceRow.parse)}
    rows = (
        row.place
        for row in read_rows(folder.path / JUDGED, JudgedRow.parse)
        if not row.is_liked and row.place.id not in paired
    )
    return [example for row in rows if (example := renderer.example(row, skipped)) is not None]


def _spread(folder: PreparedFolder, name: str, parse: Callable[[str], RowType], limit: int) -> Iterator[RowType]:
    """All rows, or `limit` of them at equal distances, so that a cap does not mean "the oldest"."""
    total = folder.count(name)
    rows = read_rows(folder.path / name, parse)
    if not limit or total <= limit:
        yield from rows
        return
    wanted = {index * total // limit for index in range(limit)}
    yield from (row for index, row in enumerate(rows) if index in wanted)
