"""Sentences to vectors: in bulk through sentence-transformers, one query at a time through llama.cpp without torch.

Both give the same vectors (checked when the GGUF file is written: cosine above 0.999), 384 numbers, length 1.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from model.catalog import EMBEDDING_MODELS, EmbeddingModel, embedding_model, offline_embedding_folder
from storage.errors import KnownError, ModelFileError
from storage.paths import Workspace
from storage.system.files import remove_file, replace_file

log = logging.getLogger(__name__)

_SAMPLES = (
    "hello there",
    "anyone up for a game tonight?",
    "lol",
    "The build is broken again, who pushed to main?",
    "¿qué tal? 😀 naïve café",
    "GGGGGG",
    "see https://example.org for the minutes of the meetup",
)
_LEAST_COSINE = 0.999
# Comes with the program as a Python package: it serves wherever the chosen one is not here yet.
INCLUDED_MODEL = "all-MiniLM-L6-v2"


class Embedder(Protocol):
    """What the index needs of an embedding model."""

    name: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, float32, shape (len(texts), dimension), each of length 1."""
        ...


class BulkEmbedder:
    """sentence-transformers; for the fetch and index scripts. `close` gives its memory back."""

    def __init__(self, entry: EmbeddingModel, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # loading has a step in the job's own bar
        self.name, self.dimension = entry.name, entry.dimension
        # local_files_only: without it an offline machine retries for over a minute.
        self._model: Any = SentenceTransformer(str(folder), device=_device(), local_files_only=True)
        self._model.max_seq_length = entry.max_tokens

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One unit vector per text: float32, shape (texts, dimension)."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        vectors = self._model.encode(
            list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)


class QueryEmbedder:
    """llama.cpp with the model's GGUF; +100 MB instead of +460 MB and no 11 s of import. One lock: calls may come from
    any thread. `prefix`: stands before a query where the model was trained so (bge)."""

    def __init__(self, entry: EmbeddingModel, path: Path, *, threads: int = 1) -> None:
        from model.files.model_kind import check_embedder
        from model.llama_cpp_api import last_error, library

        check_embedder(path)
        self.name, self.dimension, self._entry = entry.name, entry.dimension, entry
        self._lock = threading.Lock()
        lib = self._lib = library()
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = False
        self._model: Any = lib.llama_model_load_from_file(str(path).encode("utf-8"), params)
        if not self._model:
            raise ModelFileError(
                f"llama.cpp cannot load the embedding model {path.name}: {last_error()}",
                "Delete the file; it is rewritten at the next start.",
            )
        self._vocab = lib.llama_model_get_vocab(self._model)
        context = lib.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = entry.max_tokens
        context.n_seq_max = 1
        context.n_threads = context.n_threads_batch = threads
        context.embeddings = True
        context.pooling_type = lib.LLAMA_POOLING_TYPE_CLS if entry.pooling == "cls" else lib.LLAMA_POOLING_TYPE_MEAN
        self._context: Any = lib.llama_init_from_model(self._model, context)
        if not self._context:
            lib.llama_model_free(self._model)
            raise ModelFileError(f"llama.cpp cannot open {path.name} for embedding: {last_error()}", "Delete the file.")
        self._batch = lib.llama_batch_init(entry.max_tokens, 0, 1)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts as they stand, comparable to the bulk embedder's."""
        with self._lock:
            rows = [self._one(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), dtype=np.float32)

    def _one(self, text: str) -> np.ndarray:
        lib = self._lib
        data = text.encode("utf-8", errors="replace")
        size = len(data) + 8
        ids = (ctypes.c_int32 * size)()
        count = lib.llama_tokenize(self._vocab, data, len(data), ids, size, True, False)
        tokens = list(ids[: max(count, 0)])
        if len(tokens) > self._entry.max_tokens:  # the end marker stays, as in the original tokenizer
            tokens = [*tokens[: self._entry.max_tokens - 1], tokens[-1]]
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index], batch.pos[index] = token, index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = True
        if lib.llama_encode(self._context, batch) != 0:
            raise RuntimeError("the embedding model could not encode a text")
        pointer = lib.llama_get_embeddings_seq(self._context, 0)
        vector = np.ctypeslib.as_array(pointer, (self.dimension,)).astype(np.float32)
        return vector / max(float(np.linalg.norm(vector)), 1e-12)

    def close(self) -> None:
        """Free the model's memory."""
        with self._lock:
            if self._context:
                self._lib.llama_batch_free(self._batch)
                self._lib.llama_free(self._context)
                self._lib.llama_model_free(self._model)
                self._context = None


def is_here(name: str, workspace: Workspace) -> bool:
    """Whether texts can be embedded with this model on this computer."""
    if name not in {entry.name for entry in EMBEDDING_MODELS}:
        return False
    if query_gguf_path(name, workspace).exists():
        return True
    try:
        source_folder(name, workspace)
    except ModelFileError:
        return False
    return True


