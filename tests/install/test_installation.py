"""The parts of the installer: pins, sources, messages, progress."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.installation import environment, failures, machine
from scripts.installation import steps as steps_module
from scripts.installation.environment import PrivateEnvironment
from scripts.installation.failures import Context, PackageSourceError, SetupError
from scripts.installation.groups import GROUPS, read_group
from scripts.installation.pins import Pin, PinError, marker_applies, missing_pins, read_pins
from scripts.installation.progress import InstallProgress
from scripts.installation.steps import LLAMA_TRIAL, PipStep, plan

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (3, 11, 2)
CONTEXT = Context("PyTorch", Path("/home/ada/bot"), 2.5, Path("/home/ada/bot/.venv/install.log"))


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def install(site: Path, name: str, version: str, *, is_complete: bool = True) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    if is_complete:
        (folder / "RECORD").touch()


def test_pins_are_read_with_includes_comments_extras_and_markers(tmp_path: Path) -> None:
    write(tmp_path, base="# the base\nDiscord.py==2.7.1  # talks to Discord\n")
    write(
        tmp_path,
        more="-r base.txt\nhttpx[socks]==0.28.1\nwin==1; sys_platform == 'nowhere'\nnew==2; python_version >= '3.9'\n",
    )

    assert read_pins(tmp_path / "more.txt", python_version=PYTHON) == [
        Pin("discord-py", "2.7.1", "discord-py==2.7.1"),
        Pin("httpx", "0.28.1", "httpx[socks]==0.28.1"),
        Pin("new", "2", "new==2"),
    ]


@pytest.mark.parametrize("line", ["numpy", "numpy>=2", "numpy==2.*,<3 x", "numpy==2; color == 'red'"])
def test_a_line_that_pins_nothing_exactly_is_refused(tmp_path: Path, line: str) -> None:
    write(tmp_path, loose=line)

    with pytest.raises(PinError):
        read_pins(tmp_path / "loose.txt", python_version=PYTHON)


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ("python_version < '3.12'", True),
        ("python_version < '3.9'", False),
        ("python_version >= '3.11' and sys_platform == 'linux'", True),
        ("sys_platform == 'win32' or sys_platform == 'linux'", True),
        ("sys_platform in 'win32 darwin'", False),
        ("sys_platform != 'darwin'", True),
    ],
)
def test_markers_compare_versions_as_numbers(marker: str, applies: bool) -> None:
    assert marker_applies(marker, {"python_version": "3.11", "sys_platform": "linux"}) is applies


def test_only_whole_packages_in_the_exact_version_satisfy_a_pin(tmp_path: Path) -> None:
    install(tmp_path, "torch", "2.13.0+cpu")
    install(tmp_path, "discord_py", "2.7.1")
    install(tmp_path, "numpy", "2.4.5")
    install(tmp_path, "trl", "1.14.2", is_complete=False)
    wanted = [
        ("torch", "2.13.0"),
        ("discord-py", "2.7.1"),
        ("numpy", "2.4.6"),
        ("trl", "1.14.2"),
        ("peft", "1"),
    ]

    missing = missing_pins([Pin(name, version, "") for name, version in wanted], ["/nowhere", str(tmp_path)])

    assert [pin.name for pin in missing] == ["numpy", "trl", "peft"]


def test_no_two_requirements_files_name_different_versions() -> None:
    versions: dict[str, set[str]] = {}
    for name in GROUPS:
        for pin in read_group(ROOT, name, python_version=PYTHON):
            versions.setdefault(pin.name, set()).add(pin.version)

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_an_old_python_can_read_the_installer() -> None:
    files = [ROOT / "scripts" / "bootstrap.py", *(ROOT / "scripts" / "installation").glob("*.py")]
    files += [ROOT / "tests" / "__main__.py", ROOT / "tests" / "support" / "screen.py"]
    files += [ROOT / "storage" / "system" / name for name in ("streams.py", "libraries.py")]

    for file in files:
        ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 7))


def test_pytorch_comes_first_and_llama_cpp_after_the_model_it_is_tried_with() -> None:
    steps = plan(("runtime", "offline", "train", "dev"), ROOT, python_version=PYTHON)

    assert [step.pins[0].name for step in steps[:1]] == ["torch"]
    assert [step.label for step in steps[1:4]] == [
        "the bot's libraries",
        "the small offline models",
        "llama.cpp",
    ]
    assert "llama-cpp-python" not in " ".join(steps[1].requirements)


@pytest.mark.parametrize(
    ("platform", "cuda", "reachable", "index"),
    [
        ("linux", None, True, "https://download.pytorch.org/whl/cpu"),
        ("linux", None, False, None),
        ("linux", (13, 1), True, "https://download.pytorch.org/whl/cu130"),
        ("win32", (12, 8), True, "https://download.pytorch.org/whl/cu126"),
        ("win32", None, True, "https://download.pytorch.org/whl/cpu"),
        ("darwin", None, True, None),
    ],
)
def test_pytorch_comes_from_the_index_that_fits_the_computer(
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    cuda: tuple[int, int] | None,
    reachable: bool,
    index: str | None,
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(machine, "find_cuda_version", lambda: cuda)
    monkeypatch.setattr(machine, "is_reachable", lambda url: reachable)

    attempts = plan(("runtime",), ROOT, python_version=PYTHON)[0].attempts(lambda pin: False)

    assert attempts[-1].arguments == ("torch==2.13.0",)
    assert (index in attempts[0].arguments) if index else len(attempts) == 1


@pytest.mark.parametrize(
    ("platform", "cuda", "builds"),
    [
        ("win32", (12, 8), ["cu125", "cpu"]),
        ("win32", (13, 2), ["cu130", "cpu"]),
        ("win32", None, ["cpu"]),
        ("linux", (12, 8), ["cu125", "cpu"]),
        ("linux", None, ["cpu"]),
    ],
)
def test_ready_made_llama_cpp_is_taken_and_the_processor_build_last(
    monkeypatch: pytest.MonkeyPatch, platform: str, cuda: tuple[int, int] | None, builds: list[str]
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(machine, "find_cuda_version", lambda: cuda)
    monkeypatch.setattr(machine, "is_reachable", lambda url: True)
    monkeypatch.setattr(machine, "has_compiler", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    step = next(step for step in plan(("runtime",), ROOT, python_version=PYTHON) if step.label == "llama.cpp")

    urls = [attempt.arguments[-1] for attempt in step.attempts(lambda pin: False)]
    assert urls == [f"https://abetlen.github.io/llama-cpp-python/whl/{build}" for build in builds]


def llama_step() -> PipStep:
    return next(step for step in plan(("runtime", "offline"), ROOT, python_version=PYTHON) if step.label == "llama.cpp")


def labels(monkeypatch: pytest.MonkeyPatch, *, cuda: tuple[int, int] | None, nvcc: bool) -> list[str]:
    """What is tried for llama.cpp on a Linux computer with a compiler, one after the other."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "is_reachable", lambda url: True)
    monkeypatch.setattr(machine, "has_compiler", lambda: True)
    monkeypatch.setattr(machine, "find_cuda_version", lambda: cuda)
    monkeypatch.setattr(machine, "has_cuda_compiler", lambda: nvcc)
    monkeypatch.setattr(machine, "has_amx", lambda: False)
    attempts = llama_step().attempts(lambda pin: False)
    assert all(attempt.trial == LLAMA_TRIAL for attempt in attempts), "none is kept that does not compute"
    return [
        "ready " + attempt.arguments[-1].rpartition("/")[2]
        if "--only-binary" in attempt.arguments
        else "compile " + dict(attempt.environment).get("CMAKE_ARGS", "native")
        for attempt in attempts
    ]


