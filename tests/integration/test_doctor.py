"""The doctor: what it says about good and broken workspaces, and that every complaint ends with a cure."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import doctor
from scripts.doctor import Finding, Verdict
from storage.backup import create_backup
from storage.environment import SERVER_ID, TOKEN, write_value
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import BotPhase, BotStatus, Channel, Message, ModelState
from storage.settings import EMBEDDING_MODEL, FETCH_SCHEDULE, LAUNCH_AT_LOGIN, MODEL_PATH
from storage.store import Store
from tests.support.discord_server import MESSAGE_CONTENT, DiscordServer
from tests.support.discord_world import READ_MESSAGE_HISTORY, World


def run(workspace: Workspace, *arguments: str, **environment: str) -> tuple[int, str]:
    """The doctor as the owner starts it: exit code and report."""
    done = subprocess.run(
        [sys.executable, "scripts/doctor.py", "--workspace", str(workspace.root), *arguments],
        cwd=PROJECT_ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def about(findings: Iterator[Finding] | list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


@pytest.fixture
def sound(store: Store) -> Store:
    """A workspace with a model, messages and a channel to speak in."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    store.settings.set(EMBEDDING_MODEL, "all-MiniLM-L6-v2", changed_by="test")
    store.channels.add([Channel(1000, "general", learn=True, recall=True, speak=True, is_private=False)])
    store.messages.save([Message(1, 1000, 7, "ann", "hello", 1)])
    write_value(store.workspace.env_file, TOKEN, "x" * 70)
    write_value(store.workspace.env_file, SERVER_ID, "5")
    return store


# ---- as the owner starts it -----------------------------------------------------------------------------


def test_a_sound_workspace_has_nothing_in_the_way(sound: Store) -> None:
    code, report = run(sound.workspace, "--offline")
    assert code == 0, report
    assert report.rstrip().endswith("No problems found.")
    assert "BAD" not in report
    assert "x" * 70 not in report
    job = sound.jobs.latest("doctor")
    assert job is not None
    assert job.result["findings"]


def test_a_damaged_database_is_named_with_its_cure_and_the_rest_is_still_looked_at(sound: Store) -> None:
    """Fault 29."""
    sound.close()
    sound.workspace.messages_db.write_bytes(b"no database" * 1000)
    code, report = run(sound.workspace, "--offline")
    assert code == 1
    assert "damaged" in report
    assert "--restore" in report
    assert "Python:" in report
    assert "Disk:" in report
    assert "Problems: Databases." in report


