"""First-run set-up: a private Python environment with the pinned packages, made once.

    python scripts/bootstrap.py [GROUP ...]          installs only (default: runtime offline)
    python scripts/bootstrap.py --here [GROUP ...]   into the running Python instead (Colab, a container)

Entry points call `ensure()` before they import anything from outside the standard library.
Importing this module does nothing; it and scripts/installation are readable by Python 3.7.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from scripts.installation import failures
from scripts.installation.groups import GROUPS, read_group
from scripts.installation.pins import missing_pins
from storage.system.certificates import ensure_certificates
from storage.system.message_box import show_failure
from storage.system.streams import ensure_streams, is_nowhere

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

DEFAULT_GROUPS = ("runtime", "offline")
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

# Set for the restarted process only, so that a set-up that never fits cannot restart for ever.
_RESTARTED = "BOOTSTRAP_RESTARTED"
_ANSWERED_AT_ONCE = {"-h", "--help", "--version"}
# Words that want no window, and the one that says that nobody sees a terminal.
_FOR_A_TERMINAL = {"--headless", "--chat", "--doctor", "--at-boot"}
WINDOWED = "--windowed"


def ensure(
    parser: Callable[[], argparse.ArgumentParser] | None = None,
    *,
    groups: tuple[str, ...] = DEFAULT_GROUPS,
    welcome: tuple[str, ...] = (),
    root: Path | None = None,
    argv: list[str] | None = None,
    has_window: bool = False,
) -> None:
    """Return in an interpreter that has the pinned packages, restarting this command line if need be.

    parser: makes the entry point's parser, from the standard library and light modules of ours: --help and --version
    are answered at once, with nothing installed. argv: the command line after the interpreter's name; by default the
    present one. welcome: groups that are installed into the private environment where that works; the program goes on
    without them where it does not. has_window: the entry point opens one, so that its set-up may, too, where nobody
    sees a terminal.
    """
    ensure_streams()
    folder = root or Path(__file__).resolve().parent.parent
    if parser is not None and _ANSWERED_AT_ONCE & set(sys.argv[1:]):
        _guarded_version()
        parser().parse_args()  # answers and ends, unless the word was the value of another option
    python = _guarded(groups, folder, in_window=has_window and is_windowed())
    if python is not None:
        restart(python, argv)
    ensure_certificates()
    for name in welcome:
        _add_if_possible(name, folder)


def is_windowed() -> bool:
    """True when this command line opens a window and nobody sees what is written to the terminal."""
    words = set(sys.argv[1:])
    return not words & _FOR_A_TERMINAL and (WINDOWED in words or is_nowhere(sys.stderr))


def in_window(
    work: Callable[[Callable[[str], None]], Result], *, activity: str, log: Path, words: dict[str, str]
) -> Result | None:
    """Do other work in the set-up's window, under words of its own (`WindowWords`): its result, None where it was
    stopped or given up. `work` gets what it calls with each step; a KnownError is shown with a way to try again."""
    from scripts.installation.window import do_in_window

    return do_in_window(work, activity=activity, log=log, words=words)


def fast_training() -> tuple[str, ...]:
    """The groups that are welcome for training on this computer: Unsloth where an NVIDIA card is."""
    from scripts.installation.machine import find_nvidia_smi

    return ("cuda",) if find_nvidia_smi() is not None else ()


def _add_if_possible(name: str, root: Path) -> None:
    """Install a group beside what is there. One that cannot be installed is tried again when its pins change."""
    pins = read_group(root, name, python_version=sys.version_info[:3])
    venv = root / ".venv"
    is_private = Path(sys.prefix).resolve() == venv.resolve()
    if not is_private or not missing_pins(pins, sys.path):
        return  # another Python (Colab's, a container's) is completed by whoever made it
    refused, wanted = venv / f"without-{name}.txt", "\n".join(pin.requirement for pin in pins)
    if refused.is_file() and refused.read_text(encoding="utf-8") == wanted:
        return
    from scripts.installation.environment import PrivateEnvironment

    try:
        PrivateEnvironment(root).complete((name,))
    except failures.SetupError as error:
        refused.write_text(wanted, encoding="utf-8")
        print(f"Going on without {GROUPS[name].label}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        _end("Set-up interrupted; the next start continues where it stopped.", EXIT_INTERRUPTED)


def tkinter_cure() -> str:
    """How this system's Python gets its windows, for the one who finds that it has none."""
    return failures.how_to_get_tkinter()


def _guarded_version() -> None:
    try:
        _require_python()
    except failures.SetupError as error:
        _end(str(error), EXIT_FAILED)


def _require_python() -> None:
    if sys.version_info < failures.OLDEST_PYTHON:
        raise failures.python_too_old(tuple(sys.version_info[:3]), sys.executable, _find_newer_python())


