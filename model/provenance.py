"""Where something came from: library versions and the program's revision, saved with whatever is made."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from storage.paths import PROJECT_ROOT
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
