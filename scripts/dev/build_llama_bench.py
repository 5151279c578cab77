"""Build llama.cpp's own benchmark from the source package of the installed llama-cpp-python.

    python scripts/dev/build_llama_bench.py --folder FOLDER [--source llama_cpp_python-X.tar.gz]

The yardstick of `scripts/benchmark.py engine --llama-bench FOLDER/llama-bench`. Needs cmake and a C++ compiler; takes
about ten minutes on two cores. Without --source the package of the installed version is downloaded with pip.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # started as a file: the project root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from storage.errors import KnownError
from storage.jobs.arguments import plain_parser
from storage.jobs.frame import run_script


class BuildError(KnownError):
    """The benchmark could not be built."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch, unpack, compile; prints the path of the program."""
    parser = plain_parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where to build (about 600 MB)")
    parser.add_argument("--source", type=Path, help="the source package, when it is already here")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilations at once")
    options = parser.parse_args(arguments)
    if shutil.which("cmake") is None:
        raise BuildError("cmake is not installed.", "Install cmake and a C++ compiler, then start it again.")
    options.folder.mkdir(parents=True, exist_ok=True)
    source = _unpack(options.source or _download(options.folder), options.folder)
    print(_build(source, options.folder / "build", options.jobs))


def _download(folder: Path) -> Path:
    version = importlib.metadata.version("llama-cpp-python")
    _run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
            f"llama-cpp-python=={version}",
            "-d",
            str(folder),
        ]
    )
    return next(folder.glob(f"llama_cpp_python-{version}*.tar.gz"))


def _unpack(package: Path, folder: Path) -> Path:
    with tarfile.open(package) as archive:
        top = archive.getnames()[0].split("/")[0]
        if not (folder / top).exists():
            archive.extractall(folder, filter="data")
    return folder / top / "vendor" / "llama.cpp"


def _build(source: Path, build: Path, jobs: int) -> Path:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    # As the Python package is built: native instructions, OpenMP, release; nothing else of the tools is needed.
    _run(
        [
            "cmake",
            "-S",
            str(source),
            "-B",
            str(build),
            *generator,
            "-DCMAKE_BUILD_TYPE=Release",
            "-DGGML_NATIVE=ON",
            "-DLLAMA_BUILD_TESTS=OFF",
            "-DLLAMA_BUILD_EXAMPLES=OFF",
            "-DLLAMA_BUILD_SERVER=OFF",
            "-DLLAMA_CURL=OFF",
            "-DLLAMA_OPENSSL=OFF",
        ]
    )
    _run(["cmake", "--build", str(build), "--target", "llama-bench", "-j", str(jobs)])
    return next(path for path in (build / "bin").iterdir() if path.stem == "llama-bench")


def _run(command: list[str]) -> None:
    print("+", " ".join(command), file=sys.stderr, flush=True)
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise BuildError(f"'{command[0]} {command[1]}' failed.", "Its messages above say why.")


if __name__ == "__main__":
    run_script(main)
