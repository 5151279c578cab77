"""The siege, reduced to what every run of the tests can afford; `python scripts/dev/siege.py` is the whole of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.dev import siege
from scripts.dev.siege_attacks import QUICK, Attack
from scripts.dev.siege_disks import PROGRAMS, fill, in_state, one_round, small_disk
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import BotPhase
from storage.store import Store
from tests.support.waiting import wait_for


def test_jobs_killed_at_random_moments_end_as_if_nothing_had_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """Faults 30, 76, 78 and 131: one kill each of a backup, a restore, a migration and an erasure."""
    code = siege.main(["--parts", "0", "--rounds", "1", "--seed", "1", "--only", *QUICK])
    table = capsys.readouterr().out
    assert code == 0, table
    assert all(name in table for name in QUICK)


def writing(root: Path, statement: str) -> Attack:
    """A job that writes `count`; its start has one."""
    Store.open(Workspace.at(root)).close()
    code = f"import pathlib, subprocess, sys; place = pathlib.Path(sys.argv[1]) / 'count'; {statement}"
    return Attack(
        "count",
        root,
        lambda at: [sys.executable, "-c", code, str(at)],
        lambda at: (at.root / "count").read_text(encoding="utf-8"),
    )


@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("place.write_text('1')", ""),
        ("place.write_text((place.read_text() if place.exists() else '') + '1')", "another result"),
        ("sys.exit(3 if place.exists() else place.write_text('1') == 0)", "the next run ended with 3"),
    ],
)
def test_the_siege_sees_a_job_that_does_not_recover(tmp_path: Path, statement: str, trouble: str) -> None:
    attack = writing(tmp_path / "start", statement)
    wanted, _ = siege.left_alone(attack, tmp_path / "round")
    assert wanted == "1"
    attack.fresh(tmp_path / "round")
    (tmp_path / "round" / "count").write_text("1", encoding="utf-8")  # as a kill after the write leaves it
    assert siege.after_the_next_run(attack, tmp_path / "round", wanted) == trouble


def test_a_job_that_leaves_something_running_is_a_finding(tmp_path: Path) -> None:
    sleeper = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)', sys.argv[1]])"
    attack = writing(tmp_path / "start", sleeper)
    attack.fresh(tmp_path / "round")
    attack.run(tmp_path / "round")
    assert len(siege.end_what_is_left(tmp_path / "round", patience=0.2)) == 1
    assert not siege.end_what_is_left(tmp_path / "round", patience=0.2)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("doctor", "read-only"),
        ("doctor", "full"),
        ("bot", "full"),
        ("restore", "full"),
        ("restore", "nearly full"),
        ("prepare", "nearly full"),
        ("import", "nearly full"),
        ("launcher", "read-only"),
    ],
)
def test_a_disk_that_takes_nothing_is_a_sentence_with_its_path_and_costs_no_message(
    tmp_path: Path, name: str, state: str
) -> None:
    """Faults 28, 112 and 132: real file systems; the siege has the rest of the grid."""
    with small_disk(tmp_path / "probe") as disk:
        if disk is None:
            pytest.skip("mounting a small disk needs root on Linux")
    program = next(program for program in PROGRAMS if program.name == name)
    assert one_round(tmp_path / "disk", program, state) == ""


def test_the_doctor_looks_at_everything_it_can_read_on_a_read_only_disk(tmp_path: Path) -> None:
    """Fault 132."""
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("mounting a small disk needs root on Linux")
        fill(disk / "home")
        with in_state(disk, "read-only"):
            done = subprocess.run(
                [sys.executable, "scripts/doctor.py", "--offline", "--workspace", str(disk / "home")],
                cwd=PROJECT_ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
    for words in ("Read-only file system", "Database messages.db: whole", "Token: ", "Backup: today"):
        assert words in done.stdout
    assert "read-only" in done.stdout
    assert done.stderr == ""


def test_a_disk_that_fills_up_under_a_launcher_costs_no_supervision(tmp_path: Path) -> None:
    """Faults 112 and 132: the bot dies on a full disk, is told why, and is there again once there is room."""
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("mounting a small disk needs root on Linux")
        fill(disk / "home")
        workspace = Workspace.at(disk / "home")
        with open(tmp_path / "said", "wb") as said:
            launcher = subprocess.Popen(
                [sys.executable, "launcher.py", "--headless", "--offline", "--workspace", str(workspace.root)],
                cwd=PROJECT_ROOT,
                env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "DISPLAY": ""},
                stdout=said,
                stderr=said,
            )
        try:
            with Store.open(workspace) as store:
                first = wait_for(lambda: running_bot(store), "a bot")
                with in_state(disk, "full"):
                    os.kill(first, signal.SIGKILL)
                    wait_for(lambda: b"The disk is full" in (tmp_path / "said").read_bytes(), "the reason")
                    assert launcher.poll() is None
                second = wait_for(lambda: (pid := running_bot(store)) and pid != first and pid, "a bot again")
                assert second != first
        finally:
            launcher.terminate()
            assert launcher.wait(30) == 0
        assert b"Traceback" not in (tmp_path / "said").read_bytes()


def running_bot(store: Store) -> int:
    """The process number of a bot that says it runs, 0 for none."""
    status = store.status.read_bot()
    is_running = status is not None and status.phase is BotPhase.RUNNING and time.time() - status.heartbeat_at < 5
    return status.pid if status is not None and is_running else 0
