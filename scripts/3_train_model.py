"""Train the server's voice from a prepared folder, and export it as a GGUF the bot can load.

  python scripts/3_train_model.py                           newest data set, recipe for this computer
  python scripts/3_train_model.py --preflight               only look: hardware, recipe, memory, disk, time
  python scripts/3_train_model.py --data DIR --out DIR --recipe rtx3070 --method sft+dpo
  python scripts/3_train_model.py --resume                  go on with the newest run
  python scripts/3_train_model.py --recipe demo --adapter-only

Ctrl+C (or Cancel in the panel) saves a checkpoint; --resume continues from the last complete one. Several GPUs:
`accelerate launch --num_processes 2 scripts/3_train_model.py ...`. More in docs/TRAINING.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.typed_paths import typed_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from model.files.quantisations import QUANTISATIONS
    from model.training.recipes import RECIPES, Method
    from storage.settings import CHAT, TRANSCRIPT

    made = script_parser(__doc__)
    made.add_argument(
        "--data", metavar="DIR", type=typed_path, help="prepared folder (default: the workspace's newest)"
    )
    made.add_argument(
        "--out", metavar="DIR", type=typed_path, help="folder of this run (default: models/training/<date>)"
    )
    made.add_argument(
        "--base",
        metavar="MODEL",
        help="a Hugging Face folder, a GGUF file, a hub id, or 'packaged' for SmolLM2 "
        "(default: what the model in use is trained from; for a practice recipe, SmolLM2)",
    )
    made.add_argument(
        "--base-gguf",
        metavar="FILE",
        type=typed_path,
        help="a GGUF of the same base, any quantisation: tokenizer and metadata are copied from it",
    )
    made.add_argument(
        "--layout",
        choices=(TRANSCRIPT, CHAT),
        help="how the model reads conversations: as lines of names (default), or in its chat template's turns",
    )
    made.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="; ".join(f"{recipe.name}: {recipe.purpose}" for recipe in RECIPES.values()),
    )
    made.add_argument(
        "--method",
        choices=tuple(method.value for method in Method),
        help="default: sft+dpo where there are enough pairs, else sft",
    )
    made.add_argument(
        "--set",
        dest="changes",
        metavar="NAME=VALUE",
        nargs="+",
        default=[],
        help="change numbers of the recipe, e.g. sft.epochs=2 lora.r=8 sft.max_rows=500",
    )
    made.add_argument("--resume", action="store_true", help="go on from the last complete checkpoint")
    made.add_argument("--preflight", "--dry-run", action="store_true", help="only look, train nothing")
    made.add_argument(
        "--pause-bot", action="store_true", help="pause the running bot during training; it restarts afterwards"
    )
    made.add_argument(
        "--gguf",
        dest="quantisation",
        choices=tuple(QUANTISATIONS),
        default="Q4_K_M",
        help="size of the exported model (default: %(default)s)",
    )
    made.add_argument("--name", help="name of the exported file (default: base and method)")
    made.add_argument("--adapter-only", action="store_true", help="export only the adapter (a GGUF LoRA)")
    made.add_argument("--no-export", action="store_true", help="train only")
    made.add_argument("--keep-merged", action="store_true", help="keep the merged model as a Hugging Face folder")
    made.add_argument("--tensorboard", action="store_true", help="write TensorBoard logs too (pip install tensorboard)")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser, groups=("runtime", "offline", "train"), welcome=bootstrap.fast_training())

# Before torch loads: spinning threads make a shared processor many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from model.process import prepare_process_environment

prepare_process_environment()

from data.withdrawn_rows import drop_withdrawn, dropped_note
from model.bot_pause import paused_bot, running_bot
from model.origin import origin_in_use
from model.training.preflight import GIB, Preflight
from model.training.progress import SilentReporter
from model.training.run import PlannedRun, RunRequest, RunResult, execute, look, settle
from model.training.trainer import is_main_process
from storage.artefacts import remember_elsewhere
from storage.environment import read_environment
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.terminal import TerminalProgress, duration, print_summary
from storage.paths import Workspace
from storage.store import Store
from storage.system.streams import is_person_there


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it asks."""
    options = parser().parse_args(arguments)
    request = request_of(options)
    if not is_main_process():  # a helper of `accelerate launch`: it trains and says nothing
        workspace = Workspace.at(options.workspace)
        with Store.open(workspace) as store:
            request = following_the_choice(request, store)
        execute(look(settle(request, workspace), workspace)[0], workspace, SilentReporter())
        return
    with open_store(options) as store:
        request = following_the_choice(request, store)
        if options.preflight:
            with job(store, JobKind.PREFLIGHT) as progress:
                run_preflight(store, request, progress)
            return
        with job(store, JobKind.TRAIN) as progress:
            run_training(store, request, progress, pause_bot=options.pause_bot)


def run_preflight(store: Store, request: RunRequest, progress: TerminalProgress) -> None:
    """Look, and leave what was found as the job's result."""
    progress.report(0.1, "Looking at the hardware")
    _, found = look_at(store, request)
    progress.result = found.as_result()
    print_preflight(found)


