"""Every model a training made, used or not: what there is, which is in use, which still waits for an answer.

A run below models/training leaves a file with a manifest; using it copies it to models/finetuned as a version. Both are
one model here, tied together by the SHA-256 of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storage.artefacts import RUN, ModelVersion, Pointer, TrainingRun, read_object, remembered
from storage.errors import KnownError
from storage.jobs.kinds import JobKind
from storage.paths import Workspace
from storage.settings import ADAPTER_PATH, MODEL_PATH
from storage.split_files import is_later_part, model_bytes, model_files, whole_stem
from storage.store import Store
from storage.system.files import remove_file, remove_tree

# Recipes that show that the way works; what they make is no member of the server.
PRACTICE_RECIPES = frozenset({"cpu-smoke"})
_MANIFEST_ENDING = ".manifest.json"
_ADAPTER_FILE = "adapter.gguf"
_ANSWERED = "models_answered"
_MOST_ANSWERS = 100


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One model. key: the SHA-256 of its file, or its path. version: its name in models/finetuned, '' while never used.

    run: the folder of the training that made it, None where only the version is left. file: what can be loaded.
    """

    key: str
    name: str
    file: Path
    made_at: float
    size_bytes: int
    recipe: str = ""
    match_percent: float | None = None
    version: str = ""
    run: Path | None = None
    is_current: bool = False
    is_previous: bool = False
    is_chosen: bool = False

    @property
    def is_practice(self) -> bool:
        """Made by a recipe that only shows that training works here."""
        return self.recipe in PRACTICE_RECIPES

    @property
    def is_in_use(self) -> bool:
        """The bot answers with it, or would after a start: by the pointer or by the owner's choice in the settings."""
        return self.is_current or self.is_chosen


def all_models(store: Store) -> tuple[TrainedModel, ...]:
    """Published versions and what trainings left, newest first. Reads folders; what cannot be read is left out."""
    workspace = store.workspace
    chosen = [Path(path) for setting in (MODEL_PATH, ADAPTER_PATH) if (path := store.settings.get(setting))]
    outside = [TrainingRun.read(folder) for folder in remembered(store.facts) if (folder / RUN).is_file()]
    runs = [*TrainingRun.all(workspace), *(run for run in outside if run)]
    trained = {model.key: model for run in runs if (model := _of_run(run)) is not None}
    found = []
    for model in _versions(workspace):
        twin = trained.pop(model.key, None)
        found.append(_joined(model, twin) if twin else model)
    found += trained.values()
    marked = [_with_choice(model, chosen) for model in found]
    return tuple(sorted(marked, key=lambda model: (-model.made_at, model.name)))


def unanswered(models: Sequence[TrainedModel], answered: Sequence[str]) -> TrainedModel | None:
    """The newest training's model, if it was never used, nobody has answered, and it is newer than what is in use."""
    newest = max(models, key=lambda model: model.made_at, default=None)
    if newest is None or newest.version or newest.is_in_use or newest.key in answered:
        return None
    return newest


def answers(store: Store) -> list[str]:
    """Keys of the models the owner has decided about."""
    known = store.facts.get(_ANSWERED, [])
    return [str(key) for key in known] if isinstance(known, list) else []


def note_answer(store: Store, key: str) -> None:
    """The owner keeps the model in use: nothing is asked about this one again. It stays in the list."""
    known = [each for each in answers(store) if each != key]
    store.facts.set(_ANSWERED, [*known, key][-_MOST_ANSWERS:])


def delete_model(store: Store, key: str) -> None:
    """Delete a model's files for good, version and training run; KnownError while something needs them."""
    model = next((each for each in all_models(store) if each.key == key), None)
    if model is None:
        return
    if model.is_in_use:
        raise KnownError(f"{model.name} is the model in use.", "Use another one first: Training > Models.")
    busy = [
        job.kind
        for job in store.jobs.active()
        if job.kind in (JobKind.TRAIN, JobKind.RETRAIN, JobKind.EVALUATE, JobKind.DEPLOY)
    ]
    if busy:
        raise KnownError(f"{model.name} may be needed by what is running.", "Wait until it is done, or cancel it.")
    workspace = store.workspace
    if model.version:
        version = ModelVersion.read(workspace, model.version)
        if version is not None:
            version.delete(workspace)
        if model.is_previous and (pointer := Pointer.read(workspace)) is not None:
            Pointer(pointer.file).write(workspace)  # there is nothing to go back to any more
    if model.run is not None:
        _delete_run(workspace, model.run)


def _delete_run(workspace: Workspace, run: Path) -> None:
    if run.resolve().is_relative_to((workspace.root / "models" / "training").resolve()):
        if not remove_tree(run):
            raise KnownError(f"{run.name} could not be deleted: a file of it is in use.", "Stop the bot and try again.")
        return
    # A folder of the owner's own choice may hold other things.
    for manifest in run.glob(f"*{_MANIFEST_ENDING}"):
        for part in model_files(_model_of(manifest)):
            remove_file(part)
        remove_file(manifest)
    remove_file(run / _ADAPTER_FILE)


def _versions(workspace: Workspace) -> list[TrainedModel]:
    try:
        pointer = Pointer.read(workspace) or Pointer(None)
    except (OSError, ValueError):
        pointer = Pointer(None)
    return [
        TrainedModel(
            version.sha256 or version.name,
            version.name,
            workspace.finetuned_models / version.file,
            version.deployed_at,
            model_bytes(workspace.finetuned_models / version.file),
            _recipe(version.provenance),
            version.match_percent,
            version.name,
            None,
            pointer.file == version.file,
            pointer.previous == version.file,
        )
        for version in ModelVersion.all(workspace)
    ]


def _of_run(run: TrainingRun) -> TrainedModel | None:
    """The model a finished run left; None while it has none. An adapter alone is no model to answer with."""
    for manifest in sorted(run.folder.glob(f"*{_MANIFEST_ENDING}"), reverse=True):
        file = _model_of(manifest)
        record = read_object(manifest)
        if record is None or file.name == _ADAPTER_FILE or is_later_part(file) or not _is_whole(file):
            continue
        files = record.get("files")
        own = files.get(file.name) if isinstance(files, dict) else None
        digest = own.get("sha256") if isinstance(own, dict) else ""
        made_at = record.get("created_at")
        return TrainedModel(
            str(digest or file),
            whole_stem(file.name),
            file,
            float(made_at) if isinstance(made_at, int | float) else file.stat().st_mtime,
            model_bytes(file),
            _recipe(record),
            run=run.folder,
        )
    return None


def _model_of(manifest: Path) -> Path:
    return manifest.with_name(manifest.name.removesuffix(_MANIFEST_ENDING) + ".gguf")


def _is_whole(file: Path) -> bool:
    return all(part.is_file() for part in model_files(file))


def _joined(version: TrainedModel, run: TrainedModel) -> TrainedModel:
    return replace(version, made_at=run.made_at, recipe=version.recipe or run.recipe, run=run.run)


def _with_choice(model: TrainedModel, chosen: Sequence[Path]) -> TrainedModel:
    folders = [folder.resolve() for folder in (model.run,) if folder is not None]
    for path in chosen:
        there = path.resolve()
        if there == model.file.resolve() or any(there.is_relative_to(folder) for folder in folders):
            return replace(model, is_chosen=True)
    return model


def _recipe(record: dict[str, object]) -> str:
    """The recipe's name in a manifest; older ones keep the name alone."""
    recipe = record.get("recipe")
    return str(recipe.get("name") or "") if isinstance(recipe, dict) else str(recipe or "")
