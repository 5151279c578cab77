"""GGUF files out of Hugging Face folders: metadata and tokenizer are copied from a GGUF of the same base.

Only the weights change in training, so everything else of the base's own file stays as its makers wrote it. Tensors
come out bit-identical to llama.cpp's converter for the architectures below; docs/TRAINING.md says why not that one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.files.quantisations import QUANTISATIONS
from model.files.weights import FolderWeights, TensorSource, pieces, whole
from model.llama_cpp_api import library
from storage.errors import KnownError

# model_type of config.json -> architecture in the GGUF. Others need conversions of their own.
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma3_text": "gemma3",
    "smollm3": "smollm3",
    "phi3": "phi3",
}
# Hugging Face rotates halves, these architectures in llama.cpp rotate neighbouring pairs.
_ROTATES_PAIRS = ("llama", "smollm3")
# transformers multiplies by 1 + weight there, llama.cpp by what the file holds.
_SHIFTS_NORMS = ("gemma3",)
# Written by the writer itself, or about the base's quantisation.
_NOT_COPIED = (
    "general.architecture",
    "general.file_type",
    "general.quantization_version",
    "GGUF.",
    "general.finetune",
    "quantize.",
    "split.",
)
# Tensors that llama.cpp computes from the configuration: no counterpart in the folder, the same for every fine-tune.
_COPIED_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")


class ExportError(KnownError):
    """A model that cannot be written as GGUF."""


@dataclass(frozen=True)
class Naming:
    """How one base's tensors are called in GGUF and which of them llama.cpp wants in another order."""

    architecture: str
    names: Any
    heads: int
    kv_heads: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> Naming:
        """For a config.json; ExportError for an architecture that is not known."""
        import gguf

        architecture = ARCHITECTURES.get(config.get("model_type", ""))
        if architecture is None:
            raise ExportError(
                f"Models of type {config.get('model_type')!r} cannot be written as GGUF by this program.",
                f"Use a base of one of these types: {', '.join(ARCHITECTURES)}.",
            )
        wanted = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
        heads = int(config["num_attention_heads"])
        return cls(
            architecture,
            gguf.get_tensor_name_map(wanted, int(config["num_hidden_layers"])),
            heads,
            int(config.get("num_key_value_heads") or heads),
        )

    def gguf_name(self, name: str) -> str:
        """'model.layers.0.mlp.up_proj.weight' -> 'blk.0.ffn_up.weight'."""
        found = self.names.get_name(key=name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ExportError(
                f"The weight {name} has no place in a {self.architecture} GGUF.",
                "This base is not supported; choose another one.",
            )
        return str(found)

    def is_reordered(self, name: str) -> bool:
        """True for tensors whose rows llama.cpp wants in another order."""
        return self.architecture in _ROTATES_PAIRS and (".q_proj." in name or ".k_proj." in name)

    def as_written(self, name: str, weight: np.ndarray) -> np.ndarray:
        """Values as llama.cpp wants them: rows of queries and keys in its order, Gemma's norms with their 1."""
        if self.is_reordered(name):
            return _permuted(weight, self.heads if ".q_proj." in name else self.kv_heads)
        if self.architecture in _SHIFTS_NORMS and name.endswith("norm.weight"):
            return weight + 1
        return weight


def _permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def write_model(folder: Path, base_gguf: Path, target: Path, *, name: str) -> None:
    """The Hugging Face model in `folder` as a 16-bit GGUF. base_gguf: any quantisation of the base it comes from."""
    write_weights(FolderWeights(folder), read_config(folder), base_gguf, target, name=name)


def write_weights(weights: TensorSource, config: dict[str, Any], base_gguf: Path, target: Path, *, name: str) -> None:
    """The same for weights from anywhere, a piece at a time: no copy in memory, no temporary file."""
    import gguf

    naming = Naming.of(config)
    reader = open_gguf(base_gguf)
    _check_fits(reader, naming, config, base_gguf)
    writer = gguf.GGUFWriter(target, naming.architecture)
    _copy_metadata(reader, writer)
    # The base keeps its name: by it llama.cpp decides how Phi 3's marks split a text.
    writer.add_finetune(name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    copied = [tensor for tensor in reader.tensors if tensor.name in _COPIED_TENSORS]
    for tensor in copied:
        data = np.asarray(tensor.data)
        writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, raw_dtype=tensor.tensor_type)
    used = written_tensors(weights, config)
    for hf_name in used:
        shape = weights.shape(hf_name)
        kind = _stored_as(shape)
        writer.add_tensor_info(naming.gguf_name(hf_name), shape, kind, math.prod(shape) * kind.itemsize)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in copied:
            writer.write_tensor_data(np.ascontiguousarray(tensor.data))
        for hf_name in used:
            _write_in_pieces(writer, naming, weights, hf_name)
    finally:
        writer.close()  # an open file cannot be removed on Windows


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a Hugging Face folder."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def written_tensors(weights: TensorSource, config: dict[str, Any]) -> list[str]:
    """The tensors that have a place in the GGUF: llama.cpp takes a tied head from the embedding itself."""
    is_tied = bool(config.get("tie_word_embeddings"))
    return [name for name in weights.names() if not (is_tied and name == "lm_head.weight")]


def _stored_as(shape: tuple[int, ...]) -> np.dtype:
    return np.dtype(np.float32 if len(shape) == 1 else np.float16)


def _write_in_pieces(writer: Any, naming: Naming, weights: TensorSource, name: str) -> None:
    shape = weights.shape(name)
    kind = _stored_as(shape)
    # Rows that change places need the tensor in one piece; those (queries and keys) are small.
    parts = [(0, shape[0])] if naming.is_reordered(name) else list(pieces(shape))
    (file,) = writer.fout
    writer.write_padding(file, file.tell())
    for start, stop in parts:
        rows = naming.as_written(name, weights.rows(name, start, stop).numpy())
        np.ascontiguousarray(rows.astype(kind)).tofile(file)
    writer.write_padding(file, math.prod(shape) * kind.itemsize)


def open_gguf(path: Path) -> Any:
    """A GGUF file through PyPI's reader, made quicker."""
    return _quick_reader()(path)


@contextmanager
def quick_gguf() -> Iterator[None]:
    """PyPI's reader made quicker for others too (transformers reads a file three times to unpack it)."""
    import gguf

    package: Any = gguf
    original = package.GGUFReader
    package.GGUFReader = _quick_reader()
    try:
        yield
    finally:
        package.GGUFReader = original


def _quick_reader() -> Any:
    """Slices of a plain array cost a quarter of slices of a numpy.memmap, and the reader takes them by the 100,000."""
    import gguf

    base: Any = gguf.GGUFReader

    class PlainReader(base):
        """Keeps the file mapped, behind an ordinary array."""

        @property
        def data(self) -> np.ndarray:
            return self._plain

        @data.setter
        def data(self, mapped: np.ndarray) -> None:
            self._plain = np.asarray(mapped).view(np.ndarray)

    return PlainReader


def write_adapter(adapter: Path, config: dict[str, Any], target: Path, *, name: str) -> None:
    """A PEFT adapter folder as a GGUF LoRA for llama.cpp. ExportError for adapters that train whole embeddings."""
    import gguf

    lora = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    if lora.get("modules_to_save"):
        raise ExportError(
            "This adapter also trained the whole embedding, which a GGUF LoRA cannot hold.",
            "Use the merged model, or train with the recipe 'rtx3070'.",
        )
    naming = Naming.of(config)
    writer = gguf.GGUFWriter(target, naming.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(lora["lora_alpha"]))
    writer.add_name(name)
    weights = FolderWeights(adapter)
    for hf_name in weights.names():
        weight = whole(weights, hf_name).numpy()
        plain, side = _lora_part(hf_name)
        if side == "lora_b":
            weight = naming.as_written(plain, weight)
        writer.add_tensor(f"{naming.gguf_name(plain)}.{side}", np.ascontiguousarray(weight.astype(np.float16)))
    _close(writer)


def _lora_part(name: str) -> tuple[str, str]:
    """'base_model.model.model.layers.0.mlp.up_proj.lora_A.weight' -> 'model.layers.0.mlp.up_proj.weight', 'lora_a'."""
    plain = name.removeprefix("base_model.model.")
    for part, side in ((".lora_A.weight", "lora_a"), (".lora_B.weight", "lora_b")):
        if plain.endswith(part):
            return plain.removesuffix(part) + ".weight", side
    raise ExportError(f"The adapter holds {name}, which a GGUF LoRA cannot hold.", "Use the merged model.")


def quantise(source: Path, target: Path, quantisation: str) -> None:
    """A 16-bit GGUF in fewer bits, by llama.cpp itself (1-6 s for a small model)."""
    import llama_cpp

    library()  # sends llama.cpp's own log to ours
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, QUANTISATIONS[quantisation])
    parameters.nthread = 0
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), parameters)
    if code != 0 or not target.is_file():
        raise ExportError(
            f"llama.cpp could not write {target.name} as {quantisation} (code {code}).",
            "Look at the disk's free space, then start the export again.",
        )


