"""A BERT sentence encoder as a GGUF file for llama.cpp, written with PyPI's `gguf` package.

Names and layout follow llama.cpp's own converter (convert_hf_to_gguf.py, class BertModel): LayerNorm and biases stay
f32, matrices become f16, WordPiece entries get a phantom space instead of the ## of continuations.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from model.catalog import EmbeddingModel
from storage.errors import ModelFileError

_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_IN_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_OUTSIDE = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3


def write_embedding_gguf(folder: Path, target: Path, entry: EmbeddingModel) -> None:
    """Write `folder` (a sentence-transformers model of the BERT family) to `target`."""
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert":
        raise ModelFileError(
            f"{entry.name} is a {config.get('model_type')} model; only BERT can be converted.",
            "Choose one of the listed embedding models.",
        )
    writer = gguf.GGUFWriter(str(target), "bert")
    writer.add_name(entry.name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.CLS if entry.pooling == "cls" else gguf.PoolingType.MEAN)
    _add_vocabulary(writer, folder)
    for name, tensor in load_file(folder / "model.safetensors").items():
        known = _gguf_name(name)
        if known is not None:
            writer.add_tensor(known, _stored(known, tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str | None:
    """The GGUF name of a tensor; None for those an encoder does not need (pooler, position ids)."""
    name = name.removeprefix("bert.").removeprefix("model.")
    stem, _, kind = name.rpartition(".")
    layer = _LAYER.fullmatch(stem)
    if layer and layer[2] in _IN_LAYER:
        return f"blk.{layer[1]}.{_IN_LAYER[layer[2]]}.{kind}"
    return f"{_OUTSIDE[stem]}.{kind}" if stem in _OUTSIDE else None


def _stored(name: str, tensor: np.ndarray) -> np.ndarray:
    is_matrix = tensor.ndim == 2 and not name.startswith(("token_types", "position_embd")) and "norm" not in name
    return tensor.astype(np.float16 if is_matrix else np.float32)


def _add_vocabulary(writer: Any, folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = tokenizer["model"]
    special = {token["id"]: token["content"] for token in tokenizer.get("added_tokens", []) if token.get("special")}
    if model.get("type", "WordPiece") == "WordPiece" and "##" in "".join(list(model["vocab"])[-2000:]):
        _add_word_pieces(writer, model, special)
    elif model.get("type") == "Unigram":
        _add_unigrams(writer, tokenizer, special)
    else:
        raise ModelFileError(
            f"The tokenizer of {folder.name} ({model.get('type')}) cannot be converted.",
            "Choose one of the listed embedding models.",
        )
    ids = {content: number for number, content in special.items()}
    for names, add in (
        (("[CLS]", "<s>"), writer.add_bos_token_id),
        (("[SEP]", "</s>"), writer.add_eos_token_id),
        (("[SEP]", "</s>"), writer.add_sep_token_id),
        (("[UNK]", "<unk>"), writer.add_unk_token_id),
        (("[PAD]", "<pad>"), writer.add_pad_token_id),
        (("[MASK]", "<mask>"), writer.add_mask_token_id),
    ):
        number = next((ids[name] for name in names if name in ids), None)
        if number is not None:
            add(number)


def _add_word_pieces(writer: Any, model: dict[str, Any], special: dict[int, str]) -> None:
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    tokens, kinds = [], []
    for number, word in enumerate(words):
        is_special = number in special
        # llama.cpp marks the start of a word instead of its continuation.
        text = word
        if not is_special and not re.fullmatch(r"\[.*\]", word):
            text = word[2:] if word.startswith("##") else "\u2581" + word
        tokens.append(text.encode("utf-8"))
        kinds.append(_UNKNOWN if word == model.get("unk_token", "[UNK]") else _CONTROL if is_special else _NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)


def _add_unigrams(writer: Any, tokenizer: dict[str, Any], special: dict[int, str]) -> None:
    vocabulary = tokenizer["model"]["vocab"]
    unknown = tokenizer["model"].get("unk_id")
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list([word.encode("utf-8") for word, _ in vocabulary])
    writer.add_token_scores([float(score) for _, score in vocabulary])
    writer.add_token_types(
        [
            _UNKNOWN if number == unknown else _CONTROL if number in special else _NORMAL
            for number in range(len(vocabulary))
        ]
    )
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
