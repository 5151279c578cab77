"""Launch at login, shortcuts and keeping awake, through the files and calls they produce."""

from __future__ import annotations

import configparser
import os
import plistlib
import shlex
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from storage.errors import KnownError
from storage.paths import Workspace
from storage.settings import FETCH_SCHEDULE
from storage.store import Store
from storage.system.boot_service.macos import launch_daemon
from storage.system.launch_entry import NAME, launch_command
from storage.system.login_item import is_login_item, set_login_item
from storage.system.login_item.macos import launch_agent
from storage.system.power import KeepAwake
from storage.system.power.windows import ES_CONTINUOUS, ES_SYSTEM_REQUIRED
from storage.system.schedule import Schedule, Task, apply_schedule
from storage.system.schedule.macos import launchd_plist
from storage.system.shortcuts import make_shortcuts
from storage.system.shortcuts.windows import powershell_shortcuts

COMMAND = ["/opt/bot 😀/python", "launcher.py", "--workspace", '/srv/50% "mine"', "--minimised"]


class FakeRegistry:
    """The part of winreg that is used, on one dictionary."""

    HKEY_CURRENT_USER, KEY_SET_VALUE, REG_SZ = "HKCU", 2, 1

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def OpenKey(self, *_: Any) -> FakeRegistry:  # noqa: N802 - winreg's name
        return self

    def __enter__(self) -> FakeRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def SetValueEx(self, _key: Any, name: str, _reserved: int, _kind: int, value: str) -> None:  # noqa: N802
        self.values[name] = value

    def DeleteValue(self, _key: Any, name: str) -> None:  # noqa: N802
        if name not in self.values:
            raise FileNotFoundError(name)
        del self.values[name]

    def QueryValueEx(self, _key: Any, name: str) -> str:  # noqa: N802
        if name not in self.values:
            raise FileNotFoundError(name)
        return self.values[name]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_linux_login_goes_through_an_autostart_entry(home: Path) -> None:
    set_login_item(True, COMMAND, platform="linux", home=home)
    assert is_login_item(platform="linux", home=home)
    entry = configparser.RawConfigParser()
    entry.optionxform = str  # type: ignore[assignment,method-assign]
    entry.read(home / ".config" / "autostart" / "personality-bot.desktop", encoding="utf-8")
    line = entry["Desktop Entry"]["Exec"]
    assert "50%%" in line, "a percent sign is a field code there"
    # One unescaping for the string of the file, then the quoting rules of Exec.
    assert [part.replace("%%", "%") for part in shlex.split(line.replace("\\\\", "\\"))] == COMMAND
    set_login_item(False, COMMAND, platform="linux", home=home)
    assert not is_login_item(platform="linux", home=home)


def test_macos_login_goes_through_a_launch_agent_not_run_on_macos(home: Path) -> None:
    set_login_item(True, COMMAND, platform="darwin", home=home)
    agent = plistlib.loads((home / "Library" / "LaunchAgents" / "local.personality-bot.plist").read_bytes())
    assert agent["ProgramArguments"] == COMMAND
    assert agent["RunAtLoad"] is True
    set_login_item(False, COMMAND, platform="darwin", home=home)
    assert not is_login_item(platform="darwin", home=home)


# launchd.plist(5): the keys our files use, and the type each must have there.
LAUNCHD_KEYS = {
    "Label": str,
    "ProgramArguments": list,
    "UserName": str,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "AbandonProcessGroup": bool,
    "WorkingDirectory": str,
    "ProcessType": str,
    "StartCalendarInterval": dict,
}


def test_every_file_for_launchd_holds_known_keys_of_the_right_type_not_run_on_macos() -> None:
    """Fault 158: what `plutil -lint` and launchd look at."""
    task = Task("fetch-1234", tuple(COMMAND), Path("/opt/bot"))
    for content in (
        launch_agent(COMMAND),
        launch_daemon("boot-1234", COMMAND, "ana"),
        launchd_plist(task, Schedule(4, 0)),
        launchd_plist(task, Schedule(4, 0, 6)),
    ):
        agent = plistlib.loads(content, fmt=plistlib.FMT_XML)
        assert {"Label", "ProgramArguments"} <= agent.keys() <= LAUNCHD_KEYS.keys()
        assert all(type(value) is LAUNCHD_KEYS[key] for key, value in agent.items())
        assert agent["ProcessType"] in ("Background", "Standard", "Adaptive", "Interactive")
        assert all(type(number) is int for number in agent.get("StartCalendarInterval", {}).values())
    daemon = plistlib.loads(launch_daemon("boot-1234", COMMAND, "ana"))
    assert daemon["ProcessType"] == "Interactive", "a background job is held to the slow cores"


