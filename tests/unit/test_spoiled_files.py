"""Small files that a disk, a hand or somebody who means harm has spoiled: absent or a sentence, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from data.chat.audience import from_text
from data.chat.rows import JudgedRow, PreferenceRow, SessionRow, TrainingRow, read_rows
from model.chat.requests import GenerationOptions
from model.evaluation import blind_test as model_blind_test
from model.evaluation.report import read_report
from model.files.download import byte_count
from model.layouts import layout_of
from model.provenance import read_model_manifest
from model.training.checkpoints import is_complete
from model.training.rows import PreparedFolder
from storage import blind_test, unfinished_restore
from storage.erasing.files import clean_document, clean_lines
from storage.errors import KnownError
from storage.settings import STOP_STRINGS, Settings
from storage.store import Store
from storage.withdrawals import Subject

DEEP = 100_000
SPOILED = {
    "nested lists": "[" * DEEP + "]" * DEEP,
    "nested objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a list": "[]",
    "a number of 5,000 digits": "9" * 5000,
    "null": "null",
    "cut off": '{"files": {"x',
    "other types": '{"files": 3, "items": 4, "verdicts": [7], "swaps": 1, "version": [], "is_bot": 2, "quiz_id": {}}',
    "no text": "\x00\ufffe",
    "infinite": '{"version": 1e999, "erasures": [["member", 1e999, 1]]}',
}
MEMBER = 1_234_567_890_123


def _beside(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


READERS: dict[str, Callable[[Path], Any]] = {
    "a blind test": blind_test.read_quiz,
    "a rater's results": blind_test.read_result,
    "a blind test's key": model_blind_test.read_key,
    "an evaluation": read_report,
    "a data set": lambda path: PreparedFolder.open(_beside(path, "manifest.json").parent),
    "a checkpoint's marker": lambda path: is_complete(path.parent),
    "a model's manifest": lambda path: read_model_manifest(_beside(path, "m.manifest.json").with_name("m.gguf")),
    "a model's layout": lambda path: layout_of(_beside(path, "m.json").with_name("m.gguf")),
    "a member's export": lambda path: clean_document(path, Subject(frozenset({MEMBER}))),
    "a member's lines": lambda path: clean_lines(path, Subject(frozenset({MEMBER}))),
}


@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_spoiled_file_is_absent_or_a_sentence(tmp_path: Path, read: Callable[[Path], Any], text: str) -> None:
    """Faults 92 and 137."""
    path = tmp_path / "complete.json"
    path.write_text(text + f" {MEMBER}", encoding="utf-8")
    (tmp_path / "train.jsonl").write_text("{}\n", encoding="utf-8")
    with suppress(KnownError):
        read(path)


@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_record_of_a_restore_is_a_sentence_at_the_start(store: Store, text: str) -> None:
    """Faults 78 and 137: it is the first file that every start reads."""
    path = unfinished_restore.marker_path(store.workspace)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KnownError, match="was not finished") as caught:
        Store.open(store.workspace)
    assert "--restore" in caught.value.cure


@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_row_or_setting_is_absent(text: str) -> None:
    """Faults 92 and 137."""
    assert from_text(text) is None
    assert isinstance(GenerationOptions.from_settings(Settings({STOP_STRINGS.key: text})).stop, tuple)


@pytest.mark.parametrize("kind", [TrainingRow, PreferenceRow, JudgedRow, SessionRow])
@pytest.mark.parametrize("text", [*SPOILED.values(), '{"session": 1, "turns": [], "channel_id": 1e999}'])
def test_a_spoiled_row_of_a_data_set_is_named_with_its_line(tmp_path: Path, kind: Any, text: str) -> None:
    """Faults 60 and 137."""
    path = tmp_path / "train.jsonl"
    path.write_text(f"\n{text}\n", encoding="utf-8")
    with pytest.raises(KnownError, match="line 2 is not a valid"):
        list(read_rows(path, kind.parse))


@pytest.mark.parametrize(
    ("text", "count"),
    [("12", 12), ("0", 0), ("", None), (None, None), ("\u00b2", None), ("9" * 5000, None), ("-1", None)],
)
def test_a_header_names_a_size_or_none(text: str | None, count: int | None) -> None:
    """Faults 50 and 137: from whatever server answers a download."""
    assert byte_count(text) == count


def test_a_document_nested_just_deep_enough_to_be_read_keeps_no_erasure_from_its_end(tmp_path: Path) -> None:
    """Faults 76 and 137: json reads what a walk through it cannot reach the end of."""
    for depth in (300, 500, 700, 900):
        path = tmp_path / f"deep-{depth}.json"
        path.write_text("[" * depth + json.dumps({"author": {"id": str(MEMBER)}}) + "]" * depth, encoding="utf-8")
        assert clean_document(path, Subject(frozenset({MEMBER}))) in (True, False)
