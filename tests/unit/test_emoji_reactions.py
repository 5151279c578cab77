"""What members react to, learnt from vectors and stored reactions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.discord_objects import message_from_object
from model.emoji_reactions import LARGEST_RATIO, EmojiReactions, learn
from storage.records import Reaction

DIMENSION = 16


def chat(count: int = 1_200, *, seed: int = 0) -> tuple[np.ndarray, list[str], list[tuple[Reaction, ...]]]:
    """Jokes point one way and get 😂 in a third of cases, news another way and get 👀; the rest gets nothing."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, DIMENSION)).astype(np.float32)
    kinds = rng.choice(3, size=count, p=[0.15, 0.15, 0.7])
    vectors[kinds == 0, 0] += 5
    vectors[kinds == 1, 1] += 5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    emoji = {0: "😂", 1: "👀"}
    reactions = [(Reaction(emoji[kind], 1),) if kind < 2 and rng.random() < 0.33 else () for kind in kinds.tolist()]
    return vectors, ["something was said"] * count, reactions


@pytest.fixture(scope="module")
def learnt() -> EmojiReactions:
    made = learn(*chat(), embedder="e")
    assert made is not None
    return made


def one_way(place: int) -> np.ndarray:
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[place] = 1
    return vector


def test_what_people_react_to_is_likelier_than_what_they_pass_over(learnt: EmojiReactions) -> None:
    assert learnt.fitness.auc > 0.8
    assert learnt.ratio(one_way(0), "something was said") > 1.5
    assert learnt.ratio(one_way(7), "something was said") < 1


def test_the_emoji_is_the_one_that_people_use_for_such_a_message(learnt: EmojiReactions) -> None:
    rolls = np.linspace(0, 0.999, 50)
    jokes = [learnt.pick(one_way(0), "something was said", roll=roll) for roll in rolls]
    news = [learnt.pick(one_way(1), "something was said", roll=roll) for roll in rolls]
    assert jokes.count("😂") > 30
    assert news.count("👀") > 30


def test_chances_are_calibrated_the_average_ratio_is_one(learnt: EmojiReactions) -> None:
    vectors, texts, _ = chat(seed=1)
    ratios = [learnt.ratio(vector, text) for vector, text in zip(vectors, texts, strict=True)]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.15)
    assert max(ratios) <= LARGEST_RATIO


def test_too_few_reactions_or_a_chance_pattern_teach_nothing() -> None:
    vectors, texts, reactions = chat(120)
    assert learn(vectors, texts, reactions, embedder="e") is None
    rng = np.random.default_rng(3)
    noise = [(Reaction("👍", 1),) if rng.random() < 0.1 else () for _ in range(1_200)]
    vectors, texts, _ = chat()
    assert learn(vectors, texts, noise, embedder="e") is None


def test_it_is_read_back_as_it_was_written_and_a_broken_file_is_none(learnt: EmojiReactions, tmp_path: Path) -> None:
    path = tmp_path / "habits" / "reactions.json"
    learnt.save(path)
    assert EmojiReactions.load(path) == learnt
    for broken in (
        "",
        "[]",
        "{}",
        '{"format": 1}',
        path.read_text("utf-8").replace('"dimension": 16', '"dimension": 9'),
    ):
        path.write_text(broken, "utf-8")
        assert EmojiReactions.load(path) is None
    path.unlink()
    assert EmojiReactions.load(path) is None


def test_the_bots_own_reaction_is_nothing_to_learn_from_and_anybody_elses_is() -> None:
    raw = {
        "id": "1456074443980800052",
        "channel_id": "1",
        "author": {"id": "2", "username": "mira"},
        "content": "hi",
        "reactions": [
            {"emoji": {"id": None, "name": "😂"}, "count": 2, "me": True},
            {"emoji": {"id": None, "name": "👀"}, "count": 1, "me": True},
        ],
    }
    assert message_from_object(raw, is_read_by_bot=True).reactions == (Reaction("😂", 1),)
    # In a file "me" is whoever exported it, a member.
    assert message_from_object(raw).reactions == (Reaction("😂", 2), Reaction("👀", 1))
