"""SQLite to LanceDB: the index ends up with exactly what SQLite has, wherever the work was cut off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from storage.errors import AlreadyRunningError
from storage.index_sync import catch_up
from storage.paths import Workspace
from storage.records import Message, Reaction
from storage.store import Store
from storage.system.locks import FileLock
from storage.vectordb import VectorIndex

DIMENSION = 8


class Embedder:
    """Deterministic vectors, and how many texts were embedded."""

    def __init__(self) -> None:
        self.texts = 0

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += len(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=DIMENSION) for seed in seeds]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Workspace.at(tmp_path)) as opened:
        yield opened


def message(number: int, text: str | None = None, *, author: int = 7, **more: object) -> Message:
    content = f"line {number}" if text is None else text
    return Message(number, 1, author, f"member{author}", content, 1000 + number, **more)


def open_index(store: Store, model: str = "small") -> VectorIndex:
    return VectorIndex.open(store.workspace.embeddings, model=model, dimension=DIMENSION)


def indexed(store: Store, model: str = "small") -> list[int]:
    return sorted(open_index(store, model).ids().tolist())


def test_the_index_holds_exactly_what_has_words(store: Store) -> None:
    store.messages.save([message(1), message(2, ""), message(3, is_own=True), message(4, "lol"), message(5, "lol")])
    embedder = Embedder()
    result = catch_up(store, open_index(store), embedder)
    assert indexed(store) == [1, 4, 5]
    assert result.rows == 3
    assert embedder.texts == 2, "the same words are embedded once"
    assert catch_up(store, open_index(store), embedder).indexed == 0
    assert embedder.texts == 2


def test_edits_deletions_reactions_and_opt_outs_reach_the_index(store: Store) -> None:
    store.messages.save([message(n) for n in range(1, 6)] + [message(6, author=8)])
    catch_up(store, open_index(store), Embedder())
    reactions = (Reaction("👍", 9), Reaction("👎", 1))
    store.messages.save([message(1, "edited", edited_ms=9), message(2, reactions=reactions)])
    store.messages.delete([3])
    store.members.set_opted_out(8, True)
    result = catch_up(store, open_index(store), Embedder())
    assert (result.indexed, result.removed, indexed(store)) == (2, 2, [1, 2, 4, 5])
    (hit,) = open_index(store).search(Embedder()(["line 2"])[0], channel_ids=[1], limit=1)
    assert (hit.message_id, hit.reaction_score) == (2, 5)
    store.members.set_opted_out(8, False)
    catch_up(store, open_index(store), Embedder())
    assert indexed(store) == [1, 2, 4, 5, 6]


@pytest.mark.parametrize("place", ["embed", "upsert", "clear_queued"])
def test_a_kill_between_the_databases_loses_and_repeats_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Fault 37."""
    monkeypatch.setattr("storage.index_sync.BATCH_ROWS", 4)
    store.messages.save([message(n) for n in range(1, 11)])
    index, calls, embedder = open_index(store), [0], Embedder()

    def kill_the_second_time(work: object) -> object:
        def wrapped(*args: object) -> object:
            calls[0] += 1
            if calls[0] == 2:
                raise Killed
            return work(*args)

        return wrapped

    with monkeypatch.context() as patched:
        if place == "upsert":
            patched.setattr(index, "upsert", kill_the_second_time(index.upsert))
        if place == "clear_queued":
            patched.setattr(store.messages, "clear_queued", kill_the_second_time(store.messages.clear_queued))
        with pytest.raises(Killed):
            catch_up(store, index, kill_the_second_time(embedder) if place == "embed" else embedder)
    catch_up(store, open_index(store), Embedder())
    assert indexed(store) == list(range(1, 11))
    assert store.messages.queue_length() == 0


def test_a_kill_between_queueing_and_emptying_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 37, in a rebuild."""
    store.messages.save([message(n) for n in range(1, 6)])
    catch_up(store, open_index(store), Embedder())
    for place in ("recreate", "upsert", "take_over"):
        with monkeypatch.context() as patched:
            patched.setattr(VectorIndex, place, lambda *_: (_ for _ in ()).throw(Killed()))
            with pytest.raises(Killed):
                catch_up(store, open_index(store), Embedder(), rebuild=True)
    catch_up(store, open_index(store), Embedder())
    assert indexed(store) == [1, 2, 3, 4, 5]


def test_another_embedding_model_re_embeds_everything(store: Store) -> None:
    store.messages.save([message(n) for n in range(1, 6)])
    catch_up(store, open_index(store, "small"), Embedder())
    result = catch_up(store, open_index(store, "large"), Embedder())
    assert result.is_rebuilt
    assert indexed(store, "large") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("damage", ["folder gone", "files zeroed", "rows lost"])
def test_a_destroyed_index_is_rebuilt_from_sqlite(store: Store, damage: str) -> None:
    """Fault 36."""
    store.messages.save([message(n) for n in range(1, 6)])
    catch_up(store, open_index(store), Embedder())
    if damage == "rows lost":  # what a power cut does: the newest version is gone, an older one stands
        open_index(store).delete([4, 5])
    for path in store.workspace.embeddings.glob("messages.lance/**/*"):
        if path.is_file() and damage != "rows lost":
            path.unlink() if damage == "folder gone" else path.write_bytes(b"\0" * 50)
    result = catch_up(store, open_index(store), Embedder())
    assert result.is_rebuilt
    assert indexed(store) == [1, 2, 3, 4, 5]


def test_two_at_once_are_told_apart(store: Store) -> None:
    with (
        FileLock(store.workspace.locks / "index.lock", holder="Indexing"),
        pytest.raises(AlreadyRunningError, match="Indexing is already running"),
    ):
        catch_up(store, open_index(store), Embedder())


def test_progress_is_told_while_it_embeds(store: Store) -> None:
    store.messages.save([message(n) for n in range(1, 600)])
    seen: list[float] = []
    catch_up(store, open_index(store), Embedder(), lambda fraction, *_, **__: seen.append(fraction))
    assert len(seen) > 4
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_the_index_script_does_not_lock_itself_out(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import fetch_and_embed

    class Small:
        name, dimension = "small", DIMENSION

        def embed(self, texts: Sequence[str]) -> np.ndarray:
            return Embedder()(texts)

    monkeypatch.setattr("model.embeddings.bulk_embedder", lambda *_: Small())
    monkeypatch.setattr("model.embeddings.ensure_query_gguf", lambda *_, **__: None)
    store.messages.save([message(1), message(2)])
    fetch_and_embed.main(["--workspace", str(store.workspace.root), "--only-index"])
    assert "index holds         2" in capsys.readouterr().out
    assert indexed(store) == [1, 2]
    store.messages.delete([1])
    fetch_and_embed.main(["--workspace", str(store.workspace.root), "--rebuild-index"])
    assert indexed(store) == [2]
