"""Both ways of embedding give the same vectors."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from model.embeddings import bulk_embedder, ensure_query_gguf, query_embedder, source_folder
from storage.errors import KnownError, ModelFileError
from storage.paths import Workspace

TEXTS = (
    "hello there",
    "GGGGGG",
    "anyone up for a game tonight?",
    "¿qué tal? 😀",
    "word " * 600,
    "x",
    "<|im_start|>system",
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the query form written once."""
    workspace = Workspace.at(tmp_path_factory.mktemp("embeddings")).create()
    ensure_query_gguf("all-MiniLM-L6-v2", workspace, bulk=bulk_embedder("all-MiniLM-L6-v2", workspace))
    return workspace


def test_query_and_bulk_vectors_agree(shared: Workspace) -> None:
    bulk, query = bulk_embedder("all-MiniLM-L6-v2", shared), query_embedder("all-MiniLM-L6-v2", shared)
    ours, theirs = query.embed(TEXTS), bulk.embed(TEXTS)
    query.close()
    assert ours.shape == theirs.shape == (len(TEXTS), 384)
    assert ours.dtype == theirs.dtype == np.float32
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert (ours * theirs).sum(axis=1).min() > 0.999


def test_no_texts_give_no_vectors(shared: Workspace) -> None:
    query = query_embedder("all-MiniLM-L6-v2", shared)
    assert query.embed([]).shape == (0, 384)
    query.close()


def test_a_query_form_that_disagrees_never_takes_its_name(workspace: Workspace) -> None:
    class Other:
        name, dimension = "all-MiniLM-L6-v2", 384

        def embed(self, texts: object) -> np.ndarray:
            return np.full((len(list(texts)), 384), 384**-0.5, dtype=np.float32)  # type: ignore[call-overload]

    with pytest.raises(KnownError, match="disagrees"):
        ensure_query_gguf("all-MiniLM-L6-v2", workspace, bulk=Other())
    with pytest.raises(ModelFileError, match="not there yet"):
        query_embedder("all-MiniLM-L6-v2", workspace)


def test_a_model_that_is_not_here_fails_at_once_with_the_command_to_get_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ModelFileError) as caught:
        source_folder("bge-small-en-v1.5", workspace)
    assert "download_model.py bge-small-en-v1.5" in caught.value.cure


def test_a_first_token_encoder_with_another_shape_is_converted_too(workspace: Workspace) -> None:
    """bge-small's form (CLS pooling, 12 layers, 512 positions) with random weights: its real weights need a network."""
    import torch
    from transformers import BertConfig, BertModel

    folder = workspace.embedding_models / "bge-small-en-v1.5"
    _copy_tokenizer(source_folder("all-MiniLM-L6-v2", workspace), folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
    )
    BertModel(config, add_pooling_layer=True).save_pretrained(folder)
    (folder / "modules.json").write_text(
        '[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},'
        '{"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]'
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(
        '{"word_embedding_dimension": 384, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )
    bulk = bulk_embedder("bge-small-en-v1.5", workspace)
    ensure_query_gguf("bge-small-en-v1.5", workspace, bulk=bulk)
    query = query_embedder("bge-small-en-v1.5", workspace)
    assert (query.embed(TEXTS) * bulk.embed(TEXTS)).sum(axis=1).min() > 0.999
    assert query.embed(["hello"]).shape == (1, 384)
    query.close()


def _copy_tokenizer(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        (target / name).write_bytes((source / name).read_bytes())


def test_the_query_embedder_never_imports_torch(shared: Workspace) -> None:
    import subprocess

    code = (
        "import sys; from model.embeddings import query_embedder; from storage.paths import Workspace; "
        f"query_embedder('all-MiniLM-L6-v2', Workspace.at({str(shared.root)!r})).embed(['hi']); "
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
