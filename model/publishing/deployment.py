"""Published models: immutable versioned files in models/finetuned/ and one small pointer to the one in use.

A version is `<name>.gguf` plus `<name>.json` (its manifest, written last: without it the version does not exist) and,
when there is one, `<name>.report.json`. `current.json` names the version in use and the one before. Every file is
written beside its place, flushed to disk and renamed, so a kill or a power cut at any moment leaves the old state or
the new one. A loaded GGUF is never touched: overwriting one ends the process that has it mapped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from storage.artefacts import POINTER, ModelVersion, Pointer
from storage.errors import KnownError
from storage.paths import Workspace
from storage.system.files import replace_file, write_whole

KEEP_VERSIONS = 3
_CHUNK = 8 << 20
_SPARE_BYTES = 256 << 20
_PART = ".part"
# Digits of its SHA-256 that end a version's name.
_HASH_MARK = 12

Progress = Callable[[float, str], None]


class DeploymentError(KnownError):
    """A model cannot be published, or there is nothing to go back to; what was in use stays in use."""


# The files and what they say are known to storage, which erases members from them.
DeployedModel = ModelVersion


def current(workspace: Workspace) -> DeployedModel | None:
    """The published model in use; None before the first deployment."""
    pointer = read_pointer(workspace)
    return ModelVersion.read(workspace, Path(pointer.file).stem) if pointer and pointer.file else None


def versions(workspace: Workspace) -> list[DeployedModel]:
    """Every complete version, newest first."""
    return ModelVersion.all(workspace)


def model_path(workspace: Workspace, version: DeployedModel) -> Path:
    return workspace.finetuned_models / version.file


def report_path(workspace: Workspace, version: DeployedModel) -> Path:
    """The version's evaluation; it may be missing."""
    return workspace.finetuned_models / f"{version.name}.report.json"


def read_pointer(workspace: Workspace) -> Pointer | None:
    """DeploymentError when the pointer is there but makes no sense."""
    try:
        return Pointer.read(workspace)
    except (OSError, ValueError) as error:
        raise DeploymentError(
            f"The pointer to the deployed model, {workspace.finetuned_models / POINTER}, cannot be read ({error}).",
            "Delete that file and deploy again.",
        ) from error


def store_version(
    workspace: Workspace,
    gguf: Path,
    *,
    report: Path | None = None,
    match_percent: float | None = None,
    auc: float | None = None,
    forced: tuple[str, ...] = (),
    verified_by: str = "",
    provenance: dict[str, Any] | None = None,
    progress: Progress = lambda _fraction, _step: None,
    clock: Callable[[], float] = time.time,
) -> DeployedModel:
    """Copy a model file in as a new version without using it yet. The same bytes are stored once.

    Raises DeploymentError when the disk is too small or the copy differs from its source.
    """
    folder = workspace.finetuned_models
    folder.mkdir(parents=True, exist_ok=True)
    _remove_parts(folder)
    sha256 = file_hash(gguf, lambda fraction: progress(fraction * 0.3, "Reading the model file"))
    version = DeployedModel(
        name=f"{_safe_name(gguf.stem)}-{sha256[:_HASH_MARK]}",
        sha256=sha256,
        size_bytes=gguf.stat().st_size,
        deployed_at=clock(),
        source=gguf.name,
        match_percent=match_percent,
        auc=auc,
        forced=forced,
        verified_by=verified_by,
        provenance=provenance or {},
    )
    target = folder / version.file
    if not (target.exists() and file_hash(target) == sha256):
        _copy(gguf, target, sha256, lambda fraction: progress(0.3 + fraction * 0.6, "Copying the model file"))
    if report is not None:
        write_whole(report_path(workspace, version), report.read_bytes())
    version.write(workspace)
    progress(1.0, "Stored")
    return version


def use(workspace: Workspace, version: DeployedModel) -> Pointer:
    """Point at a stored version; one rename. Returns the new pointer."""
    before = read_pointer(workspace)
    if before is not None and before.file == version.file:
        return before
    pointer = Pointer(version.file, before.file if before else None)
    write_pointer(workspace, pointer)
    return pointer


def publish(workspace: Workspace, gguf: Path, **details: Any) -> DeployedModel:
    """Store a model file and use it; takes what `store_version` takes. Checks nothing: release does."""
    version = store_version(workspace, gguf, **details)
    use(workspace, version)
    return version


