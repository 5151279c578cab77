"""Write a model file with random weights in the exact shape of Qwen2.5-3B, Q4_K_M, to measure speed and memory.

    python scripts/dev/make_benchmark_model.py models/base/random-3b-q4_k_m.gguf [--vocabulary ggml-vocab-qwen2.gguf]

Takes about a minute and no more memory than one tensor: random blocks are written already quantised, so there is no
6 GB intermediate. It talks nonsense at exactly the speed of the real model. --vocabulary: a GGUF file with Qwen's
tokenizer (llama.cpp's source carries one); without it a byte-pair vocabulary of the same size is made up.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # started as a file: the project root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import bootstrap
from storage.jobs.arguments import plain_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser(__doc__)
    made.add_argument("file", type=Path, help="the GGUF file to write")
    made.add_argument("--vocabulary", type=Path, help="a GGUF file with a qwen2 tokenizer")
    made.add_argument("--tiny", action="store_true", help="two small layers, for trying the script")
    made.add_argument("--seed", type=int, default=1, help="of the random weights")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from storage.jobs.frame import run_script
from storage.jobs.terminal import TerminalProgress


@dataclass(frozen=True)
class Shape:
    """A qwen2 model. Numbers of Qwen2.5-3B-Instruct's config.json."""

    layers: int = 36
    width: int = 2048
    hidden: int = 11008
    heads: int = 16
    kv_heads: int = 2
    vocabulary: int = 151_936
    context: int = 32_768

    @property
    def head_width(self) -> int:
        """Numbers each attention head sees."""
        return self.width // self.heads

    def with_vocabulary_of(self, path: Path) -> Shape:
        """The same shape with as many tokens as another model's file has."""
        return replace(self, vocabulary=len(_read_vocabulary(path)[0]))


TINY = Shape(layers=2, width=256, hidden=512, heads=4, kv_heads=2, vocabulary=2_000, context=4_096)
# Bytes per block of 256 values, and where in it the two half-precision scales stand (ggml-common.h).
_Q4_K, _Q6_K, _F32 = "Q4_K", "Q6_K", "F32"
_SPREAD = 0.02
_BLOCK_BYTES = {_Q4_K: 144, _Q6_K: 210}
_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse and write."""
    options = parser().parse_args(arguments)
    progress = TerminalProgress()
    write_model(
        options.file,
        TINY if options.tiny else Shape(),
        vocabulary=options.vocabulary,
        seed=options.seed,
        progress=progress,
    )
    progress.close()
    print(f"{options.file}  {options.file.stat().st_size / 1e9:.2f} GB")


def write_model(
    path: Path,
    shape: Shape,
    *,
    vocabulary: Path | None = None,
    seed: int = 1,
    is_exact: bool = False,
    progress: TerminalProgress | None = None,
) -> None:
    """Write the file; tensors are made one at a time. is_exact: 32-bit weights, for tests of arithmetic."""
    import gguf
    import numpy as np

    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name("random weights, qwen2 shape")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    _add_vocabulary(writer, shape, vocabulary)
    tensors = [(name, rows, columns, _F32 if is_exact else kind) for name, rows, columns, kind in _tensors(shape)]
    kinds = {
        _Q4_K: gguf.GGMLQuantizationType.Q4_K,
        _Q6_K: gguf.GGMLQuantizationType.Q6_K,
        _F32: gguf.GGMLQuantizationType.F32,
    }
    for name, rows, columns, kind in tensors:
        row_bytes = columns * 4 if kind == _F32 else columns // 256 * _BLOCK_BYTES[kind]
        dimensions = [columns] if rows == 1 else [rows, columns if kind == _F32 else row_bytes]
        writer.add_tensor_info(
            name, dimensions, np.dtype(np.float32 if kind == _F32 else np.uint8), rows * row_bytes, kinds[kind]
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for number, (name, rows, columns, kind) in enumerate(tensors):
        writer.write_tensor_data(_random_tensor(rng, name, rows, columns, kind))
        if progress is not None:
            progress.report((number + 1) / len(tensors), name)
    writer.close()


def _tensors(shape: Shape) -> Iterator[tuple[str, int, int, str]]:
    """Name, rows, columns, type: llama.cpp's Q4_K_M gives the value and down matrices of some layers six bits."""
    yield "token_embd.weight", shape.vocabulary, shape.width, _Q6_K
    yield "output_norm.weight", 1, shape.width, _F32
    kv_width = shape.head_width * shape.kv_heads
    for layer in range(shape.layers):
        better = (
            _Q6_K
            if layer < shape.layers // 8 or layer >= 7 * shape.layers // 8 or (layer - shape.layers // 8) % 3 == 2
            else _Q4_K
        )
        at = f"blk.{layer}."
        yield at + "attn_norm.weight", 1, shape.width, _F32
        yield at + "ffn_norm.weight", 1, shape.width, _F32
        yield at + "attn_q.weight", shape.width, shape.width, _Q4_K
        yield at + "attn_q.bias", 1, shape.width, _F32
        yield at + "attn_k.weight", kv_width, shape.width, _Q4_K
        yield at + "attn_k.bias", 1, kv_width, _F32
        yield at + "attn_v.weight", kv_width, shape.width, better
        yield at + "attn_v.bias", 1, kv_width, _F32
        yield at + "attn_output.weight", shape.width, shape.width, _Q4_K
        yield at + "ffn_gate.weight", shape.hidden, shape.width, _Q4_K
        yield at + "ffn_up.weight", shape.hidden, shape.width, _Q4_K
        yield at + "ffn_down.weight", shape.width, shape.hidden, better


