"""Which layout a model file speaks: the one its manifest says it was trained with, a transcript where it has none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.settings import CHAT, TRANSCRIPT
from storage.stored_json import parse_json

LAYOUT_KEY = "prompt_layout"


def layout_of(path: Path, adapter: Path | None = None) -> str:
    """CHAT or TRANSCRIPT. What was trained before manifests said so was trained with its chat template; what nobody
    here trained reads best as a transcript."""
    trained = adapter or path
    for manifest in (trained.with_suffix(".manifest.json"), trained.with_suffix(".json")):
        record = _read(manifest)
        if record is not None:
            return layout_in(record)
    # A merged model and its adapter share one manifest, named after the model.
    for manifest in sorted(trained.parent.glob("*.manifest.json")):
        record = _read(manifest) or {}
        files = record.get("files")
        if isinstance(files, Mapping) and trained.name in files:
            return layout_in(record)
    return CHAT if adapter else TRANSCRIPT


def layout_for(wanted: str, path: Path, adapter: Path | None = None) -> str:
    """CHAT or TRANSCRIPT for a choice of the setting."""
    found = layout_of(path, adapter) if wanted == "auto" else wanted
    return TRANSCRIPT if found == TRANSCRIPT else CHAT


def layout_in(record: Mapping[str, Any]) -> str:
    """The layout of a trainer's manifest, or of a published version that keeps one as its provenance."""
    inner = record.get("provenance")
    found = record.get(LAYOUT_KEY) or (inner.get(LAYOUT_KEY) if isinstance(inner, Mapping) else None)
    return TRANSCRIPT if found == TRANSCRIPT else CHAT


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None