def serving_model(wanted: str, workspace: Workspace, *, made_by: str = "") -> str:
    """The model to search with: the one that made the index, else the chosen one, else the one that is included.

    made_by: of the index there is, '' where there is none.
    """
    return next((name for name in (made_by, wanted, INCLUDED_MODEL) if is_here(name, workspace)), wanted)


def indexing_embedder(wanted: str, workspace: Workspace) -> Embedder:
    """The embedder to fill the index with: the chosen model, or the included one while that is not here.

    Without a working sentence-transformers it is the query form, slower. ModelFileError when there is none.
    """
    trouble: Exception | None = None
    for name in dict.fromkeys((serving_model(wanted, workspace), INCLUDED_MODEL)):
        for make in (_bulk_with_query_form, _query_form):
            try:
                return make(name, workspace)
            except (KnownError, ImportError, OSError) as error:
                log.warning("The embedding model %s is not usable this way (%s).", name, error)
                trouble = trouble or error
    if isinstance(trouble, KnownError):
        raise trouble
    raise ModelFileError(
        f"No embedding model can be used on this computer ({trouble}).", "Start through launcher.py, which installs it."
    ) from trouble


def _bulk_with_query_form(name: str, workspace: Workspace) -> Embedder:
    bulk = bulk_embedder(name, workspace)
    ensure_query_gguf(name, workspace, bulk=bulk)
    return bulk


def _query_form(name: str, workspace: Workspace) -> Embedder:
    ensure_query_gguf(name, workspace)
    return query_embedder(name, workspace)


def serving_embedder(wanted: str, workspace: Workspace, *, made_by: str = "") -> QueryEmbedder:
    """The embedder to search with, its query form written first where only the source is here."""
    name = serving_model(wanted, workspace, made_by=made_by)
    ensure_query_gguf(name, workspace)
    return query_embedder(name, workspace)


def bulk_embedder(name: str, workspace: Workspace) -> BulkEmbedder:
    """The embedder for many texts. ModelFileError when its files are not on this machine yet."""
    return BulkEmbedder(embedding_model(name), source_folder(name, workspace))


def query_embedder(name: str, workspace: Workspace) -> QueryEmbedder:
    """The embedder for single queries. ModelFileError when its GGUF file has not been written yet."""
    path = query_gguf_path(name, workspace)
    if not path.exists():
        raise ModelFileError(
            f"The query form of the embedding model {name} is not there yet.",
            "It is written by the next fetch or import; until then replies come without recall.",
        )
    return QueryEmbedder(embedding_model(name), path)


def query_gguf_path(name: str, workspace: Workspace) -> Path:
    """Where a workspace keeps the query form of an embedding model."""
    return workspace.embedding_models / f"{embedding_model(name).name}-f16.gguf"


def ensure_query_gguf(name: str, workspace: Workspace, *, bulk: Embedder | None = None) -> Path:
    """Write the query form of an embedding model if it is missing; returns its path.

    With `bulk` (the bulk embedder of the same model) both are compared before the file takes its name, and a
    difference is an error: queries would otherwise search in another space than the index.
    """
    from model.files.embedding_gguf import write_embedding_gguf

    path = query_gguf_path(name, workspace)
    if path.exists():
        return path
    entry = embedding_model(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    write_embedding_gguf(source_folder(name, workspace), draft, entry)
    if bulk is not None:
        _compare(entry, draft, bulk)
    replace_file(draft, path)
    return path


def source_folder(name: str, workspace: Workspace) -> Path:
    """The folder with the model in sentence-transformers form: the workspace's, the packaged one, the hub's cache."""
    entry = embedding_model(name)
    own = workspace.embedding_models / entry.name
    # All of it: a download may have been cut short.
    if all((own / part).exists() for part in ("config.json", "tokenizer.json", "model.safetensors")):
        return own
    if entry.name == INCLUDED_MODEL:
        return offline_embedding_folder()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(entry.repo, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        raise ModelFileError(
            f"The embedding model {entry.name} is not on this machine yet.",
            f"Run 'python scripts/download_model.py {entry.name}', or choose {INCLUDED_MODEL}, which is included.",
        ) from None


def _compare(entry: EmbeddingModel, path: Path, bulk: Embedder) -> None:
    query = QueryEmbedder(entry, path)
    try:
        cosines = (query.embed(_SAMPLES) * bulk.embed(_SAMPLES)).sum(axis=1)
    finally:
        query.close()
    log.info("%s: query form agrees, least cosine %.5f.", entry.name, float(cosines.min()))
    if cosines.min() < _LEAST_COSINE:
        remove_file(path)
        raise KnownError(
            f"The query form of {entry.name} disagrees with the original (cosine {cosines.min():.4f}).",
            "Choose another embedding model in Settings > Model and report this.",
        )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
