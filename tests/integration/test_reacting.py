"""Reactions of the bot's own on a simulated Discord: where, when, with what, and how they are taken back."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bot.reacting import Reactor
from model.emoji_reactions import EmojiReactions, Fitness, model_file
from storage.settings import QUIET_HOURS, REACTION_RATE, REPLIES_PER_CHANNEL_HOUR
from storage.store import Store
from tests.support.sim_bot import InlineStorage, SimBot, play

DIMENSION = 2
# Laughter points one way: eleven times as likely to get a reaction as the rest.
LAUGHING, REST = (1.0, 0.0), (0.0, 1.0)


class SmallRecall:
    """The thread of the index, with an embedder that knows what is funny."""

    async def with_index(self, work: Callable[[Any, Any], Any]) -> Any:
        embedder = SimpleNamespace(
            name="e", embed=lambda texts: np.array([LAUGHING if "funny" in t else REST for t in texts])
        )
        return work(None, embedder)


def learnt(store: Store, emoji: str = "😂") -> None:
    facts = (0.0,) * 8
    EmojiReactions(
        embedder="e",
        dimension=DIMENSION,
        base=0.05,
        center=(0.0,) * 10,
        scale=(1.0,) * 10,
        weights=(3.0, -3.0, *facts),
        bias=-2.0,
        emoji=(emoji,),
        emoji_weights=((0.0,) * 10,),
        emoji_bias=(0.0,),
        learnt_from=100,
        fitness=Fitness(100, 10, 0.8, 0.9, 0.5),
    ).save(model_file(store.workspace))


def reactor(store: Store, roll: float = 0.5) -> Reactor:
    async def no_wait(_: float) -> None:
        return

    return Reactor(store, InlineStorage(), SmallRecall(), roll=lambda: roll, sleep=no_wait)  # type: ignore[arg-type]


def playing(store: Store, scene: Any, *, rate: float = 0.06, roll: float = 0.5, emoji: str = "😂") -> None:
    learnt(store, emoji)
    store.settings.set(REACTION_RATE, rate, changed_by="test")
    play(store, scene, reactor=reactor(store, roll))


def laughs(bot: SimBot, message: Any) -> list[str]:
    """Reactions that no member of the scene gave."""
    found = next(each for each in bot.general.history() if each.id == message.id)
    return [str(each.emoji) for each in found.reactions if str(each.emoji) not in "👍❌"]


def test_it_reacts_to_what_members_react_to_and_says_why(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        dull = await bot.mira.send(bot.general, "the bus is late")
        funny = await bot.mira.send(bot.general, "a funny thing happened")
        await bot.env.settle()
        assert laughs(bot, dull) == []
        assert laughs(bot, funny) == ["😂"]
        assert "reacted with 😂" in bot.reason(funny)
        assert "rolled" in bot.reason(funny), "the reason for the silence stays"
        assert bot.own == []

    playing(store, scene)


@pytest.mark.parametrize(
    "why", ["off", "quiet hours", "opted out", "no speaking here", "nothing learnt", "foreign emoji"]
)
def test_it_never_reacts_where_it_must_not(store: Store, why: str) -> None:
    async def scene(bot: SimBot) -> None:
        if why == "quiet hours":
            store.settings.set(QUIET_HOURS, "22:00-07:30", changed_by="test")
        elif why == "opted out":
            store.members.set_opted_out(bot.mira.id, True)
        elif why == "no speaking here":
            store.channels.switch(bot.general.id, speak=False)
        elif why == "nothing learnt":
            model_file(store.workspace).unlink()
        funny = await bot.mira.send(bot.general, "a funny thing happened")
        await bot.env.settle()
        assert laughs(bot, funny) == []
        assert "reacted" not in bot.reason(funny)

    playing(store, scene, rate=0.0 if why == "off" else 1.0, emoji="blob:123" if why == "foreign emoji" else "😂")


def test_the_ceilings_hold_for_reactions_too(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        sent = [await bot.mira.send(bot.general, f"funny thing {n}") for n in range(5)]
        await bot.env.settle()
        assert sum(bool(laughs(bot, message)) for message in sent) == 3

    store.settings.set(REPLIES_PER_CHANNEL_HOUR, 3, changed_by="test")
    playing(store, scene, rate=1.0, roll=0.5)


def test_an_admins_cross_takes_it_back_and_its_own_reactions_are_never_learnt_from(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        funny = await bot.mira.send(bot.general, "a funny thing happened")
        await bot.env.settle()
        await bot.tam.react(funny, "👍")
        await bot.env.advance_time(10)
        assert {r.emoji for r in store.messages.get([funny.id])[funny.id].reactions} == {"👍"}
        await bot.tam.react(funny, "❌")
        await bot.env.settle()
        assert laughs(bot, funny) == ["😂"], "a member's cross takes nothing back"
        await bot.admin.react(funny, "❌")
        await bot.env.settle()
        assert laughs(bot, funny) == []

    playing(store, scene)
