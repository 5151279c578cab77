"""Files that other programs hold, and paths that careless programs trip over."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import environment
from storage.environment import SERVER_ID, TOKEN, write_value
from storage.errors import ConfigurationError
from storage.paths import PROJECT_ROOT
from storage.system import files
from storage.system.files import REPLACE_TRIES, replace_file, write_whole


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
    assert len(holder.waits) == REPLACE_TRIES - 1 and 1.0 < sum(holder.waits) < 5.0


def test_a_file_that_is_never_let_go_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 53."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("new")
    holder = Holder(monkeypatch, times=1000)
    with pytest.raises(PermissionError):
        replace_file(tmp_path / "b", tmp_path / "a", sleep=holder.waits.append)
    assert (tmp_path / "a").read_text() == "old" and (tmp_path / "b").read_text() == "new"


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
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
    Holder(monkeypatch, times=REPLACE_TRIES - 1)
    write_value(file, TOKEN, "new")
    after = file.read_bytes()
    assert after == before.replace(b"DISCORD_TOKEN=old", b"DISCORD_TOKEN='new'", 1)
    write_value(file, SERVER_ID, "5")
    assert file.read_bytes() == after + b"\r\nSERVER_ID='5'\r\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env"]


@given(value=st.text(alphabet="ab'\"\\$# ={}", max_size=12), owners=st.text(alphabet="A=#'\"\\ \n", max_size=30))
def test_a_value_is_read_back_as_written_beside_whatever_the_owner_wrote(value: str, owners: str) -> None:
    """Fault 52: or refused; what other lines say is never changed by it."""
    try:
        changed = environment._with_value(owners, environment.TOKEN, value)
    except ConfigurationError:
        return
    assert environment._values(changed) == environment._values(owners) | {environment.TOKEN: value}
    assert all(line in changed for line in owners.splitlines())


def test_everything_that_publishes_a_file_goes_through_the_one_function() -> None:
    """Fault 53: a bare rename somewhere else would not be tried again."""
    bare = re.compile(
        r"\bos\.(replace|rename)\(|\.rename\(|shutil\.move\("
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
        and "installation" not in path.parts
    ]  # the bootstrap runs before there is a project
    assert found == []
