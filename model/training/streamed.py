"""What a model says, computed with only one of its matrices in memory at a time.

The layers are transformers' own, on torch's "meta" device; each gets its weights when it runs and gives them back.
Slower than a loaded model and just as exact: for the export's checks on a computer that could never hold the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from model.files.weights import TensorSource, pieces, whole
from model.training.merging import AdaptedBase, LoraAdapter

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


class Prompted(Protocol):
    """A prompt and the reply whose every token is looked at, as token ids."""

    @property
    def prompt(self) -> list[int]:
        """Token ids the model reads; no loss is taken on them."""

    @property
    def reply(self) -> list[int]:
        """Token ids the model learns to say."""


def reply_distributions(
    weights: TensorSource, folder: Path, wanted: Sequence[Prompted], *, adapter: LoraAdapter | None = None
) -> list[np.ndarray]:
    """Log-probabilities (reply tokens x vocabulary, float32) at every reply position of each prompt.

    folder: where config.json is. adapter: computed beside the weights, x W + scale * x A B, as training computes it.
    """
    import torch

    if adapter is not None:
        weights = AdaptedBase(weights, adapter)
    with torch.no_grad():
        body = _body(folder, weights, adapter)
        ids = _padded([each.prompt + each.reply for each in wanted])
        # Padding stands on the right and attention looks to the left: no mask is needed.
        # Gemma's embedding multiplies what it looked up; here it is looked up beside it.
        scale = getattr(body.embed_tokens, "embed_scale", 1.0)
        hidden = body(inputs_embeds=_embedded(weights, ids, adapter) * scale, use_cache=False).last_hidden_state
        places = [
            (row, column)
            for row, each in enumerate(wanted)
            for column in range(len(each.prompt) - 1, len(each.prompt) + len(each.reply) - 1)
        ]
        rows, columns = zip(*places, strict=True)
        logits = _logits(weights, hidden[list(rows), list(columns)], adapter)
        found = torch.log_softmax(logits, dim=-1).numpy()
    ends = np.cumsum([len(each.reply) for each in wanted])[:-1]
    return [np.ascontiguousarray(part) for part in np.split(found, ends)]


def _body(folder: Path, weights: TensorSource, adapter: LoraAdapter | None) -> Any:
    """The decoder without embedding and head, its weights still on disk."""
    import torch
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModel

    with init_empty_weights(include_buffers=False):
        body: Any = AutoModel.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    body.eval()
    for name, module in body.named_modules():
        own = [key for key, value in module.named_parameters(recurse=False) if value is not None]
        if own and name != "embed_tokens":
            _load_while_running(module, own, f"model.{name}", weights, adapter)
    return body


def _load_while_running(
    module: Any, own: list[str], name: str, weights: TensorSource, adapter: LoraAdapter | None
) -> None:
    from torch.nn import Parameter

    empty = {key: getattr(module, key) for key in own}
    pair = adapter.pairs.get(f"{name}.weight") if adapter else None

    def load(_module: Any, _inputs: Any) -> None:
        for key in own:
            setattr(module, key, Parameter(whole(weights, f"{name}.{key}"), requires_grad=False))

    def drop(_module: Any, inputs: Any, output: Any) -> Any:
        for key in own:
            setattr(module, key, empty[key])
        if pair is None or adapter is None:
            return output
        return output + adapter.scale * ((inputs[0] @ pair[0].T) @ pair[1].T)

    module.register_forward_pre_hook(load)
    module.register_forward_hook(drop)


def _padded(rows: list[list[int]]) -> Any:
    import torch

    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def _embedded(weights: TensorSource, ids: Any, adapter: LoraAdapter | None) -> Any:
    import torch

    used, back = ids.unique(return_inverse=True)
    table = torch.cat([weights.rows(_EMBEDDING, int(word), int(word) + 1) for word in used])
    pair = adapter.pairs.get(_EMBEDDING) if adapter else None
    if pair is not None and adapter is not None:
        table = table + adapter.scale * (pair[1][used] @ pair[0])
    return table[back]


def _logits(weights: TensorSource, hidden: Any, adapter: LoraAdapter | None) -> Any:
    import torch

    head = _HEAD if _HEAD in weights.names() else _EMBEDDING
    shape = weights.shape(head)
    logits = torch.cat([hidden @ weights.rows(head, start, stop).T for start, stop in pieces(shape)], dim=-1)
    pair = adapter.pairs.get(_HEAD) if adapter else None
    if pair is not None and adapter is not None:
        logits = logits + adapter.scale * ((hidden @ pair[0].T) @ pair[1].T)
    return logits
