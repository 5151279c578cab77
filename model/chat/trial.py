"""A model file tried in a process of its own before it may replace a good one.

llama.cpp ends the process on some files, and a chat template is a program: it can loop, or ask for all memory. So a new
file is loaded, its template read and a few tokens computed in a child with bounds of time and memory; whatever becomes
of it, the bot and the model in use are untouched. A file that ended the child is remembered by its checksum and not
tried again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.chat.trial_child import READING_TEMPLATE
from model.files.model_kind import check_adapter, check_chat_model
from model.files.parts import model_sha256
from storage.errors import KnownError, ModelFileError
from storage.paths import PROJECT_ROOT
from storage.split_files import model_bytes, model_files

if TYPE_CHECKING:
    from storage.control import KeyValueStore

_FACT = "model_files_tried"
_REMEMBERED = 60
_MODULE = "model.chat.trial_child"
_MIB = 1 << 20
_ANOTHER = "Choose another file in Settings > Model."


@dataclass(frozen=True)
class TrialLimits:
    """Bounds of a trial. load_seconds grows with the file, at the pace of a slow disk; memory is counted beside it."""

    template_seconds: float = 20.0
    load_seconds: float = 90.0
    bytes_per_second: float = 40e6
    memory_bytes: int = 2 << 30

    def seconds(self, size_bytes: int) -> float:
        """How long all of a trial may take."""
        return self.load_seconds + self.template_seconds + size_bytes / self.bytes_per_second


class TrialError(ModelFileError):
    """The file ended the process that tried it, or held it up for too long."""


def require_usable(
    path: Path,
    adapter: Path | None = None,
    facts: KeyValueStore | None = None,
    *,
    chat_template: str = "auto",
    limits: TrialLimits | None = None,
    is_again: bool = False,
) -> None:
    """The one check of everybody who is about to speak with a model: its header, then a trial, once for each file.

    facts: where it is remembered which files were tried; without it each call tries again. is_again: try even a file
    that is known. Raises ModelFileError with what the file is or does, and a cure.
    """
    header = check_chat_model(path)
    if adapter is not None:
        check_adapter(adapter, base=header)
    if _is_packaged(path) and adapter is None:
        return  # it came with the program
    memory = _Memory(facts)
    marks = [_mark(each) for each in (path, adapter) if each is not None] + [chat_template]
    if not is_again:
        if memory.is_good(marks):
            return
        memory.require_harmless(path)
    try:
        run_trial(path, adapter, chat_template=chat_template, limits=limits)
    except TrialError as error:
        memory.add_bad(path, error)
        raise
    memory.add_good(marks, path)


def note_usable(path: Path, facts: KeyValueStore | None, *, chat_template: str = "auto") -> None:
    """A copy of a file that was tried need not be tried again."""
    _Memory(facts).add_good([_mark(path), chat_template], path)


def run_trial(
    path: Path,
    adapter: Path | None = None,
    *,
    chat_template: str = "auto",
    limits: TrialLimits | None = None,
    repack: bool = False,
) -> None:
    """Load a file in a child process, read its template and let it say a few words. Raises ModelFileError as the child
    found it, or TrialError when the child came to grief."""
    limits = limits or TrialLimits()
    size = model_bytes(path)
    # A mapped file is not the process's own memory; a small one is read, and repacking makes a copy.
    most = limits.memory_bytes + int(1.3 * size)
    task = {
        "path": str(path),
        "adapter": str(adapter) if adapter else "",
        "chat_template": chat_template,
        "repack": repack,
        "memory_bytes": most,
    }
    with _start() as child:
        watch = _Watch(child, limits, limits.seconds(size), most)
        answer, complaint = watch.talk(json.dumps(task))
    if answer is not None and answer.get("is_usable"):
        return
    if answer is not None and "what" in answer:
        raise ModelFileError(str(answer["what"]), str(answer.get("cure", "")))
    reason = watch.problem or _ending(child.returncode, complaint)
    raise TrialError(
        f"{path.name} cannot be used: trying it in a process of its own, {reason}.",
        f"The model in use stays. {_ANOTHER} If this computer was only very busy: "
        "python scripts/check_model.py FILE --again.",
    )


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "utf8", "-m", _MODULE],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


class _Watch:
    """Waits for a child, and ends it when it takes too long or too much."""

    _LOOK_SECONDS = 0.1

    def __init__(self, child: subprocess.Popen[str], limits: TrialLimits, seconds: float, memory_bytes: int) -> None:
        self._child, self._limits = child, limits
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._lines: list[str] = []
        self._errors: list[str] = []
        self.problem = ""

    def talk(self, task: str) -> tuple[dict[str, Any] | None, str]:
        """Hand over the task; the child's answer, if it gave one, and what it wrote last before it ended."""
        readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self._child.stdout, self._lines), (self._child.stderr, self._errors))
        ]
        for reader in readers:
            reader.start()
        try:
            assert self._child.stdin is not None
            self._child.stdin.write(task)
            self._child.stdin.close()
        except OSError:
            pass  # it ended at once: what it wrote says why
        self._wait()
        for reader in readers:
            reader.join(5)
        return self._answer(), "".join(self._errors[-40:])

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line[:2000])
            del lines[:-200]

    def _wait(self) -> None:
        started = template_at = time.monotonic()
        while self._child.poll() is None:
            now = time.monotonic()
            if not self._is_reading_template():
                template_at = now
            if now - template_at > self._limits.template_seconds:
                self._end("its chat template did not come to an end")
            elif now - started > self._seconds:
                self._end(f"it was not done after {self._seconds:.0f} s")
            elif _own_memory(self._child.pid) > self._memory_bytes:
                self._end(f"it took more than {self._memory_bytes / 2**30:.1f} GB of memory")
            time.sleep(self._LOOK_SECONDS)

    def _is_reading_template(self) -> bool:
        return bool(self._lines) and self._lines[-1].strip() == READING_TEMPLATE

    def _end(self, problem: str) -> None:
        self.problem = problem
        self._child.kill()
        self._child.wait()

    def _answer(self) -> dict[str, Any] | None:
        for line in reversed(self._lines):
            if line.startswith("{"):
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                return found if isinstance(found, dict) else None
        return None


