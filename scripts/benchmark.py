"""The one door to all benchmarks: python scripts/benchmark.py NAME [options]

Each is a module in scripts/dev/benchmarks with add_arguments(parser), run(options) -> dict and report(figures) -> str.
The table goes to standard output; --json FILE keeps the figures.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import plain_parser

FOLDER = Path(__file__).resolve().parent / "dev" / "benchmarks"


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def parser(arguments: list[str] | None = None) -> argparse.ArgumentParser:
    """The command line; only the benchmark that is named in it is imported."""
    arguments = sys.argv[1:] if arguments is None else arguments
    made = plain_parser((__doc__ or "").splitlines()[0])
    choices = made.add_subparsers(dest="name", required=True, metavar="NAME")
    wanted = arguments[0] if arguments else ""
    for name in names():
        module = importlib.import_module(f"scripts.dev.benchmarks.{name}") if name == wanted else None
        description = (module.__doc__ or "") if module else ""
        sub = choices.add_parser(name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        if module:
            module.add_arguments(sub)
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.process import prepare_process_environment

prepare_process_environment()

from storage.errors import KnownError


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark; 0 done, 1 known error, 130 stopped."""
    options = parser(arguments).parse_args(arguments)
    module = importlib.import_module(f"scripts.dev.benchmarks.{options.name}")
    try:
        figures = module.run(options)
    except KnownError as error:
        print(error.text(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    print(module.report(figures))
    if getattr(options, "json", None):
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
