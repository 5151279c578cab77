"""Prepared folders, and their rows as token lists: the only place where training meets the prompt format.

A folder holds train.jsonl, validation.jsonl, preferences.jsonl, kto.jsonl and manifest.json (written by
scripts/2_prepare_training_data.py). Rows are text; they are rendered with model.prompts, exactly as in chat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.prompts import LAYOUT, ChatTemplate, Encode, render, tokenise
from storage.errors import BadInputError
from storage.records import Conversation, Turn

MANIFEST = "manifest.json"
TRAIN, VALIDATION, PREFERENCES, JUDGED = "train.jsonl", "validation.jsonl", "preferences.jsonl", "kto.jsonl"
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
            raise BadInputError(f"{path} holds no {MANIFEST}: it is no finished data set.", cure)
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadInputError(f"{path / MANIFEST} cannot be read ({error}).", cure) from error
        if not isinstance(manifest, dict) or not (path / TRAIN).is_file():
            raise BadInputError(f"{path} holds no {TRAIN}.", cure)
        return cls(path, manifest)

    @property
    def system_prompt(self) -> str:
        return str(self.manifest.get("system_prompt", ""))

    @property
    def layout(self) -> int:
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

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of one file, in order; nothing when the file is absent. BadInputError names a broken line."""
        path = self.path / name
        if not path.is_file():
            return
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parse(line, path, number)

    def delete(self) -> None:
        """Remove the data set's own files, as the owner asked when preparing it; anything else in the folder stays."""
        for name in (
            *self.manifest.get("files", ()),
            TRAIN,
            VALIDATION,
            "test.jsonl",
            PREFERENCES,
            JUDGED,
            "report.html",
            MANIFEST,
        ):
            (self.path / Path(name).name).unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def count(self, name: str) -> int:
        """Number of rows of one file."""
        path = self.path / name
        if not path.is_file():
            return 0
        with open(path, encoding="utf-8") as lines:
            return sum(1 for line in lines if line.strip())


def _parse(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or not isinstance(row["context"], list):
            raise TypeError("not a row")
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{path.name}, line {number}, is no row of a data set ({error}).", "Prepare the data again."
        ) from error
    return row


def _hash_files(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def conversation_of(row: dict[str, Any]) -> Conversation:
    """What a row's reply depends on."""
    turns = tuple(
        Turn(str(turn["name"]), str(turn["text"]), bool(turn.get("is_target_author", False))) for turn in row["context"]
    )
    recalled = tuple(Turn(str(line["name"]), str(line["text"])) for line in row.get("recalled", ()))
    return Conversation(turns, recalled)


@dataclass(frozen=True)
class Example:
    """A prompt and what should follow it, as token ids; the loss is taken over `reply` alone."""

    prompt: list[int]
    reply: list[int]


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


@dataclass(frozen=True)
class Renderer:
    """Rows to token ids. `encode(text, special)` is the tokenizer's, without BOS; max_length counts all tokens."""

    encode: Encode
    template: ChatTemplate
    system_prompt: str
    max_length: int

    def example(self, row: dict[str, Any], skipped: Skipped) -> Example | None:
        """Prompt and reply of an SFT row, or None when the reply is empty or cannot fit."""
        replies = self._replies([str(row.get("reply", ""))], row, skipped)
        if replies is None:
            return None
        return Example(self._prompt(conversation_of(row), self.max_length - len(replies[0]), skipped), replies[0])

    def preference(self, row: dict[str, Any], skipped: Skipped) -> PreferenceExample | None:
        """Prompt and both replies of a pair, or None when a side is empty or cannot fit."""
        replies = self._replies([str(row.get("chosen", "")), str(row.get("rejected", ""))], row, skipped)
        if replies is None:
            return None
        longest = max(len(reply) for reply in replies)
        return PreferenceExample(self._prompt(conversation_of(row), self.max_length - longest, skipped), *replies)

    def reply_tokens(self, reply: str) -> list[int]:
        """The reply and the token that ends it."""
        pieces = render(Conversation(()), system_prompt=self.system_prompt, template=self.template, reply=reply)
        return tokenise(pieces[-2:], self.encode)

    def prompt_tokens(self, conversation: Conversation) -> list[int]:
        """The untrimmed prompt, up to and including the assistant's opening."""
        return tokenise(render(conversation, system_prompt=self.system_prompt, template=self.template), self.encode)

    def _replies(self, texts: Sequence[str], row: dict[str, Any], skipped: Skipped) -> list[list[int]] | None:
        if not all(text.strip() for text in texts):
            skipped.empty += 1
            return None
        replies = [self.reply_tokens(text) for text in texts]
        room = self.max_length - len(self.prompt_tokens(Conversation(())))
        if max(len(reply) for reply in replies) > room:
            skipped.too_long += 1
            skipped.ids.append(str(row.get("id", "")))
            return None
        return replies

    def _prompt(self, conversation: Conversation, budget: int, skipped: Skipped) -> list[int]:
        """The prompt within `budget` tokens: oldest turns go first, then recalled lines, then the oldest words.

        The system prompt always stays; the caller made sure that it fits.
        """
        tokens = self.prompt_tokens(conversation)
        if len(tokens) <= budget:
            return tokens
        skipped.trimmed += 1
        while len(conversation.turns) > 1 and len(tokens) > budget:
            conversation = replace(conversation, turns=conversation.turns[1:])
            tokens = self.prompt_tokens(conversation)
        while conversation.recalled and len(tokens) > budget:
            conversation = replace(conversation, recalled=conversation.recalled[:-1])
            tokens = self.prompt_tokens(conversation)
        while conversation.turns and len(tokens) > budget:
            conversation = replace(conversation, turns=_shorter(conversation.turns))
            tokens = self.prompt_tokens(conversation)
        return tokens


def _shorter(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The last turn's text without its first quarter; no turn at all once little is left."""
    text = turns[-1].text
    kept = text[len(text) // 4 + 1 :]
    return (replace(turns[-1], text=kept),) if len(kept) > 8 else ()


def examples(
    folder: PreparedFolder, name: str, renderer: Renderer, skipped: Skipped, *, limit: int = 0
) -> list[Example]:
    """Rendered rows of train.jsonl or validation.jsonl, evenly spread over the file when `limit` is smaller."""
    rows = _spread(folder, name, limit)
    return [example for row in rows if (example := renderer.example(row, skipped)) is not None]


def preference_examples(
    folder: PreparedFolder, renderer: Renderer, skipped: Skipped, *, limit: int = 0
) -> tuple[list[PreferenceExample], list[PreferenceExample]]:
    """Pairs to train on and pairs held back.

    One well-liked message may stand in several pairs: they stay together, or the held-back ones would be known.
    """
    groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[PreferenceExample]] = {}
    for row in _spread(folder, PREFERENCES, limit):
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
    paired = {row.get("id") for row in folder.rows(PREFERENCES)}
    rows = (
        row | {"reply": row.get("completion", "")}
        for row in folder.rows(JUDGED)
        if row.get("label") is False and row.get("id") not in paired
    )
    return [example for row in rows if (example := renderer.example(row, skipped)) is not None]


def _spread(folder: PreparedFolder, name: str, limit: int) -> Iterator[dict[str, Any]]:
    """All rows, or `limit` of them at equal distances, so that a cap does not mean "the oldest"."""
    total = folder.count(name)
    if not limit or total <= limit:
        yield from folder.rows(name)
        return
    wanted = {index * total // limit for index in range(limit)}
    for index, row in enumerate(folder.rows(name)):
        if index in wanted:
            yield row