def rollback(workspace: Workspace) -> DeployedModel | None:
    """Use the version before this one; doing it twice comes back. None: the model from before the first deployment.

    Raises DeploymentError when nothing was deployed yet, or the version before is gone.
    """
    pointer = read_pointer(workspace)
    if pointer is None:
        raise DeploymentError(
            "No model has been deployed yet.", "Deploy one with scripts/5_deploy_bot.py --model FILE."
        )
    previous = ModelVersion.read(workspace, Path(pointer.previous).stem) if pointer.previous else None
    if pointer.previous and previous is None:
        raise DeploymentError(
            f"The version before, {Path(pointer.previous).stem}, is gone.",
            "Use another one: scripts/5_deploy_bot.py --list, then --use NAME.",
        )
    write_pointer(workspace, Pointer(pointer.previous, pointer.file))
    return previous


def write_pointer(workspace: Workspace, pointer: Pointer | None) -> None:
    """Replace the pointer in one step; None removes it, so that the base model is used again."""
    if pointer is None:
        (workspace.finetuned_models / POINTER).unlink(missing_ok=True)
        return
    pointer.write(workspace)


def prune(workspace: Workspace, *, keep: int = KEEP_VERSIONS) -> list[str]:
    """Delete old versions but the newest `keep`, the one in use and the one before; returns their names.

    Copies that a killed deployment left without a manifest go as well. Do not call it while one is under way.
    """
    pointer = read_pointer(workspace)
    safe = {pointer.file, pointer.previous} if pointer else set[str | None]()
    removed = []
    for version in versions(workspace)[max(0, keep) :]:
        if version.file not in safe:
            _delete(workspace, version)
            removed.append(version.name)
    removed += _remove_lost_copies(workspace.finetuned_models, keep=safe)
    _remove_parts(workspace.finetuned_models)
    return removed


def file_hash(path: Path, progress: Callable[[float], None] = lambda _fraction: None) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest, done, size = hashlib.sha256(), 0, max(1, path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(done / size)
    return digest.hexdigest()


def _copy(source: Path, target: Path, sha256: str, progress: Callable[[float], None]) -> None:
    size = source.stat().st_size
    free = shutil.disk_usage(target.parent).free
    if free < size + _SPARE_BYTES:
        raise DeploymentError(
            f"{target.parent} has {free / 2**30:.1f} GiB free; the model needs "
            f"{(size + _SPARE_BYTES) / 2**30:.1f} GiB.",
            "Free some space, or prune old versions.",
        )
    beside = target.with_name(target.name + _PART)
    digest, done = hashlib.sha256(), 0
    with source.open("rb") as read, beside.open("wb") as write:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            write.write(chunk)
            done += len(chunk)
            progress(done / max(1, size))
        write.flush()
        os.fsync(write.fileno())
    if digest.hexdigest() != sha256:
        beside.unlink()
        raise DeploymentError(f"{source} changed while it was being copied.", "Wait until it is finished, then retry.")
    beside.chmod(stat.S_IREAD)
    replace_file(beside, target)


def _delete(workspace: Workspace, version: DeployedModel) -> None:
    # The manifest goes first: from then on the version does not exist, whatever happens.
    (workspace.finetuned_models / f"{version.name}.json").unlink(missing_ok=True)
    report_path(workspace, version).unlink(missing_ok=True)
    file = model_path(workspace, version)
    file.chmod(stat.S_IREAD | stat.S_IWRITE)
    file.unlink()


def _remove_lost_copies(folder: Path, *, keep: Collection[str | None]) -> list[str]:
    """Files named after their content, as copies are, without a manifest. What the owner put there has other names."""
    removed = []
    for path in folder.glob("*.gguf"):
        mark = path.stem.rpartition("-")[2]
        is_copy = len(mark) == _HASH_MARK and not path.with_suffix(".json").exists() and path.name not in keep
        if is_copy and file_hash(path).startswith(mark):
            path.chmod(stat.S_IREAD | stat.S_IWRITE)
            path.unlink()
            removed.append(path.stem)
    return removed


def _remove_parts(folder: Path) -> None:
    for path in folder.glob("*" + _PART):
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
        path.unlink()


def _safe_name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-")[:60] or "model"
