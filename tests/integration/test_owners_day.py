"""The owner's first day without a hand on it: from an empty folder and an empty home to their own voice, and back.

Every step is the script a person starts. Hub and Discord are on the loopback; models are tiny and random.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.files.hub import FileSource
from model.publishing import deployment
from storage.records import JobState
from storage.settings import MAX_TOKENS, RESPONSE_RATE
from storage.store import Store
from storage.vectordb import VectorIndex
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import BOT_ID
from tests.support.hub_server import HubServer
from tests.support.live_bot import LiveBot, running_bot
from tests.support.owners_day import CHOSEN, OwnersDay, chosen_model, demo_world, publish, publish_embedder

# Enough for a test part of twenty places.
MESSAGES = 1_000
# Few steps and rows: that every step works is asked here, not how good the voice is.
SHORT = ("sft.max_steps=4", "sft.batch_size=2", "sft.accumulation=1", "sft.max_length=192", "validation_rows=4")
PAIRS = ("dpo.max_steps=1", "dpo.batch_size=1", "dpo.accumulation=1", "dpo.max_rows=4", "lora.r=8", "lora.alpha=16")


@pytest.fixture
def day(tmp_path: Path) -> Iterator[OwnersDay]:
    with HubServer() as hub, DiscordServer(demo_world(newest=MESSAGES)) as discord:
        publish(hub, tmp_path / "published", chosen_model(), family="llama")
        publish_embedder(hub, tmp_path / "published")
        yield OwnersDay(tmp_path, hub, discord)


def answered(bot: LiveBot, day: OwnersDay) -> str:
    """What the bot says when somebody speaks to it."""
    bot.wait_until_ready()
    world = day.discord.world
    channel = int(world.guild_channels()[0]["id"])
    member = next(user for user in world.users if user != BOT_ID)
    before = len(world.sent)
    asked = day.discord.say(channel, member, f"<@{BOT_ID}> hey, anyone around tonight?")
    day.discord.wait_for(lambda: bot.store.activity.about(asked), what="a decision", timeout=120)
    day.discord.wait_for(
        lambda: len(world.sent) > before or not bot.store.activity.due(), what="the answer", timeout=120
    )
    assert bot.store.activity.about(asked).reason == "mentioned"
    return " ".join(message.content for message in world.sent[before:])


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("OWNERS_DAY"), reason="takes minutes and was not seen whole yet: set OWNERS_DAY=1"
)
def test_the_owners_day_runs_from_nothing_to_their_own_voice_and_back(day: OwnersDay) -> None:
    """Fault 165."""
    model = chosen_model()
    said = day.run("download_model", CHOSEN)
    assert model.licence in said
    base_file = day.workspace.base_models / model.file
    assert FileSource.of(base_file) is not None
    assert (day.workspace.embedding_models / "bge-small-en-v1.5").is_dir()

    day.write_token()
    answers = ("--accept-policy", "--learn-from", "public", "--recall-from", "public", "--speak-in", "public")
    day.run("fetch_and_embed", *answers)
    index = VectorIndex.open(day.workspace.embeddings, model="bge-small-en-v1.5", dimension=384)
    with Store.open(day.workspace) as store:
        assert 0 < store.messages.count() <= MESSAGES
        assert store.messages.queue_length() == 0
        assert 0 < len(list(index.ids())) <= store.messages.count()
        store.settings.set(MAX_TOKENS, 50, changed_by="owner")
        store.settings.set(RESPONSE_RATE, 0.0, changed_by="owner")

    day.run("retrain", "--no-fetch", "--quick", "--set", *SHORT, *PAIRS)
    with Store.open(day.workspace) as store:
        round_ = store.jobs.latest("retrain")
        assert round_.state is JobState.DONE
        preflight = store.jobs.latest("train").result["preflight"]
        assert (preflight["base"], preflight["recipe"]) == (model.base, "overnight"), "as chosen, and as it fits here"
        trained = Path(round_.result["model"])
    assert [each.path for each in day.hub.sent("storage", ending="model.safetensors")], "trained from the hub's base"
    assert trained.is_file()

    refused = day.run("5_deploy_bot", "--model", str(trained), code=1)
    assert "--force" in refused, "four steps make no voice, and who publishes it all the same says so"
    day.run("5_deploy_bot", "--model", str(trained), "--force")
    environment = {key: value for key, value in day.environment.items() if key not in day.discord.environment}
    with running_bot(day.workspace, day.discord, environment=environment) as bot:
        answered(bot, day)
        assert bot.status.model_name == deployment.current(day.workspace).name
        day.run("5_deploy_bot", "--rollback")
        bot.wait_until(lambda status: status.model_name == base_file.stem, what="the model from before")
        answered(bot, day)
