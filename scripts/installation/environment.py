"""The private environment in .venv: made once, completed step by step, never by two at once."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.installation import failures, machine
from scripts.installation.failures import Context, PackageSourceError
from scripts.installation.groups import read_group
from scripts.installation.lock import InstallLock
from scripts.installation.pins import Pin, missing_pins, remove_half_installed
from scripts.installation.pip_runs import PipRuns
from scripts.installation.progress import InstallProgress
from scripts.installation.steps import TORCH, Attempt, PipStep, plan, remark
from storage.system.files import remove_tree
from storage.system.long_paths import has_long_paths

VENV_GIGABYTES = 0.1
_CODE = Path(__file__).resolve().parent.parent.parent
# As the program itself will load it: on Windows its libraries may lie in another package.
_BEFORE_TRIAL = (
    f"import sys; sys.path.append({str(_CODE)!r}); from storage.system.libraries import add_cuda_libraries; "
    "add_cuda_libraries()\n"
)
_DESCRIBE = (
    "import importlib.util, json, sys; "
    "print(json.dumps([sys.version_info[:3], sys.path, importlib.util.find_spec('pip') is not None]))"
)


class Description(NamedTuple):
    """What an environment's Python says of itself."""

    version: tuple[int, ...]
    import_paths: list[str]


class PrivateEnvironment:
    """One .venv folder."""

    def __init__(self, root: Path, *, progress: InstallProgress | None = None) -> None:
        self._root = root
        self._venv = root / ".venv"
        self._log = self._venv / "install.log"
        self._progress = progress or InstallProgress(sys.stderr)

    @property
    def python(self) -> Path:
        """The environment's interpreter, windowless if the running one is."""
        if sys.platform != "win32":
            return self._venv / "bin" / "python"
        is_windowless = Path(sys.executable).stem.lower() == "pythonw"
        return self._venv / "Scripts" / ("pythonw.exe" if is_windowless else "python.exe")

    def missing(self, groups: Sequence[str]) -> list[Pin]:
        """What these groups still lack here, all of it if there is no working environment."""
        description = self._describe()
        version = description.version if description else sys.version_info[:3]
        paths = description.import_paths if description else []
        pins = [pin for name in groups for pin in read_group(self._root, name, python_version=version)]
        return missing_pins(pins, paths)

    def complete(self, groups: Sequence[str]) -> None:
        """Install what is missing; raises SetupError with the reason if that is not possible."""
        self._check_writable()
        self._progress.say(
            f"Setting up the program's own Python environment in {self._venv} (only this start takes long)."
        )
        with InstallLock(self._root / ".venv.lock", waiting=self._tell_waiting) as lock:
            self._make_if_needed(lock)
            runs = PipRuns(self._console_python, log=self._log, lock=lock, progress=self._progress)
            try:
                self._install(self._pending_steps(groups), runs)
            finally:
                # Downloads that a failure left behind take gigabytes.
                remove_tree(self._venv / "tmp")
        missing = self.missing(groups)
        if missing:
            raise failures.still_missing(missing[0].requirement, self._log)

    def _tell_waiting(self, *, is_first: bool) -> None:
        if is_first:
            self._progress.start("Another start is installing; waiting for it")
        self._progress.tick()

    @property
    def _console_python(self) -> Path:
        return self.python.with_name("python.exe") if sys.platform == "win32" else self.python

    def _describe(self) -> Description | None:
        command = [str(self._console_python), "-I", "-c", _DESCRIBE]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        version, paths, has_pip = json.loads(answer.stdout)
        is_usable = has_pip and tuple(version) >= failures.OLDEST_PYTHON
        return Description(tuple(version), paths) if is_usable else None

    def _check_writable(self) -> None:
        try:
            self._venv.mkdir(exist_ok=True)
            (self._root / ".venv.lock").touch()
        except PermissionError as error:
            raise failures.folder_not_writable(self._root) from error

    def _make_if_needed(self, lock: InstallLock) -> None:
        if self._describe() is not None:
            return
        if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
            raise failures.no_venv_module()
        # What is there came from an interrupted start, or from a Python that is gone.
        remove_tree(self._venv)
        self._venv.mkdir(exist_ok=True)
        base = Path(getattr(sys, "_base_executable", sys.executable))
        runs = PipRuns(base, log=self._log, lock=lock, progress=self._progress)
        code, output = runs.run(["-m", "venv", str(self._venv)], "Making the environment")
        if code != 0:
            context = Context("the private environment", self._root, VENV_GIGABYTES, self._log)
            raise failures.explain(output, code, context)

    def _pending_steps(self, groups: Sequence[str]) -> list[PipStep]:
        description = self._describe()
        if description is None:
            raise failures.still_missing("the private environment", self._log)
        steps = plan(groups, self._root, python_version=description.version)
        remove_half_installed(description.import_paths)
        return [step for step in steps if missing_pins(step.pins, description.import_paths)]

    def _install(self, steps: list[PipStep], runs: PipRuns) -> None:
        if not steps:
            return
        needed = sum(step.gigabytes for step in steps)
        self._check_room(needed)
        self._check_depth(steps)
        said = remark(steps)
        if said:
            self._progress.say(said)
        # Worked out before the first download: a missing compiler is told now, not after PyTorch.
        attempts = [step.attempts(runs.has_wheel) for step in steps]
        for number, step in enumerate(steps, start=1):
            context = Context(step.label, self._root, needed, self._log)
            self._progress.step(number, len(steps))
            self._try_each(step, attempts[number - 1], f"[{number}/{len(steps)}] ", context, runs)

    def _check_room(self, needed_gigabytes: float) -> None:
        free = machine.free_gigabytes(self._root)
        if free < needed_gigabytes:
            raise failures.disk_too_small(self._root, needed_gigabytes=needed_gigabytes, free_gigabytes=free)

    def _check_depth(self, steps: Sequence[PipStep]) -> None:
        is_deep = len(str(self._root)) > failures.LONGEST_ROOT
        if is_deep and any(step.pins[0].name == TORCH for step in steps) and not has_long_paths():
            raise failures.path_too_long(self._root)

    def _try_each(
        self, step: PipStep, attempts: Sequence[Attempt], prefix: str, context: Context, runs: PipRuns
    ) -> None:
        for number, attempt in enumerate(attempts, start=1):
            try:
                _carry_out(step, attempt, prefix, context, runs)
                return
            except PackageSourceError as error:
                if number == len(attempts):
                    raise
                self._progress.say(f"{error} Trying another source.")


def _carry_out(step: PipStep, attempt: Attempt, prefix: str, context: Context, runs: PipRuns) -> None:
    code, output = runs.install(attempt.arguments, prefix + attempt.activity, dict(attempt.environment))
    if code != 0:
        raise failures.explain(output, code, context)
    if attempt.trial is None:
        return
    code, _ = runs.run(["-c", _BEFORE_TRIAL + attempt.trial], f"{prefix}Trying {step.label}")
    if code != 0:
        runs.run(["-m", "pip", "uninstall", "-y", step.pins[0].name], f"{prefix}Removing it again")
        raise failures.failed_gpu_trial(context) if attempt.is_for_gpu else failures.failed_trial(context, code)
