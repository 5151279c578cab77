"""Does it recite? Word runs shared with the training texts, planted canaries, data that should have been masked.

Sources: Carlini et al., "The Secret Sharer" (2019) for canaries; "Quantifying Memorization Across Neural Language
Models" (2023) for verbatim runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.evaluation.features import words
from model.evaluation.resampling import Range, range_of, wilson

COPY_WORDS = 8
# Short sayings ("no idea", "good morning") belong to everybody; from four words on a whole line is a quotation.
LINE_WORDS = 4
_SEED_WORDS = 3

FindPrivate = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class CanaryProbe:
    """A made-up line planted `count` times in the training data: asked `prompt`, only memory knows `secret`."""

    prompt: str
    secret: str
    count: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A reply and the longest run of words it shares with one training text."""

    reply: str
    source: str
    run_words: int


@dataclass(frozen=True, slots=True)
class Memorisation:
    """What one writer took over from the training texts. Shares are 0-1.

    longest_run: words of the longest shared run. copied_share: replies that share a run of COPY_WORDS or more.
    line_share: replies of LINE_WORDS or more that are word for word a training text (of those that long).
    canaries_told: planted secrets that came out, as (times planted, told, asked). private_hits: e-mail addresses,
    telephone numbers, tokens in replies. examples: the longest copies, longest first. ranges: 95 % intervals of the
    figures that are counted in replies, by field name.
    """

    longest_run: int = 0
    copied_share: float = 0.0
    line_share: float = 0.0
    canaries: tuple[tuple[int, int, int], ...] = ()
    private_hits: int = 0
    examples: tuple[Copy, ...] = ()
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def canaries_told(self) -> int:
        """How many of the planted secrets the model said."""
        return sum(told for _, told, _ in self.canaries)


def measure(
    replies: Sequence[str],
    training_texts: Iterable[str],
    *,
    sessions: Sequence[str] = (),
    find_private: FindPrivate | None = None,
    canaries: tuple[tuple[int, int, int], ...] = (),
    examples: int = 5,
) -> Memorisation:
    """Compare replies with every training text, read once as a stream. sessions: one for every reply, for intervals."""
    tokens = [words(reply) for reply in replies]
    found_runs, sources, copied_lines = _scan(tokens, training_texts)
    runs = np.array(found_runs, dtype=np.int64)
    is_long = np.array([len(reply) >= LINE_WORDS for reply in tokens], dtype=bool)
    is_line = np.array([i in copied_lines for i in range(len(tokens))], dtype=bool)
    private = np.array([len(find_private(reply)) if find_private else 0 for reply in replies], dtype=np.int64)
    figures: dict[str, Callable[[np.ndarray], float]] = {
        "longest_run": lambda index: float(runs[index].max(initial=0)),
        "copied_share": lambda index: _share(int((runs[index] >= COPY_WORDS).sum()), len(index)),
        "line_share": lambda index: _share(int((is_long & is_line)[index].sum()), int(is_long[index].sum())),
        "private_hits": lambda index: float(private[index].sum()),
    }
    everything = np.arange(len(replies))
    order = sorted(range(len(replies)), key=lambda i: -runs[i])
    return Memorisation(
        longest_run=int(figures["longest_run"](everything)),
        copied_share=figures["copied_share"](everything),
        line_share=figures["line_share"](everything),
        canaries=canaries,
        private_hits=int(figures["private_hits"](everything)),
        examples=tuple(Copy(replies[i], sources[i], int(runs[i])) for i in order[:examples] if runs[i] >= COPY_WORDS),
        ranges={name: range_of(figure, sessions) for name, figure in figures.items()}
        | _ranges_of_none(runs, is_long, is_line)
        if sessions
        else {},
    )


def _ranges_of_none(runs: np.ndarray, is_long: np.ndarray, is_line: np.ndarray) -> dict[str, Range]:
    """Where no reply was copied, resampling finds none either: how many there might be all the same."""
    found = {}
    if not (runs >= COPY_WORDS).any():
        found["copied_share"] = wilson(0, len(runs))
    if not (is_long & is_line).any():
        found["line_share"] = wilson(0, int(is_long.sum()))
    return found


def is_told(canary: CanaryProbe, reply: str) -> bool:
    """True when the planted secret stands in the reply, whatever the spacing and capitals."""
    return "".join(words(canary.secret)) in "".join(words(reply))


def _scan(tokens: Sequence[list[str]], training_texts: Iterable[str]) -> tuple[list[int], list[str], set[int]]:
    """Longest run, its source, and the replies that equal a whole training text."""
    seeds: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    lines: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, reply in enumerate(tokens):
        lines[tuple(reply)].append(i)
        for start in range(len(reply) - _SEED_WORDS + 1):
            seeds[tuple(reply[start : start + _SEED_WORDS])].append((i, start))
    runs, sources, copied = [0] * len(tokens), [""] * len(tokens), set[int]()
    for text in training_texts:
        source = words(text)
        copied.update(lines.get(tuple(source), ()))
        for position in range(len(source) - _SEED_WORDS + 1):
            for i, start in seeds.get(tuple(source[position : position + _SEED_WORDS]), ()):
                run = _run(tokens[i], start, source, position)
                if run > runs[i]:
                    runs[i], sources[i] = run, text
    return runs, sources, copied


def _run(reply: list[str], start: int, source: list[str], position: int) -> int:
    length = 0
    while (
        start + length < len(reply)
        and position + length < len(source)
        and reply[start + length] == source[position + length]
    ):
        length += 1
    return length


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
