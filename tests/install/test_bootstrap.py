"""What a person sees on the first start: real environments, real pip, tiny packages, no network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from scripts import bootstrap
from scripts.installation import machine
from tests.support.projects import (
    DEADLINE_SECONDS,
    LAUNCHER,
    ROOT,
    FirstStart,
    Project,
    finish,
    make_endless_source,
    make_wheel,
    posix_only,
    wait_for,
    wait_until_gone,
)


def test_the_first_start_installs_everything_and_goes_on_with_the_same_command_line(
    first_start: FirstStart,
) -> None:
    done, project = first_start.done, first_start.project

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["argv"] == [str(project.launcher), "--demo", "two words", ""]
    assert Path(told["prefix"]) == project.folder / ".venv"
    assert told["flags"] == [True, True]
    assert "[1/2] Installing the bot's libraries: done in" in done.stderr


def test_a_module_started_with_m_is_started_so_again(project: Project) -> None:
    project.launcher.rename(project.folder / "panel.py")

    done = project.run("-m", "panel", "--headless")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["argv"] == [str(project.folder / "panel.py"), "--headless"]


def test_later_starts_say_nothing(project: Project) -> None:
    project.run()

    done = project.run()

    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupted_installation_goes_on_where_it_stopped(project: Project) -> None:
    wheel = project.shelf / "omega-1.0-py3-none-any.whl"
    wheel.rename(project.folder / "away.whl")
    failed = project.run()
    (project.folder / "away.whl").rename(wheel)
    done = project.run()

    assert failed.returncode == 1
    assert "There is no omega==1.0 for Python" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert done.returncode == 0, done.stderr
    assert "the bot's libraries" not in done.stderr


def test_a_package_that_was_cut_off_while_unpacking_is_installed_again(project: Project) -> None:
    project.run()
    (project.site_packages / "alpha-1.0.dist-info" / "RECORD").unlink()
    (project.site_packages / "alpha.py").unlink()

    assert project.run().returncode == 0


def test_a_new_pin_replaces_the_old_version(project: Project) -> None:
    project.run()
    make_wheel(project.shelf, "alpha", "1.1")
    project.require(runtime="alpha==1.1", offline="omega==1.0")

    assert project.run().returncode == 0
    assert (project.site_packages / "alpha-1.1.dist-info").exists()


@posix_only
def test_an_environment_whose_python_is_gone_is_made_anew(project: Project) -> None:
    for link in (project.folder / ".venv" / "bin").glob("python*"):
        link.unlink()

    assert project.run().returncode == 0


def test_two_starts_at_once_take_turns(project: Project) -> None:
    first, second = project.start(), project.start()

    results = [finish(first), finish(second)]

    assert [done.returncode for done in results] == [0, 0], results
    installed = [line for done in results for line in done.stderr.splitlines() if "libraries: done" in line]
    assert len(installed) == 1


@posix_only
@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_pip_and_its_compilers_with_one_sentence(
    project: Project, tmp_path: Path, wanted: signal.Signals
) -> None:
    make_endless_source(project.shelf, "endless", "1.0", tmp_path / "started")
    project.require(runtime="endless==1.0", offline="omega==1.0")
    process = project.start()
    builder = int(wait_for(tmp_path / "started"))

    process.send_signal(wanted)
    done = finish(process)

    assert done.returncode == bootstrap.EXIT_INTERRUPTED
    assert done.stderr.splitlines()[-1] == "Set-up interrupted; the next start resumes where it stopped."
    wait_until_gone(builder)


@posix_only
def test_a_start_waits_for_the_pip_of_a_killed_one(project: Project, tmp_path: Path) -> None:
    make_endless_source(project.shelf, "endless", "1.0", tmp_path / "started")
    project.require(runtime="endless==1.0", offline="omega==1.0")
    killed = project.start()
    builder = int(wait_for(tmp_path / "started"))
    killed.kill()
    finish_without_output(killed)
    project.require(runtime="alpha==1.0", offline="omega==1.0")

    waiting = project.start()
    assert waiting.stderr is not None
    lines = [waiting.stderr.readline() for _ in range(2)]
    for process in [*psutil.Process(builder).parents()[:1], psutil.Process(builder)]:
        process.kill()

    assert lines[1] == "Another start is installing; waiting for it ...\n"
    assert finish(waiting).returncode == 0


def finish_without_output(process: subprocess.Popen[str]) -> None:
    """Wait for a process whose pipes a grandchild may hold open."""
    process.wait(timeout=DEADLINE_SECONDS)


@posix_only
def test_a_missing_compiler_is_told_before_anything_is_downloaded(project: Project, tmp_path: Path) -> None:
    project.require(runtime="torch==1.0\nalpha==1.0\nllama-cpp-python==1.0", offline="omega==1.0")
    make_wheel(project.shelf, "torch", "1.0")

    done = project.run(PATH=str(tmp_path / "nothing here"))

    assert done.returncode == 1
    assert "no C++ compiler was found: install" in done.stderr.splitlines()[-1]
    assert not list(project.site_packages.glob("torch*"))


@posix_only
def test_without_a_compiler_a_ready_made_llama_cpp_will_do(project: Project, tmp_path: Path) -> None:
    project.require(runtime="alpha==1.0\nllama-cpp-python==1.0", offline="omega==1.0")
    make_wheel(project.shelf, "llama_cpp_python", "1.0")
    with zipfile.ZipFile(project.shelf / "llama_cpp_python-1.0-py3-none-any.whl", "a") as wheel:
        wheel.writestr("llama_cpp.py", "")

    assert project.run(PATH=str(tmp_path / "nothing here")).returncode == 0


def test_no_network_is_told_in_a_sentence(project: Project) -> None:
    done = project.run(PIP_NO_INDEX="", PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="1")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("No network: the bot's libraries could not be downloaded")
    assert "Traceback" not in done.stderr


def training_project(project: Project, turbo: str) -> Project:
    """A project whose script trains, and needs a package of this version to do so fast."""
    welcome = '"offline"), welcome=bootstrap.fast_training(), root='
    text = LAUNCHER.format(root=str(ROOT), project=str(project.folder)).replace('"offline"), root=', welcome)
    project.launcher.write_text(text, encoding="utf-8")
    (project.folder / "requirements-cuda.txt").write_text(f"turbo=={turbo}\n", encoding="utf-8")
    make_wheel(project.shelf, "turbo", "1.0")
    return project


def path_with_card(folder: Path) -> str:
    """A PATH on which NVIDIA's own program is found."""
    folder.mkdir(exist_ok=True)
    (folder / "nvidia-smi").write_text("#!/bin/sh\necho 'CUDA Version: 12.8'\n", encoding="utf-8")
    (folder / "nvidia-smi").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@posix_only
