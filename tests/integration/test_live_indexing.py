"""While the bot runs, what is written, edited and deleted reaches the search index in small batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bot import indexing
from bot.indexing import keep_index_in_step
from bot.recall import Recall
from storage.records import Message
from storage.store import Store
from storage.vectordb import VectorIndex


class CountingEmbedder:
    """One direction per text: enough to see what is in the index."""

    name, dimension = "tiny", 8

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([np.eye(8, dtype=np.float32)[len(text) % 8] for text in texts])


def message(message_id: int, content: str) -> Message:
    return Message(message_id, 1, 7, "Mira", content, message_id)


def follow(store: Store, *steps: tuple[Callable[[], object], set[int]]) -> None:
    """Run the follower; after each change wait until the index holds exactly these ids."""

    def opened() -> VectorIndex:
        return VectorIndex.open(store.workspace.embeddings, model="tiny", dimension=8)

    recall = Recall(store, open_index=opened, open_embedder=CountingEmbedder)  # type: ignore[arg-type]

    async def run() -> None:
        task = asyncio.create_task(keep_index_in_step(store, recall, every_seconds=0.05))
        try:
            for change, expected in steps:
                change()
                deadline = time.monotonic() + 30
                while {int(i) for i in await asyncio.to_thread(lambda: opened().ids())} != expected:
                    assert time.monotonic() < deadline
                    assert not task.done()
                    await asyncio.sleep(0.05)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            recall.close()

    asyncio.run(run())


def test_the_index_follows_new_messages_edits_and_deletions(store: Store) -> None:
    """FAULTS 40, with the bot on."""
    follow(
        store,
        (lambda: store.messages.save([message(1, "a"), message(2, "bb")]), {1, 2}),
        (lambda: store.messages.save([message(1, "edited"), message(3, "ccc")]), {1, 2, 3}),
        (lambda: store.messages.delete([2]), {1, 3}),
        (lambda: store.members.set_opted_out(7, True, name="Mira"), set()),
    )


def test_a_mountain_of_messages_is_left_to_the_script(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(indexing, "MAX_ROWS", 3)
    store.messages.save([message(n, "x") for n in range(1, 6)])
    index = VectorIndex.open(store.workspace.embeddings, model="tiny", dimension=8)
    assert "--only-index" in indexing._catch_up(store, index, CountingEmbedder())
    assert store.messages.queue_length() == 5
