"""The scheduled fetch on each system. Windows and macOS commands are recorded, not run."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from storage.paths import Workspace
from storage.system.boot_service.windows import boot_task_xml
from storage.system.commands import CommandOutcome, windows_user
from storage.system.launch_entry import windowless_python
from storage.system.schedule import Schedule, ScheduleError, Scheduler, Task, apply_schedule, parse_schedule
from storage.system.schedule.linux import cron_line, systemd_service, systemd_timer, with_cron_line
from storage.system.schedule.windows import task_xml
from tests.support.task_schema import violations

TASK = Task(
    "fetch-1234",
    ("/opt/Bót 😀 x/python", '/opt/100% & "new"/fetch.py', "--workspace", "/srv/$my data"),
    Path("/opt/100% x"),
)


class System:
    """Stands in for the operating system's commands: remembers them, keeps one crontab."""

    def __init__(self, *, has_systemd: bool) -> None:
        self.has_systemd = has_systemd
        self.crontab = "# mine\n5 5 * * * other\n"
        self.commands: list[list[str]] = []
        self.files: dict[str, bytes] = {}

    def __call__(self, command: Sequence[str], text: str | None = None) -> CommandOutcome:
        self.commands.append(list(command))
        if command[0] == "systemctl" and not self.has_systemd:
            return CommandOutcome(1, "Failed to connect to bus")
        if list(command) == ["crontab", "-l"]:
            return CommandOutcome(0, self.crontab)
        if list(command) == ["crontab", "-"]:
            self.crontab = text or ""
        if "/XML" in command:
            file = Path(command[command.index("/XML") + 1])
            self.files["task.xml"] = file.read_bytes()
        return CommandOutcome(0, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("daily@04:00", Schedule(4, 0)),
        ("weekly@sun-04:30", Schedule(4, 30, 0)),
        ("Weekly@SAT-23:59", Schedule(23, 59, 6)),
        ("off", None),
    ],
)
def test_a_schedule_is_read_and_written_the_same(text: str, expected: Schedule | None) -> None:
    assert parse_schedule(text) == expected
    if expected is not None:
        assert parse_schedule(expected.text) == expected


@pytest.mark.parametrize(
    "text", ["hourly", "daily@24:00", "daily@4", "weekly@sun", "weekly@foo-04:00", "daily@04:60", ""]
)
def test_anything_else_is_answered_with_the_forms(text: str) -> None:
    with pytest.raises(ScheduleError, match="daily@04:00"):
        parse_schedule(text)


@pytest.mark.parametrize("schedule", [Schedule(4, 0), Schedule(23, 59, 6)])
@pytest.mark.parametrize("user", ["", "PC\\Zoë Müller"])
def test_a_scheduled_task_is_written_as_windows_schema_demands(schedule: Schedule, user: str) -> None:
    """Fault 155: element by element, their order and their texts."""
    assert violations(task_xml(TASK, schedule, user=user)) == []


def test_the_task_at_boot_is_written_as_windows_schema_demands() -> None:
    """Fault 155."""
    assert violations(boot_task_xml(TASK.command, "PC\\Zoë Müller")) == []


def test_the_schemas_rules_find_what_is_wrong() -> None:
    good = task_xml(TASK, Schedule(4, 0, 0)).decode("utf-16")
    for before, after, said in (
        ("<Enabled>true</Enabled>", "", ""),
        ("<Enabled>true</Enabled>", "<Enabled>yes</Enabled>", "Enabled: 'yes'"),
        ("T04:00:00", "T24:00:00", "StartBoundary: '2026-01-01T24:00:00'"),
        ("PT6H", "6 hours", "ExecutionTimeLimit: '6 hours'"),
        ('id="Author"', 'id="Owner"', "Actions run in the context of a principal that is not there"),
        ("<Sunday />", "<Funday />", "DaysOfWeek: Funday is not allowed there"),
    ):
        assert before in good
        assert (violations(good.replace(before, after).encode("utf-16")) or [""])[0] == said
    swapped = good.replace("<Enabled>true</Enabled>", "").replace(
        "</StartBoundary>", "</StartBoundary><Enabled>true</Enabled>"
    )
    assert "children in another order" in violations(swapped.encode("utf-16"))[0]


def test_windows_gets_a_task_that_survives_strange_paths() -> None:
    root = ElementTree.fromstring(task_xml(TASK, Schedule(4, 0, 0)))
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert root.find(".//t:ScheduleByWeek/t:DaysOfWeek/t:Sunday", space) is not None
    assert root.findtext(".//t:Command", namespaces=space) == TASK.command[0]
    assert "100%" in root.findtext(".//t:Arguments", namespaces=space)
    assert root.findtext(".//t:StartWhenAvailable", namespaces=space) == "true"
    assert root.findtext(".//t:StartBoundary", namespaces=space).endswith("T04:00:00")
    assert root.find(".//t:UserId", space) is None
    owned = ElementTree.fromstring(task_xml(TASK, Schedule(4, 0), user="HOME\\zoë"))
    assert owned.findtext(".//t:Principal/t:UserId", namespaces=space) == "HOME\\zoë"


