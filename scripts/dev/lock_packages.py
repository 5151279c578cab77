"""The lock: every package the program runs and trains on, with the hashes of the files that may be installed.

    python scripts/dev/lock_packages.py             check the lock, then look for published security holes
    python scripts/dev/lock_packages.py --write     rebuild it after a change of the requirements

The lock (scripts/installation/packages.lock) is for Windows, macOS and Linux, with the files of the default package
index. `pip install --require-hashes -r scripts/installation/packages.lock` installs exactly those and nothing else.
On Linux that is PyTorch with CUDA: the installer's own, smaller CPU build comes from PyTorch's index under the same
version. The installer pins what the requirements name; what those bring along may be newer than here, and is told.
What cannot be reached from here is said and is no failure.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from scripts.installation.pins import Pin, normalised, read_pins
from storage.jobs.arguments import plain_parser

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "scripts" / "installation" / "packages.lock"
REQUIREMENTS = "requirements-train.txt"  # includes requirements.txt
OLDEST_PYTHON = (3, 11)
UV, AUDIT = "uv==0.13.9", "pip-audit==2.10.1"
TOOL_SECONDS = 120.0
_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class NotReachedError(Exception):
    """A tool or an index could not be had from here; says which."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of the lock."""

    version: str
    hashes: frozenset[str]


def read_lock(text: str) -> dict[str, Locked]:
    """Packages by name."""
    found: dict[str, Locked] = {}
    for entry in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        if match := _ENTRY.match(entry):
            found[normalised(match[1])] = Locked(match[2], frozenset(_HASH.findall(entry)))
    return found


def own_problems(lock: dict[str, Locked], pins: Sequence[Pin]) -> list[str]:
    """Where the lock does not fit the requirements, or holds something that any file would satisfy."""
    locked = {name: entry.version for name, entry in lock.items()}
    missing = [
        f"{pin.name} {pin.version} is required, the lock says {locked.get(pin.name, 'nothing')}"
        for pin in pins
        if locked.get(pin.name) != pin.version
    ]
    return missing + [f"{name} has no hash" for name, entry in lock.items() if not entry.hashes]


def installed_otherwise(lock: dict[str, Locked]) -> list[str]:
    """Packages of this environment in another version than the lock's (a build tag such as +cpu aside)."""
    found = []
    for name, entry in lock.items():
        try:
            version = metadata.version(name).split("+")[0]
        except metadata.PackageNotFoundError:
            continue  # for another system, or not installed here
        if version != entry.version:
            found.append(f"{name} {version} (the lock: {entry.version})")
    return found


def index_problems(lock: dict[str, Locked], folder: Path) -> list[str]:
    """Files of the lock that the package index does not offer any more, or offers with other contents."""
    fresh = folder / LOCK.name
    fresh.write_bytes(LOCK.read_bytes())  # what is there is preferred: newer versions are no difference
    now = read_lock(compile_lock(fresh, folder))
    problems = []
    for name, entry in lock.items():
        offered = now.get(name)
        if offered is None or offered.version != entry.version:
            problems.append(f"{name} {entry.version} is not what the index gives now")
        elif gone := entry.hashes - offered.hashes:
            problems.append(f"{name} {entry.version}: {len(gone)} of {len(entry.hashes)} files are gone or changed")
    return problems


def audit_problems(lock: dict[str, Locked], folder: Path) -> list[str]:
    """Published security holes of the locked versions. NotReachedError when the database knows nothing of them."""
    answer = _tool(
        AUDIT,
        folder,
        "pip_audit",
        "-r",
        str(LOCK),
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    )
    try:
        rows = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise NotReachedError(f"the database of security holes: {_last_line(answer)}") from None
    known = [row for row in rows if "vulns" in row]
    if len(known) < len(lock) // 2:
        raise NotReachedError(f"the database of security holes: it knows {len(known)} of {len(lock)} packages")
    return [
        f"{row['name']} {row['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for row in known
        for hole in row["vulns"]
    ]


def compile_lock(target: Path, folder: Path) -> str:
    """Resolve the requirements for all systems into `target`; its text."""
    version = ".".join(map(str, OLDEST_PYTHON))
    answer = _tool(
        UV,
        folder,
        "uv",
        "pip",
        "compile",
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--python-version",
        version,
        REQUIREMENTS,
        "-o",
        str(target),
    )
    if answer.returncode:
        raise NotReachedError(f"the package index: {_last_line(answer)}")
    return target.read_text(encoding="utf-8")


def _tool(requirement: str, folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool that is fetched for this run only: it brings libraries that the program does not want."""
    place = folder / module
    if not place.exists():
        fetched = _run(
            [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--retries",
                "1",
                "--timeout",
                "10",
                "--target",
                str(place),
                requirement,
            ],
            folder,
            {},
        )
        if fetched.returncode:
            raise NotReachedError(f"{requirement}: {_last_line(fetched)}")
    return _run(["-m", module, *arguments], folder, {"PYTHONPATH": str(place), "UV_HTTP_TIMEOUT": "20"})


def _run(arguments: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    cache = str(folder / "cache")
    environment = os.environ | {"XDG_CACHE_HOME": cache, "UV_CACHE_DIR": cache} | variables
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotReachedError(f"no answer within {TOOL_SECONDS:.0f} s") from None


def _last_line(answer: subprocess.CompletedProcess[str]) -> str:
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return lines[-1][:200] if lines else f"it ended with {answer.returncode}"


def check() -> int:
    """All checks; 1 when one of them found something."""
    lock = read_lock(LOCK.read_text(encoding="utf-8"))
    pins = read_pins(ROOT / REQUIREMENTS, python_version=OLDEST_PYTHON)
    problems = own_problems(lock, pins)
    print(
        f"{len(lock)} packages, {sum(len(entry.hashes) for entry in lock.values()):,} hashes, "
        f"{'as' if not problems else 'not as'} the requirements say"
    )
    if other := installed_otherwise(lock):
        print(f"Installed here in another version: {', '.join(other)}")
    with tempfile.TemporaryDirectory() as folder:
        for what, look in (
            ("the package index offers these files", index_problems),
            ("no published security hole", audit_problems),
        ):
            try:
                found = look(lock, Path(folder))
            except NotReachedError as error:
                print(f"Not checked whether {what}: cannot be reached from here ({error})")
                continue
            problems += found
            if not found:
                print(f"Checked: {what}")
    for problem in problems:
        print(f"  {problem}")
    return int(bool(problems))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write."""
    parser = plain_parser(__doc__)
    parser.add_argument("--write", action="store_true", help="resolve requirements.txt and write the lock")
    if not parser.parse_args(arguments).write:
        return check()
    with tempfile.TemporaryDirectory() as folder:
        try:
            compile_lock(LOCK, Path(folder))
        except NotReachedError as error:
            print(f"The lock was not written: {error}", file=sys.stderr)
            return 1
    print(f"Written: {LOCK.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
