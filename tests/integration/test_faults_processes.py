"""Faults of processes and of the desktop, with real processes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot_controller import BotController, ControllerState
from gui.components.system_tray import SystemTray
from storage.logs import FILES_KEPT, MAX_FILE_BYTES, LogTail
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import BotStatus, ModelState
from storage.settings import EMBEDDING_MODEL, MODEL_PATH
from storage.store import Store
from storage.system import processes
from storage.system.locks import FileLock
from tests.support.waiting import LIMIT_SECONDS, wait_for


@pytest.fixture
def talking(store: Store) -> Iterator[Store]:
    """A workspace whose bot has the packaged model; whatever bot runs at the end is ended."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    store.settings.set(EMBEDDING_MODEL, "all-MiniLM-L6-v2", changed_by="test")
    yield store
    status = store.status.read_bot()
    if status is not None and status.exit_code is None:
        processes.kill_tree(status.pid)


def ready(store: Store, *, other_than: int = 0) -> BotStatus | None:
    status = store.status.read_bot()
    is_ready = (
        status is not None
        and status.exit_code is None
        and status.model_state is ModelState.READY
        and status.pid != other_than
    )
    return status if is_ready else None


# ---- crashes and hangs --------------------------------------------------------------------------------


@pytest.mark.skipif(
    sys.platform == "win32", reason="no signal can be sent to a process there; its codes are named below"
)
def test_a_native_crash_is_named_leaves_its_stack_and_the_bot_comes_back(talking: Store) -> None:
    """Fault 23: SIGSEGV in the real bot while it writes a reply."""
    controller = BotController(talking, offline=True)
    said: list[str] = []

    def tick() -> None:
        view = controller.tick()
        said.append(f"{view.state}: {view.detail}")

    controller.start()
    first = wait_for(lambda: tick() or ready(talking))
    question = talking.playground.ask("tell me a very long story about your week")
    wait_for(lambda: talking.control_db.value("SELECT taken_by FROM playground WHERE id = ?", (question,)))
    os.kill(first.pid, signal.SIGSEGV)
    second = wait_for(lambda: tick() or ready(talking, other_than=first.pid))
    assert any(words.startswith("backoff") and "native crash" in words for words in said)
    assert "Segmentation fault" in (talking.workspace.logs / "bot.stacks.log").read_text(encoding="utf-8")
    # The question the dead bot had taken is answered by the next one, once.
    answer = wait_for(lambda: tick() or talking.playground.answer_to(question))
    assert not answer.error
    assert talking.control_db.value("SELECT COUNT(*) FROM playground WHERE answers_id = ?", (question,)) == 1
    assert talking.control_db.check() == "ok"
    controller.force_stop()
    wait_for(lambda: not processes.is_alive(second.pid))


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c",
                          "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_process_tree_that_ignores_signals_is_ended_whole() -> None:
    """Fault 7: a child and a grandchild that ignore SIGTERM."""
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    processes.terminate(child.pid)
    processes.kill_tree(child.pid)
    assert child.wait(LIMIT_SECONDS) != 0
    wait_for(lambda: not processes.is_alive(grandchild))
    child.stdout.close()


def test_the_most_memory_ever_used_is_known_on_every_system() -> None:
    """Fault 104: training reported none on Windows, and a thousandfold on macOS."""
    block = bytearray(50_000_000)
    most = processes.peak_memory_bytes()
    del block
    assert 50_000_000 < most < 100 * processes.memory_bytes()


GATED = """
import sys
for line in sys.stdin:
    print(line.strip() * 100_000, flush=True)
"""


def test_a_childs_output_can_be_cut_while_it_writes(tmp_path: Path) -> None:
    """Fault 100: on Windows a child went on at its old place, behind megabytes of zero bytes."""
    path = tmp_path / "bot.out.log"
    with processes.open_for_appending(path) as output:
        child = subprocess.Popen([sys.executable, "-c", GATED], stdin=subprocess.PIPE, stdout=output, text=True)
    assert child.stdin is not None
    for letter, size in (("a", 100_000), ("b", 110_000), ("c", 110_000)):
        child.stdin.write(f"{letter}\n")
        child.stdin.flush()
        wait_for(lambda size=size: size_of(path) >= size)
        processes.cap_file(path, limit=50_000, keep=10_000)
        assert size_of(path) == 10_000
    child.stdin.close()
    assert child.wait(LIMIT_SECONDS) == 0
    assert path.read_bytes().strip() == b"c" * len(path.read_bytes().strip())


def test_output_of_several_children_is_appended_in_one_file(tmp_path: Path) -> None:
    """Fault 100: a new bot writes behind what the one before said."""
    path = tmp_path / "bot.out.log"
    for words in ("one", "two"):
        with processes.open_for_appending(path) as output:
            subprocess.run([sys.executable, "-c", f"print({words!r})"], stdout=output, check=True)
    assert path.read_text().split() == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xC0000005, "access violation"),
        (0xC0000005 - 2**32, "access violation"),  # as another Windows call gives the same number
        (0xC000013A, "closing its window"),
        (0xC0000135, "a library (DLL) is missing"),
        (0xC0DE0001, "0xC0DE0001"),
        (15, "from outside"),
        (3, "ended with code 3"),
        (None, "vanished"),
    ],
)
def test_the_ends_windows_has_for_processes_are_said_in_words(code: int | None, words: str) -> None:
    """Fault 101."""
    assert words in processes.describe_exit(code, platform="win32")