def run_training(store: Store, request: RunRequest, progress: TerminalProgress, *, pause_bot: bool) -> None:
    """Look, pause the bot if asked, train, export."""
    progress.report(0.0, "Looking at the hardware")
    run, found = look_at(store, request)
    for line in preflight_lines(found):
        progress.note(line)
    if found.pausing_the_bot_helps and not pause_bot:
        pause_bot = asked_to_pause()
    if not (found.pausing_the_bot_helps and pause_bot):
        found.require()
    with paused_bot(store, asked_by="training") if pause_bot else nullcontext():
        remember_elsewhere(store.facts, store.workspace, run.out)
        result = execute(run, store.workspace, progress)
    if result is not None:
        progress.result = result.as_result(found)
        print_result(result)


def look_at(store: Store, request: RunRequest) -> tuple[PlannedRun, Preflight]:
    """The settled run and its preflight, with the running bot counted and the data set without what was taken back."""
    bot = running_bot(store)
    run = settle(request, store.workspace)
    if note := dropped_note(drop_withdrawn(store, run.data.path)):
        print(note)
    return look(run, store.workspace, bot_bytes=bot.memory_bytes if bot else 0)


def asked_to_pause() -> bool:
    """Ask the person in front of the terminal; no when there is nobody."""
    if not is_person_there():
        return False
    print("Pause the bot while training? It is started again afterwards. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def request_of(options: argparse.Namespace) -> RunRequest:
    """The options as values."""
    return RunRequest(
        data=options.data,
        out=options.out,
        base=options.base,
        base_gguf=options.base_gguf,
        layout=options.layout,
        recipe=options.recipe,
        method=options.method,
        changes=tuple(options.changes),
        name=options.name,
        quantisation=options.quantisation,
        is_resumed=options.resume,
        adapter_only=options.adapter_only,
        skip_export=options.no_export,
        keep_merged=options.keep_merged,
        tensorboard=options.tensorboard,
    )


def following_the_choice(request: RunRequest, store: Store) -> RunRequest:
    """The request with the base of the model the bot speaks with, for where no base is asked for."""
    environment = read_environment(store.workspace.env_file)
    origin = origin_in_use(store.workspace, store.settings.read(), environment)
    return replace(request, chosen_base=origin.base or None) if origin else request


def print_preflight(found: Preflight) -> None:
    """The preflight on stdout."""
    for line in preflight_lines(found):
        print(line)


def preflight_lines(found: Preflight) -> list[str]:
    """What the preflight found, for people."""
    hardware = found.hardware
    gpu = f"{hardware.gpu_name}, {_gib(hardware.gpu_bytes)}" if hardware.has_gpu else "none (NVIDIA)"
    lines = [
        f"GPU       {gpu}",
        f"Memory    {_gib(found.memory_bytes)} needed, {_gib(found.free_bytes)} free"
        + (f", the running bot holds {_gib(found.bot_bytes)}" if found.bot_bytes else ""),
        f"Disk      {_gib(found.disk_bytes)} needed, {_gib(found.free_disk_bytes)} free",
        f"Recipe    {found.recipe} ({found.reason}), {found.method}, base {found.base}",
        "Work      "
        + ", ".join(f"{name.upper()} {steps} steps" for name, steps in found.steps.items())
        + f", about {duration(found.seconds)}",
    ]
    lines += [f"Warning   {text}" for text in found.warnings] + [f"Problem   {text}" for text in found.problems]
    return lines


def print_result(result: RunResult) -> None:
    """The finished run on stdout."""
    lines: list[tuple[str, object]] = []
    for phase in result.training.phases:
        text = f"{phase.steps} steps on {phase.rows} rows in {duration(phase.seconds)}"
        if phase.validation_before is not None and phase.validation_after is not None:
            text += f", validation loss {phase.validation_before:.3f} -> {phase.validation_after:.3f}"
        if phase.preferred_before is not None and phase.preferred_after is not None:
            text += f", preferred side likelier {phase.preferred_before:.0%} -> {phase.preferred_after:.0%}"
        if phase.tokens_per_second:
            text += f", {phase.tokens_per_second:.0f} tokens/s"
        lines.append((phase.name.upper(), text))
    if result.exported is not None:
        for name, check in result.exported.checks.items():
            lines.append((f"Check {name}", f"KL {check['kl']:.4f}, same first choice {check['top1']:.0%}"))
        if result.exported.loss_untuned is not None and result.exported.loss_tuned is not None:
            lines.append(
                (
                    "Exported file",
                    f"validation loss {result.exported.loss_tuned:.3f} through llama.cpp, "
                    f"untuned base {result.exported.loss_untuned:.3f}",
                )
            )
        files = (("Model", result.exported.gguf), ("Adapter", result.exported.adapter_gguf))
        lines += [(label, path) for label, path in files if path]
        lines += [("Note", note) for note in result.exported.notes]
    print_summary(lines)


def _gib(number: int) -> str:
    return f"{number / GIB:.1f} GiB"


if __name__ == "__main__":
    run_script(main)
