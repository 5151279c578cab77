"""A disk that is full, read-only or closed: one sentence with the path, and the bot is watched all the same."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot_controller import BotController, ControllerState
from launcher import tell
from storage.errors import StorageError, disk_error
from storage.logs import configure_logging
from storage.paths import PROJECT_ROOT, Workspace
from storage.settings import RESPONSE_RATE
from storage.store import Store
from storage.system.locks import FileLock

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


class Child:
    """A bot process that runs until it is killed."""

    pid = 4_000_000

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


def fill_disk(store: Store) -> None:
    """From now on no write to the control database succeeds, as on a full disk."""
    pages = store.control_db.value("PRAGMA page_count")
    store.control_db.connection().execute(f"PRAGMA max_page_count = {pages}")
    store.control_db.connection().execute("CREATE TEMP TABLE x (y)")
    store.control_db.connection().execute("PRAGMA query_only = ON")


def test_supervision_outlives_the_disk(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Fault 112: the bot is started again, found hung, and stopped, with nothing written down."""
    now, killed, asked = [0.0], list[int](), list[int]()
    children = list[Child]()

    def spawn() -> Child:
        children.append(Child())
        return children[-1]

    controller = BotController(
        store,
        spawn=spawn,
        clock=lambda: now[0],
        kill_tree=killed.append,
        is_alive=lambda _: True,
        ask_to_end=asked.append,
        jitter=lambda: 0.0,
    )
    fill_disk(store)
    assert controller.start().state is ControllerState.STARTING
    for _ in range(5):
        now[0] += 1
        controller.tick()
    children[-1].code = -9
    view = controller.tick()
    assert view.state is ControllerState.BACKOFF
    assert "control.db cannot be written" in view.detail, "the bot could leave no word; the disk is named"
    now[0] += 2
    assert controller.tick().state is ControllerState.STARTING
    assert len(children) == 2
    for _ in range(13):
        now[0] += 10
        controller.tick()
    assert killed == [Child.pid], "a hang is noticed"
    now[0] += 5
    controller.tick()
    controller.stop()
    for _ in range(2):
        now[0] += 12
        view = controller.tick()
    assert view.state is ControllerState.STOPPED
    assert asked == [Child.pid], "by a signal: a row could not be written"
    controller.close(leave_running=True)
    told = [record for record in caplog.records if "watched all the same" in record.message]
    assert 1 <= len(told) <= 3, "told once, not once a second"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permissions"),
        (errno.EIO, "disk reports an error"),
        (errno.ENAMETOOLONG, "shorter path"),
    ],
)
def test_what_the_disk_refuses_is_a_sentence_with_the_path_and_its_cure(number: int, words: str) -> None:
    """Fault 112."""
    trouble = disk_error(OSError(number, os.strerror(number), "/place/" + "x" * 900))
    assert words in trouble.text()
    assert str(Path("/place/xxx")) in trouble.what
    assert len(trouble.text()) < 400


def run(*arguments: str, cwd: Path = PROJECT_ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
    )


@pytest.mark.parametrize("name", ["logs", "data_storage", "models", "data_storage/locks", "."])
def test_a_file_where_a_folder_has_to_be_is_named_by_everybody(tmp_path: Path, name: str) -> None:
    """Fault 112: launcher, bot and doctor; the doctor reports all the rest too."""
    root = tmp_path / "home"
    blocker = root / name
    blocker.parent.mkdir(parents=True, exist_ok=True)
    blocker.write_text("in the way", encoding="utf-8")
    for command in (
        ["launcher.py", "--headless", "--workspace", str(root)],
        ["bot/run.py", "--workspace", str(root)],
        ["scripts/doctor.py", "--offline", "--workspace", str(root)],
    ):
        done = run(*command)
        said = done.stdout + done.stderr
        assert done.returncode == 1, said
        assert "Traceback" not in said, said
        assert f"{blocker.resolve()} is a file" in said, said
        assert "doctor" not in command[0] or ("Python: " in said and "Packages: " in said)
    assert blocker.read_text(encoding="utf-8") == "in the way"


def test_a_very_long_path_is_blamed_on_its_length(tmp_path: Path) -> None:
    """Fault 116."""
    with pytest.raises(StorageError, match="too long") as caught:
        Workspace.at(tmp_path / ("x" * 900)).create()
    assert "--workspace" in caught.value.cure
    assert len(caught.value.text()) < 450


@pytest.mark.skipif(is_root or os.name == "nt", reason="root may write everywhere")
def test_a_closed_folder_is_named(tmp_path: Path) -> None:
    """Fault 112."""
    (tmp_path / "home").mkdir(mode=0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        Workspace.at(tmp_path / "home").create()


def test_a_log_that_cannot_be_written_keeps_nobody_from_working(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 112: its lines are said on the terminal instead."""
    import logging

    (tmp_path / "logs").write_text("in the way", encoding="utf-8")
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    for handler in before:
        root.removeHandler(handler)
    try:
        configure_logging(tmp_path / "logs", "bot")
        logging.getLogger("test").error("still here")
    finally:
        root.handlers, root.level = before, level
    assert "still here" in capsys.readouterr().err


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    """Fault 112."""
    (tmp_path / "locks").write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageError, match="is a file"):
        FileLock(tmp_path / "locks" / "bot.lock", holder="A bot").acquire()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_streams_do_not_end_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 116."""
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        tell("a line nobody can take")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that closing it has nothing to complain of


@pytest.mark.parametrize("typed", ["-0", "-0.0", "-0e5", -0.0])
def test_minus_zero_is_zero(store: Store, typed: object) -> None:
    """Fault 116."""
    assert str(store.settings.set(RESPONSE_RATE, typed, changed_by="test")) == "0.0"
    assert str(store.settings.get(RESPONSE_RATE)) == "0.0"
