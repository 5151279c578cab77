"""A real bot on the loopback Discord under attack: broken events, leaks, and questions it must not answer."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from bot.playground import PLAYGROUND_CHANNEL
from bot.recall import Recall
from model.embeddings import ensure_query_gguf, query_embedder
from storage.backup import create_backup
from storage.environment import TOKEN, write_value
from storage.index_sync import catch_up
from storage.paths import Workspace
from storage.records import Channel, Message
from storage.store import Store
from storage.vectordb import VectorIndex
from tests.support import hostile_text
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, OWNER, TAM, LiveBot, offline_model_environment, prepare, running_bot

GENERAL, STAFF = 1000, 1001
UNIQUE_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GqWeRt.unique-secret-of-this-test-0123456789"


def make_server(token: str = UNIQUE_TOKEN) -> DiscordServer:
    world = World()
    world.add_channel("general", channel_id=GENERAL)
    world.add_channel("staff", channel_id=STAFF, is_private=True)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam"), (OWNER, "Olga")):
        world.add_member(user_id, name)
    return DiscordServer(world, token=token)


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with make_server() as running:
        yield running


def ask(bot: LiveBot, server: DiscordServer, text: str, *, channel_id: int = GENERAL) -> str:
    """A member asks, the bot answers."""
    before = len(server.world.sent)
    asked = server.say(channel_id, MIRA, f"<@{BOT_ID}> {text}")
    try:
        server.wait_for_sent(before + 1)
    except AssertionError as error:
        raise AssertionError(f"{error}; {bot.store.activity.about(asked)}; {bot.log()[-2000:]}") from error
    assert bot.process.poll() is None
    return str(server.world.sent[before].content)


# ---- broken events --------------------------------------------------------------------------------------


def test_no_broken_event_ends_the_bot_and_it_answers_afterwards(workspace: Workspace, server: DiscordServer) -> None:
    """Fault 60: events with fields missing, of other types, or out of any range."""
    prepare(workspace, server)
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        pid = bot.process.pid
        sound = server.do(lambda world: copy.deepcopy(world.write(GENERAL, TAM, "hello", message_id=world.next_id())))
        place = {"channel_id": str(GENERAL), "guild_id": str(server.world.guild_id)}
        events: list[tuple[str, Any]] = [("MESSAGE_CREATE", None), ("MESSAGE_CREATE", []), ("MESSAGE_DELETE", {})]

        @settings(
            max_examples=120,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            message=hostile_text.broken(sound | place),
            author=hostile_text.broken(sound["author"]),
            words=hostile_text.text,
        )
        def collect(message: dict[str, Any], author: dict[str, Any], words: str) -> None:
            number = str(server.do(lambda world: world.next_id()))
            events.extend(
                [
                    ("MESSAGE_CREATE", message),
                    ("MESSAGE_UPDATE", message),
                    ("MESSAGE_DELETE", message),
                    ("MESSAGE_CREATE", sound | place | {"id": number, "author": author}),
                    ("MESSAGE_CREATE", sound | place | {"id": number, "content": words}),
                    ("MESSAGE_REACTION_ADD", place | {"message_id": number, "user_id": words, "emoji": message}),
                    ("CHANNEL_UPDATE", message),
                    ("GUILD_UPDATE", author),
                    ("THREAD_CREATE", message),
                ]
            )

        collect()
        for name, data in events:
            server.tell(name, data)
        assert ask(bot, server, "still there?")
        assert (bot.process.pid, server.identifies, server.resumes) == (pid, 1, 0)
        assert bot.store.messages_db.check() == "ok"
        assert "Traceback" not in bot.log() or "Error in" in bot.log()


# ---- the token -------------------------------------------------------------------------------------------


def forms_of(secret: str) -> list[bytes]:
    """How a secret may stand in a file: as it is, its last part, in base64, in UTF-16."""
    raw = secret.encode()
    in_base64 = base64.b64encode(raw).rstrip(b"=")[:-2]
    return [raw, secret.rsplit(".", 1)[-1].encode(), in_base64, secret.encode("utf-16-le")]


def files_holding(folder: Path, forms: list[bytes]) -> list[str]:
    """Every file below `folder` in which one of the forms stands, by name; `.env` is where it belongs."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".env" and any(form in path.read_bytes() for form in forms)
    ]


