"""Coming online, staying online, and the ends that need the owner: faults of Discord and of the network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bot import client as client_module
from bot import reply_scheduler
from bot.client import Connection, wait_seconds
from bot.live_status import LiveStatus
from bot.reply_scheduler import GAVE_WAY, WAITING_LIMIT
from bot.stopping import StopRequest
from storage.errors import ConfigurationError
from storage.paths import Workspace
from storage.records import DISCORD_EPOCH_MS, ExitCode
from storage.settings import REGISTRY
from storage.store import Store
from tests.support.discord_server import MESSAGE_CONTENT, DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, OWNER, TAM, prepare, running_bot
from tests.support.wire_bot import WireBot, play

BAN = "error code: 1015"


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=1000)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    with DiscordServer(world) as running:
        yield running


@pytest.fixture
def ready_store(workspace: Workspace, server: DiscordServer) -> Iterator[Store]:
    prepare(workspace, server, conversation_seconds=0)
    with Store.open(workspace) as store:
        yield store


def decisions(store: Store, message_id: int) -> int:
    """How often what became of a message is on record."""
    return store.control_db.value("SELECT COUNT(*) FROM activity WHERE message_id = ? AND is_due = 0", (message_id,))


# ---- ends that need the owner --------------------------------------------------------------------------


def test_an_invalid_token_ends_the_process_with_one_request_and_one_sentence(
    workspace: Workspace, server: DiscordServer
) -> None:
    """FAULTS 12: exit 78, no traceback."""
    prepare(workspace, server)
    with running_bot(workspace, server, environment={"DISCORD_TOKEN": "wrong", "MODEL_PATH": "none.gguf"}) as bot:
        assert bot.wait_for_exit() == ExitCode.CONFIGURATION
        assert len(server.requests) == 1
        assert "does not accept the bot token" in bot.status.exit_reason
        assert "Developer Portal" in bot.status.last_error_cure
        assert "Traceback" not in bot.log() + bot.output()


def test_a_missing_intent_ends_the_process_and_names_the_switch(workspace: Workspace, server: DiscordServer) -> None:
    """FAULTS 13."""
    server.approved_intents &= ~MESSAGE_CONTENT
    prepare(workspace, server)
    with running_bot(workspace, server, environment={"MODEL_PATH": "none.gguf"}) as bot:
        assert bot.wait_for_exit() == ExitCode.CONFIGURATION
        assert "Message Content" in bot.status.exit_reason
        assert "Privileged Gateway Intents" in bot.status.last_error_cure
        assert "Traceback" not in bot.log()


def test_a_token_that_stops_being_valid_ends_with_the_same_sentence(ready_store: Store, server: DiscordServer) -> None:
    """FAULTS 12: close 4004 later."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        await asyncio.to_thread(server.close_gateway, 4004)
        with pytest.raises(ConfigurationError, match="does not accept"):
            await asyncio.wait_for(bot.task, 20)

    play(ready_store, server, scene)


# ---- coming back -----------------------------------------------------------------------------------------


def test_a_start_without_network_comes_online_when_the_network_is_back(
    ready_store: Store, server: DiscordServer
) -> None:
    """FAULTS 14: refused, then 503 at login, then a gateway that fails on the first connection."""
    server.go_away()

    async def scene(bot: WireBot) -> None:
        await bot.until(lambda: "cannot be reached" in bot.services.status.snapshot().last_error)
        server.fail(503, path="/users/@me")
        server.refuse_gateway_times = 1
        await asyncio.to_thread(server.listen)
        await bot.online(timeout=75)
        assert bot.services.status.snapshot().last_error == ""
        assert server.identifies == 1

    play(ready_store, server, scene)


