"""The lock of packages: in step with the requirements, hashes for everything, no failure where nothing is reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.dev import lock_packages
from scripts.dev.lock_packages import LOCK, Locked, NotReachedError, read_lock
from scripts.installation.pins import Pin, read_pins


def answer(text: str, *, code: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, text, "")


def test_the_lock_holds_every_required_package_in_its_version_with_hashes() -> None:
    lock = read_lock(LOCK.read_text(encoding="utf-8"))
    pins = read_pins(LOCK.parents[2] / lock_packages.REQUIREMENTS, python_version=lock_packages.OLDEST_PYTHON)
    assert lock_packages.own_problems(lock, pins) == []
    assert len(lock) > len(pins)
    assert all(len(digest) == 64 for entry in lock.values() for digest in entry.hashes)


def test_a_changed_requirement_and_a_missing_hash_are_named() -> None:
    lock = read_lock("a==1 ; sys_platform == 'linux' \\\n    --hash=sha256:" + "0" * 64 + "\nb-c==2\n")
    assert lock == {"a": Locked("1", frozenset({"0" * 64})), "b-c": Locked("2", frozenset())}
    pins = [Pin("a", "2", "a==2"), Pin("d", "1", "d==1")]
    assert lock_packages.own_problems(lock, pins) == [
        "a 2 is required, the lock says 1",
        "d 1 is required, the lock says nothing",
        "b-c has no hash",
    ]


def test_files_that_changed_on_the_index_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = f"a==1 --hash=sha256:{'1' * 64}\nb==3 --hash=sha256:{'3' * 64}\n"
    monkeypatch.setattr(lock_packages, "compile_lock", lambda target, folder: now)
    lock = {"a": Locked("1", frozenset({"1" * 64, "2" * 64})), "b": Locked("2", frozenset({"3" * 64}))}
    assert lock_packages.index_problems(lock, tmp_path) == [
        "a 1: 1 of 2 files are gone or changed",
        "b 2 is not what the index gives now",
    ]


def test_published_holes_are_named_and_an_empty_database_is_no_clean_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = {name: Locked("1", frozenset()) for name in "ab"}
    hole = {"id": "GHSA-x", "fix_versions": ["2"]}
    rows = [{"name": "a", "version": "1", "vulns": [hole]}, {"name": "b", "version": "1", "vulns": []}]
    monkeypatch.setattr(lock_packages, "_tool", lambda *_: answer(json.dumps({"dependencies": rows}), code=1))
    assert lock_packages.audit_problems(lock, tmp_path) == ["a 1: GHSA-x, mended in 2"]
    rows[:] = [{"name": name, "skip_reason": "not found"} for name in "ab"]
    with pytest.raises(NotReachedError, match="0 of 2"):
        lock_packages.audit_problems(lock, tmp_path)


def test_without_a_network_it_says_what_was_not_checked_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on the discard port of this computer."""
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull,
    }
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "scripts/dev/lock_packages.py"],
        cwd=LOCK.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Not checked whether") == 2
    assert "as the requirements say" in done.stdout
