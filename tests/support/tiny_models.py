"""Tiny models with random weights in the forms of the catalogue's families: a folder as the hub has it, and its GGUF.

Shapes keep what makes a family special (Qwen2's biases and tie, Qwen3's norms of queries and keys, Llama 3's scaled
rotation, Gemma's shifted norms and scaled embedding, SmolLM3's layers without rotation, Phi's fused matrices), and each
has a tokenizer of its family's kind, trained here on a few lines. The metadata of the GGUF is written by hand, as a
publisher's file has it; the weights are put in by the program's own writer.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from model.files.gguf_files import quantise, write_model

_WORDS = (
    "hey lol who broke the printer again anyone up for chess tonight count me in nah too tired the server is on fire "
    "ask pax about the oven good morning everyone what happened yesterday bruh no way GGGG thanks for telling me "
    "You're a regular here. Messages begin with names. mira: tobs: juno: pax: I think so too, maybe tomorrow at five?"
)
HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_SIZE, INNER = 256, 4, 4, 2, 64, 512
_CONTEXT = 2048

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' }}"
    "{{ message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ message['content'] + eos_token }}{% else %}{{ '[INST]' + message['content'] + '[/INST]' }}{% endif %}"
    "{% endfor %}"
)
PHI = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A family: transformers' configuration class, llama.cpp's architecture, and the kind of its tokenizer.

    pieces: 'bytes' for a byte-level BPE (pre: what llama.cpp calls its splitting), 'spaces' for SentencePiece's way.
    """

    config: str
    architecture: str
    template: str
    specials: tuple[str, ...]
    end: str
    bos: str = ""
    pieces: str = "bytes"
    pre: str = "qwen2"
    # Marks that swallow the white space behind them. llama.cpp knows it by the file's name alone.
    swallowing: tuple[str, ...] = ()
    title: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


_CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
_SCALED = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

FAMILIES: dict[str, Family] = {
    "qwen2": Family(
        "Qwen2Config", "qwen2", CHATML, _CHATML_TOKENS, "<|im_end|>", options={"tie_word_embeddings": True}
    ),
    "qwen3": Family(
        "Qwen3Config",
        "qwen3",
        CHATML,
        _CHATML_TOKENS,
        "<|im_end|>",
        options={"tie_word_embeddings": True, "head_dim": HEAD_SIZE},
    ),
    "llama": Family(
        "LlamaConfig",
        "llama",
        LLAMA_3,
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
        bos="<|begin_of_text|>",
        pre="llama-bpe",
        options={
            "tie_word_embeddings": True,
            "rope_parameters": _SCALED | {"rope_theta": 500_000.0, "original_max_position_embeddings": 512},
        },
        metadata={"rope.freq_base": 500_000.0},
    ),
    "mistral": Family(
        "MistralConfig",
        "llama",
        MISTRAL,
        ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        "</s>",
        bos="<s>",
        pre="tekken",
        options={"tie_word_embeddings": False, "head_dim": HEAD_SIZE, "sliding_window": None},
    ),
    "gemma3": Family(
        "Gemma3TextConfig",
        "gemma3",
        GEMMA,
        _GEMMA_TOKENS,
        "<end_of_turn>",
        bos="<bos>",
        pieces="spaces",
        options={
            "tie_word_embeddings": True,
            "head_dim": HEAD_SIZE,
            "sliding_window": 64,
            "query_pre_attn_scalar": HEAD_SIZE,
            "num_hidden_layers": 7,  # the sixth layer is the first that sees everything
        },
        metadata={"attention.sliding_window": 64, "rope.freq_base": 1_000_000.0, "block_count": 7},
    ),
    "smollm3": Family(
        "SmolLM3Config",
        "smollm3",
        CHATML,
        _CHATML_TOKENS,
        "<|im_end|>",
        pre="llama-bpe",
        options={"tie_word_embeddings": True, "use_sliding_window": False},
        metadata={"rope.freq_base": 2_000_000.0},
    ),
    "phi3": Family(
        "Phi3Config",
        "phi3",
        PHI,
        ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"),
        "<|end|>",
        pieces="spaces",
        swallowing=("</s>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"),
        title="Phi-3.5-mini-instruct",
        options={"tie_word_embeddings": False, "sliding_window": None},
        metadata={"attention.sliding_window": 0, "rope.scaling.original_context_length": _CONTEXT},
    ),
}