def test_a_short_gap_is_resumed_and_repeated_events_are_handled_once(ready_store: Store, server: DiscordServer) -> None:
    """FAULTS 17."""
    server.repeats_events_on_resume = True

    async def scene(bot: WireBot) -> None:
        await bot.online()
        first = await asyncio.to_thread(server.say, 1000, MIRA, f"<@{BOT_ID}> hi")
        await bot.until(lambda: len(server.world.sent) == 1, what="the reply")
        await asyncio.to_thread(server.close_gateway, 4000)
        await bot.until(lambda: server.resumes == 1, what="the resume")
        second = await asyncio.to_thread(server.say, 1000, MIRA, "still there?")
        await bot.until(lambda: decisions(ready_store, second), what="the second decision")
        assert decisions(ready_store, first) == 1
        assert len(server.world.sent) == 1

    play(ready_store, server, scene, "hello")


@pytest.mark.parametrize("fault", ["reconnect", "invalid session"])
def test_after_a_forced_reconnect_each_message_is_handled_once(
    ready_store: Store, server: DiscordServer, fault: str
) -> None:
    """FAULTS 18: opcodes 7 and 9 leave no second set of handlers."""

    async def scene(bot: WireBot) -> None:
        await bot.online()
        if fault == "reconnect":
            await asyncio.to_thread(server.ask_to_reconnect)
            await bot.until(lambda: server.resumes == 1, what="the resume")
        else:
            await asyncio.to_thread(server.invalidate_sessions)
            await bot.until(lambda: server.identifies == 2, what="the new session")
        message = await asyncio.to_thread(server.say, 1000, MIRA, "hello again")
        await bot.until(lambda: decisions(ready_store, message), what="the decision")
        await asyncio.sleep(0.2)
        assert decisions(ready_store, message) == 1
        assert ready_store.messages.count() == 1

    play(ready_store, server, scene)


@pytest.mark.parametrize("loss", ["the session is lost", "the bot is killed"])
def test_what_was_said_while_a_session_could_not_be_resumed_is_kept_and_answered_once(
    ready_store: Store, server: DiscordServer, loss: str
) -> None:
    """Fault 105: nothing Discord says between the loss and READY is told again."""
    server.can_resume = False
    missed: list[int] = []

    def talk() -> None:
        missed.append(server.do(lambda world: int(world.write(1000, TAM, "somebody ate my cake")["id"])))
        missed.append(server.do(lambda world: int(world.write(1000, MIRA, f"<@{BOT_ID}> was it you")["id"])))
        server.do(lambda world: world.write(1000, OWNER, "!restart"))

    async def before(bot: WireBot) -> None:
        await bot.online()
        first = await asyncio.to_thread(server.say, 1000, MIRA, "morning")
        await bot.until(lambda: decisions(ready_store, first), what="the first decision")
        if loss != "the bot is killed":
            # Said and lost: the session ends before the next one begins.
            await asyncio.to_thread(server.go_away)
            await bot.offline()
            talk()
            await asyncio.to_thread(server.listen)
            await after(bot)

    async def after(bot: WireBot) -> None:
        await bot.until(lambda: len(server.world.sent) == 1, what="the reply", timeout=60)
        await bot.until(lambda: all(decisions(ready_store, each) for each in missed), what="all decisions")
        await asyncio.sleep(0.3)
        assert [decisions(ready_store, each) for each in missed] == [1, 1]
        assert len(server.world.sent) == 1
        assert not server.asked("POST", r".*/restart")
        assert set(missed) <= set(ready_store.messages.get(missed))
        reasons = {a.message_id: a.reason for a in ready_store.activity.recent(limit=10)}
        assert all("away" in reasons[each] for each in missed)

    play(ready_store, server, before, "no")
    if loss == "the bot is killed":
        talk()
        play(ready_store, server, after, "no")


