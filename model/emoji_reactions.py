"""Who reacts to what with what, learnt from the reactions that were stored: a chance for a message, and an emoji.

Two logistic regressions over the message's embedding and a few facts about its text: whether anybody reacted
(calibrated by construction, since nothing is reweighted), and which of the server's common emoji it was. Fitted in
seconds, kept as plain numbers; looking one message up is one small product of matrices, without scikit-learn.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.paths import Workspace
from storage.records import Reaction
from storage.stored_json import read_json
from storage.system.files import remove_file, write_whole

if TYPE_CHECKING:
    import numpy as np

    from storage.store import Store
    from storage.vectordb import VectorIndex

_FORMAT = 1
# Fewer messages with reactions say nothing about the rest.
LEAST_REACTED = 40
# An emoji that was used less often has no pattern of its own.
LEAST_USES = 5
MOST_EMOJI = 24
HELD_OUT_SHARE = 0.2
# Worse than this on held-out time, the chances are no better than a coin's.
LEAST_AUC = 0.55
# A message is at most this many times likelier to get a reaction than the average one.
LARGEST_RATIO = 20.0
# How much is looked at, the newest of each.
MOST_REACTED, MOST_OTHERS = 10_000, 20_000
# So many more or fewer messages with reactions, and it is learnt again.
RELEARN_SHARE = 0.05
_TEXT_FACTS = 8
# Strength of the penalty on the weights, for whether and for which; chosen on the first four fifths of a real chat.
_CHANCE_C, _EMOJI_C = 0.01, 0.01


@dataclass(frozen=True, slots=True)
class Fitness:
    """How well it does on the newest fifth, which it did not see.

    auc: of telling messages with reactions from others (0.5 is a coin). top3: share of their most used emoji among the
    three it finds likeliest; common3: among the three most common ones, whatever was said.
    """

    messages: int
    reacted: int
    auc: float
    top3: float
    common3: float


@dataclass(frozen=True)
class EmojiReactions:
    """What was learnt. embedder: whose vectors it takes, of `dimension` numbers; base: the average chance.

    learnt_from: how many messages with reactions there were.
    """

    embedder: str
    dimension: int
    base: float
    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    emoji: tuple[str, ...]
    emoji_weights: tuple[tuple[float, ...], ...]
    emoji_bias: tuple[float, ...]
    learnt_from: int
    fitness: Fitness

    def ratio(self, vector: np.ndarray, text: str) -> float:
        """How many times likelier than the average message this one is to get a reaction, 0 to LARGEST_RATIO.

        vector: its embedding, float32 (dimension,), of length 1.
        """
        seen = self._seen(vector, text)
        score = self.bias + sum(w * x for w, x in zip(self.weights, seen, strict=True))
        return min(1.0 / (1.0 + math.exp(-max(min(score, 50.0), -50.0))) / self.base, LARGEST_RATIO)

    def pick(self, vector: np.ndarray, text: str, *, roll: float) -> str:
        """One of the server's emoji, each as often as people would use it here. roll: 0 <= roll < 1."""
        seen = self._seen(vector, text)
        scores = [
            bias + sum(w * x for w, x in zip(row, seen, strict=True))
            for row, bias in zip(self.emoji_weights, self.emoji_bias, strict=True)
        ]
        highest = max(scores)
        shares = [math.exp(score - highest) for score in scores]
        left = roll * sum(shares)
        for emoji, share in zip(self.emoji, shares, strict=True):
            left -= share
            if left < 0:
                return emoji
        return self.emoji[-1]

    def _seen(self, vector: np.ndarray, text: str) -> list[float]:
        raw = [*map(float, vector), *text_facts(text)]
        return [(x - c) / s for x, c, s in zip(raw, self.center, self.scale, strict=True)]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({"format": _FORMAT} | asdict(self), ensure_ascii=False).encode("utf-8"))

    @classmethod
    def load(cls, path: Path) -> EmojiReactions | None:
        """Read it; None where there is none, or one that cannot be read: it is learnt again."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        raw = read_json(text, path.name, {})
        if raw.pop("format", None) != _FORMAT:
            return None
        try:
            for key in ("center", "scale", "weights", "emoji", "emoji_bias"):
                raw[key] = tuple(raw[key])
            raw["emoji_weights"] = tuple(tuple(map(float, row)) for row in raw["emoji_weights"])
            made = cls(**(raw | {"fitness": Fitness(**raw["fitness"])}))
            width = made.dimension + _TEXT_FACTS
            rows = made.emoji_weights
            widths = {len(made.center), len(made.scale), len(made.weights), *map(len, rows)}
            return made if widths == {width} and len(made.emoji) == len(rows) == len(made.emoji_bias) else None
        except (KeyError, TypeError, ValueError):
            return None


def model_file(workspace: Workspace) -> Path:
    """Where a workspace keeps what was learnt."""
    return workspace.habits / "reactions.json"


def keep_learnt(store: Store, index: VectorIndex) -> EmojiReactions | None:
    """Learn again where enough has changed; what is in force afterwards, None where there is too little to learn from.

    Reads the vectors from the index: nothing is embedded. Members who are left out take no part.
    """
    path = model_file(store.workspace)
    known = EmojiReactions.load(path)
    absent = store.members.absent_ids()
    messages = {m.id: m for m in store.messages.with_reactions(limit=MOST_REACTED)}
    if known and known.embedder == index.model and _is_close(len(messages), known.learnt_from):
        return known
    messages |= {m.id: m for m in store.messages.newest_worded(limit=MOST_OTHERS)}
    ids, vectors = index.vectors_of([number for number, m in messages.items() if m.author_id not in absent])
    order = sorted(range(len(ids)), key=lambda place: ids[place])
    chosen = [messages[ids[place]] for place in order]
    learnt = learn(vectors[order], [m.content for m in chosen], [m.reactions for m in chosen], embedder=index.model)
    if learnt is not None:
        learnt.save(path)
    else:
        remove_file(path)
    return learnt


def _is_close(now: int, then: int) -> bool:
    return abs(now - then) <= then * RELEARN_SHARE


def text_facts(text: str) -> list[float]:
    """What an embedding hardly holds: length, shouting, questions, links, laughter."""
    letters = [c for c in text if c.isalpha()]
    lowered = text.lower()
    return [
        math.log1p(len(text)),
        math.log1p(text.count("\n")),
        float("?" in text),
        float("!" in text),
        float("http" in lowered),
        sum(c.isupper() for c in letters) / len(letters) if letters else 0.0,
        float(any(word in lowered for word in ("lol", "lmao", "haha", "jaja", "xd", "kek"))),
        float(any(ord(c) > 0x1F000 for c in text)),
    ]


def learn(
    vectors: np.ndarray, texts: Sequence[str], reactions: Sequence[Sequence[Reaction]], *, embedder: str
) -> EmojiReactions | None:
    """Fit both, oldest message first; None where there is too little, or nothing that tells them apart.

    vectors: float32 (n, dimension), of length 1. The figures come from the newest fifth, what is returned from all.
    """
    import numpy as np

    reacted = np.array([any(r.count > 0 for r in each) for each in reactions], dtype=bool)
    held = int(len(texts) * (1 - HELD_OUT_SHARE))
    if reacted[:held].sum() < LEAST_REACTED or not 0 < reacted[held:].sum() < len(texts) - held:
        return None
    seen = np.hstack([vectors, np.array([text_facts(text) for text in texts], dtype=np.float32)])
    early = _fit(seen[:held], reacted[:held], reactions[:held])
    if early is None:
        return None
    fitness = _fitness(early, seen[held:], reacted[held:], reactions[held:])
    whole = _fit(seen, reacted, reactions) if fitness.auc >= LEAST_AUC else None
    if whole is None:
        return None
    return EmojiReactions(
        embedder=embedder,
        dimension=vectors.shape[1],
        base=float(reacted.mean()),
        center=tuple(map(float, whole["center"])),
        scale=tuple(map(float, whole["scale"])),
        weights=tuple(map(float, whole["weights"])),
        bias=float(whole["bias"]),
        emoji=whole["emoji"],
        emoji_weights=tuple(tuple(map(float, row)) for row in whole["emoji_weights"]),
        emoji_bias=tuple(map(float, whole["emoji_bias"])),
        learnt_from=int(reacted.sum()),
        fitness=fitness,
    )


def _fit(seen: np.ndarray, reacted: np.ndarray, reactions: Sequence[Sequence[Reaction]]) -> dict[str, Any] | None:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    uses = Counter(r.emoji for each in reactions for r in each if r.count > 0)
    emoji = tuple(name for name, count in uses.most_common(MOST_EMOJI) if count >= LEAST_USES)
    if not emoji:
        return None
    center, scale = seen.mean(axis=0), seen.std(axis=0)
    scale[scale < 1e-6] = 1.0
    scaled = (seen - center) / scale
    chance = LogisticRegression(C=_CHANCE_C, max_iter=300).fit(scaled, reacted)
    made = {
        "center": center,
        "scale": scale,
        "weights": chance.coef_[0],
        "bias": chance.intercept_[0],
        "emoji": emoji,
        "emoji_weights": np.zeros((len(emoji), seen.shape[1])),
        "emoji_bias": np.log([uses[name] for name in emoji]),
    }
    rows = [(row, emoji.index(r.emoji)) for row, each in enumerate(reactions) for r in each if r.emoji in emoji]
    if len({place for _, place in rows}) > 1:
        which = LogisticRegression(C=_EMOJI_C, max_iter=300).fit(
            scaled[[row for row, _ in rows]], [place for _, place in rows]
        )
        if len(emoji) == 2:  # one row of weights for the second against the first
            made["emoji_weights"] = np.vstack([np.zeros_like(which.coef_[0]), which.coef_[0]])
            made["emoji_bias"] = np.array([0.0, which.intercept_[0]])
        else:
            made["emoji_weights"], made["emoji_bias"] = which.coef_, which.intercept_
    return made


def _fitness(
    made: dict[str, Any], seen: np.ndarray, reacted: np.ndarray, reactions: Sequence[Sequence[Reaction]]
) -> Fitness:
    from sklearn.metrics import roc_auc_score

    scaled = (seen - made["center"]) / made["scale"]
    scores = scaled @ made["weights"] + made["bias"]
    likeliest = scaled @ made["emoji_weights"].T + made["emoji_bias"]
    common = set(made["emoji"][:3])  # by use
    hits = common_hits = 0
    for row in reacted.nonzero()[0].tolist():
        top = max(reactions[row], key=lambda r: r.count).emoji
        hits += top in {made["emoji"][place] for place in likeliest[row].argsort()[::-1][:3]}
        common_hits += top in common
    count = int(reacted.sum())
    return Fitness(len(seen), count, float(roc_auc_score(reacted, scores)), hits / count, common_hits / count)
