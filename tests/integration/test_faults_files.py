"""Files that other programs hold, and paths that careless programs trip over."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import environment
from storage.environment import SERVER_ID, TOKEN, write_value
from storage.errors import ConfigurationError
from storage.paths import PROJECT_ROOT
from storage.system import files
from storage.system.files import REPLACE_TRIES, remove_file, remove_tree, replace_file, write_whole


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 53 (stand-in for Windows: PermissionError on the first replaces)."""
    (tmp_path / "a").write_text("old")
    holder = Holder(monkeypatch, times=REPLACE_TRIES - 1)
    write_whole(tmp_path / "a", b"new", sleep=holder.waits.append)
    assert (tmp_path / "a").read_text() == "new"
    assert len(holder.waits) == REPLACE_TRIES - 1
    assert 1.0 < sum(holder.waits) < 5.0


def test_a_file_that_is_never_let_go_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 53."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("new")
    holder = Holder(monkeypatch, times=1000)
    with pytest.raises(PermissionError):
        replace_file(tmp_path / "b", tmp_path / "a", sleep=holder.waits.append)
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "b").read_text() == "new"


def test_the_env_file_is_replaced_whole_and_loses_nothing_of_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 53: `.env` held by a scanner; comments, unknown lines and line ends stay, others may never read it."""
    monkeypatch.setattr(files, "_FIRST_WAIT_SECONDS", 0.0)
    file = tmp_path / ".env"
    before = (
        b"# my server\r\n\r\nexport DISCORD_TOKEN=old # from the portal\r\nOTHER_TOOL='x y'\r\n"
        b'not a line = \'of\r\n# DISCORD_TOKEN=older\r\nADMIN_USERS="12, 34"'
    )
    file.write_bytes(before)
    file.chmod(0o644)
    Holder(monkeypatch, times=REPLACE_TRIES)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_value(file, TOKEN, "new")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    Holder(monkeypatch, times=REPLACE_TRIES - 1)
    write_value(file, TOKEN, "new")
    after = file.read_bytes()
    assert after == before.replace(b"DISCORD_TOKEN=old", b"DISCORD_TOKEN='new'", 1)
    write_value(file, SERVER_ID, "5")
    assert file.read_bytes() == after + b"\r\nSERVER_ID='5'\r\n"
    assert os.name == "nt" or file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env"]


@given(value=st.text(alphabet="ab'\"\\$# ={}", max_size=12), owners=st.text(alphabet="A=#'\"\\ \n", max_size=30))
def test_a_value_is_read_back_as_written_beside_whatever_the_owner_wrote(value: str, owners: str) -> None:
    """Fault 52: or refused; what other lines say is never changed by it."""
    try:
        changed = environment.with_value(owners, environment.TOKEN, value)
    except ConfigurationError:
        return
    assert environment._values(changed) == environment._values(owners) | {environment.TOKEN: value}
    assert all(line in changed for line in owners.splitlines())


def test_a_read_only_file_is_replaced(tmp_path: Path) -> None:
    """Fault 98: Windows refuses that (WinError 5); deployed models are read-only."""
    (tmp_path / "model").write_text("old")
    (tmp_path / "model").chmod(stat.S_IREAD)
    (tmp_path / "fresh").write_text("new")
    replace_file(tmp_path / "fresh", tmp_path / "model", sleep=lambda _: None)
    assert (tmp_path / "model").read_text() == "new"


def test_a_read_only_file_that_stays_held_is_read_only_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 98 (stand-in for Windows: PermissionError on every replace)."""
    (tmp_path / "model").write_text("old")
    (tmp_path / "model").chmod(stat.S_IREAD)
    (tmp_path / "fresh").write_text("new")
    holder = Holder(monkeypatch, times=1000)
    with pytest.raises(PermissionError):
        replace_file(tmp_path / "fresh", tmp_path / "model", sleep=holder.waits.append)
    assert not (tmp_path / "model").stat().st_mode & stat.S_IWRITE


def test_read_only_files_and_folders_are_deleted_with_everything_in_them(tmp_path: Path) -> None:
    """Fault 98."""
    inner = tmp_path / "backup" / "models" / "inner"
    inner.mkdir(parents=True)
    for path in (inner / "model.gguf", tmp_path / "alone.gguf"):
        path.write_text("weights")
        path.chmod(stat.S_IREAD)
    inner.chmod(stat.S_IREAD | stat.S_IEXEC)
    assert remove_tree(tmp_path / "backup", sleep=lambda _: None)
    assert remove_tree(tmp_path / "backup", sleep=lambda _: None)  # gone already
    remove_file(tmp_path / "alone.gguf")
    remove_file(tmp_path / "alone.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_deleted_up_to_what_is_held_and_that_is_said(tmp_path: Path) -> None:
    """Fault 98: only Windows holds open files."""
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "held").write_text("x")
    (tmp_path / "backup" / "free").write_text("x")
    waits: list[float] = []
    with open(tmp_path / "backup" / "held"):
        gone = remove_tree(tmp_path / "backup", sleep=waits.append)
        assert gone == (os.name != "nt")
        assert not (tmp_path / "backup" / "free").exists()
        assert gone or 1.0 < sum(waits) < 5.0
    assert remove_tree(tmp_path / "backup")


def test_everything_that_publishes_a_file_or_deletes_a_folder_goes_through_one_function() -> None:
    """Faults 53 and 98: a bare rename or rmtree somewhere else would not be tried again."""
    bare = re.compile(
        r"\bos\.(replace|rename)\(|shutil\.rmtree\(|\.rename\(|shutil\.move\("
        r"|\b(?:part|partial|draft|fresh)\.replace\((?![^)]*,)"
    )
    allowed = {"storage/system/files.py", "storage/logs.py"}
    found = [
        f"{path.relative_to(PROJECT_ROOT).as_posix()}:{number}"
        for room in ("storage", "model", "data", "bot", "gui", "scripts")
        for path in sorted((PROJECT_ROOT / room).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
        and path.relative_to(PROJECT_ROOT).as_posix() not in allowed
        and not {"installation", "dev"} & set(path.parts)
    ]  # the bootstrap runs before there is a project; a developer's tool may fail
    assert found == []
