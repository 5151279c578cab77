"""The search index on real LanceDB: what comes out, and what survives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from storage.vectordb import COMPACT_FROM_FRAGMENTS, IndexRow, IndexState, VectorIndex

DIMENSION = 16


def vector(seed: int) -> np.ndarray:
    numbers = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return numbers / np.linalg.norm(numbers)


def row(message_id: int, *, channel_id: int = 1, text: str = "hello", seed: int | None = None) -> IndexRow:
    return IndexRow(message_id, channel_id, 7, text, 1000 + message_id, 0, vector(message_id if seed is None else seed))


def open_index(folder: Path, model: str = "small") -> VectorIndex:
    return VectorIndex.open(folder, model=model, dimension=DIMENSION)


def test_upsert_by_message_id_replaces_and_never_repeats(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    index.upsert([row(1), row(2), row(1, text="edited", seed=50)])
    index.upsert([row(2, seed=60)])
    assert sorted(index.ids().tolist()) == [1, 2]
    assert index.search(vector(60), channel_ids=[1], limit=1)[0].message_id == 2
    assert index.search(vector(60), channel_ids=[1], limit=1)[0].similarity == pytest.approx(1.0, abs=1e-5)


def test_search_stays_in_the_allowed_channels_and_leaves_out_what_is_excluded(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    index.upsert([row(n, channel_id=n % 3) for n in range(1, 31)])
    hits = index.search(vector(3), channel_ids=[1, 2], limit=30, exclude_ids=[4, 5])
    assert {hit.channel_id for hit in hits} == {1, 2}
    assert not {4, 5} & {hit.message_id for hit in hits}
    assert index.search(vector(3), channel_ids=[], limit=5) == []


def test_a_filter_cannot_be_injected(tmp_path: Path) -> None:
    """Fault 49: ids become integers before they become a filter; text never does."""
    index = open_index(tmp_path)
    index.upsert([row(1, text="x' OR '1'='1")])
    with pytest.raises(ValueError, match="invalid literal"):
        index.search(vector(1), channel_ids=["0) OR (1=1"], limit=5)  # type: ignore[list-item]
    assert index.search(vector(1), channel_ids=[99], limit=5) == []


def test_the_word_index_of_an_earlier_version_goes_with_the_next_upkeep(tmp_path: Path) -> None:
    """It was never asked, took time at every run and kept the words of deleted rows."""
    from lancedb.index import FTS

    index = open_index(tmp_path)
    index.upsert([row(n) for n in range(1, 60)])
    index._table.create_index("text", config=FTS())
    index.optimize()
    assert [found.columns for found in index._table.list_indices()] == []
    assert index.search(vector(5), channel_ids=[1], limit=1)[0].message_id == 5


def test_well_received_lines_can_be_preferred(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    near = vector(1) + 0.05 * vector(2)
    index.upsert([row(1), IndexRow(2, 1, 7, "liked", 5, 5, near / np.linalg.norm(near))])
    assert index.search(vector(1), channel_ids=[1], limit=1)[0].message_id == 1
    assert index.search(vector(1), channel_ids=[1], limit=1, reaction_weight=0.1)[0].message_id == 2


def test_deleted_messages_are_gone(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    index.upsert([row(n) for n in range(1, 6)])
    index.delete([2, 3, 99])
    assert sorted(index.ids().tolist()) == [1, 4, 5]


def test_another_embedding_model_needs_a_rebuild_and_finds_nothing_until_then(tmp_path: Path) -> None:
    open_index(tmp_path, "small").upsert([row(1)])
    other = open_index(tmp_path, "large")
    assert other.state is IndexState.OTHER_MODEL
    assert other.needs_rebuild
    assert other.search(vector(1), channel_ids=[1], limit=1) == []
    other.recreate()
    other.upsert([row(2)])
    assert other.ids().tolist() == [2]


def test_a_reader_notices_a_rebuild_by_another_model(tmp_path: Path) -> None:
    reader = open_index(tmp_path, "small")
    reader.upsert([row(1)])
    rebuilt = open_index(tmp_path, "large")
    rebuilt.recreate()
    rebuilt.upsert([row(1)])
    assert reader.search(vector(1), channel_ids=[1], limit=1) == []
    assert reader.state is IndexState.OTHER_MODEL


def test_what_another_process_writes_is_visible_at_the_next_query(tmp_path: Path) -> None:
    """Fault 33."""
    reader = open_index(tmp_path)
    reader.upsert([row(1)])
    assert reader.count() == 1
    code = (
        f"import sys; sys.path[:0] = {[str(Path.cwd())]!r}\n"
        "from pathlib import Path\nfrom tests.integration.test_vectordb import open_index, row\n"
        f"open_index(Path({str(tmp_path)!r})).upsert([row(2)])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert reader.count() == 2
    assert reader.search(vector(2), channel_ids=[1], limit=1)[0].message_id == 2


def test_a_reader_survives_compaction(tmp_path: Path) -> None:
    """Fault 34."""
    reader = open_index(tmp_path)
    reader.upsert([row(1)])
    writer = open_index(tmp_path)
    for n in range(2, 8):
        writer.upsert([row(n)])
    writer.optimize()
    assert len(reader.search(vector(3), channel_ids=[1], limit=10)) == 7


def test_many_one_row_writes_keep_the_number_of_files_bounded(tmp_path: Path) -> None:
    """Fault 35."""
    index = open_index(tmp_path)
    compactions = 0
    for n in range(1, 2 * COMPACT_FROM_FRAGMENTS + 20):
        index.upsert([row(n)])
        compactions += index.compact_if_fragmented()
    assert compactions >= 2
    assert index._table.stats()["fragment_stats"]["num_fragments"] < COMPACT_FROM_FRAGMENTS
    assert index.count() == 2 * COMPACT_FROM_FRAGMENTS + 19


def test_a_destroyed_index_finds_nothing_and_can_be_rebuilt(tmp_path: Path) -> None:
    """Fault 36: every newest file zeroed, or everything."""
    for part in ("data", "*"):
        folder = tmp_path / part.replace("*", "all")
        index = open_index(folder)
        index.upsert([row(1)])
        for path in folder.glob(f"messages.lance/{part}/*"):
            path.write_bytes(b"\0" * 100)
        fresh = open_index(folder)
        assert fresh.search(vector(1), channel_ids=[1], limit=1) == []
        assert index.search(vector(1), channel_ids=[1], limit=1) == []
        assert index.needs_rebuild
        fresh.recreate()
        fresh.upsert([row(2)])
        assert open_index(folder).ids().tolist() == [2]


def test_a_vector_index_is_built_only_when_it_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = open_index(tmp_path)
    index.upsert([row(n, channel_id=n % 4) for n in range(1, 1001)])
    index.optimize()
    assert not index._has_index("vector")
    monkeypatch.setattr("storage.vectordb.INDEX_FROM_ROWS", 1000)
    index.optimize(may_build_index=False)
    assert not index._has_index("vector")
    index.optimize()
    assert index._has_index("vector")
    assert index._has_index("message_id")
    assert index.search(vector(77), channel_ids=[1], limit=3)[0].message_id == 77
