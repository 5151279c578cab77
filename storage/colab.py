"""Training on a rented computer: the two ZIP files its notebook asks for, and its result taken back.

docs/train_on_colab.ipynb names them. What is packed lies where the owner says, outside the workspace: what is given
away no erasure reaches any more.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.artefacts import RUN, PreparedSet
from storage.errors import KnownError
from storage.paths import PROJECT_ROOT, Workspace
from storage.system.files import remove_file, remove_tree, replace_file

# All of the program that training needs, and nothing that an owner's folder may hold besides.
_PARTS = ("bot", "data", "model", "scripts", "storage", "docs")
_SINGLE = ("requirements*.txt", "LICENSE", "README.md", "pyproject.toml")
_LEFT_OUT = ("__pycache__", "demo")
_MANIFEST = ".manifest.json"
_BESIDE = ("training.json", "loss.png", "adapter.gguf")


@dataclass(frozen=True, slots=True)
class ColabFiles:
    """What the notebook's first cell asks for."""

    project: Path
    prepared: Path


def pack_for_colab(workspace: Workspace, folder: Path) -> ColabFiles:
    """Write project.zip and prepared.zip (the newest data set) into `folder`. KnownError when nothing is prepared."""
    newest = PreparedSet.newest(workspace)
    if newest is None:
        raise KnownError("There is no prepared data set yet.", "Press 'Prepare' first (Training > Data set).")
    prepared = newest.folder
    named = ((path, Path(prepared.name) / path.relative_to(prepared)) for path in sorted(prepared.rglob("*")))
    return ColabFiles(
        _zip(folder / "project.zip", _project_files()),
        _zip(folder / "prepared.zip", ((path, name) for path, name in named if path.is_file())),
    )


def take_back(workspace: Workspace, model: Path, *, now: float | None = None) -> Path:
    """A model that the notebook made, with its manifest beside it, as a training run of this workspace; its new place.

    KnownError when the manifest is missing or is of another file; nothing is left half-copied.
    """
    manifest = _manifest_of(model)
    with open(model, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    record = json.loads(manifest.read_text(encoding="utf-8"))
    known = record.get("files", {}) if isinstance(record, dict) else {}
    # A browser calls the second download 'voice (1).gguf': the content says which it is.
    name = next((key for key, entry in known.items() if isinstance(entry, dict) and entry.get("sha256") == digest), "")
    if not name or Path(name).name != name:
        raise KnownError(
            f"{model.name} is not the file that {manifest.name} describes: it arrived damaged, or is another.",
            "Download both again from the notebook's last cell.",
        )
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    run = workspace.root / "models" / "training" / f"colab-{when}"
    partial = run.with_name(run.name + ".partial")
    remove_tree(partial)
    partial.mkdir(parents=True)
    try:
        shutil.copyfile(model, partial / name)
        for other in _BESIDE:
            if (model.parent / other).is_file() and other != name:
                shutil.copyfile(model.parent / other, partial / other)
        described = {key: record[key] for key in ("base", "recipe", "method") if key in record}
        (partial / RUN).write_text(json.dumps(described | {"data_path": ""}), encoding="utf-8")
        shutil.copyfile(manifest, (partial / name).with_suffix(_MANIFEST))
        replace_file(partial, run)
    finally:
        remove_tree(partial)
    return run / name


def _manifest_of(model: Path) -> Path:
    own = model.with_suffix(_MANIFEST)
    found = [own] if own.is_file() else sorted(model.parent.glob(f"*{_MANIFEST}"))
    if not found:
        raise KnownError(
            f"The manifest of {model.name} does not lie beside it.",
            "Download it from the notebook's last cell too (its name ends in .manifest.json), into the same folder.",
        )
    return found[0]


def _project_files() -> Iterator[tuple[Path, Path]]:
    for part in _PARTS:
        for path in sorted((PROJECT_ROOT / part).rglob("*")):
            if path.is_file() and not set(path.relative_to(PROJECT_ROOT).parts) & set(_LEFT_OUT):
                yield path, Path("project") / path.relative_to(PROJECT_ROOT)
    for pattern in _SINGLE:
        for path in sorted(PROJECT_ROOT.glob(pattern)):
            yield path, Path("project") / path.name


def _zip(target: Path, files: Iterator[tuple[Path, Path]]) -> Path:
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, name in files:
                archive.write(path, name.as_posix())
        replace_file(part, target)
    except OSError as error:
        raise KnownError(
            f"{target} cannot be written: {error.strerror or error}.", "Choose another folder, or free some space."
        ) from error
    finally:
        remove_file(part)
    return target
