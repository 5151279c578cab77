"""Starting before login: what each system is told, and who makes room for whom when the panel is opened."""

from __future__ import annotations

import os
import plistlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from storage.control import PANEL_WANTED
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import ModelState
from storage.settings import EMBEDDING_MODEL, MODEL_PATH
from storage.store import Store
from storage.system import boot_service
from storage.system.boot_service import BootTask, BootTaskError
from tests.support.waiting import wait_for

SPACE = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
LIMIT_SECONDS = 90.0
# Stand-ins on the PATH for the system's own programs: they keep their state in files beside themselves.
SYSTEMCTL = """case "$*" in
  *daemon-reload*) ;;
  *is-enabled*) cat "$here/enabled" 2>/dev/null || { echo disabled; exit 1; } ;;
  *disable*) rm -f "$here/enabled" ;;
  *enable*) [ -f "$here/no-systemd" ] && { echo "Failed to connect to bus"; exit 1; }; echo enabled > "$here/enabled" ;;
esac"""
LOGINCTL = """case "$*" in
  *show-user*) cat "$here/linger" 2>/dev/null || echo no ;;
  *enable-linger*) [ -f "$here/no-linger" ] && { echo "Access denied"; exit 1; }; echo yes > "$here/linger" ;;
esac"""
SCHTASKS = """case "$*" in
  */Create*) [ -f "$here/administrator" ] || { echo "ERROR: Access is denied."; exit 1; }; cp "$5" "$here/task.xml" ;;
  */Query*) [ -f "$here/task.xml" ] ;;
  */Delete*) [ -f "$here/administrator" ] || exit 1; rm "$here/task.xml" ;;
esac"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the system's programs, first on the PATH; every call is kept in `calls`."""
    if os.name == "nt":
        pytest.skip("the stand-ins are shell scripts")
    folder = tmp_path / "system"
    folder.mkdir()
    for name, body in (("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL), ("schtasks", SCHTASKS)):
        script = folder / name
        script.write_text(f'#!/bin/sh\nhere={shlex.quote(str(folder))}\necho "{name} $*" >> "$here/calls"\n{body}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def unit_file(task: BootTask, tmp_path: Path) -> Path:
    return tmp_path / "config" / "systemd" / "user" / f"{task.name}.service"


def test_linux_starts_a_user_service_with_lingering_and_takes_it_out_again(
    workspace: Workspace, system: Path, tmp_path: Path
) -> None:
    task = BootTask(workspace, platform="linux", user="mira")
    file = unit_file(task, tmp_path)
    assert not task.status().is_on
    assert not file.exists(), "off by default"
    assert task.set_up() == boot_service.BootStatus(True, boot_service.ON)
    unit = file.read_text(encoding="utf-8")
    assert "WantedBy=default.target" in unit
    assert "KillMode=process" in unit
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert shlex.split(line.removeprefix("ExecStart="))[1:] == [
        str(PROJECT_ROOT / "launcher.py"),
        "--workspace",
        str(workspace.root),
        "--headless",
    ]
    calls = (system / "calls").read_text()
    assert f"systemctl --user enable {task.name}.service" in calls
    assert "loginctl enable-linger mira" in calls
    assert "--now" not in calls, "the open panel goes on supervising"
    assert not task.remove().is_on
    assert not file.exists()
    assert not (system / "enabled").exists()
    assert not task.remove().is_on, "removing twice is harmless"


def test_lingering_that_is_refused_is_told_with_its_command(workspace: Workspace, system: Path) -> None:
    (system / "no-linger").touch()
    status = BootTask(workspace, platform="linux", user="mira").set_up()
    assert status.is_on
    assert status.command == "sudo loginctl enable-linger mira"
    assert status.command in status.text


def test_without_systemd_nothing_is_left_behind_and_cron_is_named(
    workspace: Workspace, system: Path, tmp_path: Path
) -> None:
    (system / "no-systemd").touch()
    task = BootTask(workspace, platform="linux", user="mira")
    with pytest.raises(BootTaskError) as refused:
        task.set_up()
    assert "@reboot" in refused.value.cure
    assert "--headless" in refused.value.cure
    assert not unit_file(task, tmp_path).exists()
    assert not task.status().is_on


def test_windows_tells_the_command_for_an_administrator_not_run_on_windows(workspace: Workspace, system: Path) -> None:
    task = BootTask(workspace, platform="win32", user="MIRA")
    refused = task.set_up()
    assert not refused.is_on
    assert "Run as administrator" in refused.text
    arguments = shlex.split(refused.command)
    assert arguments[:4] == ["schtasks", "/Create", "/TN", task.name]
    assert Path(arguments[5]).is_file()
    (system / "administrator").touch()
    assert subprocess.run(arguments, check=False).returncode == 0, "the very command that was shown"
    assert task.status().is_on
    root = ElementTree.fromstring((system / "task.xml").read_bytes())
    assert root.find("t:Triggers/t:BootTrigger", SPACE) is not None
    assert root.findtext("t:Principals/t:Principal/t:LogonType", namespaces=SPACE) == "S4U"
    assert root.findtext("t:Settings/t:ExecutionTimeLimit", namespaces=SPACE) == "PT0S"
    assert "--headless" in (root.findtext(".//t:Arguments", namespaces=SPACE) or "")
    assert not task.remove().is_on


def test_macos_explains_what_root_has_to_do_not_run_on_macos(workspace: Workspace, tmp_path: Path) -> None:
    task = BootTask(workspace, platform="darwin", user="mira", daemons=tmp_path)
    status = task.set_up()
    assert not status.is_on
    assert status.command.startswith("sudo install -o root -g wheel")
    daemon = plistlib.loads(Path(shlex.split(status.command)[8]).read_bytes())
    assert daemon["UserName"] == "mira"
    assert daemon["RunAtLoad"] is True
    assert daemon["AbandonProcessGroup"] is True
    assert daemon["ProgramArguments"][-1] == "--headless"
    (tmp_path / f"{task.name}.plist").write_bytes(b"")
    assert task.status().is_on
    assert "launchctl bootout" in task.remove().command


def test_the_launcher_sets_it_up_for_those_without_a_screen(workspace: Workspace, system: Path) -> None:
    def say(wish: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "launcher.py", "--workspace", str(workspace.root), "--at-boot", wish],
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.strip()

    if sys.platform.startswith("linux"):
        assert say("status") == (0, boot_service.OFF)
        assert say("on") == (0, boot_service.ON)
        assert say("off") == (0, boot_service.OFF)


# ---- who makes room for whom ---------------------------------------------------------------------------------


@pytest.fixture
def launchers(store: Store) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts launchers of one workspace without Discord; all of them and the bot are ended afterwards."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    store.settings.set(EMBEDDING_MODEL, "all-MiniLM-L6-v2", changed_by="test")
    started = []

    def launch(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "launcher.py", "--offline", "--workspace", str(store.workspace.root), *arguments],
            cwd=PROJECT_ROOT,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate(timeout=10)
    status = store.status.read_bot()
    if status is not None and psutil.pid_exists(status.pid):
        psutil.Process(status.pid).kill()


def supervisor(store: Store) -> int:
    found = store.status.read_supervisor()
    return found.pid if found is not None else 0


@pytest.mark.usefixtures("display")
def test_a_headless_launcher_makes_room_for_the_panel_and_a_second_panel_shows_the_first(
    store: Store, launchers: Callable[..., subprocess.Popen[str]]
) -> None:
    """Fault 10: two launchers never supervise one bot, and the bot does not notice the change."""
    headless = launchers("--headless")
    bot = wait_for(lambda: (s := store.status.read_bot()) and s.model_state is ModelState.READY and s, "the bot")
    panel = launchers()
    assert headless.wait(LIMIT_SECONDS) == 0
    wait_for(lambda: supervisor(store) == panel.pid, "the panel to supervise")
    assert psutil.pid_exists(bot.pid)
    assert store.status.read_bot().pid == bot.pid
    second = launchers()
    _, words = second.communicate(timeout=LIMIT_SECONDS)
    assert second.returncode == 0
    assert "already open" in words
    assert panel.poll() is None
    assert store.facts.get(PANEL_WANTED) == 0.0
    refused = launchers("--headless")
    _, words = refused.communicate(timeout=LIMIT_SECONDS)
    assert refused.returncode == 1
    assert str(panel.pid) in words
