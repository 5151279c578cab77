"""Where something came from: library versions and the program's revision, saved with whatever is made."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from storage.paths import PROJECT_ROOT
from storage.stored_json import parse_json
from storage.version import program_version

_LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "bitsandbytes",
    "unsloth",
    "gguf",
    "llama_cpp_python",
    "numpy",
)


def library_versions() -> dict[str, str]:
    """Versions of the program, of Python and of the training libraries that are installed."""
    found = {"program": program_version(), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_revision() -> str:
    """The program's revision, with '+' when files were changed since; '' outside a git checkout."""
    revision = _git("rev-parse", "HEAD")
    return revision + "+" if revision and _git("status", "--porcelain", "--untracked-files=no") else revision


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def read_model_manifest(gguf: Path) -> dict[str, Any]:
    """The trainer's manifest beside a model file; {} when there is none or it cannot be read."""
    for path in (gguf.with_suffix(".manifest.json"), gguf.with_suffix(".json"), gguf.parent / "manifest.json"):
        try:
            record = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict):
            return record
    return {}


def manifest_base(manifest: dict[str, Any]) -> str:
    """The name of the base a model was trained from, '' when unknown."""
    return str(next((each["base"] for each in manifest_levels(manifest) if isinstance(each.get("base"), str)), ""))


def manifest_levels(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """A manifest and the manifests inside it (the trainer keeps the data set's)."""
    inner = [value for value in manifest.values() if isinstance(value, dict)]
    return [manifest, *inner, *(value for each in inner for value in each.values() if isinstance(value, dict))]
