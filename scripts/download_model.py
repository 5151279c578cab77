"""Download a model: shows progress, continues where it stopped, and checks what arrived.

python scripts/download_model.py                       what a new bot needs: the default chat model, and one for recall
python scripts/download_model.py --list
python scripts/download_model.py qwen3-4b              another chat model of the catalogue, and the one for recall
python scripts/download_model.py bge-small-en-v1.5     an embedding model for recall
python scripts/download_model.py --url https://.../model.gguf [--sha256 HEX]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

if __name__ == "__main__":  # started as a file: the project root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from model.catalog import DEFAULT_MODEL

    made = script_parser(__doc__)
    made.add_argument(
        "model",
        nargs="?",
        default="",
        help=f"name from --list (default: {DEFAULT_MODEL.key} and the embedding model of the settings)",
    )
    made.add_argument("--list", action="store_true", help="show the known models with sizes and licences")
    made.add_argument("--url", default="", help="a .gguf file anywhere on the web, instead of a catalogue name")
    made.add_argument("--sha256", default="", help="expected checksum of the file")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.catalog import (
    DEFAULT_MODEL,
    EMBEDDING_MODELS,
    MODELS,
    EmbeddingModel,
    check_gguf,
    embedding_model,
    find_model,
)
from model.embeddings import INCLUDED_MODEL, query_gguf_path
from model.files.download import download
from model.files.hub import fetch_file, fetch_files, look_up
from storage.errors import BadInputError, CancelledError, KnownError
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import DownloadResult
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.paths import Workspace
from storage.settings import EMBEDDING_MODEL
from storage.store import Store

# What sentence-transformers needs of an encoder's repository; the rest (ONNX, OpenVINO, PyTorch pickles) stays there.
_ENCODER_FILES = (
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "model.safetensors",
)
# How much of the default download the model for recall is (130 MB of 2.2 GB).
_RECALL_SHARE = 0.08
_MAY_BE_MISSING = {"vocab.txt", "config_sentence_transformers.json", "special_tokens_map.json"}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the job's progress that a download may treat as the whole."""

    progress: TerminalProgress
    start: float
    end: float

    def part(self, start: float, end: float) -> Callable[..., None]:
        """A report function for a part of this share."""
        width = self.end - self.start
        return self.progress.part(self.start + width * start, self.start + width * end)

    def report(self, fraction: float, step: str = "") -> None:
        """How much of this share is done, 0-1."""
        self.part(0.0, 1.0)(fraction, step)

    def note(self, text: str) -> None:
        """A line for the person in front of the terminal."""
        self.progress.note(text)


def main(arguments: Sequence[str] | None = None) -> int | None:
    """Parse, download, check."""
    options = parser().parse_args(arguments)
    if options.list:
        print(catalogue())
        return None
    recall = ""
    with open_store(options) as store, job(store, JobKind.DOWNLOAD) as progress:
        is_chat = not options.url and all(options.model != entry.name for entry in EMBEDDING_MODELS)
        if not is_chat:
            path = fetch(options, store.workspace, Share(progress, 0.0, 1.0))
        else:
            options.model = options.model or DEFAULT_MODEL.key
            find_model(options.model)  # an unknown name is told before anything is fetched
            embedder = fetch_for_recall(store, Share(progress, 0.0, _RECALL_SHARE))
            path = fetch(options, store.workspace, Share(progress, _RECALL_SHARE, 1.0))
            recall = str(embedder) if embedder else ""
        progress.result = DownloadResult(str(path), recall)
    print_summary([("file", path)])
    if path.suffix == ".gguf":
        print("It is used automatically when it is the default model; otherwise choose it in Settings > Model.")
    return None


def fetch(options: argparse.Namespace, workspace: Workspace, progress: Share) -> Path:
    """Download what was asked for into the workspace; returns the file or folder."""
    entry = next((model for model in EMBEDDING_MODELS if model.name == options.model), None)
    if entry is not None:
        return _fetch_encoder(entry, workspace, progress)
    model = None if options.url else find_model(options.model)
    if model is not None:
        progress.note(f"{model.title}, {model.size_bytes / 1e9:.1f} GB, licence: {model.licence}")
    target = workspace.base_models / (model.file if model else _file_name(options.url))
    if target.exists():
        check_gguf(target)
        progress.note(f"{target.name} is already there and whole.")
        return target
    if model is None:
        download(options.url, target, sha256=options.sha256, report=progress.report)
    else:
        repository = look_up(model.repo)
        file = repository.file(model.file)
        fetch_file(repository, file, target, sha256=options.sha256 or model.sha256, report=progress.report)
    return check_gguf(target).path


def fetch_for_recall(store: Store, progress: Share) -> Path | None:
    """The embedding model the settings name; None with a note when it cannot be had: the included one serves then."""
    entry = embedding_model(store.settings.get(EMBEDDING_MODEL))
    if entry.name == INCLUDED_MODEL:
        return None
    if query_gguf_path(entry.name, store.workspace).exists():  # here, and whole: it is written last
        return store.workspace.embedding_models / entry.name
    try:
        progress.note(f"{entry.name}, for recall, licence: {entry.licence}")
        return _fetch_encoder(entry, store.workspace, progress)
    except CancelledError:
        raise
    except (KnownError, ImportError) as error:
        progress.note(
            f"{entry.name} could not be fetched ({error}). {INCLUDED_MODEL}, which is included, serves instead."
        )
        return None


def catalogue() -> str:
    """The known models as a table: what they are, whether they fit here, whether they can be retrained here."""
    import psutil

    memory = psutil.virtual_memory().total
    lines = [f"{'name':17} {'size':>7}  {'licence':31} {'kind':9} {'fits here':9} {'retrain':7}  notes"]
    for model in MODELS:
        fits = "yes" if model.memory_bytes <= memory else "no"
        retrained = "yes" if model.can_be_retrained else "no"
        mark = " (default)" if model is DEFAULT_MODEL else ""
        lines.append(
            f"{model.key:17} {model.size_bytes / 1e9:4.1f} GB  {model.licence:31} {model.sort:9} {fits:9} "
            f"{retrained:7}  {model.note}{mark}"
        )
    lines.append("\nfor recall:")
    lines += [f"{model.name:40} {model.licence}" for model in EMBEDDING_MODELS]
    return "\n".join(lines)


def _fetch_encoder(entry: EmbeddingModel, workspace: Workspace, progress: Share) -> Path:
    from model.embeddings import bulk_embedder, ensure_query_gguf

    folder = workspace.embedding_models / entry.name
    repository = look_up(entry.repo)
    held = {file.name for file in repository.files}
    wanted = [repository.file(name) for name in _ENCODER_FILES if name in held or name not in _MAY_BE_MISSING]
    fetch_files(repository, wanted, folder, report=progress.part(0.0, 0.95))
    progress.report(1.0, "writing the query form and comparing both")
    ensure_query_gguf(entry.name, workspace, bulk=bulk_embedder(entry.name, workspace))
    return folder


def _file_name(url: str) -> str:
    name = unquote(PurePosixPath(urlparse(url).path).name)
    if not name.lower().endswith(".gguf") or "/" in name or "\\" in name or name.startswith("."):
        raise BadInputError(f"{url} does not name a .gguf file.", "Give the address of the file itself.")
    return name


if __name__ == "__main__":
    run_script(main)
