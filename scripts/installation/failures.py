"""Why an installation stopped, in a sentence, and what cures it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 14)


class SetupError(Exception):
    """The set-up cannot go on; the message is one sentence and the cure, ready to be shown."""


class PackageSourceError(SetupError):
    """This source cannot deliver; another one may."""


class ShownError(SetupError):
    """The owner has read it in the set-up's window, and closed that."""


# What is left of Windows' 260 characters by .venv\Lib\site-packages and the longest path in it (PyTorch's).
LONGEST_ROOT = 60


class Context(NamedTuple):
    """What a message may mention."""

    what: str
    root: Path
    needed_gigabytes: float
    log: Path


def python_too_old(version: tuple[int, ...], executable: str, newer: str | None) -> SetupError:
    """Ask for a newer Python, naming one that is already there."""
    wanted = ".".join(str(number) for number in OLDEST_PYTHON)
    found = ".".join(str(number) for number in version[:3])
    cure = f"start it with {newer}, which is installed" if newer else _how_to_get_python(wanted)
    return SetupError(f"Python {wanted} or later is needed, but {executable} is Python {found}: {cure}.")


def _how_to_get_python(wanted: str) -> str:
    if sys.platform.startswith("linux"):
        source = f"(Debian, Ubuntu: sudo apt install python{wanted})"
    else:
        source = f"from python.org (3.{NEWEST_PYTHON[1] - 1} is a good choice)"
    return f"install a newer one {source} and start again with it"


def no_venv_module() -> SetupError:
    """Ask for the part of Python that makes private environments."""
    version = ".".join(str(number) for number in sys.version_info[:2])
    return SetupError(
        "This Python cannot make a private environment, because its venv module is not installed: "
        f"install it (Debian, Ubuntu: sudo apt install python{version}-venv) and start again."
    )


def how_to_get_tkinter() -> str:
    """The cure alone, for this system."""
    if sys.platform.startswith("linux"):
        return "install it (Debian, Ubuntu: sudo apt install python3-tk)"
    if sys.platform == "darwin":
        return "install it (Homebrew: brew install python-tk) or use the Python from python.org"
    return "run the Python installer again and tick 'tcl/tk and IDLE'"


def no_compiler() -> SetupError:
    """Ask for the compiler that llama.cpp is built with."""
    return SetupError(
        "llama.cpp has to be compiled on this computer, but no C++ compiler was found: "
        f"{_how_to_get_compiler()} and start again; what is already installed is kept."
    )


def _how_to_get_compiler() -> str:
    if sys.platform == "win32":
        return (
            "install 'Build Tools for Visual Studio' with its part 'Desktop development with C++' "
            "(winget install Microsoft.VisualStudio.2022.BuildTools)"
        )
    if sys.platform == "darwin":
        return "install Apple's command line tools (xcode-select --install)"
    return (
        "install one (Debian, Ubuntu: sudo apt install build-essential; Fedora: sudo dnf install gcc-c++; "
        "Arch: sudo pacman -S base-devel)"
    )


def disk_too_small(root: Path, *, needed_gigabytes: float, free_gigabytes: float) -> SetupError:
    """Ask for room before anything is downloaded."""
    return SetupError(
        f"There is not enough room on the disk: the installation in {root} needs about "
        f"{needed_gigabytes:.1f} GB, and {free_gigabytes:.1f} GB are free: make room and start again."
    )


def folder_not_writable(root: Path) -> SetupError:
    """Ask for a folder of the user's own."""
    return SetupError(
        f"The folder {root} cannot be written to, and the program installs itself there: "
        "move it into a folder of your own (or correct its permissions) and start again."
    )


def still_missing(what: str, log: Path) -> SetupError:
    """pip reported success, but the pins say otherwise."""
    return SetupError(
        f"pip finished, but {what} still does not fit: delete the folder {log.parent} and start again (details: {log})."
    )


def failed_trial(context: Context, code: int) -> PackageSourceError:
    """Installed, but the computer cannot load it, or cannot compute with it."""
    what = "ends the process that computes with it" if code < 0 or code > 0x7FFFFFFF else "cannot be loaded"
    return PackageSourceError(
        f"{context.what} was installed but {what} on this computer: {_how_to_get_compiler()} "
        f"so that it can be compiled here, and start again (details: {context.log})."
    )


def failed_gpu_trial(context: Context) -> PackageSourceError:
    """The build for the graphics card is there, but the computer cannot load it."""
    return PackageSourceError(
        f"{context.what}'s build for NVIDIA cards cannot be loaded on this computer, so the one for the processor is "
        "used: if that is too slow, update the NVIDIA driver, delete the folder .venv and start again."
    )


