"""Another embedding model: the old index serves until the new one is complete, and nothing said meanwhile is missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from storage.errors import CancelledError
from storage.index_sync import catch_up, chance_of
from storage.records import Channel, Message
from storage.store import Store
from storage.vectordb import IndexState, VectorIndex

DIMENSION = 16


def embedder(seed: int) -> Callable[[Sequence[str]], np.ndarray]:
    """Vectors by text, other ones for each seed."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        rows = np.stack([np.random.default_rng([seed, *text.encode()]).normal(size=DIMENSION) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    return embed


OLD, NEW = embedder(1), embedder(2)


def index_of(store: Store, model: str) -> VectorIndex:
    return VectorIndex.open(store.workspace.embeddings, model=model, dimension=DIMENSION)


def found(store: Store, model: str, text: str) -> list[int]:
    embed = OLD if model == "old" else NEW
    hits = index_of(store, model).search(embed([text])[0], channel_ids=[1], limit=1)
    return [hit.message_id for hit in hits]


@pytest.fixture
def indexed(store: Store) -> Store:
    store.channels.add([Channel(1, "general", learn=True, recall=True, is_private=False)])
    store.messages.save([Message(number, 1, 7, "ann", f"line {number}", number) for number in range(1, 101)])
    catch_up(store, index_of(store, "old"), OLD)
    return store


def test_the_old_index_is_searched_until_the_new_one_is_complete(indexed: Store) -> None:
    """Fault 93."""
    seen: list[list[int]] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        seen.append(found(indexed, "old", "line 5"))
        return NEW(texts)

    done = catch_up(indexed, index_of(indexed, "new"), embed)
    assert done.is_rebuilt
    assert done.rows == 100
    assert seen
    assert all(hits == [5] for hits in seen)
    assert found(indexed, "new", "line 5") == [5]
    assert index_of(indexed, "old").state is IndexState.OTHER_MODEL
    assert index_of(indexed, "old").made_by == "new"


def test_what_changes_meanwhile_is_in_the_new_index(indexed: Store) -> None:
    """Fault 93: new, edited and deleted while the index was being made."""
    is_first = True

    def embed(texts: Sequence[str]) -> np.ndarray:
        nonlocal is_first
        if is_first:
            is_first = False
            indexed.messages.save([Message(500, 1, 7, "ann", "brand new", 500)])
            indexed.messages.save([Message(6, 1, 7, "ann", "edited words", 6, edited_ms=9)])
            indexed.messages.delete([7])
        return NEW(texts)

    catch_up(indexed, index_of(indexed, "new"), embed)
    assert found(indexed, "new", "brand new") == [500]
    assert found(indexed, "new", "edited words") == [6]
    assert set(index_of(indexed, "new").ids()) == {*range(1, 101), 500} - {7}
    assert indexed.messages.queue_length() == 0


def test_a_run_cut_short_leaves_the_old_index_and_no_copy_of_anybodys_words(indexed: Store) -> None:
    """Fault 93."""

    def cancel(_texts: Sequence[str]) -> np.ndarray:
        raise CancelledError("stop")

    with pytest.raises(CancelledError):
        catch_up(indexed, index_of(indexed, "new"), cancel)
    assert found(indexed, "old", "line 5") == [5]
    catch_up(indexed, index_of(indexed, "old"), OLD)
    assert not (indexed.workspace.embeddings / "draft").exists()
    assert catch_up(indexed, index_of(indexed, "new"), NEW).rows == 100


def test_an_absent_member_is_not_in_the_new_index(indexed: Store) -> None:
    """Fault 93."""
    indexed.messages.save([Message(600, 1, 8, "bo", "not mine to keep", 600)])
    catch_up(indexed, index_of(indexed, "old"), OLD)
    indexed.members.set_opted_out(8, True, name="bo")
    catch_up(indexed, index_of(indexed, "new"), NEW)
    assert 600 not in set(index_of(indexed, "new").ids())


def test_the_measured_floor_belongs_to_the_model_that_made_the_index(indexed: Store) -> None:
    """Fault 93."""
    first = chance_of(indexed, "old")
    assert first is not None
    assert chance_of(indexed, "new") is None
    catch_up(indexed, index_of(indexed, "new"), NEW)
    second = chance_of(indexed, "new")
    assert second is not None
    assert chance_of(indexed, "old") is None
