"""Files that other programs hold, and paths that careless programs trip over."""
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from storage import files
from storage.files import REPLACE_TRIES, replace_file, write_whole
from storage.paths import PROJECT_ROOT


class Holder:
    """Another program that holds the target for the first `times` replaces, as Windows lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.waits: list[float] = []
        self._left, self._replace = times, os.replace
        monkeypatch.setattr(files.os, "replace", self.replace)

    def replace(self, source: Path, target: Path) -> None:
        if self._left:
            self._left -= 1
            raise PermissionError(13, "Access is denied", str(target))
        self._replace(source, target)


def test_a_file_held_by_another_program_is_replaced_as_soon_as_it_is_let_go(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 53 (stand-in for Windows: PermissionError on the first replaces)."""
    (tmp_path / "a").write_text("old")
    holder = Holder(monkeypatch, times=REPLACE_TRIES - 1)
    write_whole(tmp_path / "a", b"new", sleep=holder.waits.append)
    assert (tmp_path / "a").read_text() == "new"
    assert len(holder.waits) == REPLACE_TRIES - 1 and 1.0 < sum(holder.waits) < 5.0


def test_a_file_that_is_never_let_go_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 53."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("new")
    holder = Holder(monkeypatch, times=1000)
    with pytest.raises(PermissionError):
        replace_file(tmp_path / "b", tmp_path / "a", sleep=holder.waits.append)
    assert (tmp_path / "a").read_text() == "old" and (tmp_path / "b").read_text() == "new"


def test_everything_that_publishes_a_file_goes_through_the_one_function() -> None:
    """Fault 53: a bare rename somewhere else would not be tried again."""
    bare = re.compile(r"\bos\.(replace|rename)\(|\.rename\(|shutil\.move\("
                      r"|\b(?:part|partial|draft|fresh)\.replace\((?![^)]*,)")
    allowed = {"storage/files.py", "storage/logs.py"}
    found = [f"{path.relative_to(PROJECT_ROOT).as_posix()}:{number}"
             for room in ("storage", "model", "data", "bot", "gui", "scripts")
             for path in sorted((PROJECT_ROOT / room).rglob("*.py"))
             for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
             if bare.search(line) and path.relative_to(PROJECT_ROOT).as_posix() not in allowed
             and "installation" not in path.parts]  # the bootstrap runs before there is a project
    assert found == []
