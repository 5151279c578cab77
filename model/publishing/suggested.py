"""The settings a sweep found for a model: read for the file that is published, shown, and taken if the owner wants.

A suggestion belongs to the very bytes it was measured with; it lies among the workspace's evaluations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.files.parts import model_sha256
from storage.errors import SettingError
from storage.paths import Workspace
from storage.settings import REGISTRY
from storage.store import Store

SUGGESTED = "suggested_settings.json"
# Who set a setting, in the settings' own record: a sweep's suggestion, the demo. Everybody else is the owner.
SWEEP, DEMO = "sweep", "demo"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """settings: keys and values to change. layouts: what each prompt layout reached at its best on the validation
    places: `auc`, `fit` and `score` (0 like people) by the layout's name."""

    settings: Mapping[str, Any]
    auc: float | None = None
    fit: float | None = None
    layouts: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """One line for people: the settings, and the figures of each layout."""
        chosen = ", ".join(f"{REGISTRY[key].label.lower()} {_plain(value)}" for key, value in self.settings.items())
        reached = "; ".join(
            f"{name}: detector AUC {_figure(figures.get('auc'))}, fit to context {_figure(figures.get('fit'))}"
            for name, figures in self.layouts.items()
        )
        return f"{chosen} ({reached})" if reached else chosen


def read_suggestion(path: Path, *, sha256: str = "") -> Suggestion | None:
    """The suggestion in a file; None when it is none, or one for another model than `sha256`."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or (sha256 and record.get("model_sha256") != sha256):
        return None
    found = record.get("settings")
    layouts = record.get("layouts")
    settings = _valid(found) if isinstance(found, dict) else {}
    if not settings:
        return None
    auc, fit = (record.get(key) if isinstance(record.get(key), int | float) else None for key in ("auc", "fit"))
    return Suggestion(settings, auc, fit, layouts if isinstance(layouts, dict) else {})


def find_suggestion(workspace: Workspace, gguf: Path) -> Suggestion | None:
    """The newest sweep's result for these very bytes."""
    files = sorted((workspace.data / "evaluation").glob(f"*/{SUGGESTED}"), key=lambda path: -path.stat().st_mtime)
    if not files or not gguf.is_file():
        return None
    sha256 = model_sha256(gguf)
    return next((found for path in files if (found := read_suggestion(path, sha256=sha256)) is not None), None)


def take_suggestion(store: Store, suggestion: Suggestion) -> None:
    """Make the suggested settings the workspace's own; a running bot takes them up by itself."""
    for key, value in suggestion.settings.items():
        store.settings.set(REGISTRY[key], value, changed_by=SWEEP)


def settle_settings(store: Store, gguf: Path, *, is_asked: bool) -> str:
    """Settings go with their model: those found for the file that is now in use are taken, those of the one before go.
    What the owner chose stays, unless is_asked. Returns a sentence for the owner, '' where nothing is to be said."""
    suggestion = find_suggestion(store.workspace, gguf)
    changed_by = store.settings.changed_by()
    if suggestion is None:
        store.settings.reset(*(REGISTRY[key] for key, who in changed_by.items() if who == SWEEP and key in REGISTRY))
        return "No settings were suggested for this file (4_evaluate_personality.py --sweep)." if is_asked else ""
    chosen = [key for key in suggestion.settings if changed_by.get(key, SWEEP) not in (SWEEP, DEMO)]
    if chosen and not is_asked:
        kept = ", ".join(REGISTRY[key].label.lower() for key in chosen)
        return f"You chose {kept} yourself. Suggested: {suggestion.text}. --take-settings takes that instead."
    take_suggestion(store, suggestion)
    return f"It speaks with the settings found for it: {suggestion.text}."


def _valid(found: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that this version knows and allows."""
    valid = {}
    for key, value in found.items():
        if key not in REGISTRY:
            continue
        try:
            valid[key] = REGISTRY[key].parse(value)
        except (ValueError, TypeError, SettingError):
            continue
    return valid


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _figure(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "not measured"
