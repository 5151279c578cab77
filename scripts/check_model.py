"""Say whether a model file can be used, and what it is when it cannot.

    python scripts/check_model.py models/base/some-model.gguf
    python scripts/check_model.py --adapter models/adapter.gguf

The header is read, then the file is tried in a process of its own, with bounds of time and memory: nothing that is in
use is touched. What was found is remembered; --again tries a file once more.
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
from storage.typed_paths import clean_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("model", nargs="?", type=clean_path, help="a GGUF file or a catalogue name")
    made.add_argument("--adapter", type=clean_path, help="a LoRA adapter (default: the one in the settings)")
    made.add_argument("--again", action="store_true", help="try the file even if it was tried before")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.process import prepare_process_environment

prepare_process_environment()

from model.catalog import resolve_model
from model.chat.trial import require_usable
from storage.environment import read_environment
from storage.jobs.frame import open_store, run_script
from storage.settings import ADAPTER_PATH, CHAT_TEMPLATE, MODEL_PATH


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the file (default: the workspace's model) and print one sentence. Raises ModelFileError."""
    options = parser().parse_args(arguments)
    with open_store(options) as store:
        settings = store.settings.read()
        if options.model:
            settings = settings.with_values({MODEL_PATH.key: options.model})
        path = resolve_model(store.workspace, settings, read_environment(store.workspace.env_file))
        # A model named here is looked at for itself; the workspace's comes with its adapter.
        named = options.adapter if options.model or options.adapter else settings[ADAPTER_PATH]
        adapter = Path(named) if named else None
        require_usable(path, adapter, store.facts, chat_template=settings[CHAT_TEMPLATE], is_again=options.again)
    print(f"{path.name}{f' with {adapter.name}' if adapter else ''} can be used.")


if __name__ == "__main__":
    run_script(main)
