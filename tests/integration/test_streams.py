"""Standard streams as the systems really give them: none at all, the null device, a pipe, a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.paths import PROJECT_ROOT, Workspace
from storage.records import JobState
from storage.settings import EMBEDDING_MODEL
from storage.store import Store
from storage.system import streams

# What pythonw and Task Scheduler do to a program, on every system.
WITHOUT_STREAMS = """
import os, runpy, sys
sys.stdin = sys.stdout = sys.stderr = sys.__stdin__ = sys.__stdout__ = sys.__stderr__ = None
sys.path.insert(0, os.getcwd())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def without_streams(*command: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_STREAMS, *command],
        cwd=PROJECT_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
        check=False,
    ).returncode


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.at(tmp_path / "wörk 😀").create()
    with Store.open(workspace) as store:
        store.settings.set(EMBEDDING_MODEL, "all-MiniLM-L6-v2", changed_by="test")
    return workspace


def test_a_backup_started_by_the_system_without_any_streams_is_made(workspace: Workspace) -> None:
    """Fault 94."""
    assert without_streams("scripts/backup.py", "--workspace", str(workspace.root)) == 0
    with Store.open(workspace) as store:
        assert [(job.kind, job.state) for job in store.jobs.recent(limit=5)] == [("backup", JobState.DONE)]


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("scripts/backup.py", ["--list"]),
        ("scripts/fetch_and_embed.py", ["--schedule", "nonsense"]),
        ("scripts/2_prepare_training_data.py", []),
        ("scripts/retrain.py", ["--no-fetch"]),
    ],
)
def test_scripts_without_streams_end_as_they_do_with_them(
    workspace: Workspace, script: str, arguments: list[str]
) -> None:
    """Fault 94."""
    command = (script, "--workspace", str(workspace.root), *arguments)
    with_streams = subprocess.run(
        [sys.executable, *command], cwd=PROJECT_ROOT, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    assert without_streams(*command) == with_streams.returncode


def test_nobody_is_there_when_standard_input_is_the_null_device() -> None:
    """Fault 95: on Windows the null device says that it is a terminal."""
    asked = "from storage.system.streams import is_person_there; print(is_person_there())"
    answer = subprocess.run(
        [sys.executable, "-c", asked], cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "False"


def test_files_pipes_closed_streams_and_no_stream_are_no_terminals(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        assert not streams.is_terminal(file)
    assert not streams.is_terminal(file)
    assert not streams.is_terminal(None)
    reading, writing = os.pipe()
    with os.fdopen(reading) as read, os.fdopen(writing, "w") as write:
        assert not streams.is_terminal(read)
        assert not streams.is_terminal(write)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are made in another way there")
def test_a_terminal_is_one() -> None:
    import pty

    controlling, terminal = pty.openpty()
    try:
        with os.fdopen(terminal, "w") as stream:
            assert streams.is_terminal(stream)
    finally:
        os.close(controlling)


def test_missing_streams_are_replaced_once_and_real_ones_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 94."""
    monkeypatch.setattr(sys, "stderr", None)
    kept = sys.stdout
    streams.ensure_streams()
    print("dropped", file=sys.stderr, flush=True)
    assert sys.stdout is kept
    sys.stderr.close()
