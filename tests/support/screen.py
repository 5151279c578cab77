"""A screen for tests on a machine that has none."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

SIZE = "1280x900x24"
STOP_SECONDS = 5.0


@contextlib.contextmanager
def virtual_screen(env: dict[str, str]) -> Iterator[None]:
    """Put DISPLAY into the environment for as long as the block runs, where Xvfb can provide one."""
    if not sys.platform.startswith("linux") or env.get("DISPLAY") or shutil.which("Xvfb") is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        server, display = _start_server()
        stack.callback(_stop, server)
        if display:
            env["DISPLAY"] = f":{display}"
            stack.callback(env.pop, "DISPLAY", None)
            _start_window_manager(env, stack)
        yield


def _start_server() -> tuple[subprocess.Popen[bytes], str]:
    """Xvfb and the number it chose, which is empty if it did not come up."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", SIZE, "-nolisten", "tcp"]
    server = _start(command, pass_fds=(writer,))
    os.close(writer)
    with os.fdopen(reader) as answer:
        return server, answer.readline().strip()


def _start_window_manager(env: dict[str, str], stack: contextlib.ExitStack) -> None:
    if shutil.which("openbox") is None:
        return
    manager = _start(["openbox"], env=env)
    stack.callback(_stop, manager)


def _start(
    command: list[str], *, env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    none = subprocess.DEVNULL
    return subprocess.Popen(command, env=env, pass_fds=pass_fds, stdin=none, stdout=none, stderr=none)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