def test_whoever_asked_long_ago_is_not_answered_out_of_nowhere(ready_store: Store, server: DiscordServer) -> None:
    async def before(bot: WireBot) -> None:
        await bot.online()
        first = await asyncio.to_thread(server.say, 1000, MIRA, "morning")
        await bot.until(lambda: decisions(ready_store, first), what="the first decision")

    play(ready_store, server, before)
    ready_store.control_db.execute("UPDATE activity SET message_id = 1")
    ready_store.messages_db.execute("DELETE FROM messages")
    an_hour_ago = (int((time.time() - 3600) * 1000) - DISCORD_EPOCH_MS) << 22
    old = server.do(lambda world: int(world.write(1000, MIRA, f"<@{BOT_ID}> hello?", message_id=an_hour_ago)["id"]))

    async def after(bot: WireBot) -> None:
        await bot.until(lambda: decisions(ready_store, old), what="the decision")
        await asyncio.sleep(0.2)
        assert not server.world.sent

    play(ready_store, server, after)


def test_a_channel_whose_history_may_not_be_read_is_left_to_the_fetch(
    ready_store: Store, server: DiscordServer
) -> None:
    async def before(bot: WireBot) -> None:
        await bot.online()
        first = await asyncio.to_thread(server.say, 1000, MIRA, "morning")
        await bot.until(lambda: decisions(ready_store, first), what="the first decision")

    play(ready_store, server, before)
    server.do(lambda world: world.write(1000, MIRA, "anyone?"))
    server.fail(403, method="GET", path=r".*/messages", body={"code": 50001, "message": "Missing Access"})

    async def after(bot: WireBot) -> None:
        await bot.online()
        await bot.until(lambda: server.asked("GET", r".*/messages"), what="the look at the history")
        message = await asyncio.to_thread(server.say, 1000, MIRA, "hello again")
        await bot.until(lambda: decisions(ready_store, message), what="the decision")

    play(ready_store, server, after)


def test_a_dead_connection_is_noticed_and_resumed(
    ready_store: Store, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 16, with the 50 seconds shortened to 2."""
    monkeypatch.setattr(client_module, "ZOMBIE_SECONDS", 2.0)
    server.heartbeat_seconds = 0.5

    async def scene(bot: WireBot) -> None:
        await bot.online()
        await asyncio.to_thread(server.freeze)
        await bot.until(lambda: server.resumes >= 1, what="the resume", timeout=75)
        await bot.online()

    play(ready_store, server, scene)


def test_an_outage_of_an_hour_ends_within_ninety_seconds_of_its_end() -> None:
    """FAULTS 15, with a clock of its own: the pauses between tries never grow past 30 s."""
    now, tried = [0.0], []

    class Client:
        lost_at, was_online, latency = 0.0, False, 0.05

        async def login(self, _token: str) -> None:
            tried.append(now[0])
            if now[0] < 3600:
                raise OSError("network is unreachable")
            raise asyncio.CancelledError

        def is_closed(self) -> bool:
            return True

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    patient = SimpleNamespace(allow=lambda seconds: seconds)
    services: Any = SimpleNamespace(status=LiveStatus(mode="discord"), store=None, stop=patient)
    connection = Connection(Client, "t", services, sleep=sleep, clock=lambda: now[0])  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(connection.run())
    assert tried[-1] - 3600 < 30
    assert len(tried) < 300
    assert [round(wait_seconds(n, 1.0)) for n in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_supervised_bot_that_is_cut_off_for_hours_ends_with_its_own_code(store: Store) -> None:
    now = [0.0]

    class Client:
        lost_at, was_online = 0.0, False

        async def login(self, _token: str) -> None:
            raise OSError("network is unreachable")

        def is_closed(self) -> bool:
            return True

    async def scene() -> StopRequest:
        stop = StopRequest()

        async def sleep(seconds: float) -> None:
            now[0] += seconds
            if stop.is_asked:
                raise asyncio.CancelledError

        services: Any = SimpleNamespace(status=LiveStatus(mode="discord"), store=store, stop=stop)
        store.status.write_supervisor(1)
        connection = Connection(Client, "t", services, sleep=sleep, clock=lambda: now[0])  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await connection.run()
        return stop

    stop = asyncio.run(scene())
    assert stop.ending.code == ExitCode.UNREACHABLE
    assert 6 * 3600 <= now[0] < 6 * 3600 + 90


def test_a_fault_of_ours_while_signing_in_ends_the_bot_and_is_not_told_as_a_missing_network(store: Store) -> None:
    """Only discord.py's own AttributeError, of a connection that never came to be, is one."""

    class Client:
        lost_at, was_online, ws = 0.0, False, None

        async def login(self, _token: str) -> None:
            return self.commands.add()  # type: ignore[attr-defined,no-any-return]

        def is_closed(self) -> bool:
            return True

    status = LiveStatus(mode="discord")
    services: Any = SimpleNamespace(status=status, store=store, stop=StopRequest())
    with pytest.raises(AttributeError, match="commands"):
        asyncio.run(Connection(Client, "t", services).run())  # type: ignore[arg-type]
    assert "gateway" not in status.snapshot().last_error


# ---- sending ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_connection_dropped_while_posting_costs_no_answer_and_doubles_none(
    ready_store: Store, server: DiscordServer, lost: str
) -> None:
    """Fault 106: the answer to the request is lost, whether Discord had taken the message already or not."""
    server.drop_posts = lost

    async def scene(bot: WireBot) -> None:
        await bot.online()
        message = await asyncio.to_thread(ask, server)
        await bot.until(lambda: decisions(ready_store, message), what="the decision", timeout=60)
        assert [sent.content for sent in server.world.sent] == ["sure"]
        assert ready_store.activity.recent(limit=1)[0].reply_id == int(server.world.sent[0].message["id"])

    play(ready_store, server, scene)


