"""Two loaders, one trainer: Unsloth where it runs, PEFT everywhere else. Both return a PEFT model."""

from __future__ import annotations

import importlib.util
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.training.base_model import BaseModel, load_base
from model.training.hardware import has_apple_graphics, has_bfloat16
from model.training.on_processor import is_bfloat16_faster
from model.training.recipes import LoraTargets, Recipe, lora_targets

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """Where the optimiser runs. dtype names the compute type; loader is 'unsloth' or 'peft'."""

    device: str
    dtype: str
    loader: str

    @property
    def is_cuda(self) -> bool:
        """Whether the weights lie on an NVIDIA GPU."""
        return self.device.startswith("cuda")


def find_runtime(recipe: Recipe) -> Runtime:
    """The device of this process (under `accelerate launch` each has its own GPU) and the loader for it."""
    import torch

    if not torch.cuda.is_available():
        # Apple's graphics only where the recipe is made for them: the others' numbers are a processor's.
        if recipe.is_for_apple and has_apple_graphics():
            return Runtime("mps", "bfloat16", "peft")
        # A matrix that is trained itself stays in 32 bit.
        is_16bit = not recipe.lora.train_embeddings and is_bfloat16_faster()
        return Runtime("cpu", "bfloat16" if is_16bit else "float32", "peft")
    number = int(os.environ.get("LOCAL_RANK", "0"))
    dtype = "bfloat16" if has_bfloat16(number) else "float16"
    return Runtime(f"cuda:{number}", dtype, "unsloth" if _has_unsloth(recipe) else "peft")


def _has_unsloth(recipe: Recipe) -> bool:
    # Unsloth unties an embedding that is trained; the tie must be kept (see recipes.lora_targets).
    if recipe.lora.train_embeddings or importlib.util.find_spec("unsloth") is None:
        return False
    try:
        import unsloth  # noqa: F401 - it patches the libraries imported after it
    except Exception as error:  # it raises NotImplementedError, RuntimeError and more on machines it does not know
        log.warning(
            "Unsloth is installed but does not run here (%s: %s); going on without it.", type(error).__name__, error
        )
        return False
    return True


def _targets(recipe: Recipe, model: Any) -> LoraTargets:
    is_tied = bool(model.config.tie_word_embeddings)
    return lora_targets(recipe.lora, is_tied=is_tied, model_type=str(model.config.model_type))


def open_for_training(
    base: BaseModel, recipe: Recipe, runtime: Runtime, *, adapter: Path | None, max_length: int
) -> Any:
    """The base with a trainable adapter: a fresh one, or the one a phase before left in `adapter`."""
    if runtime.loader == "unsloth":
        return _open_with_unsloth(base, recipe, runtime, adapter, max_length)
    return _open_with_peft(base, recipe, runtime, adapter)


def _open_with_peft(base: BaseModel, recipe: Recipe, runtime: Runtime, adapter: Path | None) -> Any:
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training

    is_4bit = recipe.is_4bit and runtime.is_cuda
    model = load_base(base, dtype=runtime.dtype, device=runtime.device, is_4bit=is_4bit)
    model.config.use_cache = False
    if is_4bit:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=recipe.gradient_checkpointing)
        if not recipe.lora.train_embeddings:
            shrink_frozen_embedding(model, runtime.dtype)
    if adapter is not None:
        return PeftModel.from_pretrained(model, adapter, is_trainable=True)
    targets = _targets(recipe, model)
    return get_peft_model(
        model,
        LoraConfig(
            r=recipe.lora.r,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            bias="none",
            task_type="CAUSAL_LM",
            target_modules=list(targets.target_modules),
            modules_to_save=list(targets.modules_to_save) or None,
            ensure_weight_tying=targets.ensure_weight_tying,
        ),
    )


def shrink_frozen_embedding(model: Any, dtype: str) -> None:
    """The embedding (and a head) back in 16 bit: PEFT puts all that is not in 4 bit into 32, where nothing is trained
    that would need it. On Qwen2.5-3B that is 0.6 GB."""
    import torch

    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        if module is not None:
            module.weight.data = module.weight.data.to(getattr(torch, dtype))


def _open_with_unsloth(base: BaseModel, recipe: Recipe, runtime: Runtime, adapter: Path | None, max_length: int) -> Any:
    import torch
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        model_name=str(adapter or base.folder),
        max_seq_length=max_length,
        dtype=getattr(torch, runtime.dtype),
        load_in_4bit=recipe.is_4bit,
    )
    if adapter is not None:
        return model
    targets = _targets(recipe, model)
    return FastLanguageModel.get_peft_model(
        model,
        r=recipe.lora.r,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        bias="none",
        target_modules=list(targets.target_modules),
        random_state=recipe.seed,
        use_gradient_checkpointing="unsloth" if recipe.gradient_checkpointing else False,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """True for every way in which torch says that memory is gone, on a GPU or a processor."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text for words in ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")
    )


def free_memory() -> None:
    """Hand back what a failed or finished phase held."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
