"""What a GGUF file is for, read from its header, and whether it can be used as what it was chosen for.

The one check of every room that takes a model file. llama.cpp loads several of these kinds without a word and ends the
process at the first token, so the header is read first (keys: ggml's docs/gguf.md).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from model.files.gguf_check import GgufHeader, check_gguf
from model.files.parts import check_parts
from storage.errors import ModelFileError


class FileKind(StrEnum):
    """What a file can be used as."""

    CHAT = "a model that writes"
    EMBEDDING = "an embedding model: it turns text into numbers and cannot write"
    RERANKER = "a reranker: it scores search results and cannot write"
    PROJECTOR = "a projector (mmproj): the eyes or ears of a model, not the model itself"
    ADAPTER = "a LoRA adapter, an addition to a model"
    CONTROL_VECTOR = "a control vector, an addition to a model"
    VOCABULARY = "a vocabulary without weights"
    MATRIX = "an importance matrix, made for writing smaller files of a model"
    IMAGE = "a model that draws pictures or films"
    AUDIO = "a model for speech or sound"
    TRANSLATOR = "an encoder-decoder model: it rewrites a text and cannot go on with a conversation"
    DRAFT = "a draft or diffusion model: it does not write word by word as the bot needs it"


_EMBEDDERS = frozenset(
    "bert nomic-bert nomic-bert-moe jina-bert-v2 jina-bert-v3 modern-bert neo-bert eurobert gemma-embedding "
    "llama-embed t5encoder roberta distilbert xlm-roberta".split()
)
# Image models as stable-diffusion.cpp and ComfyUI name them.
_DRAWERS = frozenset(
    "sd1 sd2 sd3 sdxl flux aura hidream cosmos ltxv hyvid wan lumina2 qwen_image pig z_image chroma omnigen".split()
)
_SPEAKERS = frozenset("whisper wavtokenizer-dec parakeet orpheus-dec snac encodec kokoro ttscpp parler-tts dia".split())
_TRANSLATORS = frozenset("t5 bart marian nllb m2m100".split())
_DRAFTS = frozenset("dream llada llada-moe rnd1 eagle eagle3 dflash".split())
_BY_ARCHITECTURE = (
    (_DRAWERS, FileKind.IMAGE),
    (_SPEAKERS, FileKind.AUDIO),
    (_TRANSLATORS, FileKind.TRANSLATOR),
    (_DRAFTS, FileKind.DRAFT),
)
_TYPES = {
    "adapter": FileKind.ADAPTER,
    "mmproj": FileKind.PROJECTOR,
    "vocab": FileKind.VOCABULARY,
    "imatrix": FileKind.MATRIX,
}
_POOLING_RANK = 4
# Far above any model there is; llama.cpp sets memory aside by these numbers before it looks at the weights.
_LARGEST = {
    "block_count": 10_000,
    "embedding_length": 1 << 22,
    "feed_forward_length": 1 << 24,
    "attention.head_count": 1 << 16,
    "attention.head_count_kv": 1 << 16,
    "expert_count": 1 << 16,
    "vocab_size": 1 << 26,
}
_ANOTHER = "Choose another file in Settings > Model, or download one (scripts/download_model.py)."
_CURES = {
    FileKind.EMBEDDING: f"Choose a chat model (often named Instruct or it). {_ANOTHER}",
    FileKind.RERANKER: f"Choose a chat model (often named Instruct or it). {_ANOTHER}",
    FileKind.PROJECTOR: "Choose the model's own file, which lies beside it and is larger.",
    FileKind.ADAPTER: "Set it under Settings > Model > LoRA adapter, and its base model as the model file.",
    FileKind.CONTROL_VECTOR: f"It cannot be used here. {_ANOTHER}",
    FileKind.MATRIX: "Choose the model's own file.",
    FileKind.VOCABULARY: "Choose the model's whole file.",
}


def kind_of(header: GgufHeader) -> FileKind:
    """What the header says the file is."""
    metadata, architecture = header.metadata, header.architecture
    by_type = _TYPES.get(str(metadata.get("general.type", "")).lower())
    if by_type is not None:
        return by_type
    if architecture == "clip" or "clip.projector_type" in metadata:
        return FileKind.PROJECTOR
    if architecture in ("controlvector", "control_vector"):
        return FileKind.CONTROL_VECTOR
    if "adapter.type" in metadata:
        return FileKind.ADAPTER
    for names, kind in _BY_ARCHITECTURE:
        if architecture in names:
            return kind
    pooling = metadata.get(f"{architecture}.pooling_type", 0)
    if pooling == _POOLING_RANK:
        return FileKind.RERANKER
    if architecture in _EMBEDDERS or pooling or metadata.get(f"{architecture}.attention.causal") is False:
        return FileKind.EMBEDDING
    return FileKind.CHAT if header.tensor_count else FileKind.VOCABULARY


def check_chat_model(path: str | Path) -> GgufHeader:
    """The header of a whole file that can be spoken with, all parts of it there; `size_bytes` counts them together.

    Raises ModelFileError naming what the file is instead and what to do.
    """
    header = check_parts(check_gguf(path))
    kind = kind_of(header)
    for key, largest in _LARGEST.items():
        value = header.metadata.get(f"{header.architecture}.{key}", 0)
        if isinstance(value, int) and value > largest:
            raise ModelFileError(f"{header.path} is damaged: it claims a {key} of {value:,}.", _ANOTHER)
    if kind is not FileKind.CHAT:
        raise ModelFileError(f"{header.path} is {kind}.", _CURES.get(kind, f"The bot cannot speak with it. {_ANOTHER}"))
    return header


def check_adapter(path: str | Path, *, base: GgufHeader | None = None) -> GgufHeader:
    """The header of a LoRA adapter, made for `base` where that is given; ModelFileError otherwise."""
    header = check_gguf(path)
    kind = kind_of(header)
    if kind is not FileKind.ADAPTER:
        what = "a whole model" if kind is FileKind.CHAT else str(kind)
        raise ModelFileError(
            f"{header.path} is {what}, not a LoRA adapter.",
            "Choose it as the model file instead, or leave the adapter empty."
            if kind is FileKind.CHAT
            else "Choose another adapter, or leave it empty (Settings > Model).",
        )
    if base is not None and header.architecture != base.architecture:
        raise ModelFileError(
            f"The adapter {header.path.name} was made for a model of kind {header.architecture}; "
            f"{base.path.name} is of kind {base.architecture}.",
            "Use an adapter trained for this model, or a merged model.",
        )
    return header


def check_embedder(path: str | Path) -> GgufHeader:
    """The header of an embedding model; ModelFileError for anything else."""
    header = check_gguf(path)
    kind = kind_of(header)
    if kind is not FileKind.EMBEDDING:
        raise ModelFileError(
            f"{header.path} is {kind}, not an embedding model.", "Choose an embedding model in Settings > Memory."
        )
    return header