def _random_tensor(rng: Any, name: str, rows: int, columns: int, kind: str) -> Any:
    """Random values whose size is that of trained weights, so that activations stay finite."""
    import numpy as np

    if kind == _F32:
        size = columns if rows == 1 else (rows, columns)
        return np.ones(size, np.float32) if "norm" in name else rng.normal(0, _SPREAD, size).astype(np.float32)
    blocks = rows * columns // 256
    data = rng.integers(0, 256, (blocks, _BLOCK_BYTES[kind]), dtype=np.uint8)
    if kind == _Q4_K:
        # d, dmin, 12 bytes of six-bit scales and minima, 128 bytes of quants: value = d*scale*q - dmin*minimum.
        data[:, 0:2] = np.full(blocks, _SPREAD / 300, np.float16).view(np.uint8).reshape(-1, 2)
        data[:, 2:4] = np.full(blocks, _SPREAD / 40, np.float16).view(np.uint8).reshape(-1, 2)
    else:
        # 128 + 64 bytes of quants, 16 signed scales, d: value = d*scale*(q - 32).
        data[:, 192:208] = rng.integers(1, 32, (blocks, 16), dtype=np.uint8)
        data[:, 208:210] = np.full(blocks, _SPREAD / 320, np.float16).view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, -1)


def _add_vocabulary(writer: Any, shape: Shape, source: Path | None) -> None:
    tokens, kinds, merges, family = _read_vocabulary(source) if source else _invented_vocabulary(shape.vocabulary)
    tokens, kinds = tokens[: shape.vocabulary], kinds[: shape.vocabulary]
    for number in range(len(tokens), shape.vocabulary):
        tokens.append(f"[PAD{number}]")
        kinds.append(5)  # unused
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(family)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    places = {text: number for number, text in enumerate(tokens) if text in _SPECIALS}
    writer.add_bos_token_id(places["<|endoftext|>"])
    writer.add_eos_token_id(places["<|im_end|>"])
    writer.add_pad_token_id(places["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(_CHATML)


def _read_vocabulary(path: Path) -> tuple[list[str], list[int], list[str], str]:
    import gguf

    fields = gguf.GGUFReader(str(path)).fields

    def texts(key: str) -> list[str]:
        field = fields[key]
        return [bytes(field.parts[index]).decode("utf-8") for index in field.data]

    kinds = fields["tokenizer.ggml.token_type"]
    return (
        texts("tokenizer.ggml.tokens"),
        [int(kinds.parts[index][0]) for index in kinds.data],
        texts("tokenizer.ggml.merges"),
        texts("tokenizer.ggml.pre")[0],
    )


def _invented_vocabulary(size: int) -> tuple[list[str], list[int], list[str], str]:
    """All bytes in GPT-2's spelling, then ever longer pieces of lower-case letters, then the control tokens."""
    bytes_ = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    bytes_ += [chr(256 + number) for number in range(256 - len(bytes_))]
    tokens, merges = list(bytes_), []
    known = set(tokens)
    space = "\u0120"
    letters = [space, *"etaoinshrdlucmfwypvbgkjqxz"]
    pieces = list(letters)
    wanted = size - len(_SPECIALS)
    for left in pieces:
        for right in letters[1:]:
            joined = left + right
            if len(tokens) >= wanted or len(joined) > 5:
                break
            if joined not in known:
                known.add(joined)
                tokens.append(joined)
                merges.append(f"{left} {right}")
                pieces.append(joined)
        if len(tokens) >= wanted:
            break
    kinds = [1] * len(tokens) + [3] * len(_SPECIALS)
    return tokens + list(_SPECIALS), kinds, merges, "qwen2"


if __name__ == "__main__":
    run_script(main)
