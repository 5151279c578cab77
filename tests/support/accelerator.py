"""An NVIDIA card as the acceptance run needs it: described, made smaller than it is, and filled with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from model.training.shapes import ModelShape


def describe() -> str:
    """The card, its memory and the version of torch."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    return f"{torch.cuda.get_device_name()}, {total / 1e9:.1f} GB, torch {torch.__version__}"


def cap_memory(most: int) -> None:
    """No more than `most` bytes of the card for this process, whatever the card has."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(most / total, 1.0))


def write_large_base(folder: Path, tokenizer: Path, shape: ModelShape) -> None:
    """A Qwen2 model of this shape with random weights in bf16, and another model's tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.is_tied,
        bos_token_id=1,
        eos_token_id=2,
    )
    # On the card, where 3 billion random numbers take a moment.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    for path in tokenizer.iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "special")):
            shutil.copy(path, folder)
