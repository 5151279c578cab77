"""Replayed chat for the benchmarks: channels of turns, lines to recall, and what a plain chat bot would compute."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storage.records import Turn

HISTORY = 5
RECALLED, RECALL_TOKENS = 4, 100
_BEFORE = 40
_WORDS = (
    "build game tonight lol who broke main again pizza anyone coffee meetup stream chess music weekend sure nah "
    "same yeah why not later cool thanks nice actually works here try the other branch first"
).split()


@dataclass(frozen=True)
class Message:
    """One message of the replay; has_answer: a reply is due after it."""

    channel: int
    turn: Turn
    has_answer: bool


def read_channels(path: Path | None, *, seed: int = 3) -> list[list[Turn]]:
    """Channels of messages from JSON lines of Discord message objects, or made-up ones of the same lengths."""
    if path is None:
        return _invented(seed)
    from data.chat.markup import to_model_text

    rows = sorted((json.loads(line) for line in path.open(encoding="utf-8")), key=lambda row: int(row["id"]))
    names = {int(row["author"]["id"]): row["author"].get("global_name") or row["author"]["username"] for row in rows}
    channels: dict[str, list[Turn]] = defaultdict(list)
    for row in rows:
        text = to_model_text(row["content"], member_names=names)
        if text and not row["author"].get("bot"):
            channels[row["channel_id"]].append(Turn(names[int(row["author"]["id"])], text))
    return list(channels.values())


def _invented(seed: int) -> list[list[Turn]]:
    rng = random.Random(seed)
    people = [f"{word.title()}{number}" for number, word in enumerate(_WORDS[:12])]
    return [
        [
            Turn(rng.choice(people), " ".join(rng.choices(_WORDS, k=max(1, int(rng.expovariate(1 / 8))))))
            for _ in range(2000)
        ]
        for _ in range(3)
    ]


def replay(channels: Sequence[Sequence[Turn]], *, count: int, replies: int, seed: int) -> Iterator[Message]:
    """Messages of `count` channels interleaved at random, one in six answered, until so many replies were due.

    More channels than there are: other stretches of the same ones.
    """
    rng = random.Random(seed)
    places = _places(channels, count)
    at = [start for _, start in places]
    while replies:
        channel = rng.randrange(count)
        source = channels[places[channel][0]]
        turn = source[at[channel] % len(source)]
        at[channel] += 1
        is_due = rng.random() < 1 / 6
        replies -= is_due
        yield Message(channel, turn, is_due)


def said_before(channels: Sequence[Sequence[Turn]], *, count: int) -> dict[int, list[Turn]]:
    """What stands in each replayed channel when the replay begins: a bot knows its server's past."""
    return {
        number: list(channels[source][start - _BEFORE : start])
        for number, (source, start) in enumerate(_places(channels, count))
    }


def as_turns(lines: Sequence[Turn]) -> tuple[Turn, ...]:
    """Messages as they stand in a prompt: one person's in a row are one turn with line breaks."""
    turns: list[Turn] = []
    for line in lines:
        if turns and (turns[-1].name, turns[-1].is_self) == (line.name, line.is_self):
            turns[-1] = replace(line, text=f"{turns[-1].text}\n{line.text}")
        else:
            turns.append(line)
    return tuple(turns)


def _places(channels: Sequence[Sequence[Turn]], count: int) -> list[tuple[int, int]]:
    """Which channel each replayed one is taken from, and at which of its messages it begins."""
    return [(number % len(channels), _BEFORE + 150 * (number // len(channels))) for number in range(count)]


class LineFinder:
    """Earlier lines of a channel that share words with what is said; a stand-in for the index, of the same size."""

    def __init__(self, count_tokens: Callable[[str], int]) -> None:
        self._count = count_tokens

    def find(self, past: Sequence[Turn], texts: Sequence[str]) -> tuple[Turn, ...]:
        from data.chat.recall import cap_recalled

        wanted = {word for text in texts for word in text.lower().split()}
        candidates = [turn for turn in past[: -3 * HISTORY][-400:] if len(turn.text) >= 8 and not turn.is_self]
        candidates.sort(key=lambda turn: -len(wanted & set(turn.text.lower().split())))
        return cap_recalled(candidates[: RECALLED * 2], budget=RECALL_TOKENS, count_tokens=self._count)[:RECALLED]


def naive_messages(history: Sequence[Turn], recalled: Sequence[Turn], system: str) -> list[dict[str, str]]:
    """What peers send: context in the system message, the newest message as the user's."""
    parts = [system]
    if recalled:
        parts.append("Relevant earlier messages:\n" + "\n".join(f"{turn.name}: {turn.text}" for turn in recalled))
    parts.append("Recent conversation:\n" + "\n".join(f"{turn.name}: {turn.text}" for turn in history[:-1][-HISTORY:]))
    newest = history[-1]
    return [
        {"role": "system", "content": "\n\n".join(parts)},
        {"role": "user", "content": f"{newest.name}: {newest.text}"},
    ]


def naive_prompt(messages: Sequence[dict[str, str]]) -> str:
    """The same in ChatML, as a chat completion renders it."""
    return (
        "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
        + "<|im_start|>assistant\n"
    )
