"""The command line every script shares. Standard library only: it is built before anything is installed."""

from __future__ import annotations

import argparse

from storage.version import program_version


def plain_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with --help and --version; `description` is the entry point's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"%(prog)s {program_version()}")
    return parser


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every script takes; `description` is the script's docstring."""
    parser = plain_parser(description)
    parser.add_argument(
        "--workspace", metavar="DIR", default=None, help="folder of the server's data (default: the project folder)"
    )
    return parser
