"""What is taken back elsewhere reaches the running bot: its memory, its prompts and its index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot import indexing
from bot.indexing import keep_index_in_step
from bot.recall import Recall
from bot.storage_thread import StorageThread
from bot.withdrawal_follower import follow_withdrawals, sweep_withdrawals
from storage.forgetting import forget_channel, forget_member
from storage.index_sync import catch_up
from storage.paths import Workspace
from storage.records import Channel, Message
from storage.store import Store
from storage.vectordb import VectorIndex
from storage.withdrawals import Withdrawal, WithdrawalKind
from tests.support.full_workspace import holding
from tests.support.sim_bot import SimBot, sim_bot


def play(store: Store, scene: Callable[[SimBot], Any]) -> None:
    async def run() -> None:
        async with sim_bot(store, "sure") as bot:
            await scene(bot)

    asyncio.run(run())


def follow(bot: SimBot, seen: list[int]) -> None:
    """What the follower's task does with each look."""
    rows = bot.store.withdrawals.since(seen[0])
    bot.client.handlers.withdrawn(rows)
    seen[0] = bot.store.withdrawals.newest()


def live_texts(bot: SimBot) -> list[str]:
    return [m.content for _, log in bot.client.handlers._logs.items() for m in log.messages]


@pytest.mark.parametrize("how", ["erase", "leave out", "opt out", "delete one", "erase the channel"])
def test_what_the_panel_takes_back_leaves_the_live_talk(store: Store, how: str) -> None:
    """Fault 80. By another process: all it shares with the bot is the database."""

    async def scene(bot: SimBot) -> None:
        seen = [store.withdrawals.newest()]
        said = await bot.mira.send(bot.general, "my secret pie recipe")
        await bot.tam.send(bot.general, "yum")
        assert "my secret pie recipe" in live_texts(bot)
        bot.responder.forgotten.clear()
        with Store.open(store.workspace) as panel:
            if how == "erase":
                forget_member(panel, bot.mira.id)
            elif how == "leave out":
                panel.members.set_excluded(bot.mira.id, True)
            elif how == "opt out":
                panel.members.set_opted_out(bot.mira.id, True)
            elif how == "delete one":
                panel.messages.delete([said.id])
            else:
                forget_channel(panel, bot.general.id)
        follow(bot, seen)
        assert live_texts(bot) == ([] if how == "erase the channel" else ["yum"])
        assert bot.general.id in bot.responder.forgotten, "nothing prepared from it is used"
        await bot.tam.send(bot.general, "more?")
        assert not any("pie" in turn.text for turn in bot.responder.observed[-1])

    play(store, scene)


def test_closing_a_channel_for_recall_drops_what_was_prepared_from_it_elsewhere(store: Store) -> None:
    """Fault 80."""

    async def scene(bot: SimBot) -> None:
        await bot.tam.send(bot.general, "hello")
        store.channels.add([Channel(77, "other", recall=True, is_private=False)])
        seen = [store.withdrawals.newest()]
        bot.responder.forgotten.clear()
        store.channels.switch(77, recall=False)
        follow(bot, seen)
        assert bot.responder.forgotten == [bot.general.id]
        assert live_texts(bot) == ["hello"]

    play(store, scene)


def test_the_follower_hands_on_what_comes_after_its_start_once(store: Store) -> None:
    store.members.set_excluded(5, True)
    heard: list[Withdrawal] = []

    async def run() -> None:
        storage = StorageThread()
        task = asyncio.create_task(follow_withdrawals(store, storage, heard.extend, every_seconds=0.02))
        await asyncio.sleep(0.2)
        with Store.open(store.workspace) as panel:
            panel.members.set_excluded(6, True)
        deadline = time.monotonic() + 20
        while not heard and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        storage.close()

    asyncio.run(run())
    assert [(row.kind, row.id) for row in heard] == [(WithdrawalKind.ABSENT, 6)]


