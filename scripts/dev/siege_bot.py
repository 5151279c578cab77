"""The siege's live half: a bot that learns, indexes and answers is killed at a random moment and started again."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from storage.errors import KnownError
from storage.paths import Workspace
from storage.settings import EMBEDDING_MODEL, MAX_TOKENS
from storage.store import Store
from storage.vectordb import VectorIndex
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID, World
from tests.support.live_bot import MIRA, TAM, LiveBot, offline_model_environment, prepare

NAME = "bot"
EMBEDDER, DIMENSION = "all-MiniLM-L6-v2", 384
CHANNEL = 1000
LINES, ASKED_EVERY = 40, 10
# From the first line said to the kill: some of it is stored, some indexed, an answer is being written.
MOST_SECONDS = 8.0
SETTLE_SECONDS = 90.0


def one_round(root: Path, dice: random.Random) -> str:
    """Say forty lines, kill -9 within them, start again; '' when nothing was lost, doubled or left out of the index."""
    world = World()
    world.add_channel("general", channel_id=CHANNEL)
    for user_id, name in ((MIRA, "Mira"), (TAM, "Tam")):
        world.add_member(user_id, name)
    workspace = Workspace.at(root).create()
    moment = dice.uniform(0.5, MOST_SECONDS)
    try:
        with DiscordServer(world) as server:
            prepare(workspace, server)
            with Store.open(workspace) as store:
                store.settings.set(EMBEDDING_MODEL, EMBEDDER, changed_by="siege")
                store.settings.set(MAX_TOKENS, 50, changed_by="siege")
            said = _until_the_kill(workspace, server, moment)
            found = _after_the_restart(workspace, server, said)
        return f"killed after {moment:.2f} s: {found}" if found else ""
    except (AssertionError, KnownError, OSError) as error:
        # A bot that does not come back is a finding like any other.
        return f"killed after {moment:.2f} s: {type(error).__name__}: {str(error)[:400]}"
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _environment() -> dict[str, str]:
    return offline_model_environment() | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


def _until_the_kill(workspace: Workspace, server: DiscordServer, moment: float) -> list[int]:
    """Ids of what was said; the last fifth is said while no bot is there."""
    said = []
    bot = LiveBot(workspace, server, environment=_environment())
    try:
        bot.wait_until_ready()
        until = time.monotonic() + moment
        for number in range(LINES):
            if number == LINES * 4 // 5:
                time.sleep(max(0.0, until - time.monotonic()))
                bot.process.kill()
                bot.wait_for_exit()
                server.wait_for(lambda: not server.is_anyone_online, what="the end of the connection")
            mention = f"<@{BOT_ID}> " if number % ASKED_EVERY == ASKED_EVERY - 1 else ""
            said.append(server.say(CHANNEL, MIRA if number % 3 else TAM, f"{mention}line {number} about cats and cars"))
            if number < LINES * 4 // 5:
                time.sleep(moment / LINES)
    finally:
        bot.close()
    return said


def _after_the_restart(workspace: Workspace, server: DiscordServer, said: list[int]) -> str:
    bot = LiveBot(workspace, server, environment=_environment())
    try:
        bot.wait_until_ready()
        store, deadline = bot.store, time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and bot.process.poll() is None:
            is_kept = len(store.messages.known_ids(said)) == len(said)
            if is_kept and not store.messages.queue_length() and not store.activity.due():
                break
            time.sleep(0.2)
        code = bot.stop()
        lost = len(said) - len(store.messages.known_ids(said))
        answers = Counter(sent.reply_to for sent in server.world.sent if sent.reply_to is not None)
        doubled = [question for question, count in answers.items() if count > 1]
        index = VectorIndex.open(workspace.embeddings, model=EMBEDDER, dimension=DIMENSION)
        known = {message.id for page in store.messages.in_channel(CHANNEL) for message in page if not message.is_own}
        stray = known.symmetric_difference(index.ids().tolist())
        checks = {store.messages_db.check(), store.control_db.check()}
        troubles = (
            f"ended with {code}" if code else "",
            f"{lost} messages lost" if lost else "",
            f"{len(doubled)} questions answered twice" if doubled else "",
            f"{len(stray)} messages differ between index and store" if stray else "",
            f"{store.messages.queue_length()} still wait for the index" if store.messages.queue_length() else "",
            "a database is damaged" if checks != {"ok"} else "",
            "no answer at all" if not answers else "",
        )
        return "; ".join(trouble for trouble in troubles if trouble)
    finally:
        bot.close()
