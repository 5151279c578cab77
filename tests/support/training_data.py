"""A prepared folder of a small invented server, and a tiny model, for the training tests."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SYSTEM_PROMPT = "You're a regular here."
_PEOPLE = ("mira", "tobs", "juno", "pax")
_OPENERS = (
    "anyone up for {game} tonight",
    "who broke the {thing} again",
    "just finished {game}",
    "the {thing} is on fire",
)
_REPLIES = (
    "lol no way",
    "count me in!!",
    "GGGGGG",
    "bruh {game} again",
    "ask pax about the {thing}",
    "nah too tired 😴",
)
_GAMES = ("factorio", "rocket league", "chess", "terraria")
_THINGS = ("printer", "server", "oven", "bot")


def write_prepared_folder(
    folder: Path, *, rows: int = 24, validation: int = 4, pairs: int = 8, sessions: int = 0, seed: int = 1
) -> Path:
    """A folder as scripts/2_prepare_training_data.py leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    _write(folder / "train.jsonl", [_row(chance, index) for index in range(rows)])
    _write(folder / "validation.jsonl", [_row(chance, 10_000 + index) for index in range(validation)])
    _write(folder / "sessions.jsonl", [_session(chance, index) for index in range(sessions)])
    _write(folder / "preferences.jsonl", [_pair(chance, 20_000 + index) for index in range(pairs)])
    manifest = {"layout": _layout(), "system_prompt": SYSTEM_PROMPT, "hash": f"test-{seed}-{rows}-{pairs}"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _layout() -> int:
    from model.prompts import LAYOUT

    return LAYOUT


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _fill(chance: random.Random, text: str) -> str:
    return text.format(game=chance.choice(_GAMES), thing=chance.choice(_THINGS))


def _row(chance: random.Random, index: int) -> dict[str, Any]:
    name = chance.choice(_PEOPLE)
    context = [{"name": name, "text": _fill(chance, chance.choice(_OPENERS)), "is_target_author": False}]
    if chance.random() < 0.3:
        context.insert(0, {"name": "self", "text": "hm", "is_target_author": True})
    recalled = [{"name": "tobs", "text": "chess was fun"}] if chance.random() < 0.3 else []
    return {
        "id": str(index),
        "channel_id": 1,
        "author_id": 2,
        "timestamp": index,
        "session": index,
        "context": context,
        "recalled": recalled,
        "reply": _fill(chance, chance.choice(_REPLIES)),
        "layout": _layout(),
    }


def _session(chance: random.Random, index: int) -> dict[str, Any]:
    said = [(_PEOPLE[0], _fill(chance, chance.choice(_OPENERS)))]
    said += [(chance.choice(_PEOPLE), _fill(chance, chance.choice(_REPLIES))) for _ in range(6)]
    turns = [
        {"name": name, "text": text, "is_own": name == _PEOPLE[1], "is_learnt": chance.random() < 0.8}
        for name, text in said
    ]
    return {"session": str(index), "channel_id": 1, "turns": turns}


def _pair(chance: random.Random, index: int) -> dict[str, Any]:
    row = _row(chance, index)
    chosen = row.pop("reply")
    return row | {"chosen": f"{chosen} {index}", "rejected": "That is interesting. How may I help you?", "strength": 1}


def write_tiny_base(
    folder: Path, tokenizer_folder: Path, *, is_tied: bool = True, arch: str = "llama", layers: int = 2, seed: int = 0
) -> Path:
    """A random model with the real tokenizer: quick, and shaped like a real one."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

    torch.manual_seed(seed)
    shape: dict[str, Any] = dict(
        vocab_size=49_152,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=is_tied,
        # Far larger than usual: with the usual value all tokens are equally likely, and any mistake goes unseen.
        initializer_range=0.2,
    )
    kinds = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config}
    config = kinds[arch](**shape)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for path in tokenizer_folder.iterdir():
        if path.name.startswith(("tokenizer", "chat_template", "special")):
            shutil.copy(path, folder)
    return folder


def write_tiny_gguf(target: Path, packaged: Path, *, layers: int = 2, hidden: int = 64) -> Path:
    """A GGUF whose metadata fits `write_tiny_base`, with the packaged model's tokenizer; its one tensor is not used."""
    import gguf
    import numpy as np

    from model.files.gguf_files import open_gguf

    changes = {
        "llama.block_count": layers,
        "llama.embedding_length": hidden,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.context_length": 512,
        "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 10_000.0,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
    }
    writer = gguf.GGUFWriter(target, "llama")
    for field in open_gguf(packaged).fields.values():
        if field.name.startswith(("GGUF.", "general.architecture")) or not field.types:
            continue
        sub_type = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(field.name, changes.get(field.name, field.contents()), field.types[0], sub_type=sub_type)
    writer.add_tensor("unused", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def torch_distributions(model: Any, wanted: Sequence[Any]) -> list[Any]:
    """Log-probabilities (reply tokens x vocabulary, float32) of a loaded transformers model at every reply position."""
    import torch

    model.eval()
    rows = []
    for probe in wanted:
        ids = torch.tensor([probe.prompt + probe.reply], device=next(model.parameters()).device)
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits[0, len(probe.prompt) - 1 : -1].float()
        rows.append(torch.log_softmax(logits, dim=-1).cpu().numpy())
    return rows
