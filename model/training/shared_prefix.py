"""Several examples in one sequence, with the system prompt they share computed once.

    system prompt | rest of row 1 | rest of row 2 | ...

Each rest sees the shared beginning and itself, at the positions it would have alone, so loss and gradients are those of
the rows one by one (a test compares them). Chat rows are short and the system prompt is not: two to three times less to
compute. Used on the processor, and to measure validation loss; a GPU has fused attention that takes no such mask, and
a row alone needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from model.training.on_processor import has_plain_head, summed_reply_loss
from model.training.rows import IGNORED, Example


def shared_length(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the common beginning; at least one token of every prompt stays its own."""
    if len(prompts) < 2:
        return 0
    limit = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    for index in range(limit):
        if any(prompt[index] != first[index] for prompt in prompts):
            return index
    return max(limit, 0)


def pack(rows: Sequence[Example]) -> dict[str, Any]:
    """One sequence as a batch: input_ids, labels, position_ids (1 x L) and a boolean attention mask (1 x 1 x L x L)."""
    import torch

    shared = shared_length([row.prompt for row in rows])
    ids, labels = list(rows[0].prompt[:shared]), [IGNORED] * shared
    positions = list(range(shared))
    segments = [(0, shared)]
    for row in rows:
        rest = row.prompt[shared:] + row.reply
        segments.append((len(ids), len(ids) + len(rest)))
        ids += rest
        labels += [IGNORED] * (len(row.prompt) - shared) + row.labels
        positions += range(shared, shared + len(rest))
    mask = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    mask[:, :shared] = True
    for start, end in segments[1:]:
        mask[start:end, start:end] = True
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": mask.tril()[None, None],
    }


def padded(rows: Sequence[Example]) -> dict[str, Any]:
    """The rows one below the other (rows x longest). Nothing looks to its right, so padding needs no mask."""
    import torch

    longest = max(_length(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), IGNORED)
    for number, row in enumerate(rows):
        ids[number, : _length(row)] = torch.tensor(row.prompt + row.reply)
        labels[number, len(row.prompt) : _length(row)] = torch.tensor(row.labels)
    return {"input_ids": ids, "labels": labels}


def together(rows: Sequence[Example]) -> dict[str, Any]:
    """The rows as one batch, in the form that leaves less to compute."""
    return pack(rows) if shares_its_beginning(rows) else padded(rows)


def shares_its_beginning(rows: Sequence[Example]) -> bool:
    """Whether the common beginning is longer than what padding would add."""
    longest = max((_length(row) for row in rows), default=0)
    padding = sum(longest - _length(row) for row in rows)
    return shared_length([row.prompt for row in rows]) * (len(rows) - 1) > padding


def alike(rows: Sequence[Example], *, most_tokens: int) -> list[list[Example]]:
    """All rows in groups of similar length, each of at most so many tokens once padded; a longer row stands alone."""
    groups: list[list[Example]] = []
    for row in sorted(rows, key=_length):
        if not groups or (len(groups[-1]) + 1) * _length(row) > most_tokens:
            groups.append([])
        groups[-1].append(row)
    return groups


def feature_of(rows: Sequence[Example]) -> dict[str, list[int]]:
    """Rows that are computed together as one row of a data set; `collate` takes them apart again."""
    return {
        "input_ids": [token for row in rows for token in row.prompt + row.reply],
        "labels": [label for row in rows for label in [IGNORED] * len(row.prompt) + row.labels],
        "lengths": [_length(row) for row in rows],
    }


def collate(features: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """`together` as a data collator, for rows of input_ids and labels, or several of them in one (`feature_of`)."""
    return together([row for feature in features for row in _rows_of(feature)])


def _rows_of(feature: dict[str, list[int]]) -> Iterator[Example]:
    start = 0
    for length in feature.get("lengths") or [len(feature["input_ids"])]:
        yield _example(feature["input_ids"][start : start + length], feature["labels"][start : start + length])
        start += length


def _length(row: Example) -> int:
    return len(row.prompt) + len(row.reply)


def _example(ids: list[int], labels: list[int]) -> Example:
    start = next(index for index, label in enumerate(labels) if label != IGNORED)
    return Example(ids[:start], ids[start:], tuple(label != IGNORED for label in labels[start:]))


def packed_together(rows: Sequence[Example], *, at_once: int, most_tokens: int) -> Iterator[list[Example]]:
    """The rows in groups of `at_once` at most, whose pack has `most_tokens` at most; a longer row stands alone."""
    group: list[Example] = []
    length = 0
    for row in rows:
        own = _length(row)
        if group and (len(group) == at_once or length + own > most_tokens):
            yield group
            group, length = [], 0
        group.append(row)
        length += own
    if group:
        yield group


def reply_loss(
    model: Any, rows: Sequence[Example], *, at_once: int = 8, most_tokens: int = 2048, picks_logits: bool = True
) -> float | None:
    """Mean negative log-likelihood of a reply token in nats, every token counting the same; None without rows.

    The head is computed on the tokens that count alone: over 152,000 words a whole pack's logits take gigabytes.
    picks_logits: False for a model whose forward cannot be told which positions it is asked for (Unsloth's).
    """
    import torch

    if not rows:
        return None
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    total, count = 0.0, 0
    with torch.no_grad():
        for group in packed_together(rows, at_once=at_once, most_tokens=most_tokens):
            batch = {name: tensor.to(device) for name, tensor in _one_or_more(group).items()}
            if len(batch["input_ids"]) > 1 and has_plain_head(model):
                losses, counted = summed_reply_loss(model, batch)
                total, count = total + float(losses), count + int(counted)
                continue
            labels = batch.pop("labels")[:, 1:]
            counts = labels != IGNORED
            if picks_logits:
                # Positions any of the rows needs: of one row, or one pack, these are the needed ones.
                places = counts.any(0).nonzero()[:, 0]
                logits = model(**batch, use_cache=False, logits_to_keep=places).logits[counts[:, places]]
            else:
                logits = model(**batch, use_cache=False).logits[:, :-1][counts]
            losses = torch.nn.functional.cross_entropy(logits.float(), labels[counts], reduction="sum")
            total, count = total + float(losses), count + len(logits)
    model.train(was_training)
    return total / count


def _one_or_more(rows: Sequence[Example]) -> dict[str, Any]:
    """A pack; a row alone as any model takes it, without a mask of ours (Unsloth's attention refuses one)."""
    packed = together(rows)
    return packed if len(rows) > 1 else {name: packed[name] for name in ("input_ids", "labels")}