def test_linux_waits_for_no_compiler_where_a_ready_build_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    native = ["compile native", "compile -DGGML_NATIVE=OFF"]
    assert labels(monkeypatch, cuda=None, nvcc=False) == ["ready cpu", *native]
    assert labels(monkeypatch, cuda=(12, 8), nvcc=False) == ["ready cu125", "ready cpu", *native]
    with_nvcc = ["ready cu125", "compile -DGGML_CUDA=on", "ready cpu", *native]
    assert labels(monkeypatch, cuda=(12, 8), nvcc=True) == with_nvcc
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(machine, "has_cuda_compiler", lambda: False)
    assert next(iter(llama_step().attempts(lambda pin: False))).activity.endswith("minutes, once)")


def test_a_build_that_cannot_compute_here_is_compiled_for_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(machine, "is_reachable", lambda url: False)
    monkeypatch.setattr(machine, "has_compiler", lambda: True)
    monkeypatch.setattr(machine, "has_amx", lambda: False)

    first, last = llama_step().attempts(lambda pin: False)

    assert first.environment == ()
    assert "--no-cache-dir" not in first.arguments
    assert ("CMAKE_ARGS", "-DGGML_NATIVE=OFF") in last.environment
    assert "--no-cache-dir" in last.arguments
    assert first.trial == last.trial == LLAMA_TRIAL


