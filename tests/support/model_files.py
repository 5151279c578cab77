"""Small model files written for tests: headers of every kind, a split model, a recurrent one with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from model.catalog import offline_chat_model


def write_header(path: Path, architecture: str, *, tensors: int = 1, **metadata: Any) -> Path:
    """A GGUF of one tiny tensor with these header values; '__' in a key stands for a dot."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        name = key.replace("__", ".")
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        else:
            writer.add_string(name, str(value))
    for number in range(tensors):
        writer.add_tensor(f"t{number}.weight", np.zeros((4, 4), dtype=np.float32))
    _close(writer)
    return path


def split_model(folder: Path, *, source: Path | None = None, stem: str = "smol") -> Path:
    """The packaged model in two parts, as llama-gguf-split writes them; the first part's path."""
    import gguf

    folder.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(source or offline_chat_model())
    tensors = list(reader.tensors)
    paths = [folder / f"{stem}-{number:05d}-of-00002.gguf" for number in (1, 2)]
    for number, (path, part) in enumerate(zip(paths, (tensors[:100], tensors[100:]), strict=True)):
        writer = gguf.GGUFWriter(path, "llama")
        if number == 0:
            copy_metadata(reader, writer)
        for key, value, kind in (
            ("split.no", number, gguf.GGUFValueType.UINT16),
            ("split.count", 2, gguf.GGUFValueType.UINT16),
            ("split.tensors.count", len(tensors), gguf.GGUFValueType.INT32),
        ):
            writer.add_key_value(key, value, kind)
        for tensor in part:
            writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
        _close(writer)
    return paths[0]


def with_metadata(path: Path, **changes: Any) -> Path:
    """The packaged model with other header values; None leaves a key out, '__' stands for a dot."""
    import gguf

    reader = gguf.GGUFReader(offline_chat_model())
    writer = gguf.GGUFWriter(path, "llama")
    names = {key.replace("__", "."): value for key, value in changes.items()}
    copy_metadata(reader, writer, leave_out=tuple(names))
    for name, value in names.items():
        if value is not None:
            writer.add_uint32(name, value) if isinstance(value, int) else writer.add_string(name, value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
    _close(writer)
    return path


def base_model(path: Path) -> Path:
    """The packaged model as a base model is published: no chat template, no marks of turns in its vocabulary, and a
    header that asks for BOS."""
    import gguf

    reader = gguf.GGUFReader(offline_chat_model())
    writer = gguf.GGUFWriter(path, "llama")
    left_out = ("chat_template", "ggml.tokens", "ggml.bos_token_id", "ggml.eos_token_id", "ggml.add_bos_token")
    copy_metadata(reader, writer, leave_out=tuple(f"tokenizer.{name}" for name in left_out))
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    end = tokens.index("<|endoftext|>")
    writer.add_token_list([f"<unused{number}>" if "<|im_" in name else name for number, name in enumerate(tokens)])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(True)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
    _close(writer)
    return path


def recurrent_model(path: Path, *, width: int = 32, layers: int = 2, state: int = 8) -> Path:
    """A Mamba model of random weights with the packaged model's vocabulary: its state cannot be cut back."""
    import gguf

    random = np.random.default_rng(1)
    reader = gguf.GGUFReader(offline_chat_model())
    writer = gguf.GGUFWriter(path, "mamba")
    copy_metadata(reader, writer, only="tokenizer.")
    inner, rank, kernel = 2 * width, max(width // 16, 1), 4
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(layers)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = len(reader.get_field("tokenizer.ggml.tokens").data)

    def add(name: str, *shape: int, scale: float = 0.3) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * scale).astype(np.float32))

    add("token_embd.weight", tokens, width)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for number in range(layers):
        block = f"blk.{number}"
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(width, dtype=np.float32))
        add(f"{block}.ssm_in.weight", 2 * inner, width)
        add(f"{block}.ssm_conv1d.weight", inner, kernel)
        add(f"{block}.ssm_conv1d.bias", inner)
        add(f"{block}.ssm_x.weight", rank + 2 * state, inner)
        add(f"{block}.ssm_dt.weight", inner, rank)
        add(f"{block}.ssm_dt.bias", inner)
        rates = np.tile(-np.arange(1, state + 1, dtype=np.float32), (inner, 1))
        writer.add_tensor(f"{block}.ssm_a", rates)
        writer.add_tensor(f"{block}.ssm_d", np.ones(inner, dtype=np.float32))
        add(f"{block}.ssm_out.weight", width, inner)
    _close(writer)
    return path


def copy_metadata(reader: Any, writer: Any, *, leave_out: tuple[str, ...] = (), only: str = "") -> None:
    """Header values of one file into another."""
    for field in reader.fields.values():
        is_own = field.name.startswith("GGUF.") or field.name == "general.architecture" or field.name in leave_out
        if field.types and not is_own and field.name.startswith(only):
            sub_type = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)


def _close(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
