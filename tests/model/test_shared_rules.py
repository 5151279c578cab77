"""Training rows and the live bot read one conversation the same way, token by token, with the packaged tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data.chat.rows import TrainingRow
from scripts.dev.benchmarks.context import all_rows, compare, prepared_store
from storage.paths import PROJECT_ROOT
from storage.records import Turn
from storage.store import Store


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Path]]:
    """The demo server's messages in a store, and the data set made of them."""
    with prepared_store(PROJECT_ROOT / "data" / "demo", tmp_path_factory.mktemp("demo")) as made:
        yield made


def test_every_row_of_the_demo_server_has_the_prompt_the_bot_would_have_had(demo: tuple[Store, Path]) -> None:
    store, folder = demo
    found = compare(store, list(all_rows(folder)))
    assert found.places > 300
    assert found.without_context < found.places / 3
    assert found.same_prompts == found.places, found.examples
    # A newest message with line breaks of its own is one line to the bot and several to a row, which knows text alone.
    assert found.same_queries > 0.97 * found.places


def test_a_row_made_by_another_rule_is_found(demo: tuple[Store, Path]) -> None:
    store, folder = demo
    row = next(row for row in all_rows(folder) if len(row.conversation.turns) > 2)
    assert compare(store, [_with_turns(row, row.conversation.turns[1:])]).same_prompts == 1, "a shorter window is none"
    first, second, *rest = row.conversation.turns
    joined = Turn(first.name, f"{first.text}\n{second.text}", first.is_self)
    assert compare(store, [_with_turns(row, (joined, *rest))]).same_prompts == 0


def _with_turns(row: TrainingRow, turns: tuple[Turn, ...]) -> TrainingRow:
    return replace(row, conversation=replace(row.conversation, turns=turns))
