"""Preference pairs from a model's own replies: the better of them is chosen, and training reads what was written."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

from data.chat.rows import PREFERENCES, TRAIN, PreferenceRow, TrainingRow, read_rows
from model.catalog import offline_chat_model
from model.evaluation.own_replies import against_people, best_against_worst
from model.training.rows import PreparedFolder
from scripts.dev.benchmarks.evaluation import ASSISTANT
from storage.paths import Workspace
from storage.settings import MAX_TOKENS
from storage.store import Store
from tests.support.demo_rows import every_other_session, word_vectors
from tests.support.training_data import write_prepared_folder


def rows_of_the_demo(count: int) -> list[TrainingRow]:
    return [
        TrainingRow(row.id, row.channel_id, 1, 0, row.session, row.conversation, row.reply, 2)
        for row in every_other_session(0)[:count]
    ]


def test_a_reply_like_people_is_preferred_to_an_assistants() -> None:
    rows, lot = rows_of_the_demo(120), random.Random(4)
    said = [row.reply for row in rows]
    texts = [[lot.choice(ASSISTANT), lot.choice(said)] for _ in rows]
    pairs = best_against_worst(rows, texts, word_vectors)
    assert len(pairs) > 60
    right = sum(pair.rejected in ASSISTANT and pair.chosen not in ASSISTANT for pair in pairs)
    assert right > 0.9 * len(pairs)


def test_replies_that_hardly_differ_teach_nothing_and_a_made_up_name_loses() -> None:
    rows = rows_of_the_demo(40)
    assert best_against_worst(rows, [["same", "Same "] for _ in rows], word_vectors) == []
    pairs = best_against_worst(rows, [[f"@qxwz {row.reply}", row.reply] for row in rows], word_vectors)
    assert pairs
    assert all(pair.rejected.startswith("@qxwz") for pair in pairs)


def test_what_people_said_is_preferred_to_what_the_model_said_there() -> None:
    rows = rows_of_the_demo(3)
    texts: Sequence[Sequence[str]] = [[rows[0].reply.upper(), "hm"], [""], [f" {rows[2].reply}"]]
    assert [(pair.chosen, pair.rejected) for pair in against_people(rows, texts)] == [(rows[0].reply, "hm")]


def test_the_script_leaves_a_folder_that_training_takes(workspace: Workspace, tmp_path: Path) -> None:
    data = write_prepared_folder(workspace.message_files / "prepared", rows=12, pairs=3)
    with Store.open(workspace) as store:
        store.settings.set(MAX_TOKENS, MAX_TOKENS.low or 16, changed_by="test")
    script = importlib.import_module("scripts.pair_own_replies")
    options = ["--workspace", str(workspace.root), "--model", str(offline_chat_model()), "--data", str(data)]
    script.main([*options, "--pairs", "people", "--places", "5"])
    made = PreparedFolder.open(data.with_name("prepared-own"))
    pairs = list(read_rows(made.path / PREFERENCES, PreferenceRow.parse))
    assert 3 <= len(pairs) <= 5
    said = {row.reply for row in read_rows(data / TRAIN, TrainingRow.parse)}
    assert all(pair.chosen in said and pair.rejected not in said for pair in pairs)
    assert (made.path / TRAIN).read_bytes() == (data / TRAIN).read_bytes()
    assert made.data_hash != PreparedFolder.open(data).data_hash
    kept = workspace.data / "evaluation" / "answers"
    assert sum(len(path.read_text(encoding="utf-8").split()) > 0 for path in kept.glob("own-*.jsonl")) == 1
    assert json.loads((made.path / "manifest.json").read_text(encoding="utf-8"))["preferences"]["pairs"] == len(pairs)
