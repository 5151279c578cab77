"""The files for a double click: what is started by each, with real interpreters and a launcher that tells."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.projects import DEADLINE_SECONDS, ROOT

START = ROOT / "scripts" / "start"
TELLS = """
import json, os, sys
told = json.dumps([sys.argv[1:], os.getcwd(), sys.executable])
with open("told.part", "w", encoding="utf-8") as file:
    file.write(told)
os.replace("told.part", "told.json")
"""
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's own file")
windows_only = pytest.mark.skipif(sys.platform != "win32", reason="Windows' own file")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The program's folder as its owner has it, with a launcher that tells how it was started."""
    # With a percent sign in the whole path Wine's cmd starts nothing; what Windows' does nobody has seen.
    percent = "" if sys.platform == "win32" else " 100%"
    folder = tmp_path / f"Bót{percent} & $HOME 'mine'"
    shutil.copytree(START, folder / "scripts" / "start")
    (folder / "launcher.py").write_text(TELLS, encoding="utf-8")
    return folder


def told(folder: Path) -> tuple[list[str], Path, str]:
    """What the launcher was started with, where, and by which Python."""
    file, deadline = folder / "told.json", time.monotonic() + DEADLINE_SECONDS
    while not file.exists():
        assert time.monotonic() < deadline, "the launcher was not started"
        time.sleep(0.05)
    arguments, where, python = json.loads(file.read_text(encoding="utf-8"))
    return arguments, Path(where), python


def exec_line(desktop_file: Path) -> list[str]:
    """The command of a desktop entry, as the specification has it read (Desktop Entry 1.5, "The Exec key")."""
    entry = configparser.RawConfigParser()
    entry.optionxform = str  # type: ignore[assignment,method-assign]
    entry.read(desktop_file, encoding="utf-8")
    # Inside double quotes a backslash escapes the dollar too, which shlex leaves to a shell.
    words = [word.replace("\\$", "$") for word in shlex.split(entry["Desktop Entry"]["Exec"].replace("\\\\", "\\"))]
    return [str(desktop_file) if word == "%k" else word for word in words]


@linux_only
@pytest.mark.usefixtures("display")
def test_a_double_click_on_linux_starts_the_panel_by_a_python_that_can_show_it(unpacked: Path) -> None:
    """Fault 151: from any folder, whatever its name holds."""
    done = subprocess.run(exec_line(unpacked / "scripts" / "start" / "Start.desktop"), cwd="/", check=False)
    assert done.returncode == 0
    arguments, where, python = told(unpacked)
    assert (arguments, where) == (["--windowed"], unpacked)
    subprocess.run([python, "-c", "import tkinter, venv, sys; assert sys.version_info >= (3, 11)"], check=True)


@linux_only
@pytest.mark.usefixtures("display")
def test_once_there_is_one_the_programs_own_python_is_started(unpacked: Path) -> None:
    """Fault 151."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(unpacked / ".venv")], check=True)
    # A venv without pip stands for the one of the set-up, which the probe asks for ensurepip only.
    subprocess.run(["sh", str(unpacked / "scripts" / "start" / "start.sh")], check=True, stdin=subprocess.DEVNULL)
    assert Path(told(unpacked)[2]).is_relative_to(unpacked / ".venv")


@linux_only
def test_without_a_python_a_terminal_is_opened_to_say_so(unpacked: Path, tmp_path: Path) -> None:
    """Fault 151: nothing is fetched unasked."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "dirname", "uname"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "xterm").write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    (programs / "xterm").chmod(0o755)
    text = (unpacked / "scripts" / "start" / "start.sh").read_text(encoding="utf-8")
    # The usual places are looked at too, and there may be a Python in them here.
    script = unpacked / "scripts" / "start" / "start.sh"
    script.write_text(text.replace(":/opt/homebrew/bin:/usr/local/bin:$HOME/.local/bin", ""), encoding="utf-8")
    done = subprocess.run(
        ["sh", str(script)],
        env={"PATH": str(programs), "HOME": str(tmp_path), "DISPLAY": ":1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"-e sh {script}"
    assert not (unpacked / "told.json").exists()


def test_the_shells_can_read_their_files() -> None:
    """macOS's file was read and checked so, not run on macOS."""
    for name in ("start.sh", "Start.command"):
        text = (START / name).read_text(encoding="utf-8")
        assert text.startswith("#!/bin/sh\n")
        assert os.name == "nt" or (START / name).stat().st_mode & 0o111
        if shell := shutil.which("sh"):
            subprocess.run([shell, "-n", str(START / name)], check=True)


def test_the_batch_file_is_written_as_windows_reads_it() -> None:
    """Plain ASCII, because the console's code page is not ours; lines end as labels need them to."""
    content = (START / "Start.bat").read_bytes()
    assert content.isascii()
    assert content.count(b"\n") == content.count(b"\r\n")
    labels = {line[1:].strip() for line in content.decode().splitlines() if line.startswith(":")}
    jumps = {line.split("goto ")[1].strip() for line in content.decode().splitlines() if "goto " in line}
    assert jumps == labels - {"find"} | {"find"}


@windows_only
def test_a_double_click_on_windows_starts_the_panel_without_a_console(unpacked: Path) -> None:
    """Fault 151."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    # A Python without streams cannot start with a fault handler that writes to one.
    environment.pop("PYTHONFAULTHANDLER", None)
    batch = unpacked / "scripts" / "start" / "Start.bat"
    # As Explorer has it run: cmd takes away the outer quotes, and the inner ones keep the name together.
    command = f'"{os.environ["COMSPEC"]}" /s /c ""{batch}""'
    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL)
    arguments, where, python = told(unpacked)
    assert (arguments, where) == (["--windowed"], unpacked)
    assert Path(python).name.lower() == "pythonw.exe"
