"""Set everything up, then check and test.

python -m tests                   ruff, mypy, the lock of packages and all tests
python -m tests --lint            without the tests
python -m tests unit              one tier: unit, integration, model, panel or install; several may be named
python -m tests ARGUMENTS ...     pytest with these arguments only
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts import bootstrap
from tests.support.screen import virtual_screen

ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("runtime", "offline", "train", "dev")
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "package lock": ["scripts/dev/lock_packages.py"],
}
TIERS = ("unit", "integration", "model", "panel", "install")
MOST_WORKERS = 4
# Each worker loads models of its own: about 2 GB, and as much for the processes it starts.
WORKER_BYTES = 4 << 30


def main(arguments: list[str]) -> int:
    """Run what was asked for; the worst exit code of all."""
    if set(arguments) <= {*TIERS, "--lint"}:
        arguments = [f"tests/{argument}" if argument in TIERS else argument for argument in arguments]
        count = worker_count(os.cpu_count() or 1, total_memory())
        workers = ["-n", str(count), "--dist", "loadfile", "--no-loadscope-reorder", "-p", "tests.running_order"]
    else:  # somebody looks at a few tests: in one process, where a debugger works
        workers = []
    # Started in the background, a shell makes its children ignore Ctrl+C, and theirs; some tests send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    env = environment_for_tests(os.environ)
    failed_checks = [] if arguments and arguments != ["--lint"] else run_checks(env)
    if arguments == ["--lint"]:
        return 1 if failed_checks else 0
    # pytest has the last word on standard output, so it is told what else to report.
    env["FAILED_CHECKS"] = ", ".join(failed_checks)
    if workers and shutil.which("Xvfb"):
        # A screen has one keyboard and one pointer: each worker makes its own (tests/conftest.py).
        env.pop("DISPLAY", None)
    with contextlib.nullcontext() if workers else virtual_screen(env):
        code = run_python(["-m", "pytest", "-p", "tests.check_report", *workers, *arguments], env)
    return max(code, 1 if failed_checks else 0)


def worker_count(cores: int, memory: int) -> int:
    """One more than there are cores, for many tests wait (for a process, a window, Discord), where memory allows."""
    return max(1, min(cores + 1, MOST_WORKERS, memory // WORKER_BYTES))


def total_memory() -> int:
    """Bytes of memory in this computer."""
    import psutil

    return int(psutil.virtual_memory().total)


def run_checks(env: dict[str, str]) -> list[str]:
    """The names of the checks that found something."""
    failed = []
    for name, command in CHECKS.items():
        print(f"{name}:", flush=True)
        if run_python(command, env) != 0:
            failed.append(name)
    return failed


def run_python(arguments: list[str], env: dict[str, str]) -> int:
    """Run this Python in the project's folder; its exit code."""
    code = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env).returncode
    return code if code >= 0 else 128 - code


def environment_for_tests(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of every check and test: offline, UTF-8, and polite on few cores."""
    env = dict(base)
    # Spinning threads slow each other down several times on a busy machine.
    defaults = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
    defaults.update(TOKENIZERS_PARALLELISM="false", PYTHONFAULTHANDLER="1")
    env.update({name: value for name, value in defaults.items() if name not in env})
    env.update(PYTHONUTF8="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    env.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    return env


if __name__ == "__main__":
    bootstrap.ensure(groups=GROUPS)
    raise SystemExit(main(sys.argv[1:]))
