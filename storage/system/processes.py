"""Child processes that outlive their parent: how they are started, found and ended on each system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from storage.paths import PROJECT_ROOT, Workspace
from storage.system.files import private_opener

# What a child says outside `logging` (native code, tracebacks at start) lands in a file that is kept this small.
MAX_RAW_OUTPUT_BYTES = 8 * 1024 * 1024

_CLOCK_SECONDS = 5.0


def raw_output_file(workspace: Workspace, name: str) -> Path:
    """Where a child's stdout and stderr go."""
    return workspace.logs / f"{name}.out.log"


def spawn(workspace: Workspace, script: str, arguments: Sequence[str], *, name: str) -> subprocess.Popen[bytes]:
    """Start a Python program of this project, detached: it survives its parent and never blocks on a pipe."""
    workspace.create()
    output_path = raw_output_file(workspace, name)
    cap_file(output_path)
    command = [python_executable(), str(PROJECT_ROOT / script), "--workspace", str(workspace.root), *arguments]
    environment = os.environ | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(PROJECT_ROOT)}
    with open_for_appending(output_path) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PROJECT_ROOT,
            env=environment,
            creationflags=WITHOUT_CONSOLE,
            start_new_session=True,
        )


# Windows: no window of its own, and Ctrl+C in the parent's is not for it. Elsewhere a session of its own does that.
WITHOUT_CONSOLE: int = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


def open_for_appending(path: Path) -> IO[bytes]:
    """A file whose every write lands at its end, also by children that inherit it, so that it can be cut meanwhile.

    On Windows "a" is only a habit of Python's own writes; a handle that may do nothing but append is the real thing.
    """
    if sys.platform != "win32":
        return open(path, "ab", opener=private_opener)
    import _winapi
    import msvcrt

    append_only = 0x4 | 0x80 | 0x100000  # FILE_APPEND_DATA, FILE_READ_ATTRIBUTES, SYNCHRONIZE
    share_all, open_always = 0x7, 4
    try:
        handle = _winapi.CreateFile(str(path), append_only, share_all, 0, open_always, 0, 0)
    except OSError as error:
        error.filename = str(path)
        raise
    return os.fdopen(msvcrt.open_osfhandle(handle, os.O_APPEND | os.O_BINARY), "ab", buffering=0)


def ask_to_end(pid: int) -> None:
    """SIGTERM: a bot takes it for a stop in order. Nothing on Windows, where it would be a kill."""
    if os.name != "nt":
        with suppress(OSError):
            os.kill(pid, signal.SIGTERM)


def python_executable() -> str:
    """This interpreter, without a console window on Windows when the parent has none."""
    return sys.executable


def cap_file(path: Path, *, limit: int = MAX_RAW_OUTPUT_BYTES, keep: int = 256 * 1024) -> None:
    """Cut a raw output file that grew past `limit` down to its last `keep` bytes."""
    try:
        if path.stat().st_size <= limit:
            return
        with open(path, "r+b") as file:
            file.seek(-keep, os.SEEK_END)
            tail = file.read()
            file.seek(0)
            file.truncate()
            file.write(tail)
    except OSError:
        return  # absent, or held by another program: the next call tries again


def tail_of(path: Path, *, lines: int = 5, max_bytes: int = 16_384) -> str:
    """The last lines of a raw output file, for an error message."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - max_bytes))
            return "\n".join(file.read().decode("utf-8", "replace").strip().splitlines()[-lines:])
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """True while a process runs; a zombie of ours counts as gone."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def ran_at(pid: int, at: float) -> bool:
    """True while a process runs that was there already at `at` (seconds since 1970): numbers are given out again."""
    import psutil

    try:
        # The clock may have been set since, which moves what Linux computes from the time since the start.
        return is_alive(pid) and psutil.Process(pid).create_time() <= at + _CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process that can be told from a later one with the same number: after a restart of the computer numbers begin
    anew, and in a small container every start may get the same one."""

    pid: int
    started_at: float

    @classmethod
    def of(cls, pid: int | None = None) -> ProcessMark:
        """The mark of a running process; of this one when `pid` is None."""
        import psutil

        process = psutil.Process(pid)
        return cls(process.pid, process.create_time())

    @property
    def is_alive(self) -> bool:
        """True while that very process runs."""
        import psutil

        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
        # The clock may be set meanwhile, which moves what Linux computes from the time since the start.
        return abs(started - self.started_at) < _CLOCK_SECONDS and is_alive(self.pid)


def terminate(pid: int) -> None:
    """Ask a process to end (SIGTERM). Windows has no way to ask: it is ended at once, with all it started."""
    import psutil

    if sys.platform == "win32":
        kill_tree(pid)
        return
    try:
        psutil.Process(pid).terminate()
    except psutil.NoSuchProcess:
        return


def kill_tree(pid: int) -> None:
    """End a process and everything it started, at once."""
    import psutil

    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


# What Windows puts in place of a signal (ntstatus.h), and what programs that end others leave behind.
_WINDOWS_ENDS = {
    0xC0000005: "crashed in native code (access violation)",
    0xC0000006: "crashed while reading a file that was no longer there (in-page error)",
    0xC000001D: "crashed on an instruction this processor does not have",
    0xC0000017: "ran out of memory",
    0xC00000FD: "crashed in native code (stack overflow)",
    0xC0000135: "could not start: a library (DLL) is missing",
    0xC000013A: "was ended with Ctrl+C or by closing its window",
    0xC0000142: "could not start (a library refused, or Windows was shutting down)",
    0xC0000374: "crashed in native code (heap corruption)",
    0xC0000409: "crashed in native code (fail-fast)",
    0x40010004: "was ended by Windows (logging off or shutting down)",
}
_NATIVE_CRASHES = (4, 6, 7, 8, 11)  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
_TERMINATED = 15  # psutil ends Windows' processes with the number of SIGTERM


def describe_exit(code: int | None, *, platform: str = sys.platform) -> str:
    """What an exit code says, as the end of a sentence: "ended with code 3", "crashed in native code (...)"."""
    if code is None:
        return "vanished (killed, or the computer lost power)"
    if platform == "win32":
        number = code & 0xFFFFFFFF
        if number in _WINDOWS_ENDS:
            return _WINDOWS_ENDS[number]
        if number == _TERMINATED:
            return "was ended from outside (the Task Manager, or another program)"
        return f"crashed in native code (0x{number:08X})" if number >= 0xC0000000 else f"ended with code {code}"
    if code < 0:
        return f"was ended by signal {-code}" + (" (native crash)" if -code in _NATIVE_CRASHES else "")
    return f"ended with code {code}"


def replace_this(*, code: int) -> NoReturn:
    """Become a new process of the same command line; where there is no exec, start it and end this one with `code`."""
    command = [sys.executable, *sys.argv]
    if sys.platform != "win32":
        os.execv(sys.executable, command)
    import ctypes

    # In a console the new process shares it, so that Ctrl+C still reaches the bot; without one it must open none.
    has_console = bool(ctypes.windll.kernel32.GetConsoleCP())
    subprocess.Popen(command, creationflags=0 if has_console else subprocess.CREATE_NO_WINDOW)
    os._exit(code)


def peak_memory_bytes() -> int:
    """Most resident memory this process ever had."""
    import psutil

    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # bytes there, KiB elsewhere


def memory_bytes(pid: int | None = None) -> int:
    """Resident memory of a process (this one by default); 0 when it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
