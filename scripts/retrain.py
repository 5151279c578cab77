"""The whole round in one go: fetch, prepare, train, find settings, evaluate. Deploying stays your decision.

  python scripts/retrain.py                       everything with defaults
  python scripts/retrain.py --no-fetch --recipe cpu-smoke

Each step is its own script with its own line in the job list; this one watches them. Cancel stops the step under way,
which keeps what it finished.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("--no-fetch", action="store_true", help="use the messages that are here")
    made.add_argument("--recipe", help="training recipe (default: the one that fits this computer)")
    made.add_argument("--base", help="what to train from (default: the base of the model in use)")
    made.add_argument("--method", help="sft, sft+dpo, orpo or sft+kto")
    made.add_argument("--set", nargs="+", metavar="NAME=VALUE", help="change numbers of the recipe, as in training")
    made.add_argument(
        "--include-private",
        action="store_true",
        help="allow learning from every private channel that is switched on, and record that",
    )
    made.add_argument(
        "--pause-bot",
        action="store_true",
        help="stop the running bot while training and evaluating; it is started again afterwards",
    )
    made.add_argument("--quick", action="store_true", help="a shorter evaluation")
    made.add_argument(
        "--no-sweep", action="store_true", help="evaluate with the settings in use instead of finding the model's own"
    )
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser, groups=("runtime", "offline", "train"), welcome=bootstrap.fast_training())

from model.bot_pause import paused_bot
from model.evaluation.rows import require_places
from model.publishing.deployment import current
from storage import policy
from storage.environment import read_environment
from storage.errors import CancelledError, KnownError
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import EvaluateResult, RetrainResult, SweepResult, TrainResult
from storage.jobs.runner import spawn_job
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.records import Job, JobState
from storage.store import Store
from storage.system.files import free_path
from storage.system.processes import describe_exit, terminate
from storage.system.streams import is_person_there

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RoundStep:
    """One script of the round and how much of the whole it is, roughly."""

    kind: str
    arguments: tuple[str, ...]
    share: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the steps one after another; the first that fails ends the round with its own words."""
    options = parser().parse_args(arguments)
    with open_store(options) as store, job(store, JobKind.RETRAIN) as progress:
        data = free_path(store.workspace.message_files / time.strftime("prepared-%Y%m%d-%H%M%S"))
        out = store.workspace.root / "models" / "training" / data.name.removeprefix("prepared-")
        # Without the owner's yes to collecting there is nothing to fetch, and imported messages are enough.
        may_fetch = policy.is_accepted(store.consents) or is_person_there()
        if not options.no_fetch and may_fetch and read_environment(store.workspace.env_file).token:
            run_step(store, RoundStep(JobKind.FETCH, (), 0.04), progress, 0.0)
        prepare = ("--out", str(data), *(("--include-private",) if options.include_private else ()))
        run_step(store, RoundStep(JobKind.PREPARE, prepare, 0.01), progress, 0.04)
        require_places(data)  # after the training it would be hours too late
        chosen = [
            part
            for name in ("base", "recipe", "method")
            if (value := getattr(options, name))
            for part in (f"--{name}", value)
        ]
        changed = ("--set", *options.set) if options.set else ()
        compared = ("--against", "current") if current(store.workspace) else ()
        with paused_bot(store, asked_by="retraining") if options.pause_bot else nullcontext():
            trained = run_step(
                store,
                RoundStep(JobKind.TRAIN, ("--data", str(data), "--out", str(out), *chosen, *changed), 0.7),
                progress,
                0.05,
            )
            model = exported_model(trained)
            measured = ("--model", str(model), "--data", str(data))
            quick = ("--quick",) if options.quick else ()
            suggested = "" if options.no_sweep else find_settings(store, (*measured, *quick), progress)
            evaluated = run_step(
                store,
                RoundStep(
                    JobKind.EVALUATE,
                    (
                        *measured,
                        *(("--settings", suggested) if suggested else ()),
                        *compared,
                        *quick,
                    ),
                    0.15,
                ),
                progress,
                0.85,
            )
        progress.result = RetrainResult(str(data), str(model), EvaluateResult.of(evaluated), suggested)
        publish = f'python scripts/5_deploy_bot.py --model "{model}"'
        print_summary([("model", model), ("data", data), ("settings", suggested or "as they are"), ("next", publish)])


def find_settings(store: Store, measured: Sequence[str], progress: TerminalProgress) -> str:
    """The file with the sampling settings that suit the new model best, '' where none could be found: too few places
    to try them at are no reason to lose the round."""
    try:
        swept = run_step(store, RoundStep(JobKind.SWEEP, ("--sweep", *measured), 0.1), progress, 0.75)
    except CancelledError:
        raise
    except KnownError as error:
        progress.note(f"No settings were suggested: {error.text()}")
        return ""
    return SweepResult.of(swept).file


def run_step(store: Store, step: RoundStep, progress: TerminalProgress, done: float) -> Job:
    """Start a script, follow its job row, and answer the finished row. KnownError with its words if it failed."""
    child = spawn_job(store.workspace, step.kind, step.arguments)
    try:
        while child.poll() is None:
            row = row_of(store, child.pid)
            progress.report(
                done + step.share * (row.progress if row else 0.0),
                f"{step.kind}: {row.step}" if row else f"{step.kind}: starting",
            )
            time.sleep(POLL_SECONDS)
    except (CancelledError, KeyboardInterrupt):
        stop(store, child)
        raise
    row = row_of(store, child.pid)
    if row is None or row.state is not JobState.DONE:
        words = row.error if row else f"it {describe_exit(child.returncode)}; see logs/{step.kind}.out.log."
        raise KnownError(f"The step '{step.kind}' failed: {words}")
    return row


def stop(store: Store, child: subprocess.Popen[bytes]) -> None:
    """Ask the step to stop at its next safe point, and wait for it."""
    row = row_of(store, child.pid)
    if row is not None:
        store.jobs.request_cancel(row.id)
    else:
        terminate(child.pid)
    child.wait()


def row_of(store: Store, pid: int) -> Job | None:
    """The newest job row of a process."""
    return next((row for row in store.jobs.recent(limit=20) if row.pid == pid), None)


def exported_model(trained: Job) -> Path:
    """The GGUF file a training run left."""
    gguf = TrainResult.of(trained).gguf
    if not gguf:
        raise KnownError("The training run left no GGUF file.", "Run scripts/3_train_model.py --resume to export it.")
    return Path(gguf)


if __name__ == "__main__":
    run_script(main)
