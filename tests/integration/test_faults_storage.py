"""Faults of disk, power and other programs (numbers: docs/RELIABILITY.md), with real files and processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from storage.errors import StorageError
from storage.paths import PROJECT_ROOT, Workspace, unsafe_folder
from storage.records import Message
from storage.store import Store

KILLS = 40
WRITER = """
import sys
sys.path.insert(0, {root!r})
from storage.paths import Workspace
from storage.records import Message
from storage.store import Store
store = Store.open(Workspace.at(sys.argv[1]))
number = store.messages.cursor(1)
print("ready", flush=True)
while True:
    page = [Message(number + n, 1, 7, "ann", "words " * 20, number + n) for n in range(1, 51)]
    number += 50
    store.messages.save(page, cursor=(1, number, False))
    print("saved", flush=True)
"""


def test_forty_kills_in_the_middle_of_writing_lose_and_double_nothing(workspace: Workspace) -> None:
    """Fault 24."""
    Store.open(workspace).close()
    dice = random.Random(24)
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER.format(root=str(PROJECT_ROOT)), str(workspace.root)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"ready"
        if kill % 2:  # every other one gets a page written first, however slow the disk
            assert child.stdout.readline().strip() == b"saved"
        time.sleep(dice.uniform(0.0, 0.03))  # the moment of the kill, not a wait for anything
        child.kill()
        child.communicate()
    with Store.open(workspace) as store:
        assert store.messages_db.value("PRAGMA integrity_check") == "ok"
        assert store.messages.count() == store.messages.cursor(1)
        assert store.messages.queue_length() == store.messages.count()
        assert store.messages.count() >= KILLS // 2 * 50


def test_a_long_reader_neither_stops_three_thousand_writes_nor_lets_files_grow(store: Store) -> None:
    """Fault 27."""
    store.messages.save([Message(n, 1, 7, "ann", "x" * 200, n) for n in range(1, 2001)])
    other = Store.open(store.workspace)
    pages = other.messages.in_channel(1, page_rows=100)
    next(pages)
    before = folder_bytes(store.workspace.database_folder)
    for _ in range(3000 // 100):
        with store.messages_db.transaction() as connection:
            for _ in range(100):
                connection.execute("UPDATE messages SET edited_ms = IFNULL(edited_ms, 0) + 1 WHERE id = 5")
    assert sum(len(page) for page in pages) == 1900
    assert folder_bytes(store.workspace.database_folder) < before + 1_000_000
    other.close()


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk needs root on Linux")
def test_a_full_disk_keeps_the_cursor_and_says_so(tmp_path: Path) -> None:
    """Fault 28, on a real file system of 4 MB."""
    disk = tmp_path / "small disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        store = Store.open(Workspace.at(disk))
        saved = 0
        with pytest.raises(StorageError, match="disk is full"):  # noqa: PT012 - whichever save finds it full
            while True:
                page = [Message(saved + n, 1, 7, "ann", "x" * 2000, n) for n in range(1, 101)]
                store.messages.save(page, cursor=(1, saved + 100, False))
                saved += 100
        assert store.messages.cursor(1) == saved == store.messages.count() > 0
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    "path",
    [
        r"C:\Users\Bo\OneDrive\bot",
        r"C:\Users\Bo\OneDrive - Firma\bot",
        r"\\server\share\bot",
        "//server/share/bot",
        "/home/bo/Dropbox/bot",
        "/Users/bo/Library/Mobile Documents/bot",
    ],
)
def test_a_cloud_or_network_folder_is_warned_about(path: str) -> None:
    """Fault 32."""
    assert unsafe_folder(path)


@pytest.mark.parametrize("path", [r"C:\Users\Bo\bot", "/home/bo/onedriver/bot", r"\\?\C:\bot", "/srv/bot"])
def test_a_local_folder_is_not(path: str) -> None:
    """Fault 32."""
    assert unsafe_folder(path) == ""


def test_heartbeats_go_on_during_a_long_read_of_the_messages(store: Store) -> None:
    """Fault 27: the two databases do not wait for one another."""
    store.messages.save([Message(n, 1, 7, "ann", "x", n) for n in range(1, 5001)])
    stop = threading.Event()

    def read_forever() -> None:
        own = Store.open(store.workspace)
        while not stop.is_set():
            for _ in own.messages.in_channel(1, page_rows=50):
                if stop.is_set():
                    break
        own.close()

    reader = threading.Thread(target=read_forever)
    reader.start()
    for number in range(100):
        store.facts.set("beat", number)
    stop.set()
    reader.join()
    assert store.facts.get("beat") == 99


def test_a_long_path_with_unicode_works(tmp_path: Path) -> None:
    """Fault 52."""
    deep = tmp_path / "Bót 😀 x" / ("sehr-langer-ordnername-" * 3) / ("noch-einer-" * 6)
    with Store.open(Workspace.at(deep)) as store:
        store.messages.save([Message(1, 1, 7, "Zoë 😀", "ñ", 1)])
        assert store.messages.get([1])[1].author_name == "Zoë 😀"


def test_a_child_with_an_old_console_encoding_still_writes_its_log(workspace: Workspace) -> None:
    """Fault 52: PYTHONIOENCODING=cp1252."""
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT_ROOT)!r})\nimport logging\nfrom pathlib import Path\n"
        "from storage.logs import configure_logging\n"
        "configure_logging(Path(sys.argv[1]), 'bot', console=True)\nlogging.info('hej 😀 żółć')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace.logs)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0
    assert "hej 😀 żółć" in (workspace.logs / "bot.log").read_text(encoding="utf-8")
