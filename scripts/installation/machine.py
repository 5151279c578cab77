"""What this computer has that decides where packages come from: graphics card, compiler, network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

PROBE_SECONDS = 5.0


def find_cuda_version() -> tuple[int, int] | None:
    """The newest CUDA that the NVIDIA driver understands; None without a card."""
    command = find_nvidia_smi()
    if command is None:
        return None
    try:
        answer = subprocess.run([command], capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"CUDA\D*Version\s*:\s*(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match and answer.returncode == 0 else None


def has_amx() -> bool:
    """Whether the processor has Intel's matrix tiles (AMX): servers and rented virtual machines, no laptop."""
    try:
        return " amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def find_nvidia_smi() -> str | None:
    """The program of NVIDIA's driver that tells what it can do; None without a driver."""
    system, programs = os.environ.get("SystemRoot", r"C:\Windows"), os.environ.get("ProgramFiles", r"C:\Program Files")
    # Where drivers for Windows put it; some are not on the PATH.
    places = (
        [Path(system, "System32"), Path(programs, "NVIDIA Corporation", "NVSMI")] if sys.platform == "win32" else []
    )
    known = [str(place / "nvidia-smi.exe") for place in places if (place / "nvidia-smi.exe").is_file()]
    return shutil.which("nvidia-smi") or (known[0] if known else None)


def has_compiler() -> bool:
    """Whether a C++ compiler can be started from here."""
    if sys.platform == "win32":
        return _has_visual_studio()
    if sys.platform == "darwin":
        # /usr/bin/c++ is always there and only opens a dialogue without the command line tools.
        return shutil.which("xcode-select") is not None and _succeeds(["xcode-select", "-p"])
    names = [os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++"]
    return any(name and shutil.which(name) for name in names)


def has_cuda_compiler() -> bool:
    """Whether NVIDIA's compiler and a card for what it makes are here."""
    return shutil.which("nvcc") is not None and find_cuda_version() is not None


def _has_visual_studio() -> bool:
    if shutil.which("cl"):
        return True
    programs = os.environ.get("ProgramFiles(x86)", r"C:\Program Files (x86)")
    finder = Path(programs, "Microsoft Visual Studio", "Installer", "vswhere.exe")
    part = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    command = [str(finder), "-products", "*", "-requires", part, "-property", "installationPath"]
    return finder.is_file() and bool(_output(command).strip())


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, errors="replace").stdout


def is_reachable(url: str, *, timeout_seconds: float = PROBE_SECONDS) -> bool:
    """Whether a package index answers, within a few seconds even where name resolution hangs."""
    if os.environ.get("PIP_NO_INDEX"):
        return False
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_answers(url, timeout_seconds)), daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    return answers == [True]


def _answers(url: str, timeout_seconds: float) -> bool:
    import ssl
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds):
            return True
    except urllib.error.URLError as error:
        # Somebody answered. python.org's Python has no certificates on macOS at first; pip brings its own and judges.
        return isinstance(error.reason, ssl.SSLCertVerificationError)
    except (OSError, ValueError):
        return False


def free_gigabytes(folder: Path) -> float:
    """Room on the disk that holds the folder."""
    return shutil.disk_usage(folder).free / 1e9
