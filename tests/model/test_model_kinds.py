"""Files that are not what they seem: what each is, told from its header before llama.cpp sees it."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from bot.run import find_model_files
from model.catalog import base_model_files, offline_chat_model, resolve_model, shown_name
from model.files.gguf_check import check_gguf
from model.files.model_kind import check_adapter, check_chat_model, check_embedder
from model.files.parts import model_sha256
from model.files.token_counts import TokenCounter
from model.llama_cpp_api import ContextOptions, NativeModel
from storage.environment import Environment
from storage.errors import ModelFileError
from storage.paths import PROJECT_ROOT, Workspace
from storage.settings import ADAPTER_PATH, MODEL_PATH, Settings
from storage.split_files import model_bytes, model_files, whole_stem
from tests.support.model_files import split_model, with_metadata, write_header

CASES = Path(__file__).parents[1] / "cases" / "70-gguf-wrong-kind"
TINY = ContextOptions(cells=256, sequences=1, threads=1)


@pytest.mark.parametrize(
    ("name", "words", "cure"),
    [
        ("mmproj-model-f16.gguf", "eyes or ears of a model", "larger"),
        ("model-00002-of-00002.gguf", "part 2 of 2", "model-00001-of-00002.gguf"),
        ("adapter.gguf", "LoRA adapter", "LoRA adapter, and its base model"),
        ("too-new.gguf", "does not know the kind of model .* kimi9. yet", "update"),
    ],
)
def test_cases_a_file_of_another_kind_is_refused_with_what_it_is_and_what_to_do(
    name: str, words: str, cure: str
) -> None:
    """Fault 83."""
    with pytest.raises(ModelFileError, match=words.replace("kimi9.", r"\(kimi9\)")) as caught:
        NativeModel(CASES / name, TINY)
    assert cure in caught.value.cure
    assert "damaged" not in caught.value.text()


@pytest.mark.parametrize(
    ("architecture", "metadata", "words"),
    [
        ("bert", {}, "embedding model"),
        ("nomic-bert", {}, "embedding model"),
        ("gemma-embedding", {}, "embedding model"),
        ("qwen3", {"qwen3__pooling_type": 3}, "embedding model"),
        ("qwen3", {"qwen3__attention__causal": False}, "embedding model"),
        ("qwen3", {"qwen3__pooling_type": 4}, "reranker"),
        ("clip", {}, "projector"),
        ("qwen2vl", {"general__type": "mmproj"}, "projector"),
        ("llama", {"general__type": "adapter"}, "LoRA adapter"),
        ("llama", {"adapter__type": "lora"}, "LoRA adapter"),
        ("controlvector", {}, "control vector"),
        ("llama", {"general__type": "imatrix"}, "importance matrix"),
        ("llama", {"general__type": "vocab"}, "vocabulary without weights"),
        ("flux", {}, "draws pictures"),
        ("whisper", {}, "speech or sound"),
        ("t5", {}, "encoder-decoder"),
        ("llada", {}, "word by word"),
    ],
)
def test_cases_every_kind_that_cannot_write_is_named(
    tmp_path: Path, architecture: str, metadata: dict[str, Any], words: str
) -> None:
    """Fault 83: the name and folder of the file, what it is, and a cure."""
    path = write_header(tmp_path / "chosen.gguf", architecture, **metadata)
    with pytest.raises(ModelFileError, match=words) as caught:
        check_chat_model(path)
    assert "chosen.gguf" in caught.value.what
    assert caught.value.cure


def test_a_vocabulary_file_of_llama_cpp_is_told_by_its_lack_of_weights(tmp_path: Path) -> None:
    """Fault 83."""
    with pytest.raises(ModelFileError, match="vocabulary without weights"):
        check_chat_model(write_header(tmp_path / "vocab.gguf", "qwen2", tensors=0))


def safetensors(size: int = 600) -> bytes:
    return struct.pack("<Q", 80) + b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'.ljust(size)


@pytest.mark.parametrize(
    ("content", "words", "cure"),
    [
        (safetensors(), "safetensors", "GGUF"),
        (b"PK\3\4" + b"x" * 90, "PyTorch or ZIP", "GGUF"),
        (b"\x80\2ctorch", "PyTorch", "GGUF"),
        (b"\xef\xbb\xbf <!DOCTYPE html>", "web page", "again"),
        (b"<?xml version='1.0'?><Error>", "web page", "again"),
        (b'{"error": "gated"}', "a text", "again"),
        (b"Entry not found", "a text", "again"),
        (b"lmgg" + b"\0" * 60, "old GGML", "GGUF"),
        (b"\x1f\x8b\x08" + b"x" * 60, "packed archive", "Unpack"),
        (b"MZqFpD" + b"x" * 60, "llamafile", "GGUF"),
        (b"GGUF\0\0\0\3" + b"\0" * 60, "big-endian", "again"),
        (b"GGUF\1\0\0\0" + b"\0" * 60, "version 1", "again"),
        (b"", "empty", "again"),
        (b"\0" * 600, "zeros", "again"),
    ],
)
def test_cases_another_format_renamed_to_gguf_is_named(tmp_path: Path, content: bytes, words: str, cure: str) -> None:
    """Fault 83."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=words) as caught:
        check_chat_model(path)
    assert cure in caught.value.cure