def test_windows_names_an_account_with_its_domain() -> None:
    assert windows_user({"USERDOMAIN": "HOME", "USERNAME": "zoë"}) == "HOME\\zoë"
    assert windows_user({"USERNAME": "zoë"}) == "zoë"


def test_the_nightly_command_opens_no_console_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 94: pythonw, which has no streams, is what the system starts."""
    for name in ("python.exe", "pythonw.exe"):
        (tmp_path / name).touch()
    monkeypatch.setattr("sys.executable", str(tmp_path / "python.exe"))
    assert windowless_python(platform="win32") == tmp_path / "pythonw.exe"
    assert windowless_python(platform="linux") == tmp_path / "python.exe"


def test_windows_commands_as_recorded(tmp_path: Path) -> None:
    system = System(has_systemd=False)
    scheduler = Scheduler(TASK, platform="win32", home=tmp_path, run=system)
    assert "Task Scheduler" in scheduler.install(Schedule(4, 0))
    assert system.files["task.xml"].startswith(b"\xff\xfe")
    scheduler.remove()
    assert [command[1] for command in system.commands] == ["/Create", "/Delete"]


def test_macos_commands_as_recorded(tmp_path: Path) -> None:
    system = System(has_systemd=False)
    scheduler = Scheduler(TASK, platform="darwin", home=tmp_path, run=system)
    scheduler.install(Schedule(4, 30, 0))
    file = tmp_path / "Library" / "LaunchAgents" / "fetch-1234.plist"
    agent = plistlib.loads(file.read_bytes())
    assert agent["StartCalendarInterval"] == {"Hour": 4, "Minute": 30, "Weekday": 0}
    assert agent["ProgramArguments"] == list(TASK.command)
    scheduler.remove()
    assert not file.exists()
    assert scheduler.status() == "Not scheduled."


def test_linux_with_systemd_gets_a_user_timer(tmp_path: Path) -> None:
    system = System(has_systemd=True)
    scheduler = Scheduler(TASK, platform="linux", home=tmp_path, config_home=tmp_path / "config", run=system)
    scheduler.install(Schedule(4, 0))
    units = tmp_path / "config" / "systemd" / "user"
    assert "OnCalendar=*-*-* 04:00:00" in (units / "fetch-1234.timer").read_text(encoding="utf-8")
    assert ["systemctl", "--user", "enable", "--now", "fetch-1234.timer"] in system.commands
    scheduler.remove()
    assert list(units.iterdir()) == []


def test_linux_without_systemd_gets_one_cron_line_and_keeps_the_others(tmp_path: Path) -> None:
    system = System(has_systemd=False)
    scheduler = Scheduler(TASK, platform="linux", home=tmp_path, config_home=tmp_path / "config", run=system)
    scheduler.install(Schedule(4, 0))
    scheduler.install(Schedule(5, 15, 3))
    assert system.crontab.splitlines()[:2] == ["# mine", "5 5 * * * other"]
    assert [line for line in system.crontab.splitlines() if "fetch-1234" in line] == [
        cron_line(TASK, Schedule(5, 15, 3))
    ]
    assert scheduler.status().startswith("cron: 15 5 * * 3 ")
    scheduler.remove()
    assert system.crontab == "# mine\n5 5 * * * other\n"


def test_unit_and_cron_texts_keep_percent_and_quotes_literal() -> None:
    service = systemd_service(TASK)
    assert '"/opt/100%% & \\"new\\"/fetch.py"' in service
    assert '"/srv/$$my data"' in service
    assert "OnCalendar=Sun *-*-* 04:00:00" in systemd_timer(TASK, Schedule(4, 0, 0))
    line = cron_line(TASK, Schedule(4, 0))
    command = line.split("&& ", 1)[1].split(" >/dev/null")[0].replace(r"\%", "%")
    assert tuple(shlex.split(command)) == TASK.command
    assert with_cron_line("a\n", TASK, None) == "a\n"


def test_two_workspaces_have_two_jobs(tmp_path: Path) -> None:
    one, two = (Task.for_workspace(Workspace.at(tmp_path / name)) for name in ("one", "two"))
    assert one.name != two.name


def test_the_choice_is_remembered_only_once_the_system_agreed(tmp_path: Path) -> None:
    remembered: list[str] = []
    system = System(has_systemd=False)
    scheduler = Scheduler(TASK, platform="linux", home=tmp_path, config_home=tmp_path, run=system)
    sentence = apply_schedule("weekly@sun-04:00", Workspace.at(tmp_path), remembered.append, scheduler=scheduler)
    assert "every Sunday at 04:00" in sentence
    refusing = Scheduler(TASK, platform="win32", home=tmp_path, run=lambda *_: CommandOutcome(1, "Access is denied"))
    with pytest.raises(ScheduleError, match="Access is denied"):
        apply_schedule("daily@04:00", Workspace.at(tmp_path), remembered.append, scheduler=refusing)
    apply_schedule("off", Workspace.at(tmp_path), remembered.append, scheduler=scheduler)
    assert remembered == ["weekly@sun-04:00", "off"]