def _check_fits(reader: Any, naming: Naming, config: dict[str, Any], path: Path) -> None:
    """The base GGUF must be of the same model: same architecture, depth, width and vocabulary."""

    def read(key: str) -> Any:
        field = reader.get_field(key)
        return field.contents() if field is not None else None

    arch = naming.architecture
    tokens = reader.get_field("tokenizer.ggml.tokens")
    found = (
        read("general.architecture"),
        read(f"{arch}.block_count"),
        read(f"{arch}.embedding_length"),
        len(tokens.data) if tokens is not None else None,
    )
    wanted = (arch, config["num_hidden_layers"], config["hidden_size"], config["vocab_size"])
    if found != wanted:
        raise ExportError(
            f"{path.name} is a GGUF of another model (architecture, layers, width, vocabulary: {found}; "
            f"this model: {wanted}).",
            "Give --base-gguf a GGUF of the very base that was trained.",
        )


def _copy_metadata(reader: Any, writer: Any) -> None:
    for field in reader.fields.values():
        if field.name.startswith(_NOT_COPIED) or not field.types:
            continue
        sub_type = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)


def require_same_model(base_gguf: Path, config: dict[str, Any], weights: TensorSource) -> None:
    """ExportError unless weights of this configuration can be written with the metadata of `base_gguf`."""
    naming = Naming.of(config)
    _check_fits(open_gguf(base_gguf), naming, config, base_gguf)
    for name in written_tensors(weights, config):
        naming.gguf_name(name)


def _close(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