def test_a_crash_in_native_code_is_called_one_on_this_system() -> None:
    """Fault 101: a real one."""
    crash = "import faulthandler; faulthandler.disable(); faulthandler._read_null()"
    code = subprocess.run([sys.executable, "-c", crash], capture_output=True, check=False).returncode
    assert "crash" in processes.describe_exit(code)


FLOOD = """
import logging, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from storage.logs import configure_logging
configure_logging(Path(sys.argv[2]) / "logs", "bot")
line = "x" * 10_000
for number in range(20_000):
    logging.info("%d %s", number, line)
    if number % 5 == 0:
        print(line, flush=True)
logging.info("the last line")
"""


def test_a_flood_of_240_megabytes_stays_under_the_cap_and_never_blocks_the_child(store: Store, tmp_path: Path) -> None:
    """Fault 11: 200 MB through the log, 40 MB straight to stdout, the panel reading along."""
    script = tmp_path / "flood.py"
    script.write_text(FLOOD.format(root=str(PROJECT_ROOT)), encoding="utf-8")
    raw = processes.raw_output_file(store.workspace, "bot")
    child = processes.spawn(store.workspace, str(script), [], name="bot")
    tail = LogTail(store.workspace.logs / "bot.log")
    largest, longest_read = 0, 0
    while child.poll() is None:
        processes.cap_file(raw)  # as the supervisor does every two seconds
        longest_read = max(longest_read, sum(map(len, tail.read())))
        largest = max(largest, sum(size_of(path) for path in store.workspace.logs.iterdir()))
    assert child.returncode == 0
    assert "the last line" in (store.workspace.logs / "bot.log").read_text(encoding="utf-8")
    assert longest_read <= 256 * 1024 + 20_000
    processes.cap_file(raw)
    cap = MAX_FILE_BYTES * (FILES_KEPT + 1) + processes.MAX_RAW_OUTPUT_BYTES
    assert sum(size_of(path) for path in store.workspace.logs.iterdir()) <= cap
    # Between two looks of the supervisor the raw file may grow; nothing else may.
    assert largest <= cap + 40_000_000


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # rotated away between listing and looking


# ---- the desktop ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has sessions without a screen (DISPLAY)")
def test_without_a_screen_the_launcher_says_so_and_supervises_all_the_same(talking: Store) -> None:
    """Fault 54."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    launcher = subprocess.Popen(
        [sys.executable, "launcher.py", "--offline", "--workspace", str(talking.workspace.root)],
        cwd=PROJECT_ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    status = wait_for(lambda: ready(talking))
    launcher.send_signal(signal.SIGTERM)
    _, words = launcher.communicate(timeout=LIMIT_SECONDS)
    assert launcher.returncode == 0
    assert "no screen" in words
    assert "without a window" in words
    wait_for(lambda: not processes.is_alive(status.pid))


def test_without_a_tray_the_panel_goes_on_and_notifies_by_other_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 54: pystray cannot be imported, or raises whatever its backend raises."""
    for broken in (None, BrokenTray):
        monkeypatch.setitem(sys.modules, "pystray", broken)
        tray = SystemTray(post=lambda call: call(), actions={}, menu_at=lambda x, y: None)
        assert tray.start() is False
        assert not tray.is_available
        tray.stop()


class BrokenTray:
    """A pystray whose backend has no display."""

    class Menu:
        SEPARATOR = None

        def __init__(self, *_: object) -> None:
            raise RuntimeError("Xlib.error.DisplayNameError")

    MenuItem = staticmethod(lambda *_, **__: None)


# ---- two of a kind ----------------------------------------------------------------------------------------


def test_a_second_fetch_says_who_is_at_work_and_ends(workspace: Workspace, tmp_path: Path) -> None:
    """Fault 10."""
    (tmp_path / "chat.jsonl").write_text("{}", encoding="utf-8")
    with FileLock(workspace.locks / "fetch.lock", holder="A fetch").acquire():
        second = subprocess.run(
            [
                sys.executable,
                "scripts/fetch_and_embed.py",
                "--workspace",
                str(workspace.root),
                "--import",
                str(tmp_path / "chat.jsonl"),
            ],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
    assert second.returncode == 1
    assert str(os.getpid()) in second.stderr
    assert "Traceback" not in second.stderr


def test_the_controller_survives_a_child_that_cannot_be_started(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 1: an antivirus program took the interpreter away."""
    monkeypatch.setattr(processes, "python_executable", lambda: "/nowhere/python")
    controller = BotController(store, offline=True)
    view = controller.start()
    assert view.state is ControllerState.BACKOFF
    assert "could not be started" in view.detail