def test_matrix_tiles_are_left_out_and_the_owners_flags_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(machine, "is_reachable", lambda url: False)
    monkeypatch.setattr(machine, "has_compiler", lambda: True)
    monkeypatch.setattr(machine, "has_amx", lambda: True)
    monkeypatch.setenv("CXXFLAGS", "-O2")

    attempts = llama_step().attempts(lambda pin: False)

    assert dict(attempts[0].environment)["CXXFLAGS"].startswith("-O2 -mno-amx-tile")
    # A wheel that pip kept from an earlier compile may have them.
    assert "--no-cache-dir" in attempts[1].arguments
    assert attempts[1].environment == attempts[0].environment
    assert "CXXFLAGS" not in dict(attempts[-1].environment)


def test_the_trial_of_llama_cpp_computes_with_the_packaged_model() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LLAMA_TRIAL.replace("max_tokens=2)", 'max_tokens=2); print("computed")')],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert done.stdout.strip() == "computed"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk became full"),
        ("error: [Errno 122] Disk quota exceeded", "The disk became full"),
        ("CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage", "no working C++ compiler"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "ran out of memory"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "certificate could not be verified"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution\n"
         "ERROR: No matching distribution found for torch==2.13.0", "No network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "There is no torch==2.13.0 for Python"),
        ("ERROR: [WinError 5] Access is denied: 'c:\\\\bot\\\\.venv'", "is in use"),
        ("ERROR: Could not install packages: [Errno 13] Permission denied", "could not be written"),
        ("some text\nERROR: a new kind of trouble\n", "failed (ERROR: a new kind of trouble)"),
    ],
)  # fmt: skip
def test_what_pip_says_becomes_one_sentence_with_a_cure(said: str, sentence: str) -> None:
    message = str(failures.explain(said, 1, CONTEXT))

    assert sentence in message
    assert "start again" in message
    assert message.endswith(f"(Details: {CONTEXT.log})")
    assert "\n" not in message


def test_only_troubles_of_a_source_let_another_one_be_tried() -> None:
    assert isinstance(failures.explain("Connection refused", 1, CONTEXT), PackageSourceError)
    assert not isinstance(failures.explain("No space left on device", 1, CONTEXT), PackageSourceError)


def test_a_killed_pip_means_too_little_memory() -> None:
    assert "ran out of memory" in str(failures.explain("", -9, CONTEXT))


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def run_for_a_minute(stream: io.StringIO) -> str:
    now = [0.0]
    progress = InstallProgress(stream, clock=lambda: now[0])
    progress.start("Installing PyTorch")
    for second in range(61):
        now[0] = float(second)
        progress.tick("Downloading torch")
    progress.done()
    return stream.getvalue()


def test_a_terminal_shows_one_line_that_counts_the_seconds() -> None:
    shown = run_for_a_minute(Terminal())

    assert shown.count("\n") == 1
    assert "\rInstalling PyTorch ... 42 s  Downloading torch" in shown
    assert shown.endswith("Installing PyTorch: done in 1 min 00 s\n")