def test_an_unfinished_download_is_named(tmp_path: Path) -> None:
    """Fault 83."""
    path = tmp_path / "model.gguf.crdownload"
    path.write_bytes(b"\1" * 90)
    with pytest.raises(ModelFileError, match="has not finished"):
        check_chat_model(path)


def test_a_folder_a_pipe_and_a_broken_link_say_what_to_choose(tmp_path: Path) -> None:
    """Fault 83."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match="is a folder") as caught:
        check_gguf(tmp_path / "empty")
    assert "no .gguf file" in caught.value.cure
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFileError) as caught:
        check_gguf(tmp_path / "hf")
    assert "for training" in caught.value.cure
    (tmp_path / "hf" / "mine.gguf").write_bytes(b"x")
    with pytest.raises(ModelFileError) as caught:
        check_gguf(tmp_path / "hf")
    assert "mine.gguf" in caught.value.cure
    (tmp_path / "link.gguf").symlink_to(tmp_path / "gone.gguf")
    with pytest.raises(ModelFileError, match=r"is a link to .*gone\.gguf"):
        check_gguf(tmp_path / "link.gguf")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.gguf")
        with pytest.raises(ModelFileError, match="device or a pipe"):
            check_gguf(tmp_path / "pipe.gguf")


def test_a_link_and_a_blob_without_ending_are_models_like_any_other(tmp_path: Path, workspace: Workspace) -> None:
    """Fault 83: what Ollama keeps is a good file under a name without ending."""
    blob = tmp_path / "sha256-0a1b2c"
    blob.symlink_to(offline_chat_model())
    assert check_chat_model(blob).architecture == "llama"
    settings = Settings().with_values({MODEL_PATH.key: str(blob)})
    assert find_model_files(workspace, settings, Environment(), {}) == (blob, None)


def test_an_adapter_is_asked_what_it_is_too(tmp_path: Path, workspace: Workspace) -> None:
    """Fault 83: a model, an embedder, or an adapter of another family under 'LoRA adapter'."""
    with pytest.raises(ModelFileError, match="whole model, not a LoRA adapter"):
        check_adapter(offline_chat_model())
    with pytest.raises(ModelFileError, match=r"embedding model.*not a LoRA adapter"):
        check_adapter(write_header(tmp_path / "e.gguf", "bert"))
    base = check_chat_model(offline_chat_model())
    assert check_adapter(CASES / "adapter.gguf", base=base).architecture == "llama"
    with pytest.raises(ModelFileError, match="made for a model of kind qwen2"):
        check_adapter(write_header(tmp_path / "a.gguf", "qwen2", general__type="adapter"), base=base)
    settings = Settings().with_values({MODEL_PATH.key: "smollm2-135m-instruct", ADAPTER_PATH.key: str(base.path)})
    with pytest.raises(ModelFileError, match="not a LoRA adapter"):
        find_model_files(workspace, settings, Environment(), {})


def test_a_chat_model_is_no_embedding_model() -> None:
    """Fault 83."""
    with pytest.raises(ModelFileError, match="not an embedding model"):
        check_embedder(offline_chat_model())


def test_cases_an_embedding_model_is_refused_where_a_chat_model_is_loaded_or_counted_with(
    tmp_path: Path, workspace: Workspace
) -> None:
    """Fault 83: it loads in llama.cpp and ends the process at the first token."""
    path = write_header(tmp_path / "bge.gguf", "bert")
    with pytest.raises(ModelFileError, match="cannot write"):
        NativeModel(path, TINY)
    with pytest.raises(ModelFileError, match="cannot write"):
        TokenCounter(path)
    with pytest.raises(ModelFileError, match="cannot write"):
        find_model_files(workspace, Settings().with_values({MODEL_PATH.key: str(path)}), Environment(), {})


# ---- hostile headers ----------------------------------------------------------------------------------


def key(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


def header(*pairs: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs)


def test_lists_in_lists_are_refused_before_they_overrun_the_stack(tmp_path: Path) -> None:
    """Fault 84."""
    path = tmp_path / "nested.gguf"
    path.write_bytes(header(key("x") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100_000))
    with pytest.raises(ModelFileError, match="too deep"):
        check_gguf(path)


def test_a_sparse_header_costs_no_memory(tmp_path: Path) -> None:
    """Fault 84: gigabytes of text that are only claimed."""
    import tracemalloc

    path = tmp_path / "sparse.gguf"
    pairs = 200
    with path.open("wb") as stream:
        stream.write(b"GGUF" + struct.pack("<IQQ", 3, 1, pairs))
        for number in range(pairs):
            stream.write(key(f"k{number}") + struct.pack("<IQ", 8, 60 << 20))
            stream.seek(60 << 20, 1)
        stream.truncate()
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="damaged"):
            check_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_four_billion_layers_are_refused_before_llama_cpp_makes_room_for_them(tmp_path: Path) -> None:
    """Fault 84."""
    path = with_metadata(tmp_path / "deep.gguf", llama__block_count=4_000_000_000)
    with pytest.raises(ModelFileError, match="block_count of 4,000,000,000"):
        check_chat_model(path)


# ---- split models -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_model(tmp_path_factory.mktemp("split"))


def test_cases_a_split_model_is_one_model(split: Path) -> None:
    """Fault 83."""
    found = check_chat_model(split)
    assert found.size_bytes == model_bytes(split) == sum(part.stat().st_size for part in split.parent.iterdir())
    assert found.tensor_count == 272
    assert [part.name for part in model_files(split)] == ["smol-00001-of-00002.gguf", "smol-00002-of-00002.gguf"]
    assert shown_name(split) == whole_stem(split.name) == "smol"
    model = NativeModel(split, TINY)
    model.close()


def test_cases_a_split_model_with_a_part_missing_renamed_or_cut_says_which(split: Path, tmp_path: Path) -> None:
    """Fault 83."""
    first, second = model_files(split)
    with pytest.raises(ModelFileError, match="part 2 of 2") as caught:
        check_chat_model(second)
    assert caught.value.cure == "Choose the first part, smol-00001-of-00002.gguf."
    alone = Path(shutil.copy(first, tmp_path))
    with pytest.raises(ModelFileError, match=r"missing beside it: smol-00002-of-00002\.gguf"):
        check_chat_model(alone)
    (tmp_path / second.name).write_bytes(second.read_bytes()[:-1000])
    with pytest.raises(ModelFileError, match=r"smol-00002-of-00002\.gguf is cut short"):
        check_chat_model(alone)
    shutil.copy(first, tmp_path / second.name)
    with pytest.raises(ModelFileError, match="is not part 2 of 2"):
        check_chat_model(alone)
    renamed = alone.rename(tmp_path / "renamed.gguf")
    with pytest.raises(ModelFileError, match="was renamed"):
        check_chat_model(renamed)


def test_the_base_folder_counts_models_not_files(split: Path, workspace: Workspace) -> None:
    """Fault 83: a split model is one, and a projector beside a model is none."""
    for part in model_files(split):
        shutil.copy(part, workspace.base_models)
    shutil.copy(CASES / "mmproj-model-f16.gguf", workspace.base_models)
    assert [path.name for path in base_model_files(workspace)] == [split.name]
    assert resolve_model(workspace, Settings(), Environment()).name == split.name


def test_the_checksum_of_a_split_model_covers_all_parts(split: Path, tmp_path: Path) -> None:
    first, second = (Path(shutil.copy(part, tmp_path)) for part in model_files(split))
    assert model_sha256(first) == model_sha256(split)
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    second.write_bytes(bytes(content))
    assert model_sha256(first) != model_sha256(split)


def test_the_packaged_models_are_what_they_are_taken_for() -> None:
    assert check_chat_model(offline_chat_model()).tensor_count == 272
    assert check_adapter(PROJECT_ROOT / "data" / "demo" / "adapter.gguf")