def test_no_log_line_holds_what_a_member_said_or_is_called(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Fault 76: an erasure finds log lines by id alone."""

    async def scene(bot: SimBot) -> None:
        said = await bot.mira.send(bot.general, "walrusword")
        await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> walrusword?")
        await said.delete()
        await bot.mira.send(bot.general, "!forgetme yes")
        await bot.env.settle()

    caplog.set_level("DEBUG")
    play(store, scene)
    ours = [record for record in caplog.records if not record.name.startswith(("discord", "simcord", "asyncio"))]
    assert ours
    assert not any("walrus" in record.getMessage() or "mira" in record.getMessage() for record in ours)


class Embedder:
    name, dimension = "tiny", 8

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([np.eye(8, dtype=np.float32)[len(text) % 8] for text in texts])


def message(number: int, author: int, text: str = "line") -> Message:
    return Message(number, 1, author, f"member{author}", f"{text} {number}", number)


def opened(workspace: Workspace) -> VectorIndex:
    return VectorIndex.open(workspace.embeddings, model="tiny", dimension=8)


def index_ids(store: Store, until: Callable[[set[int]], bool], *changes: Callable[[], object]) -> set[int]:
    """Run the bot's follower of the index; after each change wait until its ids are as wanted."""
    recall = Recall(store, open_index=lambda: opened(store.workspace), open_embedder=Embedder)  # type: ignore[arg-type]
    found: set[int] = set()

    async def run() -> None:
        nonlocal found
        task = asyncio.create_task(keep_index_in_step(store, recall, every_seconds=0.05))
        await asyncio.sleep(0.2)
        for change in changes:
            change()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not until(found):
            await asyncio.sleep(0.05)
            found = {int(i) for i in await asyncio.to_thread(lambda: opened(store.workspace).ids())}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        recall.close()

    asyncio.run(run())
    return found


def test_a_member_with_more_messages_than_the_bot_would_embed_leaves_its_index(store: Store) -> None:
    """Fault 81: 1,049 removals are no mountain; an opt-out only queues them, nobody purges the table."""
    store.messages.save([message(n, 7) for n in range(1, 1050)] + [message(2000, 8)])
    catch_up(store, opened(store.workspace), Embedder().embed)
    left = index_ids(store, lambda ids: ids == {2000}, lambda: store.members.set_opted_out(7, True))
    assert left == {2000}
    assert store.messages.queue_length() == 0


def test_new_messages_are_indexed_while_a_mountain_waits_for_the_script(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 81."""
    monkeypatch.setattr(indexing, "MAX_ROWS", 3)
    store.messages.save([message(1, 7)])
    catch_up(store, opened(store.workspace), Embedder().embed)
    store.messages.save([message(n, 7) for n in range(10, 30)])
    found = index_ids(store, lambda ids: 100 in ids, lambda: store.messages.save([message(100, 8, "new")]))
    assert found == {1, 100}
    assert store.messages.queue_length() == 20


def test_a_reader_in_another_process_survives_an_erasure(store: Store) -> None:
    """Fault 81. The reader's version of the table is gone from one moment to the next."""
    store.messages.save([message(n, 7 + n % 2) for n in range(1, 200)])
    catch_up(store, opened(store.workspace), Embedder().embed)
    reader = opened(store.workspace)
    assert reader.count() == 199
    forget_member(store, 7)
    hits = reader.search(np.eye(8, dtype=np.float32)[6], channel_ids=[1], limit=200)
    assert hits
    assert all(hit.message_id % 2 for hit in hits)
    assert reader.count() == 100
    assert not reader.needs_rebuild


def test_the_bot_cleans_the_files_of_what_was_deleted_while_it_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 77."""
    monkeypatch.setattr("bot.withdrawal_follower.SWEEP_FROM_AGE_SECONDS", 0.0)
    page = store.workspace.data / "evaluation" / "v" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>walrusword 5 and more</p>", encoding="utf-8")
    store.messages.save([message(5, 7, "walrusword")])

    async def run() -> None:
        task = asyncio.create_task(sweep_withdrawals(store, every_seconds=0.05))
        store.messages.delete([5])
        deadline = time.monotonic() + 30
        while store.withdrawals.oldest_unswept() is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert not page.exists()
    assert holding([Path(store.workspace.root)], "walrusword") == []