def test_llama_cpp_wants_no_newer_cuda_libraries_than_pytorch_brings() -> None:
    """Fault 103: on Windows it finds them in PyTorch's folder."""
    for driver in ((12, 4), (12, 9), (13, 0), (13, 5)):
        torch = steps_module._fitting_build(steps_module.TORCH_BUILDS, driver)
        llama = steps_module._fitting_build(steps_module.LLAMA_BUILDS, driver)
        assert torch
        assert llama
        assert torch[:4] == llama[:4]
        assert llama <= torch


def test_the_libraries_of_cuda_are_found_in_pytorchs_folder(tmp_path: Path) -> None:
    """Fault 103: a stand-in for PyTorch's package; the path is only changed on Windows."""
    library = tmp_path / "torch" / "lib"
    library.mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").touch()
    script = (
        "import os, sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]; "
        "from storage.system.libraries import add_cuda_libraries as add; "
        "print(add(), add(), os.environ['PATH'].split(os.pathsep).count(os.path.join(sys.argv[1], 'torch', 'lib')))"
    )

    def look() -> list[str]:
        command = [sys.executable, "-c", script, str(tmp_path), str(ROOT)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert look() == ["False", "False", "0"]
    (library / "cudart64_12.dll").touch()
    assert look() == (["True", "True", "1"] if sys.platform == "win32" else ["False", "False", "0"])


@pytest.mark.parametrize("has_driver", [True, False])
def test_a_computer_without_a_driver_is_told_what_that_decides(
    monkeypatch: pytest.MonkeyPatch, has_driver: bool
) -> None:
    """Fault 103: the processor's versions are for good unless somebody knows."""
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(machine, "find_nvidia_smi", lambda: "nvidia-smi" if has_driver else None)
    steps = plan(("runtime",), ROOT, python_version=PYTHON)
    said = steps_module.remark(steps)
    assert ("delete the folder .venv" in said) != has_driver
    others = [step for step in steps if step.label == "the bot's libraries"]
    assert others
    assert steps_module.remark(others) == ""


def test_a_folder_too_deep_for_windows_is_told_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fault 103: PyTorch's longest path below site-packages has 167 characters, and Windows allows 260."""
    monkeypatch.setattr(environment, "has_long_paths", lambda: False)
    steps = plan(("runtime",), ROOT, python_version=PYTHON)
    deep = PrivateEnvironment(tmp_path / ("d" * 80), progress=InstallProgress(None))
    with pytest.raises(SetupError, match="LongPathsEnabled"):
        deep._check_depth(steps)
    deep._check_depth(steps[1:])  # the others' paths are short
    PrivateEnvironment(Path("C:/bot"), progress=InstallProgress(None))._check_depth(steps)
    monkeypatch.setattr(environment, "has_long_paths", lambda: True)
    deep._check_depth(steps)


def test_a_path_that_windows_refuses_later_is_told_as_one() -> None:
    """Fault 103: pip's own hint came last and was cut off."""
    said = (
        "ERROR: Could not install packages due to an OSError: [Errno 2] No such file or directory: 'C:\\deep'\n"
        "HINT: This error might have occurred since this system does not have Windows Long Path support enabled."
    )
    assert "too long a path" in str(failures.explain(said, 1, CONTEXT))


def test_a_log_gets_a_line_every_fifteen_seconds() -> None:
    assert run_for_a_minute(io.StringIO()).splitlines() == [
        "Installing PyTorch ...",
        "Installing PyTorch ... 15 s  Downloading torch",
        "Installing PyTorch ... 30 s  Downloading torch",
        "Installing PyTorch ... 45 s  Downloading torch",
        "Installing PyTorch ... 1 min 00 s  Downloading torch",
        "Installing PyTorch: done in 1 min 00 s",
    ]


def test_a_windowed_python_without_streams_installs_silently() -> None:
    progress = InstallProgress(None)
    progress.start("Installing")
    progress.tick()
    progress.done()
