"""Base and adapter as one model, a few rows at a time from disk to disk.

merged = base + alpha / r * B A (LoRA, arXiv 2106.09685), in 32 bit and rounded once, whatever the computer's memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from model.files.gguf_files import ExportError
from model.files.weights import FolderWeights, TensorSource, pieces, whole

_PREFIX = "base_model.model."
_TIED = {"lm_head.weight": "model.embed_tokens.weight"}
# A file of the merged folder is written once it holds this much (16 bit).
_SHARD_BYTES = 512 << 20


class LoraAdapter:
    """A PEFT adapter folder: pairs of small matrices, and tensors that were trained whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._weights = FolderWeights(folder)
        self._config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        unusual = [key for key in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern") if self._config.get(key)]
        if unusual:
            raise ExportError(f"This adapter was trained with {unusual[0]}.", "Train with a recipe of this program.")

    @property
    def scale(self) -> float:
        """What B·A is multiplied with before it is added to the weights: alpha / r."""
        return float(self._config["lora_alpha"]) / float(self._config["r"])

    @cached_property
    def pairs(self) -> dict[str, tuple[Any, Any]]:
        """Base tensor -> (A, B) with change = scale * B A. An embedding's rows are its words, so its pair is turned."""
        found: dict[str, dict[str, Any]] = {}
        for name in self._weights.names():
            plain = name.removeprefix(_PREFIX)
            for mark in (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B"):
                if plain.endswith(mark):
                    found.setdefault(plain.removesuffix(mark) + ".weight", {})[mark] = whole(self._weights, name)
        return {
            name: (part[".lora_A.weight"], part[".lora_B.weight"])
            if ".lora_A.weight" in part
            else (part[".lora_embedding_B"].T, part[".lora_embedding_A"].T)
            for name, part in found.items()
        }

    @cached_property
    def replaced(self) -> dict[str, str]:
        """Base tensor -> the adapter's own that takes its place. (PEFT also keeps an adapted embedding's own base.)"""
        names = [name for name in self._weights.names() if ".lora_" not in name and ".base_layer." not in name]
        return {name.removeprefix(_PREFIX): name for name in names}

    def replacement(self, name: str, start: int, stop: int) -> Any:
        """Rows of a tensor that was trained whole."""
        return self._weights.rows(self.replaced[name], start, stop)

    def require_fits(self, base: TensorSource) -> None:
        """ExportError where the adapter changes what the base does not have: a tied head, above all."""
        known = set(base.names())
        for name in (*self.pairs, *self.replaced):
            if name in known or (name in self.replaced and _TIED.get(name) in self.replaced):
                continue
            raise ExportError(
                f"The adapter changes {name.removesuffix('.weight')}, which is not a matrix of its own in this base: "
                "the merged model would not say what base + adapter say.",
                "Train again with a recipe of this program (a tied embedding must not get two adapters).",
            )


class AdaptedBase:
    """The base with what the adapter trained whole; its pairs are left to whoever computes with them."""

    def __init__(self, base: TensorSource, adapter: LoraAdapter) -> None:
        self.base, self.adapter = base, adapter

    def names(self) -> list[str]:
        """The base's."""
        return self.base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """The base's."""
        return self.base.shape(name)

    def rows(self, name: str, start: int, stop: int) -> Any:
        """See TensorSource."""
        if name in self.adapter.replaced:
            return self.adapter.replacement(name, start, stop)
        return self.base.rows(name, start, stop)


class MergedWeights(AdaptedBase):
    """Base and adapter as one. Matrices carry 16-bit values, as they will in the file; vectors keep their 32."""

    def __init__(self, base: TensorSource, adapter: LoraAdapter) -> None:
        adapter.require_fits(base)
        super().__init__(base, adapter)

    def rows(self, name: str, start: int, stop: int) -> Any:
        """See TensorSource."""
        import torch

        found = super().rows(name, start, stop)
        if name in self.adapter.pairs:
            a, b = self.adapter.pairs[name]
            found = found + self.adapter.scale * (b[start:stop] @ a)
        return found if found.ndim == 1 else found.to(torch.float16).to(torch.float32)


def save_folder(weights: TensorSource, like: Path, folder: Path) -> None:
    """The weights as a Hugging Face folder in 16 bit, with the configuration and tokenizer of the folder `like`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    for path in like.iterdir():
        if path.suffix in (".json", ".jinja", ".txt", ".model") and not path.name.endswith(".index.json"):
            shutil.copyfile(path, folder / path.name)
    places: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(_shards(weights), start=1):
        file = f"model-{number:05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(shard, file)
        total += sum(tensor.nbytes for tensor in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")


def _shards(weights: TensorSource) -> Iterator[dict[str, Any]]:
    import torch

    shard: dict[str, Any] = {}
    for name in weights.names():
        shape = weights.shape(name)
        tensor = torch.empty(shape, dtype=torch.float16)
        for start, stop in pieces(shape):
            tensor[start:stop] = weights.rows(name, start, stop)
        shard[name] = tensor
        if sum(each.nbytes for each in shard.values()) >= _SHARD_BYTES:
            yield shard
            shard = {}
    if shard:
        yield shard
