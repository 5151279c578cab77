"""Small projects to be set up: a launcher, requirements, and a shelf of packages instead of a network."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0
LAUNCHER = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from scripts import bootstrap
bootstrap.ensure(groups=("runtime", "offline"), root=Path({project!r}))
import alpha, omega
flags = [sys.flags.dev_mode, bool(sys.flags.utf8_mode)]
print(json.dumps({{"prefix": sys.prefix, "argv": sys.argv, "flags": flags}}))
"""
SLOW_BACKEND = """
import os, pathlib, time
def build_wheel(folder, config_settings=None, metadata_directory=None):
    pathlib.Path({started!r}).write_text(str(os.getpid()))
    time.sleep(600)
"""

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes in another way")


def make_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def make_endless_source(folder: Path, name: str, version: str, started: Path) -> None:
    build = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    files = {
        "pyproject.toml": build,
        "backend.py": SLOW_BACKEND.format(started=str(started)),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as source:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            source.addfile(entry, io.BytesIO(text.encode()))


class Project:
    """A folder with a launcher, requirements, and a shelf of packages instead of a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # pip splits PIP_FIND_LINKS at spaces.
        self.shelf = folder.parent / "shelf"
        self.shelf.mkdir()
        folder.mkdir()
        self.launcher = folder / "start me.py"
        self.launcher.write_text(LAUNCHER.format(root=str(ROOT), project=str(folder)), encoding="utf-8")
        self.require(runtime="alpha==1.0", offline="omega==1.0")
        make_wheel(self.shelf, "alpha", "1.0")
        make_wheel(self.shelf, "omega", "1.0")

    @property
    def site_packages(self) -> Path:
        return next((self.folder / ".venv").rglob("site-packages"))

    def require(self, *, runtime: str, offline: str) -> None:
        (self.folder / "requirements.txt").write_text(runtime + "\n", encoding="utf-8")
        (self.folder / "requirements-offline.txt").write_text(offline + "\n", encoding="utf-8")

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        base = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "CXX"))}
        env = {**base, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.shelf)}
        env.update(PIP_NO_CACHE_DIR="1", **variables)
        env = {name: value for name, value in env.items() if value}
        command = [sys.executable, *(arguments or (str(self.launcher),))]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=env, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return finish(self.start(*arguments, **variables))


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, f"{file} never appeared"
        time.sleep(0.05)
    return file.read_text()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


class FirstStart(NamedTuple):
    """A finished first start."""

    project: Project
    done: subprocess.CompletedProcess[str]