def test_the_launcher_brings_what_the_system_starts_at_login(workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "launcher.py", "--doctor", "--workspace", str(workspace.root)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Start at login: off" in done.stdout
    assert "Traceback" not in done.stderr


# ---- Discord's part -----------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    world = World()
    world.add_channel("general", channel_id=1000)
    with DiscordServer(world) as running:
        yield running


def test_a_good_token_a_bad_token_and_a_missing_intent_are_told_apart(sound: Store, server: DiscordServer) -> None:
    """Faults 12 and 13."""
    code, report = run(sound.workspace, **server.environment)
    assert code == 0
    assert "token accepted" in report
    assert "Message content intent: on" in report
    server.approved_intents &= ~MESSAGE_CONTENT
    code, report = run(sound.workspace, **server.environment)
    assert code == 1
    assert "switch on 'Message Content Intent'" in report
    code, report = run(sound.workspace, **server.environment | {"DISCORD_TOKEN": "wrong" * 12})
    assert code == 1
    assert "does not accept the bot token" in report
    assert "Reset Token" in report
    assert "wrong" not in report


def test_a_channel_it_may_not_read_and_a_server_it_is_not_on_are_named(sound: Store, server: DiscordServer) -> None:
    """Faults 20 and 41."""
    server.do(lambda world: world.no_access.add(1000))
    code, report = run(sound.workspace, **server.environment)
    assert code == 1
    assert "cannot read #general" in report
    assert "View Channel" in report
    code, report = run(sound.workspace, **server.environment | {"SERVER_ID": "12345"})
    assert code == 1
    assert "not on the server" in report
    assert "https://discord.com" in report


def test_a_history_it_may_not_read_is_named_though_discord_answers_as_if_it_were_empty(
    sound: Store, server: DiscordServer
) -> None:
    """Fault 61."""
    server.do(lambda world: world.take_from_bot(1000, READ_MESSAGE_HISTORY))
    code, report = run(sound.workspace, **server.environment)
    assert code == 1
    assert "cannot read #general" in report
    assert "Read Message History" in report


def test_an_open_question_about_absent_messages_is_told_with_both_answers(sound: Store) -> None:
    """Fault 61: and hidden messages are said to be there."""
    sound.messages.save([Message(n, 1000, 7, "ann", f"line {n}", n) for n in range(2, 12)])
    sound.withheld.ask(1000, [3, 4, 5])
    sound.withheld.mark_missing([8])
    asked = about(doctor.look_at_store(sound), "Absent messages")
    assert asked.verdict is Verdict.NOTE
    assert "3 of 10 messages kept from #general" in asked.words
    assert "--were-deleted" in asked.cure
    assert "--keep-absent" in asked.cure
    assert "1 in #general" in about(doctor.look_at_store(sound), "Missing messages").words


def test_without_a_network_it_says_so_after_a_bounded_wait(sound: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 14."""
    monkeypatch.setattr(doctor, "DISCORD_LIMIT_SECONDS", 0.5)
    monkeypatch.setenv("DISCORD_API_BASE", "http://127.0.0.1:9/api/v10")
    (finding,) = doctor.look_at_discord(sound)
    assert finding.verdict is Verdict.BAD
    assert "cannot be reached" in finding.words
    assert finding.cure


# ---- one finding at a time ----------------------------------------------------------------------------------


def test_a_destroyed_index_is_a_note_not_an_obstacle(sound: Store) -> None:
    """Fault 36."""
    folder = sound.workspace.embeddings / "messages.lance"
    folder.mkdir(parents=True)
    (folder / "rubbish").write_bytes(b"\0" * 100)
    finding = about(doctor.look_at_store(sound), "Search index")
    assert finding.verdict is Verdict.NOTE
    assert finding.cure or "wait" in finding.words


def status(sound: Store, **fields: object) -> Finding:
    now = time.time()
    values = {
        "pid": os.getpid(),
        "phase": BotPhase.RUNNING,
        "heartbeat_at": now,
        "started_at": now,
        "model_state": ModelState.READY,
    } | fields
    sound.status.write_bot(BotStatus(**values))  # type: ignore[arg-type]
    return about(doctor.look_at_store(sound), "Bot")


def test_the_bots_own_troubles_are_passed_on(sound: Store) -> None:
    """Faults 2, 5, 23 and 50."""
    assert status(sound).verdict is Verdict.GOOD
    hung = status(sound, heartbeat_at=time.time() - 500)
    assert hung.verdict is Verdict.BAD
    assert "silent for 5" in hung.words
    gone = status(sound, heartbeat_at=time.time() - 500, pid=2**22 + 1)
    assert gone.verdict is Verdict.NOTE
    assert "stopped unexpectedly" in gone.words
    ended = status(sound, exit_code=78, exit_reason="No Discord bot token is set.", last_error_cure="Enter it.")
    assert (ended.verdict, ended.words, ended.cure) == (Verdict.BAD, "No Discord bot token is set.", "Enter it.")
    modelless = status(sound, model_state=ModelState.FAILED, model_error="m.gguf is cut short.")
    assert modelless.verdict is Verdict.BAD
    assert "cut short" in modelless.words


def test_old_and_missing_backups_are_noted(sound: Store) -> None:
    assert about(doctor.look_at_routine(sound, autostart=None), "Backup").verdict is Verdict.NOTE
    create_backup(sound)
    assert about(doctor.look_at_routine(sound, autostart=None), "Backup").words == "today"
    create_backup(sound, clock=lambda: time.time() + 86_400 * 0.5)
    old = replace(doctor._age("Backup", time.time() - 30 * 86_400, 14, "Make one."))
    assert (old.verdict, old.words) == (Verdict.NOTE, "30 days ago")


def test_switches_that_the_system_does_not_follow_are_noted(
    sound: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    sound.settings.set(FETCH_SCHEDULE, "daily@04:00", changed_by="test")
    sound.settings.set(LAUNCH_AT_LOGIN, True, changed_by="test")
    findings = list(doctor.look_at_routine(sound, autostart="off"))
    assert "the system knows nothing of it" in about(findings, "Scheduled fetch").words
    assert about(findings, "Start at login").verdict is Verdict.NOTE
    assert all(finding.cure for finding in findings if finding.verdict is not Verdict.GOOD)


def test_a_card_that_came_after_the_installation_is_noted() -> None:
    """Fault 103."""
    note = doctor.graphics_card_unused("2.13.0+cpu", (12, 8))
    assert note is not None
    assert note.verdict is Verdict.NOTE
    assert ".venv" in note.cure
    assert doctor.graphics_card_unused("2.13.0+cu126", (12, 8)) is None
    assert doctor.graphics_card_unused("2.13.0+cpu", None) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_a_token_file_others_may_read_is_noted(sound: Store) -> None:
    """Fault 48."""
    sound.workspace.env_file.chmod(0o644)
    finding = about(doctor.look_at_routine(sound, autostart=None), "Token file")
    assert finding.verdict is Verdict.NOTE
    assert "chmod 600" in finding.cure


def test_a_cloud_folder_is_in_the_way(tmp_path: Path) -> None:
    """Fault 32."""
    finding = about(doctor.look_at_program(Workspace.at(tmp_path / "OneDrive" / "bot")), "Folder")
    assert finding.verdict is Verdict.BAD
    assert "OneDrive" in finding.words
    assert "--workspace" in finding.cure