@dataclass(frozen=True)
class TinyModel:
    """A folder of the hub and the GGUF made of it."""

    folder: Path
    gguf: Path


def make_tiny_model(target: Path, family: str, *, quantisation: str = "", seed: int = 0) -> TinyModel:
    """Write both under `target`. quantisation: of the GGUF, '' for 16 bit."""
    folder = write_folder(target / "folder", family, seed=seed)
    metadata = write_metadata(target / "metadata.gguf", folder, family)
    made = target / f"{family}-f16.gguf"
    write_model(folder, metadata, made, name=family)
    if quantisation:
        small = target / f"{family}-{quantisation}.gguf"
        quantise(made, small, quantisation)
        made.unlink()
        made = small
    metadata.unlink()
    return TinyModel(folder, made)


def write_folder(folder: Path, name: str, *, seed: int = 0) -> Path:
    """Configuration, random weights and tokenizer as transformers reads them."""
    import torch
    import transformers

    family = FAMILIES[name]
    folder.mkdir(parents=True)
    tokenizer = _tokenizer(name)
    ids = {token: number for number, token in enumerate(_tokens(name))}
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": len(ids),
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": _CONTEXT,
        "eos_token_id": ids[family.end],
        "bos_token_id": ids.get(family.bos),
        "pad_token_id": ids[family.end],
        # Larger than usual: with the usual value all words are about equally likely, and a mistake goes unseen.
        "initializer_range": 0.06,
    }
    model = transformers.AutoModelForCausalLM.from_config(
        getattr(transformers, family.config)(**shape | family.options)
    )
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "norm" in key or key.endswith(".bias"):  # made as ones and zeros, which would hide what is done to them
                weight.add_(torch.randn_like(weight) * 0.1)
            if "embed_tokens" in key or "lm_head" in key:  # some words are likelier than others, as in a real model
                weight.mul_(torch.exp(torch.randn(len(weight), 1) * 0.7))
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": family.end,
        "pad_token": family.end,
        "add_bos_token": bool(family.bos),
        "clean_up_tokenization_spaces": False,
        "chat_template": family.template,
        "model_max_length": _CONTEXT,
    } | ({"bos_token": family.bos} if family.bos else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    return folder


def write_metadata(target: Path, folder: Path, name: str) -> Path:
    """A GGUF with a publisher's metadata and tokenizer and without weights worth the name."""
    import gguf
    import numpy as np

    family = FAMILIES[name]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(target, family.architecture)
    if family.title:
        writer.add_name(family.title)
    numbers: dict[str, Any] = {
        "context_length": _CONTEXT,
        "embedding_length": HIDDEN,
        "feed_forward_length": INNER,
        "block_count": LAYERS,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.key_length": HEAD_SIZE,
        "attention.value_length": HEAD_SIZE,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "rope.freq_base": 10_000.0,
        "rope.dimension_count": HEAD_SIZE,
        "vocab_size": config["vocab_size"],
    }
    for key, value in (numbers | family.metadata).items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{family.architecture}.{key}", value)
    _write_tokenizer(writer, name)
    factors = _rotation_factors(config)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    writer.add_tensor("unused", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _write_tokenizer(writer: Any, name: str) -> None:
    import gguf

    family = FAMILIES[name]
    tokens = _tokens(name)
    numbers = {token: number for number, token in enumerate(tokens)}
    is_special = [token in family.specials for token in tokens]
    kinds = [gguf.TokenType.CONTROL if special else gguf.TokenType.NORMAL for special in is_special]
    if family.pieces == "spaces":
        bytes_of_it = {f"<0x{value:02X}>" for value in range(256)}
        kinds = [gguf.TokenType.BYTE if t in bytes_of_it else k for t, k in zip(tokens, kinds, strict=True)]
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        merged = [left + right for left, right in _merges(name)]
        ranks = {token: -float(place) for place, token in reversed(list(enumerate(merged)))}
        writer.add_token_list(tokens)
        writer.add_token_scores([ranks.get(token, -1e6) for token in tokens])
        writer.add_add_space_prefix(False)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(family.pre)
        writer.add_token_list(tokens)
        writer.add_token_merges([" ".join(pair) for pair in _merges(name)])
    writer.add_token_types(kinds)
    writer.add_eos_token_id(numbers[family.end])
    writer.add_pad_token_id(numbers[family.end])
    if family.bos:
        writer.add_bos_token_id(numbers[family.bos])
    writer.add_add_bos_token(bool(family.bos))
    writer.add_chat_template(family.template)


def _rotation_factors(config: dict[str, Any]) -> Any:
    """Llama 3's scaling of the slow rotations, as its GGUF carries it (llama.cpp's conversion/llama.py)."""
    import math

    import numpy as np

    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type") != "llama3":
        return None
    found = []
    for number in range(0, HEAD_SIZE, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (number / HEAD_SIZE)
        low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
        high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
        if wave < high:
            found.append(1.0)
        elif wave > low:
            found.append(rope["factor"])
        else:
            share = rope["original_max_position_embeddings"] / wave - rope["low_freq_factor"]
            smooth = share / (rope["high_freq_factor"] - rope["low_freq_factor"])
            found.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(found, dtype=np.float32)


@cache
def _tokenizer(name: str) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    family = FAMILIES[name]
    specials = [
        AddedToken(token, special=True, normalized=False, rstrip=token in family.swallowing)
        for token in family.specials
    ]
    if family.pieces == "spaces":
        made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        made.normalizer = normalizers.Replace(" ", "▁")
        made.pre_tokenizer = pre_tokenizers.Split(Regex("▁+[^▁]*|[^▁]+"), "isolated")
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        alphabet = [*(f"<0x{value:02X}>" for value in range(256))]
        first = [*specials, *(AddedToken(token, special=False, normalized=False) for token in alphabet)]
        trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=first, show_progress=False)
        made.train_from_iterator(_lines(), trainer)
        return _without_byte_specials(made, family)
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLITS[family.pre]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(_lines(), trainer)
    return made


def _without_byte_specials(made: Any, family: Family) -> Any:
    """The bytes are ordinary words of the vocabulary: as added tokens they would be found inside a text."""
    from tokenizers import Tokenizer

    described = json.loads(made.to_str())
    described["added_tokens"] = [each for each in described["added_tokens"] if each["content"] in family.specials]
    return Tokenizer.from_str(json.dumps(described))


def _lines() -> Iterable[str]:
    return [_WORDS] * 4


@cache
def _tokens(name: str) -> tuple[str, ...]:
    """Every token in the order of its id, as tokenizer.json spells it."""
    vocabulary = _tokenizer(name).get_vocab(with_added_tokens=True)
    return tuple(sorted(vocabulary, key=vocabulary.__getitem__))


def _merges(name: str) -> list[tuple[str, str]]:
    merges = json.loads(_tokenizer(name).to_str())["model"]["merges"]
    return [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in merges]


_WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# How the families cut a text before their merges (llama.cpp: src/llama-vocab.cpp).
_SPLITS = {
    "qwen2": _WORD + r"|\p{N}" + _REST,
    "llama-bpe": _WORD + r"|\p{N}{1,3}" + _REST,
    "tekken": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}


def copy_embedder(source: Path, target: Path) -> Path:
    """The included encoder as another one publishes it: pooled at its first token."""
    shutil.copytree(source, target)
    pooling = target / "1_Pooling" / "config.json"
    pooling.chmod(0o644)
    changed = json.loads(pooling.read_text(encoding="utf-8"))
    changed |= {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    if "pooling_mode" in changed:
        changed["pooling_mode"] = "cls"
    pooling.write_text(json.dumps(changed), encoding="utf-8")
    return target