def test_a_success_answer_without_author_is_a_success(ready_store: Store, server: DiscordServer) -> None:
    """Fault 108."""
    server.leaves_out_author = True

    async def scene(bot: WireBot) -> None:
        await bot.online()
        message = await asyncio.to_thread(ask, server)
        await bot.until(lambda: decisions(ready_store, message), what="the decision")
        row = ready_store.activity.recent(limit=1)[0]
        assert row.spoke
        assert row.reply_id is not None
        assert not row.error

    play(ready_store, server, scene)


def test_a_forward_that_mentions_the_bot_is_read_and_answered_and_its_words_are_not_kept(
    ready_store: Store, server: DiscordServer
) -> None:
    """Fault 108: a forward has no content of its own, and its words are not the forwarder's."""
    snapshot = {
        "type": 0,
        "content": f"<@{BOT_ID}> who won the cup?",
        "timestamp": "2024-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "attachments": [],
        "embeds": [],
        "mentions": [],
        "mention_roles": [],
        "flags": 0,
    }
    reference = {"type": 1, "message_id": "5", "channel_id": "6", "guild_id": str(server.world.guild_id)}

    async def scene(bot: WireBot) -> None:
        await bot.online()
        message = await asyncio.to_thread(
            server.say, 1000, MIRA, "", message_snapshots=[{"message": snapshot}], message_reference=reference
        )
        await bot.until(lambda: decisions(ready_store, message), what="the decision")
        await bot.until(lambda: len(server.world.sent) == 1, what="the answer")
        turns = bot.services.responder.asked[-1]
        assert "who won the cup?" in turns[-1].text
        assert "who won" not in str([row.content for row in ready_store.messages.get([message]).values()])

    play(ready_store, server, scene)


@pytest.mark.parametrize("event", ["channel", "role"])
def test_a_refusal_is_forgotten_when_permissions_change(ready_store: Store, server: DiscordServer, event: str) -> None:
    """Fault 107: one 403 silenced a channel for ten minutes although the permission was back."""
    server.world.no_sending.add(1000)

    async def scene(bot: WireBot) -> None:
        await bot.online()
        first = await asyncio.to_thread(ask, server)
        await bot.until(lambda: decisions(ready_store, first), what="the refusal")
        server.do(lambda world: world.no_sending.clear())
        guild = {"guild_id": str(server.world.guild_id)}
        if event == "channel":
            await asyncio.to_thread(server.tell, "CHANNEL_UPDATE", server.world.channels[1000] | guild)
        else:
            role = server.world.guild_json()["roles"][1]
            await asyncio.to_thread(server.tell, "GUILD_ROLE_UPDATE", guild | {"role": role})
        await asyncio.sleep(0.2)
        await asyncio.to_thread(ask, server, "and now?")
        await bot.until(lambda: len(server.world.sent) == 1, what="the answer")

    play(ready_store, server, scene)