def test_fast_training_is_installed_where_a_card_is_and_nowhere_else(project: Project, tmp_path: Path) -> None:
    training_project(project, "1.0")
    assert project.run().returncode == 0
    assert not list(project.site_packages.glob("turbo*"))
    done = project.run(PATH=path_with_card(tmp_path / "driver"))
    assert done.returncode == 0, done.stderr
    assert (project.site_packages / "turbo.py").is_file()


@posix_only
def test_training_goes_on_without_what_would_make_it_fast_and_tries_again_with_other_pins(
    project: Project, tmp_path: Path
) -> None:
    training_project(project, "9.9")
    path = path_with_card(tmp_path / "driver")
    done = project.run(PATH=path)
    assert done.returncode == 0
    assert "Going on without fast training on NVIDIA cards" in done.stderr
    again = project.run(PATH=path)
    assert again.returncode == 0
    assert again.stderr == "", "not tried at every start"
    training_project(project, "1.0")
    assert project.run(PATH=path).returncode == 0
    assert (project.site_packages / "turbo.py").is_file()


def ensure_here(project: Project) -> None:
    bootstrap.ensure(groups=("runtime", "offline"), root=project.folder)


def test_an_old_python_is_told_which_one_is_needed(
    bare: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = SimpleNamespace(version_info=(3, 9, 1), executable="python3.9", platform="linux", stderr=sys.stderr)
    monkeypatch.setattr(bootstrap, "sys", old)
    monkeypatch.setattr("shutil.which", lambda name: None)

    with pytest.raises(SystemExit) as ended:
        ensure_here(bare)

    assert ended.value.code == 1
    assert "Python 3.11 or later is needed, but python3.9 is Python 3.9.1: install" in capsys.readouterr().err


def test_too_small_a_disk_is_told_before_anything_is_downloaded(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "free_gigabytes", lambda folder: 0.5)

    with pytest.raises(SystemExit):
        ensure_here(project)

    assert "needs about 1.5 GB, and 0.5 GB are free" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "cure"),
    [("ensurepip", "-venv")],
)
def test_a_python_in_parts_is_told_which_part_is_missing(
    bare: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    cure: str,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else object())

    with pytest.raises(SystemExit):
        ensure_here(bare)

    assert cure in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(
    bare: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(SystemExit):
        ensure_here(bare)

    assert "cannot be written to" in capsys.readouterr().err


def test_an_unknown_group_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bootstrap.main(["everything"])
    words = capsys.readouterr().err
    assert ended.value.code == 1
    assert "'everything'" in words
    assert "runtime" in words