def _guarded(groups: tuple[str, ...], root: Path, *, in_window: bool) -> Path | None:
    try:
        return _find_or_make_python(groups, root, in_window=in_window)
    except failures.ShownError:
        raise SystemExit(EXIT_FAILED) from None
    except failures.SetupError as error:
        if in_window:
            show_failure("The program cannot be started", str(error))
        _end(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        _end("Set-up interrupted; the next start resumes where it stopped.", EXIT_INTERRUPTED)
    return None


def _end(sentence: str, code: int) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(code)


def _find_or_make_python(groups: tuple[str, ...], root: Path, *, in_window: bool) -> Path | None:
    """The Python to restart with; None if the running one will do."""
    _require_python()
    was_restarted = os.environ.pop(_RESTARTED, None) is not None
    pins = [pin for name in groups for pin in read_group(root, name, python_version=sys.version_info[:3])]
    missing = missing_pins(pins, sys.path)
    if not missing:
        return None
    if was_restarted:
        raise failures.still_missing(missing[0].requirement, root / ".venv" / "install.log")
    return _environment_python(groups, root, in_window=in_window)


def _find_newer_python() -> str | None:
    import shutil

    newest, oldest = failures.NEWEST_PYTHON[1], failures.OLDEST_PYTHON[1]
    names = [f"python3.{minor}" for minor in range(newest, oldest - 1, -1)]
    return next((name for name in names if shutil.which(name) and _starts(name)), None)


def _starts(python: str) -> bool:
    # Version managers put names on the path that only print how to install that version.
    import subprocess

    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def _environment_python(groups: tuple[str, ...], root: Path, *, in_window: bool) -> Path:
    """The private environment's Python, with everything installed."""
    from scripts.installation.environment import PrivateEnvironment

    environment = PrivateEnvironment(root)
    if environment.missing(groups):
        is_shown = False
        if in_window:
            from scripts.installation.window import complete_in_window

            is_shown = complete_in_window(groups, root)
        if not is_shown:
            environment.complete(groups)
    return environment.python


def restart(python: Path, argv: list[str] | None = None) -> None:
    """Run this command line again under another Python; does not return."""
    command = [str(python), *(sys.orig_argv[1:] if argv is None else argv)]
    env = {**os.environ, "PYTHONUTF8": "1", _RESTARTED: "1"}
    # Both would make the new Python believe that it is the old one.
    for name in ("PYTHONHOME", "__PYVENV_LAUNCHER__"):
        env.pop(name, None)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if sys.platform == "win32":
        raise SystemExit(_run_as_child(command, env))
    os.execve(command[0], command, env)


def _run_as_child(command: list[str], env: dict[str, str]) -> int:
    """Stand in for the restarted program where exec would return to the shell at once."""
    import subprocess

    child = subprocess.Popen(command, env=env)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # The child had the same Ctrl+C and decides what it means.
            continue


def install_here(groups: tuple[str, ...], root: Path) -> None:
    """Put the groups into the running Python, which is then the one environment; Unsloth too where a card is."""
    import subprocess

    for name in (*groups, *(fast_training() if "train" in groups else ())):
        group = GROUPS[name]
        if not missing_pins(read_group(root, name, python_version=sys.version_info[:3]), sys.path):
            continue
        print(f"Installing {group.label}", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", *group.options, "-r", str(root / group.file)]
        if subprocess.run([*pip, "--prefer-binary"]).returncode:
            if name not in groups:
                print(f"Going on without {group.label}.")
                continue
            _end(f"pip could not install {group.label}; its words stand above.", EXIT_FAILED)


def main(arguments: list[str]) -> None:
    """Install only; the program itself is not started."""
    is_here = "--here" in arguments
    arguments = [argument for argument in arguments if argument != "--here"]
    if "--version" in arguments:
        from storage.version import program_version

        _end(f"bootstrap.py {program_version()}", 0)
    unknown = [name for name in arguments if name not in GROUPS]
    if unknown:
        groups = "\n".join(f"    {name:8} {group.label}" for name, group in GROUPS.items())
        is_help = unknown[0] in ("-h", "--help")
        _end(
            f"{__doc__}\nGroups:\n{groups}" if is_help else f"There is no group {unknown[0]!r}. Groups:\n{groups}",
            0 if is_help else EXIT_FAILED,
        )
    wanted = tuple(arguments) or DEFAULT_GROUPS
    if is_here:
        install_here(wanted, Path(__file__).resolve().parent.parent)
    else:
        ensure(groups=wanted)
    print("Everything is installed.")


if __name__ == "__main__":
    main(sys.argv[1:])
