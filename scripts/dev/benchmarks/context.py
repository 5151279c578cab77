"""Does a training row have the prompt that the live bot would have had in its author's place? Token by token.

Messages are imported into a workspace of their own and prepared; every target's prompt is made twice: from its row,
as training does, and from the channel's log, as the bot does. What recall found is the row's in both (training looks
words up, the bot vectors); what it is asked is compared.

    python scripts/benchmark.py context --data FOLDER --places 2000    # messages.jsonl, channels.json
"""

from __future__ import annotations

import argparse
import importlib
import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from bot.channel_log import KEPT_MESSAGES, ChannelLog, Readable, Talk, Writer
from data.chat.markup import to_model_text
from data.chat.recall import recall_query, topic
from data.chat.rows import TEST, TRAIN, VALIDATION, TrainingRow, read_rows
from data.privacy import mask
from storage.records import Conversation, Message
from storage.settings import HISTORY_MESSAGES, SYSTEM_PROMPT, Settings
from storage.store import Store

_ROOM = 1 << 20
_SHOWN = 3


@dataclass
class Comparison:
    """What was found. kinds: how many places of each kind differ; examples: a few, as (row id, trained, live) texts."""

    places: int
    same_prompts: int
    same_queries: int
    without_context: int
    kinds: Counter[str]
    examples: list[tuple[str, str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="folder with messages.jsonl and channels.json")
    parser.add_argument("--places", type=int, default=2000, help="how many targets, oldest first (0: all)")
    parser.add_argument("--json", type=Path, help="write the figures here too")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Import, prepare, compare."""
    with tempfile.TemporaryDirectory() as name, prepared_store(options.data, Path(name)) as (store, folder):
        rows = sorted(all_rows(folder), key=lambda row: row.timestamp)
        found = compare(store, islice(rows, options.places or None))
    return {
        "places": found.places,
        "same_prompts": found.same_prompts,
        "same_queries": found.same_queries,
        "without_context": found.without_context,
        "differences": dict(found.kinds),
        "examples": found.examples,
    }


def report(figures: dict[str, Any]) -> str:
    """A few lines."""
    places = max(figures["places"], 1)
    lines = [
        f"{figures['places']:,} places",
        f"prompts the same, token by token   {figures['same_prompts']:,} ({figures['same_prompts'] / places:.1%})",
        f"recall asked the same              {figures['same_queries']:,} ({figures['same_queries'] / places:.1%})",
        f"openings, with nothing before      {figures['without_context']:,}",
        *(f"  {count:,} differ: {kind}" for kind, count in sorted(figures["differences"].items())),
    ]
    for number, trained, live in figures["examples"]:
        lines += ["", f"--- {number}, as trained", trained, "--- as the bot would see it", live]
    return "\n".join(lines)


@contextmanager
def prepared_store(data: Path, work: Path) -> Iterator[tuple[Store, Path]]:
    """A store of the messages in a folder, everybody's channels on, and the data set made of it."""
    from data.importer import import_file
    from storage.paths import Workspace

    workspace = Workspace.at(work / "server")
    script = importlib.import_module("scripts.2_prepare_training_data")
    with Store.open(workspace) as store:
        import_file(
            store, data / "messages.jsonl", channels_file=data / "channels.json", enable="all", given_by="benchmark"
        )
        with redirect_stdout(io.StringIO()):
            script.main(
                ["--workspace", str(workspace.root), "--out", str(work / "prepared"), "--include-private", "all"]
            )
        yield store, work / "prepared"


def all_rows(folder: Path) -> Iterator[TrainingRow]:
    """Every row of a data set."""
    for name in (TRAIN, VALIDATION, TEST):
        yield from read_rows(folder / name, TrainingRow.parse)


def compare(store: Store, rows: Iterator[TrainingRow] | Sequence[TrainingRow]) -> Comparison:
    """Both prompts of every row, with the packaged model's tokenizer."""
    from model.catalog import offline_chat_model
    from model.chat.prompting import PromptBuilder
    from model.llama_cpp_api import ContextOptions, NativeModel
    from model.prompts import CHATML, plain_text
    from model.training.rows import Renderer, Skipped

    settings = store.settings.read()
    system = settings[SYSTEM_PROMPT]
    native = NativeModel(offline_chat_model(), ContextOptions())
    try:
        renderer = Renderer(native.encode, CHATML, system, _ROOM)
        live_prompts = PromptBuilder(CHATML, native.encode, _ROOM)
        channels = _Channels(store, settings)
        found = Comparison(0, 0, 0, 0, Counter(), [])
        for row in rows:
            talk, query = channels.seen(row)
            example = renderer.example(row, Skipped())
            assert example is not None
            live = replace(row.conversation, turns=talk.turns)
            tokens = live_prompts.reply_tokens(
                1, live, system, keep_turns=max(len(row.conversation.turns), 1), max_tokens=1
            )
            live_prompts.clear()
            found.places += 1
            found.without_context += not row.conversation.turns
            found.same_queries += not row.conversation.turns or query == recall_query(row.conversation.turns)
            if tokens == example.prompt:
                found.same_prompts += 1
                continue
            kept = talk.turns[-max(len(row.conversation.turns), 1) :]
            found.kinds[_kind(row, kept)] += 1
            if len(found.examples) < _SHOWN:
                texts = [
                    plain_text(conversation, system_prompt="none")
                    for conversation in (row.conversation, Conversation(kept, row.conversation.recalled))
                ]
                found.examples.append((row.id, texts[0], texts[1]))
        return found
    finally:
        native.close()


def _kind(row: TrainingRow, live: Sequence[Any]) -> str:
    """What differs, in a few words."""
    trained = row.conversation.turns
    if not trained:
        return "the row has no context"
    if not live:
        return "the bot has no context"
    if [turn.text for turn in trained] == [turn.text for turn in live]:
        return "names"
    if trained[1:] == live[1:] or trained[-len(live) :] == tuple(live):
        return "the oldest turn (what the bot keeps of a channel ends there)"
    return "turns"


class _Channels:
    """The messages of each channel, as the bot would have them in memory when a target was written."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._absent = store, store.members.absent_ids()
        self._settings = settings.with_values({HISTORY_MESSAGES.key: HISTORY_MESSAGES.high})
        self._names = store.channels.names()
        self._messages: dict[int, list[Message]] = {}

    def seen(self, row: TrainingRow) -> tuple[Talk, str]:
        """The talk the bot would answer from in the author's place, and what recall was asked before its last line."""
        messages = self._of(row.channel_id)
        at = next(place for place, message in enumerate(messages) if message.id == int(row.id))
        target, before = messages[at], messages[:at]
        answered = next((m for m in before if m.id == target.reply_to_id and m.author_id != target.author_id), None)
        if answered is not None and self._is_within_reach(before, answered):
            before = before[: before.index(answered) + 1]
        log = ChannelLog([replace(m, is_own=m.author_id == row.author_id) for m in before[-KEPT_MESSAGES:]])
        if answered is None or log.newest_id != answered.id:
            log.writer = Writer(row.author_id, target.author_name, target.created_ms)
        talk = log.talk(self._settings, self._readable())
        log.messages.pop() if log.messages else None
        log.writer = None
        earlier = log.talk(self._settings, self._readable())
        is_fresh = not earlier.message_ids or earlier.message_ids[-1] not in talk.message_ids
        return talk, (topic(() if is_fresh else earlier.turns) or topic(talk.turns))

    @staticmethod
    def _is_within_reach(before: Sequence[Message], answered: Message) -> bool:
        return any(m.id == answered.id for m in before[-KEPT_MESSAGES * 4 :])

    def _of(self, channel_id: int) -> list[Message]:
        if channel_id not in self._messages:
            self._messages[channel_id] = [
                message
                for page in self._store.messages.in_channel(channel_id)
                for message in page
                if message.author_id not in self._absent
            ]
        return self._messages[channel_id]

    def _readable(self) -> Readable:
        """As the live bot reads, but for what training masks for privacy."""
        return lambda message: mask(
            to_model_text(
                message.content,
                [replace(m, name="someone") if m.id in self._absent else m for m in message.mentions],
                self._names,
                attachments=message.attachments,
                stickers=message.stickers,
            )
        )[0]