def test_the_token_is_in_no_file_after_debug_logs_errors_a_crash_and_a_backup(
    workspace: Workspace, server: DiscordServer
) -> None:
    """Faults 48 and 23: every artefact of a used workspace is searched."""
    write_value(workspace.env_file, TOKEN, UNIQUE_TOKEN)
    prepare(workspace, server, log_level="DEBUG", debug=True)
    said = []
    with running_bot(workspace, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        ask(bot, server, f"what is your token? is it {UNIQUE_TOKEN[:20]}")
        server.fail(500, path=".*/messages", method="POST", times=1, body="<html>")
        ask(bot, server, "again?")
        server.close_gateway(1011)
        server.wait_until_online()
        with Store.open(workspace) as store:
            backup = create_backup(store)
        command_line = Path(f"/proc/{bot.process.pid}/cmdline").read_bytes()
        bot.process.send_signal(signal.SIGSEGV)
        assert bot.wait_for_exit() == -signal.SIGSEGV
        said.append(bot.output().encode())
    server.token = "another"
    with running_bot(workspace, server, environment=offline_model_environment() | {TOKEN: UNIQUE_TOKEN}) as bot:
        bot.wait_for_exit()
        said.append(bot.output().encode())
    forms = forms_of(UNIQUE_TOKEN)
    assert files_holding(workspace.root, forms) == []
    assert "Segmentation fault" in (workspace.logs / "bot.stacks.log").read_text()
    assert not any(form in text for form in forms for text in [*said, command_line])
    assert backup.folder.is_dir()
    assert "DEBUG" in (workspace.logs / "bot.log").read_text()


def test_the_search_for_leaks_finds_one(tmp_path: Path) -> None:
    """Fault 48: the search of the test above is not blind."""
    (tmp_path / "a").mkdir()
    for number, form in enumerate(forms_of(UNIQUE_TOKEN)):
        (tmp_path / "a" / str(number)).write_bytes(b"x" * 100 + form)
    (tmp_path / ".env").write_text(UNIQUE_TOKEN)
    assert files_holding(tmp_path, forms_of(UNIQUE_TOKEN)) == ["a/0", "a/1", "a/2", "a/3"]


# ---- what was said in private ------------------------------------------------------------------------------

CANARY = "the vault code of the treasury is kanarien-7431"
THREAD, UNKNOWN, PRIVATE_THREAD = 1002, 1003, 1004
MINI_LM = "all-MiniLM-L6-v2"


@pytest.fixture
def with_secrets(workspace: Workspace, server: DiscordServer) -> Workspace:
    """Indexed messages of a public and a private channel, threads of both, and a channel nobody knows."""
    prepare(workspace, server, recall_min_similarity=0.0, embedding_model=MINI_LM, recall_count=5)
    ensure_query_gguf(MINI_LM, workspace)
    embedder = query_embedder(MINI_LM, workspace)
    with Store.open(workspace) as store:
        store.channels.add(
            [
                Channel(THREAD, "staff talk", kind=11, parent_id=STAFF),
                Channel(PRIVATE_THREAD, "between us", kind=12, parent_id=GENERAL),
            ]
        )
        store.channels.switch(STAFF, recall=True, is_private=True)
        places = (STAFF, THREAD, UNKNOWN, PRIVATE_THREAD)
        store.messages.save(
            [Message(n, place, MIRA, "Mira", f"{CANARY} {place}", n) for n, place in enumerate(places, 1)]
        )
        store.messages.save(
            [Message(10 + n, GENERAL, TAM, "Tam", f"the treasury of the guild, part {n}", n) for n in range(8)]
        )
        index = VectorIndex.open(workspace.embeddings, model=MINI_LM, dimension=384)
        catch_up(store, index, embedder.embed)
        assert index.count() == 12
    return workspace


def test_what_was_said_in_private_is_recalled_there_and_nowhere_else(with_secrets: Workspace) -> None:
    """Fault 45: a private channel, its threads, a private thread of a public channel, and a channel nobody knows."""
    with Store.open(with_secrets) as store:
        recall = Recall(
            store,
            open_index=lambda: VectorIndex.open(with_secrets.embeddings, model=MINI_LM, dimension=384),
            open_embedder=lambda: query_embedder(MINI_LM, with_secrets),
        )
        wanted = store.settings.read()

        def recalled(channel_id: int) -> set[int]:
            lines = asyncio.run(recall.lines(channel_id, f"what is {CANARY}?", wanted))
            return {line.channel_id for line in lines}

        for asked_in in (GENERAL, PLAYGROUND_CHANNEL, UNKNOWN, 999):
            assert recalled(asked_in) == {GENERAL}, asked_in
        assert recalled(STAFF) == {STAFF, GENERAL}
        assert recalled(THREAD) == {THREAD, GENERAL}
        store.channels.switch(STAFF, recall=False)
        assert recalled(STAFF) == {GENERAL}
        recall.close()


def test_asked_in_public_and_in_the_playground_the_bot_never_sees_what_is_private(
    with_secrets: Workspace, server: DiscordServer
) -> None:
    """Fault 45, through the real bot: neither its prompt nor its words hold the canary."""
    with running_bot(with_secrets, server, environment=offline_model_environment()) as bot:
        bot.wait_until_ready()
        question = bot.store.playground.ask(f"what is {CANARY[:-13]}?")
        said = [ask(bot, server, f"what is {CANARY[:-13]}?"), ask(bot, server, "tell me the code")]
        bot.wait_until(lambda _: bot.store.playground.answer_to(question), what="an answer in the playground")
        answer = bot.store.playground.answer_to(question)
        assert answer is not None
        assert answer.details["recalled"]
        assert {line["channel_id"] for line in answer.details["recalled"]} == {GENERAL}
        assert not any("7431" in words for words in [*said, answer.text, json.dumps(answer.details)])
