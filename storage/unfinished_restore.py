"""A restore that was cut short: a marker says so, and whoever opens the workspace next brings it to its end.

A restore first stages everything beside its place and only then swaps. The marker (`restore-unfinished.json` beside the
databases) is written before the first file is staged, with every erasure and every opt-out known by then, and again
before the swap. Cut short while staging, nothing has changed and what was staged goes; cut short while swapping, what
is staged is whole and the swap goes on. Either way the erased stay erased: the staged copy holds nothing of them.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.database import side_files
from storage.errors import StorageError
from storage.paths import Workspace
from storage.stored_json import parse_json
from storage.system.files import remove_file, remove_tree, replace_file, write_whole
from storage.system.locks import FileLock

log = logging.getLogger(__name__)

STAGED = ".restoring"
_MARKER = "restore-unfinished.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Swap:
    """One staged file or folder, where it belongs, and where what is there goes; paths below the workspace.

    What goes to a name that ends in `STAGED` is kept for the time of the swap only.
    """

    staged: str
    target: str
    aside: str


@dataclass(frozen=True, slots=True)
class Marker:
    """What the file says. erasures: (kind, id, when). absences: (opted out, excluded, id)."""

    backup: str
    is_swapping: bool
    swaps: tuple[Swap, ...]
    erasures: tuple[tuple[str, int, float], ...] = ()
    absences: tuple[tuple[int, int, int], ...] = ()


def marker_path(workspace: Workspace) -> Path:
    """The file that says a restore is not finished."""
    return workspace.database_folder / _MARKER


def write_marker(workspace: Workspace, marker: Marker) -> None:
    """On disk before this returns."""
    content = json.dumps({"format": _FORMAT, **asdict(marker)}, indent=1)
    write_whole(marker_path(workspace), content.encode("utf-8"), mode=0o600)


def read_marker(workspace: Workspace) -> Marker | None:
    """None when no restore is unfinished; StorageError when the marker cannot be read."""
    path = marker_path(workspace)
    try:
        raw: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        return Marker(
            str(raw["backup"]),
            bool(raw["is_swapping"]),
            tuple(Swap(**swap) for swap in raw["swaps"]),
            tuple((str(kind), int(number), float(at)) for kind, number, at in raw["erasures"]),
            tuple((int(out), int(excluded), int(number)) for out, excluded, number in raw["absences"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise StorageError(
            f"A restore of this workspace was not finished, and its record {path} cannot be read ({error}).",
            "Restore the backup again: python scripts/backup.py --restore",
        ) from error


def finish(workspace: Workspace) -> bool:
    """Bring a restore that was cut short to its end; True when there was one. AlreadyRunningError while one runs."""
    if not marker_path(workspace).exists():
        return False
    with restore_lock(workspace):
        marker = read_marker(workspace)
        if marker is None:
            return False
        if marker.is_swapping:
            log.warning("A restore was cut short; it is brought to its end now")
            swap_all(workspace, marker.swaps)
        else:
            log.warning("A restore was cut short before it changed anything; what it had copied is removed")
        drop_staged(workspace, marker.swaps)
        remove_marker(workspace)
        return True


def restore_lock(workspace: Workspace) -> FileLock:
    """Held while a restore works: nobody else may open the databases."""
    return FileLock(workspace.locks / "restore.lock", holder="A restore")


def swap_all(workspace: Workspace, swaps: tuple[Swap, ...]) -> None:
    """Put everything staged in its place. Safe to repeat from wherever it was cut short."""
    for swap in swaps:
        _swap(workspace.root, swap)


def swap_back(workspace: Workspace, swaps: tuple[Swap, ...]) -> None:
    """Undo `swap_all` as far as it came, the last one first."""
    for swap in reversed(swaps):
        staged, target, aside = (workspace.root / name for name in (swap.staged, swap.target, swap.aside))
        if not staged.exists() and target.exists():
            replace_file(target, staged)
        for kept, place in zip((aside, *side_files(aside)), (target, *side_files(target)), strict=True):
            if kept.exists() and not place.exists():
                replace_file(kept, place)


def drop_staged(workspace: Workspace, swaps: tuple[Swap, ...]) -> None:
    """Remove what is staged and was not swapped, and what was only set aside for the time of the swap."""
    for swap in swaps:
        for name in (swap.staged, *([swap.aside] if swap.aside.endswith(STAGED) else [])):
            path = workspace.root / name
            if path.is_dir():
                if not remove_tree(path):
                    raise OSError(f"{path} is held by another program")
                continue
            for gone in (path, *side_files(path)):
                if gone.exists():
                    remove_file(gone)


def remove_marker(workspace: Workspace) -> None:
    """The restore is whole; harmless where there is no marker."""
    remove_file(marker_path(workspace))


def _swap(root: Path, swap: Swap) -> None:
    staged, target = root / swap.staged, root / swap.target
    if not staged.exists():
        return  # done before the cut
    aside = root / swap.aside
    for folder in (target.parent, aside.parent):
        folder.mkdir(parents=True, exist_ok=True)
    # Its journals too, and before the new file comes: they would be played back into it.
    for present, kept in zip((target, *side_files(target)), (aside, *side_files(aside)), strict=True):
        if present.exists() and not kept.exists():
            replace_file(present, kept)
    replace_file(staged, target)
