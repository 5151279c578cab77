"""What the next voice is trained from: the base of the model the owner chose, never another one behind their back.

A base is named as `resolve_base` takes it: a hub id, a GGUF file, a folder, or 'packaged'.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.catalog import (
    MODELS,
    OFFLINE_MODEL_KEY,
    OFFLINE_MODEL_TITLE,
    PACKAGED,
    entry_of_base,
    entry_of_file,
    offline_chat_model,
    only_base_model,
    resolve_model,
)
from model.files.gguf_check import check_gguf
from model.provenance import manifest_base, read_model_manifest
from storage.artefacts import TrainingRun
from storage.environment import Environment
from storage.errors import ModelFileError
from storage.paths import Workspace
from storage.settings import MODEL_PATH, Settings
from storage.stored_json import parse_json


@dataclass(frozen=True)
class ModelOrigin:
    """A model as deployment and training see it. base: '' when nobody knows; weights: 0 when the file is not here."""

    title: str
    base: str
    weights: int = 0
    is_free: bool | None = None


def origin_in_use(workspace: Workspace, settings: Settings, environment: Environment) -> ModelOrigin | None:
    """Where the model comes from that the bot speaks with; None before one was chosen."""
    chosen = settings[MODEL_PATH].strip()
    named = next((model for model in MODELS if model.key == chosen), None)
    if named is not None and not (workspace.base_models / named.file).is_file():
        return ModelOrigin(named.title, named.base, is_free=named.is_free)
    if chosen == OFFLINE_MODEL_KEY:
        return origin_of(offline_chat_model(), workspace)
    try:
        path = resolve_model(workspace, settings, environment)
        return origin_of(path, workspace) if path.is_file() else None
    except (ModelFileError, OSError):
        return None  # it cannot be read, and whoever loads it says so


def untuned_model(workspace: Workspace, settings: Settings, environment: Environment) -> Path:
    """The base of the model in use, where its file is here; else the only base there is, else the packaged one."""
    origin = origin_in_use(workspace, settings, environment)
    if origin is not None and origin.base == PACKAGED:
        return offline_chat_model()
    entry = entry_of_base(origin.base) if origin else None
    places = [workspace.base_models / entry.file] if entry else []
    if origin is not None and origin.base.endswith(".gguf"):
        places.append(Path(origin.base))
    return next((path for path in places if path.is_file()), None) or only_base_model(workspace) or offline_chat_model()


def origin_of(path: Path, workspace: Workspace) -> ModelOrigin:
    """Where a model file comes from: its manifest says, or its name in the catalogue; else it is its own base."""
    header = check_gguf(path)
    # Of a split model only the first part is read.
    weights = 0 if "split.count" in header.metadata else header.weight_count
    base = manifest_base(read_model_manifest(path))
    if base:
        return _origin(path.stem, _resolvable(base, workspace), weights)
    entry = entry_of_file(path)
    if entry is not None:
        return ModelOrigin(entry.title, entry.base, weights, entry.is_free)
    if path.name == _packaged_name():
        return _origin(OFFLINE_MODEL_TITLE, PACKAGED, weights)
    return _origin(path.stem, str(path), weights)


def _origin(title: str, base: str, weights: int) -> ModelOrigin:
    entry = entry_of_base(base)
    return ModelOrigin(title, base, weights, True if base == PACKAGED else entry.is_free if entry else None)


def _resolvable(base: str, workspace: Workspace) -> str:
    """A base as a manifest names it, in the words of resolve_base. What this computer has no more stays a bare name,
    which resolve_base refuses: another base in its place would be worse."""
    entry = entry_of_base(base)
    if entry is not None:
        return entry.base
    if Path(_packaged_name()).stem.rsplit(".", 1)[0] == base:
        return PACKAGED
    unpacked = workspace.base_models / f"{base}-f16" / "base.json"
    recorded = [(_record(unpacked), "gguf"), *((_record(path), "base_folder") for path in _runs(workspace))]
    for record, key in recorded:
        place = Path(str(record.get(key) or ""))
        if record.get("base", base) == base and place.name and place.exists():
            return str(place)
    return base


def _runs(workspace: Workspace) -> list[Path]:
    """What each training run of this workspace noted at its start, newest first."""
    return [run.folder / "run.json" for run in TrainingRun.all(workspace)]


def _record(path: Path) -> dict[str, Any]:
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _packaged_name() -> str:
    try:
        return offline_chat_model().name
    except ModelFileError:
        return ""
