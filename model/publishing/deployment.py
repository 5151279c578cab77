"""Published models: immutable versioned files in models/finetuned/ and one small pointer to the one in use.

A version is `<name>.gguf` (a split model keeps its parts: `<name>-00001-of-00003.gguf` and so on) plus `<name>.json`
(its manifest, written last: without it the version does not exist) and, when there is one, `<name>.report.json`.
`current.json` names the version in use and the one before. Every file is written beside its place, flushed to disk and
renamed, so a kill or a power cut at any moment leaves the old state or the new one. A loaded GGUF is never touched:
overwriting one ends the process that has it mapped.
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

from model.draft_scorer import scorer_path
from model.files.parts import model_sha256
from storage.artefacts import POINTER, ModelVersion, Pointer
from storage.errors import KnownError
from storage.paths import Workspace
from storage.split_files import is_later_part, model_bytes, model_files, whole_stem
from storage.system.files import remove_file, replace_file, write_whole

KEEP_VERSIONS = 3
_CHUNK = 8 << 20
_SPARE_BYTES = 256 << 20
_PART = ".part"
# Digits of its SHA-256 that end a version's name.
_HASH_MARK = 12
_MARK = re.compile(r"[0-9a-f]{12}")
# A 2 GB model loads in seconds from a fast disk and in a minute from a slow one; the watchdog allows 120 s as well.
RELOAD_SECONDS = 150.0

Progress = Callable[[float, str], None]


class DeploymentError(KnownError):
    """A model cannot be published, or there is nothing to go back to; what was in use stays in use."""


# The files and what they say are known to storage, which erases members from them.
DeployedModel = ModelVersion


def current(workspace: Workspace) -> DeployedModel | None:
    """The published model in use; None before the first deployment."""
    pointer = read_pointer(workspace)
    return ModelVersion.read(workspace, whole_stem(pointer.file)) if pointer and pointer.file else None


def versions(workspace: Workspace) -> list[DeployedModel]:
    """Every complete version, newest first."""
    return ModelVersion.all(workspace)


def model_path(workspace: Workspace, version: DeployedModel) -> Path:
    """Where a version's file lies, whether it is there or not."""
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
    scorer: Path | None = None,
    match_percent: float | None = None,
    auc: float | None = None,
    forced: tuple[str, ...] = (),
    verified_by: str = "",
    provenance: dict[str, Any] | None = None,
    progress: Progress = lambda _fraction, _step: None,
    clock: Callable[[], float] = time.time,
) -> DeployedModel:
    """Copy a model in, with all of its parts, as a new version without using it yet. The same bytes are stored once.

    report, scorer: kept beside it. Raises DeploymentError when the disk is too small or the copy differs from its
    source.
    """
    folder = workspace.finetuned_models
    folder.mkdir(parents=True, exist_ok=True)
    _remove_parts(folder)
    sha256 = model_sha256(gguf, lambda fraction: progress(fraction * 0.3, "Reading the model file"))
    version = DeployedModel(
        name=f"{_safe_name(whole_stem(gguf.name))}-{sha256[:_HASH_MARK]}",
        sha256=sha256,
        size_bytes=model_bytes(gguf),
        deployed_at=clock(),
        source=gguf.name,
        match_percent=match_percent,
        auc=auc,
        forced=forced,
        verified_by=verified_by,
        provenance=provenance or {},
        parts=len(model_files(gguf)),
    )
    target = folder / version.file
    if not (is_whole(target) and model_sha256(target) == sha256):
        _copy(gguf, target, sha256, lambda fraction: progress(0.3 + fraction * 0.6, "Copying the model file"))
    if report is not None:
        write_whole(report_path(workspace, version), report.read_bytes())
    if scorer is not None:
        write_whole(scorer_path(target), scorer.read_bytes())
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


def rollback(workspace: Workspace) -> DeployedModel | None:
    """Use the version before this one; doing it twice comes back. None: the model from before the first deployment.

    Raises DeploymentError when nothing was deployed yet, or the version before is gone.
    """
    pointer = read_pointer(workspace)
    if pointer is None:
        raise DeploymentError(
            "No model has been deployed yet.", "Deploy one with scripts/5_deploy_bot.py --model FILE."
        )
    previous = ModelVersion.read(workspace, whole_stem(pointer.previous)) if pointer.previous else None
    if pointer.previous and previous is None:
        raise DeploymentError(
            f"The version before, {whole_stem(pointer.previous)}, is gone.",
            "Use another one: scripts/5_deploy_bot.py --list, then --use NAME.",
        )
    write_pointer(workspace, Pointer(pointer.previous, pointer.file))
    return previous


def write_pointer(workspace: Workspace, pointer: Pointer | None) -> None:
    """Replace the pointer in one step; None removes it, so that the base model is used again."""
    if pointer is None:
        remove_file(workspace.finetuned_models / POINTER)
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
            version.delete(workspace)
            removed.append(version.name)
    removed += _remove_lost_copies(workspace.finetuned_models, keep=safe)
    _remove_parts(workspace.finetuned_models)
    return removed


def is_whole(path: Path) -> bool:
    """True when every part of a stored model is there."""
    return all(part.exists() for part in model_files(path))


def _copy(source: Path, target: Path, sha256: str, progress: Callable[[float], None]) -> None:
    """All parts beside their places first, then each in its place: the first part comes last, for it is what is looked
    for."""
    size = model_bytes(source)
    free = shutil.disk_usage(target.parent).free
    if free < size + _SPARE_BYTES:
        raise DeploymentError(
            f"{target.parent} has {free / 2**30:.1f} GiB free; the model needs "
            f"{(size + _SPARE_BYTES) / 2**30:.1f} GiB.",
            "Free some space, or prune old versions.",
        )
    digest, done, written = hashlib.sha256(), 0, []
    for part, place in zip(model_files(source), model_files(target), strict=True):
        beside = place.with_name(place.name + _PART)
        with part.open("rb") as read, beside.open("wb") as write:
            while chunk := read.read(_CHUNK):
                digest.update(chunk)
                write.write(chunk)
                done += len(chunk)
                progress(done / max(1, size))
            write.flush()
            os.fsync(write.fileno())
        written.append((beside, place))
    if digest.hexdigest() != sha256:
        for beside, _ in written:
            remove_file(beside)
        raise DeploymentError(f"{source} changed while it was being copied.", "Wait until it is finished, then retry.")
    for beside, place in reversed(written):
        beside.chmod(stat.S_IREAD)
        replace_file(beside, place)


def _remove_lost_copies(folder: Path, *, keep: Collection[str | None]) -> list[str]:
    """Files named after their content, as copies are, without a manifest. What the owner put there has other names."""
    removed = []
    kept = {whole_stem(name) for name in keep if name}
    for path in folder.glob("*.gguf"):
        name = whole_stem(path.name)
        mark = name.rpartition("-")[2]
        is_copy = _MARK.fullmatch(mark) is not None and not (folder / f"{name}.json").exists() and name not in kept
        if is_copy and (is_later_part(path) or model_files(path) != (path,) or model_sha256(path).startswith(mark)):
            # A part alone cannot be compared with the checksum of the whole; its name and number are mark enough.
            remove_file(path)
            removed.append(name)
    return sorted(set(removed))


def _remove_parts(folder: Path) -> None:
    for path in folder.glob("*" + _PART):
        remove_file(path)


def _safe_name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-")[:60] or "model"
