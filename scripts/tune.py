"""Measure how this computer runs the model best and remember it; the bot does so itself at its first start.

    python scripts/tune.py [--model FILE]

Tries thread counts, weights repacked or as stored, chunk sizes, flash attention and several replies at once. Takes
under a minute for a 3B model. Stop the bot first: a busy computer gives wrong figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # started as a file: the project root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.typed_paths import typed_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("--model", type=typed_path, help="a GGUF file (default: the workspace's model)")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.process import prepare_process_environment

prepare_process_environment()

from model.catalog import resolve_model
from model.chat.trial import require_usable
from model.chat.tuning import probe, tuning_key
from storage.environment import read_environment
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.terminal import print_summary


def main(arguments: Sequence[str] | None = None) -> None:
    """Probe the workspace's model and store the result."""
    options = parser().parse_args(arguments)
    with open_store(options) as store, job(store, JobKind.TUNE) as progress:
        path = options.model or resolve_model(
            store.workspace, store.settings.read(), read_environment(store.workspace.env_file)
        )
        require_usable(path, None, store.facts)
        tuning = probe(path, report=progress.report)
        store.facts.set(tuning_key(path), tuning.as_dict())
        progress.result = tuning.as_dict()
    print_summary(
        [
            ("model", path.name),
            ("weights", "repacked" if tuning.repack else "as stored (less memory)"),
            ("threads", tuning.threads),
            ("chunk", tuning.ubatch),
            ("flash attention", "on" if tuning.flash_attention else "off"),
            ("replies at once", tuning.parallel),
            ("prompt tokens/s", tuning.prefill_per_second),
            ("reply tokens/s", tuning.decode_per_second),
            ("seconds taken", tuning.seconds),
        ]
    )


if __name__ == "__main__":
    run_script(main)