def ask(server: DiscordServer, text: str = "hi") -> int:
    return server.say(1000, MIRA, f"<@{BOT_ID}> {text}")


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (lambda s: s.world.no_sending.add(1000), "no permission"),
        (
            lambda s: s.fail(
                404, method="POST", path=r".*/messages", body={"code": 10003, "message": "Unknown Channel"}
            ),
            "gone",
        ),
        (lambda s: s.fail(400, method="POST", path=r".*/messages", body={"code": 50035, "message": "Invalid"}), "400"),
        (lambda s: s.fail(429, method="POST", path=r".*/messages", body=BAN), "429"),
    ],
)
def test_a_reply_discord_refuses_is_one_line_in_the_log_and_a_reason(
    ready_store: Store, server: DiscordServer, setup: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """FAULTS 19, 20."""
    setup(server)

    async def scene(bot: WireBot) -> None:
        await bot.online()
        first = await asyncio.to_thread(ask, server)
        await bot.until(lambda: decisions(ready_store, first), what="the decision")
        assert words in ready_store.activity.about(first).reason
        assert server.world.sent == []
        if words == "no permission":
            second = await asyncio.to_thread(ask, server, "and now?")
            await bot.until(lambda: decisions(ready_store, second), what="the second decision")
            assert "paused" in ready_store.activity.about(second).reason
            assert len(server.asked("POST", ".*/messages")) == 1

    play(ready_store, server, scene)
    assert len([r for r in caplog.records if r.name == "bot.outbox"]) == 1


def test_a_service_error_while_sending_is_tried_again_without_a_second_message(
    ready_store: Store, server: DiscordServer
) -> None:
    server.fail(503, method="POST", path=r".*/messages")

    async def scene(bot: WireBot) -> None:
        await bot.online()
        message = await asyncio.to_thread(ask, server)
        await bot.until(lambda: decisions(ready_store, message), what="the decision")
        assert [sent.content for sent in server.world.sent] == ["sure"]

    play(ready_store, server, scene)


def test_each_decision_is_stored_when_it_is_taken_and_completed_when_the_answer_is_out(
    ready_store: Store, server: DiscordServer
) -> None:
    joined, rolled = "part of the same answer", "rolled"

    def rows() -> list[tuple[int, str, bool, bool]]:
        return [
            (a.message_id, a.reason.split(" 0.")[0], a.is_due, a.spoke) for a in reversed(ready_store.activity.recent())
        ]

    async def scene(bot: WireBot) -> None:
        await bot.online()
        bot.services.responder.may_answer.clear()
        said = [await asyncio.to_thread(ask, server)]
        for person, text in ((MIRA, "about cats"), (MIRA, "abuot dogs"), (TAM, "by the way"), (MIRA, "ok?")):
            said.append(await asyncio.to_thread(server.say, 1000, person, text))
        await bot.until(lambda: len(rows()) == 5, what="the decisions")
        assert rows() == [
            (said[0], "mentioned", True, False),
            (said[1], joined, True, False),
            (said[2], joined, True, False),
            (said[3], rolled, False, False),
            (said[4], joined, True, False),
        ]
        await asyncio.to_thread(server.delete, 1000, said[2])
        bot.services.responder.may_answer.set()
        await bot.until(lambda: not ready_store.activity.due(), what="the answer")
        assert rows() == [
            (said[0], "mentioned", False, True),
            (said[1], joined, False, True),
            (said[2], f"{joined}; deleted before it was answered", False, False),
            (said[3], rolled, False, False),
            (said[4], joined, False, True),
        ]
        assert [sent.content for sent in server.world.sent] == ["one"]
        assert [ready_store.activity.about(i).latency_ms is not None for i in said] == [*[False] * 4, True]

    play(ready_store, server, scene, "one")


def test_twenty_questions_at_once_are_answered_in_order_or_refused_with_a_reason(
    ready_store: Store, server: DiscordServer
) -> None:
    """FAULTS 22, 46: the queue is bounded."""
    people = [7_100_000_000_000_000 + n for n in range(40)]
    for person in people:
        server.world.add_member(person, f"p{person % 1000}")

    async def scene(bot: WireBot) -> None:
        await bot.online()
        ids = [await asyncio.to_thread(server.say, 1000, person, f"<@{BOT_ID}> me?") for person in people]
        await bot.until(lambda: sum(decisions(ready_store, i) > 0 for i in ids) >= 16, timeout=60, what="16 decisions")
        reasons = [ready_store.activity.about(i).reason for i in ids if ready_store.activity.about(i)]
        assert any("queue full (24" in reason for reason in reasons)

    play(ready_store, server, scene)


@pytest.mark.parametrize("ceiling", [1000, 7])
def test_in_a_flood_mentions_are_answered_the_queue_is_bounded_and_every_decision_stored(
    ready_store: Store, server: DiscordServer, monkeypatch: pytest.MonkeyPatch, ceiling: int
) -> None:
    """Faults 46 and 22: a hundred messages of 44 members at once, all of them worth an answer."""
    monkeypatch.setattr(reply_scheduler, "SETTLE_SECONDS", 0.01)
    for key, value in (
        ("response_rate", 1.0),
        ("cooldown_seconds", 0),
        ("replies_per_channel_hour", ceiling),
        ("replies_per_member_hour", 1000),
        ("replies_per_hour", 1000),
    ):
        ready_store.settings.set(REGISTRY[key], value, changed_by="test")
    talkers, askers = ([7_100_000_000_000_000 + start + n for n in range(30)] for start in (0, 100))
    for person in (*talkers, *askers):
        server.world.add_member(person, f"p{person % 1000}")

    def flood() -> tuple[list[int], list[int]]:
        said, mentions = [], []
        for number in range(100):
            if number % 10 == 9 or number >= 95:
                mentions.append(server.say(1000, askers[len(mentions)], f"<@{BOT_ID}> {number}?"))
                said.append(mentions[-1])
            else:
                said.append(server.say(1000, talkers[number % 30], f"line {number}"))
        return said, mentions

    async def scene(bot: WireBot) -> None:
        await bot.online()
        bot.services.responder.may_answer.clear()
        said, mentions = await asyncio.to_thread(flood)
        await bot.until(lambda: len(ready_store.activity.recent(limit=500)) == 100, what="all decisions")
        rows = list(reversed(ready_store.activity.recent(limit=500)))
        assert [row.message_id for row in rows] == said
        assert all(row.reason for row in rows)
        # Writes go together: an answer that gave way a moment ago may still stand there as due.
        await bot.until(
            lambda: (
                len({row.author_id for row in ready_store.activity.recent(limit=500) if row.is_due})
                <= min(WAITING_LIMIT, ceiling) + 2
            ),
            what="a bounded queue",
        )
        bot.services.responder.may_answer.set()
        await bot.until(lambda: not ready_store.activity.due(), timeout=60, what="the answers")
        rows = [ready_store.activity.about(number) for number in said]
        assert all(decisions(ready_store, number) == 1 for number in said)
        answers = {row.reply_id for row in rows if row.spoke}
        assert answers == {int(sent.message["id"]) for sent in server.world.sent}
        assert len(answers) == len(server.world.sent) <= min(WAITING_LIMIT, ceiling)
        if ceiling > 100:
            assert {ready_store.activity.about(number).reason for number in mentions} == {"mentioned"}
            assert any(GAVE_WAY in row.reason for row in rows)
            last = await asyncio.to_thread(ask, server, "still there?")
            await bot.until(lambda: decisions(ready_store, last), what="an answer afterwards")
            assert ready_store.activity.about(last).spoke
        else:
            assert any("ceiling reached: 7 replies an hour for this channel" in row.reason for row in rows)

    play(ready_store, server, scene)


def test_messages_of_another_server_are_ignored(ready_store: Store, server: DiscordServer) -> None:
    """Only the server of SERVER_ID counts."""

    async def scene(bot: WireBot) -> None:
        await bot.until(lambda: "not on the server" in bot.services.status.snapshot().last_error, what="the sentence")
        message = await asyncio.to_thread(ask, server)
        await asyncio.to_thread(server.delete, 1000, message)
        await bot.until(lambda: bot.services.status.snapshot().is_connected)
        assert decisions(ready_store, message) == 0
        assert server.world.sent == []

    play(ready_store, server, scene, server_id=5)


def test_who_begins_to_write_is_heard_unless_it_is_a_bot_or_elsewhere(
    ready_store: Store, server: DiscordServer
) -> None:
    server.world.add_member(77, "Beep", is_bot=True)
    direct = server.world.open_direct(MIRA)

    async def scene(bot: WireBot) -> None:
        await bot.online()
        for place, member in ((1000, BOT_ID), (1000, 77), (direct, MIRA), (1000, TAM)):
            await asyncio.to_thread(server.begin_to_write, place, member)
        # One after the other: who begins later takes the place of who has not been read along for yet.
        await bot.until(lambda: "Tam" in bot.services.responder.writers, what="Tam")
        await asyncio.to_thread(server.tell, "TYPING_START", {"channel_id": "1000", "guild_id": "x"})
        await asyncio.to_thread(server.begin_to_write, 1000, MIRA)
        await bot.until(lambda: "Mira" in bot.services.responder.writers, what="Mira")
        assert bot.services.responder.writers == ["Tam", "Mira"]

    play(ready_store, server, scene)


def test_a_thread_nobody_has_seen_before_follows_its_parent(ready_store: Store, server: DiscordServer) -> None:
    thread = server.world.add_thread(1000, "cake talk")
    private = server.world.add_thread(1000, "whispers", kind=12)

    async def scene(bot: WireBot) -> None:
        await bot.online()
        for place in (thread, private):
            asked = await asyncio.to_thread(server.say, place, MIRA, f"<@{BOT_ID}> cake?")
            await bot.until(lambda asked=asked: decisions(ready_store, asked), what="the decision")
        assert [sent.channel_id for sent in server.world.sent] == [thread, private]
        assert next(m.content for m in ready_store.messages.recent(thread, limit=9)) == f"<@{BOT_ID}> cake?"
        assert [m for m in ready_store.messages.recent(private, limit=9) if not m.is_own] == []

    play(ready_store, server, scene)


def test_a_slash_command_is_registered_and_answered_for_the_asker_alone(
    ready_store: Store, server: DiscordServer
) -> None:
    async def scene(bot: WireBot) -> None:
        await bot.online()
        await bot.until(lambda: "setrate" in server.world.commands, what="the registration")
        token = await asyncio.to_thread(lambda: server.slash(1000, OWNER, "setrate", value="0.3"))
        await bot.until(lambda: server.interactions[token], what="the answer")
        answer = server.interactions[token][0]["data"]
        assert answer["content"] == "Response rate is now 30%."
        assert answer["flags"] & 64
        assert answer["allowed_mentions"] == {"parse": []}

    play(ready_store, server, scene)
    server.requests.clear()

    async def again(bot: WireBot) -> None:
        await bot.online()
        assert server.asked("PUT", ".*/commands") == []

    play(ready_store, server, again)