def test_windows_login_goes_through_the_run_key_not_run_on_windows(home: Path) -> None:
    registry = FakeRegistry()
    set_login_item(True, COMMAND, platform="win32", home=home, registry=registry)
    assert is_login_item(platform="win32", home=home, registry=registry)
    assert registry.values[NAME].startswith('"/opt/bot 😀/python" launcher.py')
    set_login_item(False, COMMAND, platform="win32", home=home, registry=registry)
    set_login_item(False, COMMAND, platform="win32", home=home, registry=registry)
    assert not is_login_item(platform="win32", home=home, registry=registry)


def test_the_login_command_opens_this_workspace_minimised(workspace: Workspace) -> None:
    command = launch_command(workspace, minimised=True, platform="linux")
    assert command[1].endswith("launcher.py")
    assert command[2:] == ["--workspace", str(workspace.root), "--windowed", "--minimised"]


def test_shortcuts_appear_in_the_menu_and_on_the_desktop(home: Path) -> None:
    (home / "Desktop").mkdir()
    made = make_shortcuts(COMMAND, platform="linux", home=home)
    assert [path.name for path in made] == ["personality-bot.desktop"] * 2
    assert all(path.exists() for path in made)
    app = make_shortcuts(COMMAND, platform="darwin", home=home)[0]
    program = app / "Contents" / "MacOS" / "run"
    assert app.name == "Personality Bot.app"
    assert plistlib.loads((app / "Contents" / "Info.plist").read_bytes())["LSArchitecturePriority"][0] == "arm64"
    assert program.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert os.name == "nt" or program.stat().st_mode & 0o111  # Windows has no such mark


def test_windows_shortcuts_quote_what_powershell_would_read_otherwise() -> None:
    script = powershell_shortcuts(["C:\\it's here\\pythonw.exe", "launcher.py"])
    assert "'C:\\it''s here\\pythonw.exe'" in script
    assert "SpecialFolders" in script


class Holder:
    """A process that holds off sleep."""

    def __init__(self) -> None:
        self.is_ended = False

    def terminate(self) -> None:
        self.is_ended = True

    def wait(self, timeout: float) -> None:
        assert self.is_ended
        assert timeout


def test_the_computer_stays_awake_while_wanted_and_plugged_in() -> None:
    commands: list[list[str]] = []
    holder = Holder()

    def spawn(command: list[str], **_: Any) -> Holder:
        commands.append(command)
        return holder

    plugged = True
    awake = KeepAwake(platform="linux", spawn=spawn, plugged_in=lambda: plugged)
    awake.update(wanted=True)
    awake.update(wanted=True)
    assert [command[0] for command in commands] == ["systemd-inhibit"]
    assert awake.is_held
    plugged = False
    awake.update(wanted=True)
    assert holder.is_ended
    assert not awake.is_held
    awake.close()


def test_windows_is_asked_through_the_kernel_not_run_on_windows() -> None:
    class Kernel:
        calls: ClassVar[list[tuple[int, int]]] = []

        def SetThreadExecutionState(self, flags: int) -> None:  # noqa: N802 - Win32's name
            self.calls.append((flags, threading.get_ident()))

    awake = KeepAwake(platform="win32", plugged_in=lambda: True, kernel=Kernel())
    awake.update(wanted=True)
    closer = threading.Thread(target=awake.close)  # the window's thread, where a worker's had asked
    closer.start()
    closer.join()
    assert [flags for flags, _ in Kernel.calls] == [ES_CONTINUOUS | ES_SYSTEM_REQUIRED, ES_CONTINUOUS]
    assert len({thread for _, thread in Kernel.calls}) == 1, "the state belongs to the thread that asked for it"


def test_a_missing_inhibitor_is_no_error() -> None:
    def spawn(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError("systemd-inhibit")

    KeepAwake(platform="linux", spawn=spawn, plugged_in=lambda: True).update(wanted=True)


def test_a_schedule_that_is_none_is_refused_in_words_and_the_old_one_stays(store: Store) -> None:
    with pytest.raises(KnownError, match="tuesday"):
        apply_schedule(
            "every tuesday",
            store.workspace,
            lambda text: store.settings.set(FETCH_SCHEDULE, text, changed_by="panel"),
        )
    assert store.settings.get(FETCH_SCHEDULE) == "off"
