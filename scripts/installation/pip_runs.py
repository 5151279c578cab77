"""Running pip in the private environment: its words go to a log, its pulse to the progress line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from scripts.installation.lock import InstallLock
from scripts.installation.progress import InstallProgress

POLL_SECONDS = 0.25
STOP_SECONDS = 10.0
_MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PYTHONHOME")
_PULSE = re.compile(r"\[\d+/\d+\]|(?:Collecting|Downloading|Building wheel for) [^\s;(]+|Installing collected packages")


class PipRuns:
    """Runs commands of one environment, one after the other."""

    def __init__(self, python: Path, *, log: Path, lock: InstallLock, progress: InstallProgress) -> None:
        self._python = python
        self._log = log
        self._lock = lock
        self._progress = progress

    def install(
        self, arguments: Sequence[str], activity: str, environment: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run `pip install`, its compilers with what `environment` adds; its exit code and what it said."""
        return self.run(["-m", "pip", "install", "--progress-bar", "off", *arguments], activity, environment)

    def has_wheel(self, requirement: str) -> bool:
        """Whether pip can have a requirement without building it: from an index, a folder or its cache."""
        name, _, version = requirement.partition("==")
        cached = self._ask("cache", "list", name.replace("-", "_"))
        ready = ("install", "--dry-run", "--no-deps", "--only-binary", ":all:", requirement)
        return f"-{version}-" in cached.stdout or self._ask(*ready).returncode == 0

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._python), "-m", "pip", *arguments]
        env = environment_for_pip(self._log.parent)
        return subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")

    def run(
        self, arguments: Sequence[str], activity: str, environment: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run the environment's Python; its exit code and what it said."""
        command = [str(self._python), *arguments]
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(command)}\n")
        begin = self._log.stat().st_size
        self._progress.start(activity)
        code = self._watch(command, begin, environment or {})
        output = self._log.read_bytes()[begin:].decode("utf-8", errors="replace")
        if code == 0:
            self._progress.done()
        else:
            self._progress.interrupt()
        return code, output

    def _watch(self, command: list[str], begin: int, environment: Mapping[str, str]) -> int:
        # pip writes to the file itself: were we killed, a pipe would break and leave a package half unpacked.
        with self._log.open("ab") as log, stop_signals_as_interrupt():
            env = {**environment_for_pip(self._log.parent), **environment}
            child = _start(command, log.fileno(), self._lock, env)
            try:
                while _is_running(child):
                    self._progress.tick(_pulse(self._log, begin))
            except KeyboardInterrupt:
                self._progress.interrupt()
                _stop(child)
                raise
        return child.returncode


def environment_for_pip(venv: Path) -> dict[str, str]:
    """The user's environment without what would lead pip elsewhere."""
    env = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    env.setdefault("PIP_DEFAULT_TIMEOUT", "30")
    env.setdefault("PIP_RETRIES", "3")
    env.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_ROOT_USER_ACTION="ignore")
    env.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0")
    env.update(PYTHONUTF8="1", PYTHONUNBUFFERED="1", PYTHONNOUSERSITE="1")
    if sys.platform != "win32":
        # Many Linux systems keep /tmp in memory, too small for PyTorch. (On Windows the path would grow
        # too long.)
        temporary = venv / "tmp"
        temporary.mkdir(exist_ok=True)
        env["TMPDIR"] = str(temporary)
    return env


def _start(command: list[str], output: int, lock: InstallLock, env: dict[str, str]) -> subprocess.Popen[bytes]:
    none = subprocess.DEVNULL
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return subprocess.Popen(command, env=env, stdin=none, stdout=output, stderr=output, creationflags=flags)
    # A group of its own lets one signal reach the compilers that pip started; holding the lock makes
    # the next start wait for a pip that outlived us.
    inherited = (lock.fileno(),)
    return subprocess.Popen(
        command, env=env, stdin=none, stdout=output, stderr=output, process_group=0, pass_fds=inherited
    )


def _is_running(child: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=POLL_SECONDS)
    return child.returncode is None


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask pip and what it started to stop; insist after a while."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(child.pid)], capture_output=True)
        child.wait()
        return
    for wanted in (signal.SIGINT, signal.SIGTERM):
        _signal_group(child, wanted)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=STOP_SECONDS)
            break
    # Compilers that outlived pip, and a pip that would not listen.
    _signal_group(child, signal.SIGKILL)
    child.wait()


def _signal_group(child: subprocess.Popen[bytes], wanted: signal.Signals) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, wanted)


@contextlib.contextmanager
def stop_signals_as_interrupt() -> Iterator[None]:
    """A closed terminal or a `kill` ends the installation as Ctrl+C does, with pip stopped first.

    Signals are the main thread's; where the installation runs on another one (in the set-up's window), its progress
    ends it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    earlier = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in earlier.items():
            signal.signal(getattr(signal, name), handler)


def _pulse(log: Path, begin: int) -> str:
    """The latest thing pip said it was doing."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(begin, size - 4096))
        tail = file.read().decode("utf-8", errors="replace")
    latest = list(_PULSE.finditer(tail))[-1:]
    return latest[0][0] if latest else ""