def _own_memory(pid: int) -> int:
    """Bytes a process holds for itself; a mapped file is not counted where the system tells it apart."""
    import psutil

    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    own = getattr(memory, "private", memory.rss - getattr(memory, "shared", 0))
    # Windows counts what a library only set aside (a matrix library: much, for each core); it is not in anybody's way.
    return int(min(own, memory.rss))


def _ending(code: int | None, complaint: str) -> str:
    """How a child ended, with llama.cpp's own words where it left some."""
    import signal

    lines = [line.strip() for line in complaint.splitlines()]
    # Python's fault handler, where it is on, writes below llama.cpp's own words.
    words = [line for line in lines if "ASSERT" in line] or [line for line in lines if "error:" in line.lower()]
    why = f" ({words[-1][:200]})" if words else ""
    if code is not None and code < 0:
        try:
            return f"it ended that process by {signal.Signals(-code).name}{why}"
        except ValueError:
            pass
    return f"it ended that process with code {code}{why}"


# ---- what is remembered -------------------------------------------------------------------------------


class _Memory:
    """Which files were tried and what came of it, in `facts`."""

    def __init__(self, facts: KeyValueStore | None) -> None:
        self._facts = facts

    def _read(self) -> dict[str, list[Any]]:
        stored = self._facts.get(_FACT) if self._facts is not None else None
        record = stored if isinstance(stored, dict) and stored.get("library") == _library_version() else {}
        return {key: value if isinstance(value := record.get(key), list) else [] for key in ("good", "bad")}

    def _write(self, record: dict[str, list[Any]]) -> None:
        if self._facts is not None:
            self._facts.set(_FACT, record | {"library": _library_version()})

    def is_good(self, marks: list[Any]) -> bool:
        """True when these very files were tried and can be used."""
        return marks in self._read()["good"]

    def require_harmless(self, path: Path) -> None:
        """TrialError for a file with the content of one that ended a trial, whatever it is called now."""
        size = model_bytes(path)
        for bad in self._read()["bad"]:
            if bad.get("size") == size and bad.get("sha256") == model_sha256(path):
                raise TrialError(str(bad.get("what", "")), str(bad.get("cure", "")))

    def add_good(self, marks: list[Any], path: Path) -> None:
        record = self._read()
        record["good"] = [*(each for each in record["good"] if each != marks), marks][-_REMEMBERED:]
        if any(bad.get("size") == model_bytes(path) for bad in record["bad"]):
            sha256 = model_sha256(path)
            record["bad"] = [bad for bad in record["bad"] if bad.get("sha256") != sha256]
        self._write(record)

    def add_bad(self, path: Path, error: KnownError) -> None:
        record = self._read()
        known = {"sha256": model_sha256(path), "size": model_bytes(path), "what": error.what, "cure": error.cure}
        record["bad"] = [*(bad for bad in record["bad"] if bad.get("sha256") != known["sha256"]), known][-_REMEMBERED:]
        self._write(record)


def _mark(path: Path) -> list[Any]:
    """What tells a file from a changed one without reading it."""
    stats = [part.stat() for part in model_files(path)]
    return [str(path.resolve()), sum(each.st_size for each in stats), max(each.st_mtime_ns for each in stats)]


def _library_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("llama-cpp-python")
    except PackageNotFoundError:
        return ""


def _is_packaged(path: Path) -> bool:
    from model.catalog import offline_chat_model

    try:
        return path.resolve() == offline_chat_model().resolve()
    except ModelFileError:
        return False
