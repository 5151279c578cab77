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


def collate(features: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """`pack` as a data collator, for rows of input_ids and labels."""
    return pack([_example(feature["input_ids"], feature["labels"]) for feature in features])


def _example(ids: list[int], labels: list[int]) -> Example:
    start = next(index for index, label in enumerate(labels) if label != IGNORED)
    return Example(ids[:start], ids[start:], tuple(label != IGNORED for label in labels[start:]))


def packed_together(rows: Sequence[Example], *, at_once: int, most_tokens: int) -> Iterator[list[Example]]:
    """The rows in groups of `at_once` at most, whose pack has `most_tokens` at most; a longer row stands alone."""
    group: list[Example] = []
    length = 0
    for row in rows:
        own = len(row.prompt) + len(row.reply)
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
            labels = batch.pop("labels")[0, 1:]
            places = (labels != IGNORED).nonzero()[:, 0]
            if picks_logits:
                logits = model(**batch, use_cache=False, logits_to_keep=places).logits[0]
            else:
                logits = model(**batch, use_cache=False).logits[0, places]
            losses = torch.nn.functional.cross_entropy(logits.float(), labels[places], reduction="sum")
            total, count = total + float(losses), count + len(places)
    model.train(was_training)
    return total / count


def _one_or_more(rows: Sequence[Example]) -> dict[str, Any]:
    """A pack; a row alone as any model takes it, without a mask of ours (Unsloth's attention refuses one)."""
    packed = pack(rows)
    return packed if len(rows) > 1 else {name: packed[name] for name in ("input_ids", "labels")}
