"""Fill a workspace with the demo server of data/demo: messages, who may read what, who opted out, search index.

  python scripts/open_demo_server.py --workspace demo_workspace

`python launcher.py --demo` runs it on its own. Running it again changes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("--no-index", action="store_true", help="leave the search index for later")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.process import prepare_process_environment

prepare_process_environment(embedding_threads=1)

from data.discord_objects import channels_from_objects
from data.fetcher import keep_access
from data.importer import import_file
from scripts.fetch_and_embed import import_lines, index_lines, index_messages
from storage.demo import FOLDER, mark_ready
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import ImportResult
from storage.jobs.terminal import print_summary
from storage.store import Store


def main(arguments: Sequence[str] | None = None) -> None:
    """Import, mark, index; as one job."""
    options = parser().parse_args(arguments)
    with open_store(options) as store, job(store, JobKind.DEMO) as progress:
        summary = import_file(
            store,
            FOLDER / "messages.jsonl",
            channels_file=FOLDER / "channels.json",
            enable="all",
            given_by="demo",
            report=progress.part(0.0, 0.2),
        )
        # Before the index is filled: nothing of a member who opted out may ever be in it.
        apply_marks(store, FOLDER)
        print_summary(import_lines(summary))
        progress.result = result = ImportResult((summary.as_row(),))
        if not options.no_index:
            caught_up = index_messages(store, progress, start=0.2)
            progress.result = replace(result, index=caught_up.as_result())
            print_summary(index_lines(caught_up))
            mark_ready(store)


def apply_marks(store: Store, folder: Path) -> None:
    """What a message cannot say: who may read which channel, and which members opted out."""
    found = channels_from_objects(_load(folder / "guild.json"), _load(folder / "channels.json"))
    keep_access(store, found)
    for channel in found:
        store.channels.switch(channel.id, speak=not channel.is_private)
    for member in _load(folder / "members.json"):
        user = member["user"]
        if member["opted_out"]:
            store.members.set_opted_out(int(user["id"]), True, name=user["global_name"])


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_script(main)