def path_too_long(root: Path) -> SetupError:
    """Ask for a shorter place before anything is downloaded."""
    return SetupError(
        f"The folder {root} is too deep ({len(str(root))} characters): by default Windows allows 260 in all, and the "
        f"packages need the rest. Move the program to a folder of at most {LONGEST_ROOT} characters, such as "
        r"C:\bot, or allow long paths (as administrator: reg add "
        r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1 /f) "
        "and start again."
    )


def explain(pip_output: str, return_code: int, context: Context) -> SetupError:
    """Turn a failed pip run into a sentence, by what pip said."""
    for known in _KNOWN:
        match = re.search(known.pattern, pip_output, re.IGNORECASE)
        if match:
            return known.kind(_filled(known.sentence, context, **match.groupdict()))
    if return_code in _KILLED:
        return SetupError(_filled(_NO_MEMORY, context))
    return SetupError(_filled(_UNKNOWN, context, last=_last_line(pip_output)))


def _filled(sentence: str, context: Context, **found: str) -> str:
    python = ".".join(str(number) for number in sys.version_info[:2])
    words = {"compiler": _how_to_get_compiler(), "newest": NEWEST_PYTHON[1], "python": python}
    return sentence.format(**context._asdict(), **words, **found) + f" (Details: {context.log})"


def _last_line(pip_output: str) -> str:
    lines = [line.strip() for line in pip_output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["pip said nothing"])[-1][:200]


class _Known(NamedTuple):
    pattern: str
    kind: type[SetupError]
    sentence: str


_KILLED = (-9, 137)
_NO_MEMORY = (
    "The computer ran out of memory while installing {what}: close other programs and start again; "
    "it continues where it stopped."
)
_UNKNOWN = "Installing {what} failed ({last}): start again, and if it fails again, the log tells the whole story."

# The first match wins: a full disk also looks like a failed build, and no network like a version that
# does not exist.
_KNOWN = [
    _Known(
        r"windows long path support|winerror 206\b|filename or extension is too long|file name too long",
        SetupError,
        "A file of {what} would have too long a path below {root}: move the program to a short folder, such as "
        "C:\\bot, and start again.",
    ),
    _Known(
        r"no space left on device|errno 28\b|disk quota exceeded|not enough space on the disk",
        SetupError,
        "The disk became full while installing {what}: about {needed_gigabytes:.1f} GB are needed in {root}; "
        "make room and start again, it continues where it stopped.",
    ),
    _Known(
        r"no cmake_c(xx)?_compiler could be found|cmake_c(xx)?_compiler not set"
        r"|could not find any instance of visual studio",
        SetupError,
        "{what} has to be compiled on this computer, but no working C++ compiler was found: {compiler} "
        "and start again.",
    ),
    _Known(
        r"killed signal terminated program|out of memory|virtual memory exhausted",
        SetupError,
        _NO_MEMORY,
    ),
    _Known(
        r"certificate_verify_failed|certificate verify failed",
        PackageSourceError,
        "The download of {what} was refused because a certificate could not be verified: check the "
        "computer's date; switch off a virus scanner's look into HTTPS, or give pip your network's certificate "
        "(pip config set global.cert FILE); on macOS with Python from python.org run 'Install Certificates.command' "
        "in its folder; and start again.",
    ),
    _Known(
        r"failed to establish a new connection|name resolution|getaddrinfo failed|nodename nor servname"
        r"|newconnectionerror|max retries exceeded|connection refused|network is unreachable|proxyerror"
        r"|readtimeout|read timed out|connecttimeout|connection reset|incompleteread|connection aborted"
        r"|connection broken|remotedisconnected|50[234] server error",
        PackageSourceError,
        "No network: {what} could not be downloaded, because the package index does not answer; check the "
        "internet connection and start again, it continues where it stopped.",
    ),
    _Known(
        r"do not match the hashes|bad crc-32|badzipfile|wheel .* is invalid",
        PackageSourceError,
        "A download of {what} arrived damaged: start again, it continues where it stopped.",
    ),
    _Known(
        r"no matching distribution found for (?P<missing>\S+)",
        PackageSourceError,
        "There is no {missing} for Python {python} on this kind of computer: use a 64-bit Python 3.11 to "
        "3.{newest} and start again.",
    ),
    _Known(
        r"winerror 32\b|winerror 5\b|being used by another process",
        SetupError,
        "A file of {what} is in use and cannot be replaced: stop the bot and the control panel, and start again.",
    ),
    _Known(
        r"permission denied|errno 13\b|read-only file system",
        SetupError,
        "{what} could not be written into {root}: correct the folder's permissions and start again.",
    ),
]
