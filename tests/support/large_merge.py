"""python -m tests.support.large_merge make|merge BASE STUB OUT: a merge of 120 million weights, and the memory it took.

BASE gives the small print of a configuration, STUB the metadata. `merge` prints two numbers: by how many bytes the
process grew, and how many the base has on disk. Made and merged in two processes: making it takes memory too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from model.files.gguf_files import read_config, write_weights
from model.files.weights import FolderWeights
from model.training.export_check import Probe
from model.training.merging import LoraAdapter, MergedWeights
from model.training.streamed import reply_distributions

HIDDEN, INNER, LAYERS, WORDS = 1024, 2816, 6, 49_152


def make(base: Path, _stub: Path, out: Path) -> None:
    """The base in OUT/large and an adapter in OUT/adapter."""
    import torch
    from safetensors.torch import save_file

    folder, adapter = out / "large", out / "adapter"
    folder.mkdir()
    adapter.mkdir()
    shape = {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "head_dim": 64}
    config = read_config(base) | shape | {"num_attention_heads": 16, "num_key_value_heads": 4}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 16}), encoding="utf-8")
    _write_embedding(folder)
    for layer in range(LAYERS):
        _write_layer(folder, layer)
    wide = f"base_model.model.model.layers.{LAYERS - 1}.mlp.up_proj"
    pair = {f"{wide}.lora_A.weight": torch.randn(8, HIDDEN) * 0.1, f"{wide}.lora_B.weight": torch.randn(INNER, 8) * 0.1}
    save_file(pair, adapter / "adapter_model.safetensors")


def merge(base: Path, stub: Path, out: Path) -> None:
    """Compared apart and together, and written."""
    folder = out / "large"
    probes = [Probe(list(range(40)), [7, 8, 9])] * 4
    # Libraries, threads and the like, before the measurement.
    reply_distributions(FolderWeights(base), base, probes)
    before = most_memory()
    weights, lora = FolderWeights(folder), LoraAdapter(out / "adapter")
    reply_distributions(weights, folder, probes, adapter=lora)
    merged = MergedWeights(weights, lora)
    reply_distributions(merged, folder, probes)
    write_weights(merged, read_config(folder), stub, out / "large.gguf", name="large")
    print(most_memory() - before, sum(path.stat().st_size for path in folder.glob("*.safetensors")))


def most_memory() -> int:
    """The most bytes this program ever held. (getrusage counts from before exec, when it was still its parent.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _write_embedding(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"model.embed_tokens.weight": _random(WORDS, HIDDEN), "model.norm.weight": torch.ones(HIDDEN).half()}
    save_file(tensors, folder / "embedding.safetensors")


def _write_layer(folder: Path, layer: int) -> None:
    import torch
    from safetensors.torch import save_file

    shapes = {
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (256, HIDDEN),
        "self_attn.v_proj": (256, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "mlp.down_proj": (HIDDEN, INNER),
    }
    tensors = {f"model.layers.{layer}.{name}.weight": _random(*shape) for name, shape in shapes.items()}
    for name in ("input_layernorm", "post_attention_layernorm"):
        tensors[f"model.layers.{layer}.{name}.weight"] = torch.ones(HIDDEN).half()
    save_file(tensors, folder / f"layer-{layer}.safetensors")


def _random(*shape: int) -> Any:
    import torch

    return torch.randn(*shape, dtype=torch.float16) * 0.05


if __name__ == "__main__":
    {"make": make, "merge": merge}[sys.argv[1]](*map(Path, sys.argv[2:]))
