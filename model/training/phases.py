"""TRL's trainers, fed with token ids of our own making.

TRL tokenises and truncates on its own, from the wrong side: it cuts replies. So every trainer here is given finished
ids and its own preparation is switched off; nothing is truncated after model.training.rows has trimmed the contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.training.loaders import Runtime
from model.training.on_processor import has_plain_head, quicken, reply_loss_of
from model.training.recipes import PhaseRecipe, Recipe
from model.training.rows import IGNORED, Example, PreferenceExample
from model.training.shared_prefix import alike, collate, feature_of, shares_its_beginning


@dataclass(frozen=True)
class PhaseRows:
    """Rows of one phase: `Example`s for SFT, `PreferenceExample`s for the other methods; disliked replies for KTO."""

    train: Sequence[Any]
    held_back: Sequence[Any]
    disliked: Sequence[Example] = ()


@dataclass(frozen=True)
class PhaseSetup:
    """All a trainer is built from. folder receives checkpoints."""

    name: str
    numbers: PhaseRecipe
    recipe: Recipe
    runtime: Runtime
    folder: Path
    tensorboard: bool = False


def build_trainer(setup: PhaseSetup, model: Any, tokenizer: Any, rows: PhaseRows, callbacks: Sequence[Any]) -> Any:
    """The trainer of one phase ('sft', 'dpo', 'orpo' or 'kto')."""
    from transformers import PrinterCallback

    build = {"sft": _sft, "dpo": _dpo, "orpo": _orpo, "kto": _kto}[setup.name]
    trainer = build(setup, model, tokenizer, rows, list(callbacks))
    trainer.remove_callback(PrinterCallback)  # progress is told by our own callback
    if setup.runtime.is_cuda and setup.runtime.dtype == "float16":
        scalable_adapter(trainer.model)
    return trainer


def scalable_adapter(model: Any) -> None:
    """The trained weights in 32 bit: TRL puts those of a 4-bit base into bf16, which a card without bf16 emulates, and
    whose gradients the scaler of 16-bit training cannot unscale."""
    import torch

    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(torch.float32)


def _sft(setup: PhaseSetup, model: Any, tokenizer: Any, rows: PhaseRows, callbacks: list[Any]) -> Any:
    from trl import SFTConfig, SFTTrainer

    # The chunked loss computes the head on the reply's tokens alone, but reads the head's plain weight: it would not
    # see what is trained there.
    # Unsloth has a fused loss of its own, which only the plain one leads to.
    is_plain = setup.recipe.lora.train_embeddings or setup.runtime.loader == "unsloth"
    if setup.runtime.device == "cpu":
        return _sft_on_processor(setup, model, tokenizer, rows, callbacks, loss="nll" if is_plain else "chunked_nll")
    return SFTTrainer(
        model=model,
        processing_class=tokenizer,
        callbacks=callbacks,
        data_collator=None if setup.runtime.is_cuda else collate,
        args=SFTConfig(
            **_arguments(setup, bool(rows.held_back)),
            max_length=None,
            packing=False,
            loss_type="nll" if is_plain else "chunked_nll",
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=_labelled(rows.train),
        eval_dataset=_labelled(rows.held_back) if rows.held_back else None,
    )


def _sft_on_processor(
    setup: PhaseSetup, model: Any, tokenizer: Any, rows: PhaseRows, callbacks: list[Any], *, loss: str
) -> Any:
    """Rows that share their system prompt a batch at a time, transcripts in groups of similar length."""
    from trl import SFTConfig, SFTTrainer

    quicken(model)
    counts_itself = has_plain_head(model)

    class ProcessorSft(SFTTrainer):
        """With the loss of model.training.on_processor where the head allows it."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
            inputs.pop("_prediction_loss_only", None)
            if not counts_itself:
                return super().compute_loss(model, inputs, return_outputs, **more)
            found = reply_loss_of(model, inputs, more.get("num_items_in_batch"))
            return (found, {"loss": found}) if return_outputs else found

    numbers = setup.numbers
    together = shares_its_beginning(rows.train[: numbers.batch_size]) and numbers.batch_size > 1
    at_once = 1 if together else numbers.batch_size * numbers.max_length
    arguments = _arguments(setup, bool(rows.held_back))
    if not together:
        arguments |= {"per_device_train_batch_size": 1, "per_device_eval_batch_size": 1}
    return ProcessorSft(
        model=model,
        processing_class=tokenizer,
        callbacks=callbacks,
        data_collator=collate,
        args=SFTConfig(
            **arguments,
            max_length=None,
            packing=False,
            loss_type=loss,
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=_groups(rows.train, at_once),
        eval_dataset=_groups(rows.held_back, at_once) if rows.held_back else None,
    )


def _dpo(setup: PhaseSetup, model: Any, tokenizer: Any, rows: PhaseRows, callbacks: list[Any]) -> Any:
    from trl import DPOConfig, DPOTrainer

    class PreparedDpo(_OnlyTheTrainedAdapter, DPOTrainer):
        """Takes ids as they are."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    return PreparedDpo(
        model=model,
        processing_class=tokenizer,
        callbacks=callbacks,
        args=DPOConfig(**_arguments(setup, bool(rows.held_back)), max_length=None, beta=setup.numbers.beta),
        train_dataset=_pairs(rows.train),
        eval_dataset=_pairs(rows.held_back) if rows.held_back else None,
    )


def _kto(setup: PhaseSetup, model: Any, tokenizer: Any, rows: PhaseRows, callbacks: list[Any]) -> Any:
    from trl import KTOConfig, KTOTrainer

    class PreparedKto(_OnlyTheTrainedAdapter, KTOTrainer):
        """Takes ids as they are."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    batch = setup.numbers.batch_size
    return PreparedKto(
        model=model,
        processing_class=tokenizer,
        callbacks=callbacks,
        args=KTOConfig(**_arguments(setup, bool(rows.held_back)), max_length=None, beta=setup.numbers.beta),
        train_dataset=_single_sided(rows.train, batch, rows.disliked),
        eval_dataset=_single_sided(rows.held_back, batch) if len(rows.held_back) * 2 >= batch else None,
    )


def _orpo(setup: PhaseSetup, model: Any, tokenizer: Any, rows: PhaseRows, callbacks: list[Any]) -> Any:
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class PreparedOrpo(ORPOTrainer):
        """Takes ids as they are; its own tokenising would truncate and add tokens."""

        def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:  # noqa: ARG002 - trl's
            prompt = feature["prompt_ids"]
            row: dict[str, Any] = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
            for side in ("chosen", "rejected"):
                ids = prompt + feature[f"{side}_ids"]
                row[f"{side}_input_ids"] = ids
                row[f"{side}_attention_mask"] = [1] * len(ids)
                row[f"{side}_labels"] = [IGNORED] * len(prompt) + feature[f"{side}_ids"]
            return row

    arguments = _arguments(setup, bool(rows.held_back))
    return PreparedOrpo(
        model=model,
        processing_class=tokenizer,
        callbacks=callbacks,
        # TRL calls ORPO's lambda beta.
        args=ORPOConfig(**arguments, max_length=setup.numbers.max_length, beta=setup.numbers.beta),
        train_dataset=_pairs(rows.train, with_text=True),
        eval_dataset=_pairs(rows.held_back, with_text=True) if rows.held_back else None,
    )


class _OnlyTheTrainedAdapter:
    """Checkpoints without the frozen reference adapter.

    With it in a folder of its own, resuming loads the reference and leaves the trained adapter as it was at the start.
    """

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002 - transformers'
        folder = output_dir or self.args.output_dir  # type: ignore[attr-defined]
        self.model.save_pretrained(folder, selected_adapters=["default"])  # type: ignore[attr-defined]
        self.processing_class.save_pretrained(folder)  # type: ignore[attr-defined]


def _arguments(setup: PhaseSetup, has_held_back: bool) -> dict[str, Any]:
    """What all trainers share, under today's names."""
    numbers, recipe, runtime = setup.numbers, setup.recipe, setup.runtime
    return dict(
        output_dir=str(setup.folder),
        num_train_epochs=numbers.epochs,
        max_steps=numbers.max_steps or -1,
        per_device_train_batch_size=numbers.batch_size,
        per_device_eval_batch_size=max(numbers.batch_size, 1),
        gradient_accumulation_steps=numbers.accumulation,
        learning_rate=numbers.learning_rate,
        lr_scheduler_type=recipe.scheduler,
        warmup_steps=recipe.warmup_share,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim=recipe.optimizer if runtime.is_cuda else "adamw_torch",
        gradient_checkpointing=recipe.gradient_checkpointing and runtime.loader != "unsloth",
        logging_steps=recipe.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=recipe.save_every,
        save_total_limit=2,
        eval_strategy="steps" if has_held_back else "no",
        eval_steps=recipe.evaluate_every,
        seed=recipe.seed,
        data_seed=recipe.seed,
        report_to=["tensorboard"] if setup.tensorboard else "none",
        # On a processor bf16 is the base's own type or none (model/training/on_processor.py).
        use_cpu=runtime.device == "cpu",
        bf16=runtime.is_cuda and runtime.dtype == "bfloat16",
        fp16=runtime.is_cuda and runtime.dtype == "float16",
        dataloader_pin_memory=runtime.is_cuda,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
    )


def _labelled(rows: Sequence[Example]) -> Any:
    from datasets import Dataset

    return Dataset.from_list(
        [{"input_ids": row.prompt + row.reply, "labels": [IGNORED] * len(row.prompt) + row.labels} for row in rows]
    )


def _groups(rows: Sequence[Example], most_tokens: int) -> Any:
    """Rows that fit into a step together as one row each. most_tokens: 1 leaves them alone, in their order."""
    from datasets import Dataset

    groups = [[row] for row in rows] if most_tokens == 1 else alike(rows, most_tokens=most_tokens)
    return Dataset.from_list([feature_of(group) for group in groups])


def _pairs(rows: Sequence[PreferenceExample], *, with_text: bool = False) -> Any:
    from datasets import Dataset

    text = {"prompt": "", "chosen": "", "rejected": ""} if with_text else {}
    return Dataset.from_list(
        [{"prompt_ids": row.prompt, "chosen_ids": row.chosen, "rejected_ids": row.rejected, **text} for row in rows]
    )


def _single_sided(rows: Sequence[PreferenceExample], batch: int, disliked: Sequence[Example] = ()) -> Any:
    """Pairs as single judgements, with the mismatched replies KTO estimates its reference point from.

    TRL rotates the replies inside each batch; its sampler keeps the order, so the batches are the same here.
    """
    from datasets import Dataset

    sides = [
        {"prompt_ids": row.prompt, "completion_ids": reply, "label": is_chosen}
        for row in rows
        for reply, is_chosen in ((row.chosen, True), (row.rejected, False))
    ]
    sides += [{"prompt_ids": row.prompt, "completion_ids": row.reply, "label": False} for row in disliked]
    if len(sides) % batch == 1:
        sides.pop()  # a batch of one has no other reply to compare with
    for start in range(0, len(sides), batch):
        block = sides[start : start + batch]
        for index, side in enumerate(block):
            side["KL_completion_ids"] = block[index - 1]["completion_ids"]
    return Dataset.from_list(sides)


def preferred_share(model: Any, pairs: Sequence[PreferenceExample]) -> float | None:
    """Share of pairs whose chosen reply is likelier per token than the rejected one; None without pairs.

    Per token, because the rejected side is usually longer and would lose by length alone.
    """
    if not pairs:
        return None
    wins = sum(
        _mean_log_probability(model, pair.prompt, pair.chosen)
        > _mean_log_probability(model, pair.prompt, pair.rejected)
        for pair in pairs
    )
    return wins / len(pairs)


def _mean_log_probability(model: Any, prompt: list[int], reply: list[int]) -> float:
    import torch

    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    ids = torch.tensor([prompt + reply], device=device)
    with torch.no_grad():
        # The last positions only: over 152,000 words a whole row's logits take gigabytes.
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(reply) + 1).logits[0, -len(reply) - 1 : -1]
    model.train(was_training)
    chosen = torch.log_softmax(logits.float(), dim=-1).gather(1, ids[0, len(prompt) :, None])
    return float(chosen.mean())
