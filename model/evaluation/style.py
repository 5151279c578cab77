"""Distances between two writers' habits. All take (written, real) features of the same size class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from model.evaluation import assistant_speak
from model.evaluation.features import CASES, LENGTH_BORDERS, Features

_SELF_BLEU_SAMPLE = 60


def length_wasserstein(written: Features, real: Features) -> float:
    """Characters a reply would have to grow or shrink on average to give the real distribution of lengths."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(written.characters, real.characters))


def length_divergence(written: Features, real: Features) -> float:
    """Jensen-Shannon distance (0 same, 1 nothing in common) between length classes."""
    borders = np.array(LENGTH_BORDERS)
    classes = [
        np.bincount(np.searchsorted(borders, side.characters, side="right"), minlength=len(borders) + 1)
        for side in (written, real)
    ]
    return jensen_shannon(*classes)


def burst_divergence(written: Features, real: Features) -> float:
    """Jensen-Shannon distance between how many lines (messages in a row) a reply has."""
    return jensen_shannon(*(np.bincount(side.lines, minlength=8) for side in (written, real)))


def emoji_divergence(written: Features, real: Features) -> float:
    """Jensen-Shannon distance between how many emoji stand in a reply."""
    return jensen_shannon(*(np.bincount(side.emoji_counts, minlength=6) for side in (written, real)))


def punctuation_divergence(written: Features, real: Features) -> float:
    """Jensen-Shannon distance between the marks used, and between endings with and without one."""
    marks = jensen_shannon(written.punctuation[:, :-2].sum(axis=0), real.punctuation[:, :-2].sum(axis=0))
    ends = jensen_shannon(written.punctuation[:, -2:].sum(axis=0), real.punctuation[:, -2:].sum(axis=0))
    return (marks + ends) / 2


def case_divergence(written: Features, real: Features) -> float:
    """Jensen-Shannon distance between all lower, Sentence case, ALL CAPS, mixed and letterless replies."""
    return jensen_shannon(*(np.bincount(side.cases, minlength=len(CASES)) for side in (written, real)))


def vocabulary_overlap(written: Features, real: Features) -> float:
    """Shared weight of the two word distributions: the sum of min(p, q), 1 when equal.

    Small samples of one and the same person stay well below 1: read it beside the human value.
    """
    p, q = (_word_shares(side) for side in (written, real))
    return sum(min(share, q[word]) for word, share in p.items() if word in q)


def similarity(written: Features, real: Features) -> float:
    """Cosine between the mean sentence embeddings of both writers."""
    a, b = written.vectors.mean(axis=0), real.vectors.mean(axis=0)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def mauve(written: Features, real: Features) -> float:
    """MAUVE (Pillutla et al., NeurIPS 2021) over our sentence embeddings: 1 when the two clouds cover each other."""
    from mauve import compute_mauve

    # The authors advise a tenth of the sample as the number of clusters.
    buckets = max(4, min(len(written), len(real)) // 10)
    with _silent_native_stderr():
        return float(
            compute_mauve(
                p_features=real.vectors,
                q_features=written.vectors,
                num_buckets=buckets,
                kmeans_num_redo=2,
                kmeans_max_iter=100,
                verbose=False,
                seed=7,
            ).mauve
        )


def distinct(written: Features, real: Features, *, size: int, budget: int) -> float:
    """Distinct-n (Li et al., 2016) over the first `budget` words, for the share falls as texts get longer."""
    grams: list[tuple[str, ...]] = []
    for reply in written.words:
        if budget <= 0:
            break
        reply = reply[:budget]
        budget -= len(reply)
        grams += zip(*(reply[start:] for start in range(size)), strict=False)
    return len(set(grams)) / len(grams) if grams else 1.0


def self_bleu(written: Features, real: Features) -> float:
    """How much each reply resembles the writer's other ones, 0-1 (Zhu et al., 2018); high is repetitive."""
    from sacrebleu.metrics.bleu import BLEU

    texts = [" ".join(reply) for reply in written.words if reply][:_SELF_BLEU_SAMPLE]
    if len(texts) < 2:
        return 0.0
    bleu = BLEU(tokenize="none", effective_order=True, max_ngram_order=4)
    scores = [bleu.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)]
    return float(np.mean(scores)) / 100


def assistant_rate(written: Features, real: Features) -> float:
    """Share of replies with a phrase of the assistant list."""
    return assistant_speak.rate(written.replies.texts)


@contextmanager
def _silent_native_stderr() -> Iterator[None]:
    """faiss prints to file descriptor 2 from C++ that it would like more points per cluster, at every call."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen-Shannon distance (base 2) between two rows of counts: 0 the same, 1 nothing in common."""
    from scipy.spatial.distance import jensenshannon

    if first.sum() == 0 or second.sum() == 0:
        return 0.0 if first.sum() == second.sum() else 1.0
    # Base 2 puts the distance between 0 and 1; rounding may leave a hair below 0, hence nan_to_num.
    return float(np.nan_to_num(jensenshannon(first / first.sum(), second / second.sum(), base=2)))


def _word_shares(side: Features) -> dict[str, float]:
    counts = Counter(word for reply in side.words for word in reply)
    total = sum(counts.values())
    return {word: count / total for word, count in counts.items()}
