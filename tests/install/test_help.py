"""`--help` and `--version` of every entry point, asked of a Python that has no packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from storage.version import program_version

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("bot", "data", "gui", "model", "scripts", "storage", "tests")
PATIENCE_SECONDS = 60.0


def entry_points() -> list[str]:
    """Every file that can be started by its name."""
    files = [ROOT / "launcher.py", ROOT / "bot" / "run.py", *(ROOT / "scripts").rglob("*.py")]
    started = 'if __name__ == "__main__":'
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in files
        if started in path.read_text(encoding="utf-8").splitlines() and "installation" not in path.parts
    )


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without a single package, not even pip."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program's files, without the environment that a first start would have made."""
    folder = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(
            ROOT / room, folder / room, ignore=lambda at, names: {n for n in names if not _is_source(Path(at, n))}
        )
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*.toml"), *ROOT.glob("requirements*.txt")]:
        shutil.copy(path, folder)
    return folder


def _is_source(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and path.name not in ("__pycache__", "cases", "demo"))


def answer(python: Path, checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        [python, *arguments],
        cwd=checkout,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",  # a path in a usage line comes in the code page where a program is asked without a console
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert not (checkout / ".venv").exists(), "it began to install"
    return done.stdout + done.stderr


@pytest.mark.parametrize("script", entry_points())
def test_help_and_version_are_answered_with_nothing_installed(script: str, bare_python: Path, checkout: Path) -> None:
    help_text = answer(bare_python, checkout, script, "--help")
    assert "usage:" in help_text or (script == "scripts/bootstrap.py" and "Groups:" in help_text)
    assert program_version() in answer(bare_python, checkout, script, "--version")


def test_a_benchmark_explains_itself_with_nothing_installed(bare_python: Path, checkout: Path) -> None:
    names = [path.stem for path in (ROOT / "scripts/dev/benchmarks").glob("[!_]*.py")]
    assert names
    for name in names:
        assert "--json" in answer(bare_python, checkout, "scripts/benchmark.py", name, "--help")


def test_the_version_is_the_one_of_pyproject() -> None:
    assert f'version = "{program_version()}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
