"""Which prompt layout a model file speaks, from what lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.layouts import layout_for, layout_of
from storage.settings import CHAT, TRANSCRIPT


def put(path: Path, **record: object) -> None:
    path.write_text(json.dumps(record), encoding="utf-8")


def test_what_nobody_here_trained_reads_a_transcript_and_an_adapter_without_a_record_its_chat_template(
    tmp_path: Path,
) -> None:
    assert layout_of(tmp_path / "base.gguf") == TRANSCRIPT
    assert layout_of(tmp_path / "base.gguf", tmp_path / "old.gguf") == CHAT


@pytest.mark.parametrize("layout", [CHAT, TRANSCRIPT])
def test_a_trained_model_says_what_it_was_trained_with(tmp_path: Path, layout: str) -> None:
    model, adapter = tmp_path / "voice-Q4_K_M.gguf", tmp_path / "voice-adapter.gguf"
    put(tmp_path / "voice-Q4_K_M.manifest.json", prompt_layout=layout, files={model.name: {}, adapter.name: {}})
    assert layout_of(model) == layout_of(tmp_path / "elsewhere" / "base.gguf", adapter) == layout
    published = tmp_path / "published-0123456789ab.gguf"
    put(published.with_suffix(".json"), name="published", provenance={"prompt_layout": layout})
    assert layout_of(published) == layout


def test_what_was_trained_before_manifests_said_so_was_trained_with_its_chat_template(tmp_path: Path) -> None:
    put(tmp_path / "old.manifest.json", recipe={}, layout=2)
    put(tmp_path / "published.json", name="published", provenance={})
    assert layout_of(tmp_path / "old.gguf") == layout_of(tmp_path / "published.gguf") == CHAT


def test_a_damaged_record_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "x.manifest.json").write_bytes(b"\xff{")
    (tmp_path / "y.json").write_text("[]", encoding="utf-8")
    assert layout_of(tmp_path / "x.gguf") == layout_of(tmp_path / "y.gguf") == TRANSCRIPT


def test_the_owner_may_choose_otherwise(tmp_path: Path) -> None:
    assert layout_for("chatml", tmp_path / "a.gguf") == layout_for(CHAT, tmp_path / "a.gguf") == CHAT
    assert layout_for(TRANSCRIPT, tmp_path / "a.gguf", tmp_path / "b.gguf") == TRANSCRIPT
    assert layout_for("auto", tmp_path / "a.gguf") == TRANSCRIPT
