"""Publish a trained model, or roll back to the previous one.

  python scripts/5_deploy_bot.py --model models/run-3/model-Q4_K_M.gguf
  python scripts/5_deploy_bot.py --list
  python scripts/5_deploy_bot.py --rollback

The file is loaded and has to speak, its evaluation is compared with that of the model in use, and a model that is
worse or recites what it was trained on is refused (--force overrides that and is recorded; a model trained on planted
canaries is never published). Then it is copied to models/finetuned, the pointer is switched in one step, and a running
bot reloads. If the bot cannot use the model, the previous one is restored automatically.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.typed_paths import typed_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from model.publishing.deployment import KEEP_VERSIONS, RELOAD_SECONDS

    made = script_parser(__doc__)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="GGUF", type=typed_path, help="the model file to publish")
    what.add_argument("--use", metavar="NAME", help="use a stored version (see --list)")
    what.add_argument(
        "--rollback",
        action="store_true",
        help="roll back to the previous version, or to the original model; twice returns to this one",
    )
    what.add_argument("--list", action="store_true", help="show the stored versions")
    what.add_argument(
        "--prune",
        metavar="KEEP",
        type=_count,
        nargs="?",
        const=KEEP_VERSIONS,
        help="delete old versions but the newest KEEP (default: %(const)s), the one in use and the previous one",
    )
    made.add_argument(
        "--report",
        metavar="FILE",
        type=typed_path,
        help="its report.json (default: beside the model, or among the workspace's evaluations)",
    )
    made.add_argument("--force", action="store_true", help="publish in spite of objections; the manifest says so")
    made.add_argument(
        "--take-settings",
        action="store_true",
        help="with --model: settings found for it replace yours too",
    )
    made.add_argument(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=RELOAD_SECONDS,
        help="how long the bot may take to answer with it (default: %(default)g)",
    )
    return made


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("KEEP is 0 or more")
    return value


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.publishing import deployment
from model.publishing.release import ObjectionError, Release, ReleaseOutcome
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import DeployResult, RefusedDeployResult
from storage.jobs.terminal import print_summary
from storage.store import Store


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it asks."""
    options = parser().parse_args(arguments)
    with open_store(options) as store:
        if options.list:
            print_versions(store)
            return
        with job(store, JobKind.DEPLOY) as progress:
            if options.prune is not None:
                removed = deployment.prune(store.workspace, keep=options.prune)
                progress.result = DeployResult(removed=tuple(removed))
                print_summary([("Removed", ", ".join(removed) or "nothing")])
                return
            release = Release(store, progress=progress.report, reload_seconds=options.wait)
            try:
                outcome = _release(release, options)
            except ObjectionError as error:
                progress.result = RefusedDeployResult(str(options.model), tuple(error.objections))
                raise
            progress.result = DeployResult(
                outcome.name,
                outcome.was_reloaded,
                tuple(outcome.remarks),
                outcome.text,
                asdict(outcome.version) if outcome.version else None,
            )
        for remark in outcome.remarks:
            print(remark)
        print(outcome.text)


def print_versions(store: Store) -> None:
    """One line a version, the one in use marked."""
    pointer = deployment.read_pointer(store.workspace)
    versions = deployment.versions(store.workspace)
    if not versions:
        print("No model has been deployed yet.")
    for version in versions:
        mark = (
            "in use  "
            if pointer and pointer.file == version.file
            else "before  "
            if pointer and pointer.previous == version.file
            else "        "
        )
        match = "not evaluated" if version.match_percent is None else f"match {version.match_percent:.0f} %"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(version.deployed_at))
        forced = ", forced" if version.forced else ""
        print(f"{mark}{version.name}  {when}  {version.size_bytes / 2**20:,.0f} MB  {match}{forced}")


def _release(release: Release, options: argparse.Namespace) -> ReleaseOutcome:
    if options.rollback:
        return release.roll_back(asked_by="deploy script")
    if options.use:
        return release.use_version(options.use, asked_by="deploy script")
    return release.deploy(
        options.model,
        report_file=options.report,
        is_forced=options.force,
        takes_settings=options.take_settings,
        asked_by="deploy script",
    )


if __name__ == "__main__":
    run_script(main)
