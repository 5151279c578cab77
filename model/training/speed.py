"""How much of a processor training reaches, measured as training does it (scripts/benchmark.py training)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from model.training.base_model import BaseModel
from model.training.loaders import Runtime, open_for_training
from model.training.on_processor import quicken, reply_loss_of
from model.training.recipes import Recipe
from model.training.rows import Example
from model.training.shapes import ModelShape
from model.training.shared_prefix import collate, feature_of


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """tokens_a_second: read and, most of them, learnt. gflops: operations that training needs, a second;
    product_gflops: of a plain matrix product in the same type and process. Seconds are processor time by thread."""

    tokens_a_second: float
    gflops: float
    product_gflops: float

    @property
    def share(self) -> float:
        """Of the plain product's speed."""
        return self.gflops / self.product_gflops


def measure_speed(
    base: BaseModel,
    shape: ModelShape,
    recipe: Recipe,
    groups: Sequence[Sequence[Example]],
    *,
    kind: str,
    threads: int = 1,
    is_plain: bool = False,
) -> TrainingSpeed:
    """Forward and backward of every group, after the first once to warm up. kind: 'float32' or 'bfloat16'.

    is_plain: PEFT's and transformers' own way, for comparison.
    """
    import torch

    torch.set_num_threads(threads)
    runtime = Runtime("cpu", kind, "peft")
    model = open_for_training(base, recipe, runtime, adapter=None, max_length=recipe.sft.max_length)
    model.train()
    if not is_plain:
        quicken(model)

    def step(group: Sequence[Example]) -> None:
        batch = collate([feature_of(group)])
        if is_plain:
            with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16"):
                model(input_ids=batch["input_ids"], labels=batch["labels"], use_cache=False).loss.backward()
        else:
            reply_loss_of(model, batch).backward()
        model.zero_grad()

    step(groups[0])
    before = _product_speed(kind, threads)
    started = time.process_time()
    for group in groups:
        step(group)
    seconds = (time.process_time() - started) / threads
    rows = [row for group in groups for row in group]
    done = sum(len(row.prompt) + len(row.reply) for row in rows)
    learnt = sum(label >= 0 for row in rows for label in row.labels)
    # Forward and backward through frozen layers are 4 a weight and token, with the adapter's own gradients 6; the head
    # is computed for what is learnt.
    work = done * (4 * shape.linear_weights + 6 * shape.lora_weights(recipe.lora.r))
    work += learnt * 4 * shape.vocabulary * shape.hidden
    product = (before + _product_speed(kind, threads)) / 2
    return TrainingSpeed(done / seconds, work / seconds / 1e9, product)


def _product_speed(kind: str, threads: int) -> float:
    """Giga operations a second of a matrix product of the layers' shape."""
    import torch

    dtype = getattr(torch, kind)
    a, b = torch.randn(2048, 576).to(dtype), torch.randn(576, 1536).to(dtype)
    a @ b
    rounds, started = 0, time.process_time()
    while time.process_time() - started < 0.5 * threads:
        a @ b
        rounds += 1
    return rounds * 2 * 2048 * 576 * 1536 / ((time.process_time() - started) / threads) / 1e9
