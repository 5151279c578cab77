"""Members who mean harm, with messages and commands: the bot is still there, and its heartbeat is fresh."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from bot.together import Together
from storage.errors import BusyError
from storage.paths import Workspace
from storage.records import Message
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, OWNER, TAM, offline_model_environment, prepare, running_bot
from tests.support.sim_bot import SimBot, play

# Older than this a heartbeat is news to nobody; the supervisor's patience is 60 s.
FRESH_SECONDS = 10.0


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=1000)
    world.add_channel("noise", channel_id=1001)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


def fill(store: Store, count: int) -> None:
    """Messages of one member, past the triggers of the index."""
    with store.messages_db.transaction() as connection:
        connection.execute("DROP TRIGGER queue_new")
        connection.executemany(
            "INSERT INTO messages (id, channel_id, author_id, content, created_ms) VALUES (?, 1000, ?, ?, ?)",
            ((n, MIRA if n % 2 else TAM, f"an older line, number {n}", n) for n in range(1, count + 1)),
        )


def test_a_flood_and_commands_on_a_large_server_leave_the_heartbeat_fresh_and_a_question_answered(
    workspace: Workspace, server: DiscordServer
) -> None:
    """Fault 111: 200 messages a second for four seconds, twenty `!botdata`, then a question."""
    prepare(workspace, server)
    with Store.open(workspace) as store:
        fill(store, 200_000)
    ages, is_over = list[float](), threading.Event()
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()

        def watch() -> None:
            with Store.open(workspace) as seen:
                while not is_over.wait(0.2):
                    status = seen.status.read_bot()
                    ages.append(time.time() - (status.heartbeat_at if status else 0.0))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            said, began = list[int](), time.monotonic()
            for number in range(800):
                said.append(server.say(1001, TAM if number % 2 else MIRA, f"noise {number}"))
                if number % 40 == 0:
                    server.say(1001, TAM, "!botdata")
                time.sleep(max(0.0, began + number / 200 - time.monotonic()))
            asked = server.say(1000, MIRA, f"<@{BOT_ID}> are you there?")
            server.wait_for(
                lambda: (row := bot.store.activity.about(asked)) is not None and row.reply_id is not None,
                timeout=60,
                what="the answer",
            )
        finally:
            is_over.set()
            watching.join()
        server.wait_for(
            lambda: len(bot.store.messages.known_ids(said)) == len(said), timeout=60, what="everything stored"
        )
        refused = [sent for sent in server.world.sent if "ask again in" in sent.content]
        about = [sent for sent in server.world.sent if "Of you it has 100,0" in sent.content]
        assert about
        assert len(refused) <= len(about), "a refusal is no flood of its own"
        assert len(about) + len(refused) < 20
    print(f"oldest heartbeat seen: {max(ages):.1f} s")
    assert ages
    assert max(ages) < FRESH_SECONDS


def test_counting_messages_reads_none(store: Store) -> None:
    """Fault 111: every count that a command, the panel or the doctor asks for comes from an index alone."""
    store.messages.save([Message(n, 1 + n % 2, 7 + n % 2, "M", f"line {n}", n, username="m") for n in range(1, 8)])
    store.messages.save([Message(9, 1, 99, "Bot", "own", 9, username="bot", is_own=True)])
    assert store.messages.count() == 7
    assert store.messages.counts_by_author() == {7: 3, 8: 4}
    assert store.messages.counts_by_channel() == {1: 3, 2: 4}
    assert [store.messages.count_by(author) for author in (7, 8, 5)] == [3, 4, 0]
    seen = list[str]()
    store.messages_db.connection().set_trace_callback(seen.append)
    for count in (
        store.messages.count,
        store.messages.counts_by_author,
        store.messages.counts_by_channel,
        lambda: store.messages.count_by(7),
    ):
        count()
    store.messages_db.connection().set_trace_callback(None)
    assert len(seen) == 6
    for statement in seen:
        plan = [row["detail"] for row in store.messages_db.rows(f"EXPLAIN QUERY PLAN {statement}")]
        steps = [step for step in plan if step.startswith(("SCAN", "SEARCH")) and "CONSTANT" not in step]
        assert steps, (statement, plan)
        assert all("COVERING INDEX" in step or "messages_own" in step for step in steps), (statement, plan)


def test_members_commands_have_a_cooldown_that_says_so_once_and_admins_have_none(store: Store) -> None:
    """Fault 111."""

    async def scene(bot: SimBot) -> None:
        for _ in range(6):
            await bot.mira.send(bot.general, "!botdata")
        own = bot.own
        assert len(own) == 3
        assert all("learns from" in text for text in own[:2])
        assert "ask again in" in own[2]
        await bot.mira.send(bot.general, "!optout")
        assert "Done" in bot.own[-1], "a second thought about leaving is another command"
        result = await bot.mira.slash(bot.general, "botdata")
        assert "One moment" in result.response.content
        assert result.ephemeral
        await bot.tam.send(bot.general, "!botdata")
        assert "learns from" in bot.own[-1], "nobody waits for another member"
        before = len(bot.own)
        for _ in range(6):
            await bot.admin.send(bot.general, "!botdata")
        assert len(bot.own) == before + 6
        await bot.env.advance_time(30)
        await bot.mira.send(bot.general, "!botdata")
        assert "learns from" in bot.own[-1]

    play(store, scene)


def test_two_bots_of_one_process_count_a_members_commands_apart(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        for _ in range(2):
            await bot.mira.send(bot.general, "!botdata")
        assert all("learns from" in text for text in bot.own)
        assert len(bot.own) == 2

    play(store, scene)
    play(store, scene)


class Later:
    """A storage thread that runs what was asked only when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], asyncio.Future[Any]]] = []

    async def run(self, function: Any, *arguments: Any) -> Any:
        while True:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self.calls.append((function, arguments, future))
            try:
                return await future
            except BusyError:
                continue

    def work(self) -> None:
        calls, self.calls = self.calls, []
        for function, arguments, future in calls:
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)


def test_what_waits_is_answered_in_one_go_in_order_and_one_bad_question_fails_alone() -> None:
    """Fault 111: also while the database is held, and when one message of a flood cannot be stored."""
    batches, held = list[list[int]](), [True]

    def answer(questions: Sequence[int]) -> list[int]:
        if held[0]:
            raise BusyError("held")
        batches.append(list(questions))
        if 7 in questions:
            raise ValueError("seven")
        return [10 * question for question in questions]

    async def scene() -> None:
        thread = Later()
        together: Together[int, int] = Together(thread, answer)

        async def asked(*questions: int) -> list[Any]:
            tasks = [asyncio.create_task(together.ask(question)) for question in questions]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0)
                thread.work()
                held[0] = False
            return [task.exception() or task.result() for task in tasks]

        assert await asked(*range(1, 6)) == [10, 20, 30, 40, 50]
        assert batches == [[1, 2, 3, 4, 5]]
        batches.clear()
        answers = await asked(6, 7, 8)
        assert answers[0] == 60
        assert isinstance(answers[1], ValueError)
        assert answers[2] == 80
        assert batches == [[6, 7, 8], [6], [7], [8]]
        batches.clear()
        assert len(await asked(*range(100, 550))) == 450
        assert [len(batch) for batch in batches] == [200, 200, 50]

    asyncio.run(scene())
