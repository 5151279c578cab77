"""The frame a script runs in: its job row, its log, its progress in the terminal, its exit code.

def main(arguments: Sequence[str] | None = None) -> None:
    options = script_parser(__doc__).parse_args(arguments)
    with Store.open(Workspace.at(options.workspace)) as store, job(store, "import") as progress:
        summary = import_file(store, options.file, report=progress.report)
        progress.result = ImportResult((summary.as_row(),))

if __name__ == "__main__":
    run_script(main)
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

from storage.environment import read_environment
from storage.errors import CancelledError, KnownError, disk_error, is_disk_error
from storage.jobs.kinds import after_a_stop, lock_name
from storage.jobs.terminal import TerminalProgress
from storage.logs import configure_logging
from storage.paths import Workspace
from storage.settings import LOG_DAYS, LOG_LEVEL
from storage.store import Store
from storage.system.locks import FileLock
from storage.system.processes import ran_at
from storage.system.streams import ensure_streams

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_CANCELLED = 0, 1, 130


@contextmanager
def job(store: Store, kind: str, *, stream: TextIO | None = None) -> Iterator[TerminalProgress]:
    """A job of this process: one at a time per lock (the kind's in the table of jobs), a log file, a bar, a row.

    Raises AlreadyRunningError naming the process that has the lock.
    """
    name = lock_name(kind)
    with FileLock(store.workspace.locks / f"{name}.lock", holder=f"Another '{name}' job"):
        start_log(store, kind)
        # With nobody watching, the row of a killed run would say that it runs for ever.
        store.jobs.mark_lost(runs=ran_at, silent_seconds=0.0)
        with store.jobs.running(kind) as reporter:
            progress = TerminalProgress(reporter, stream=stream)
            try:
                yield progress
            except KeyboardInterrupt as stop:
                # Only the kind of job knows what is left of it; whoever ends the process says so.
                stop.args = stop.args or (after_a_stop(kind),)
                raise
            finally:
                reporter.result = progress.result
                progress.close()


def start_log(store: Store, name: str) -> None:
    """Log to `logs/<name>.log` with the owner's level and days; the token never gets in."""
    settings = store.settings.read()
    token = read_environment(store.workspace.env_file).token
    configure_logging(
        store.workspace.logs,
        name,
        level=settings[LOG_LEVEL],
        keep_days=settings[LOG_DAYS],
        secrets=[token] if token else [],
    )


def open_store(options: argparse.Namespace) -> Store:
    """The store of `--workspace`."""
    return Store.open(Workspace.at(options.workspace))


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and leave: 0 done, 1 an error a person can act on (one sentence), 130 stopped by the owner."""
    _use_safe_output()
    _treat_termination_as_interrupt()
    sys.exit(exit_code_of(main))


def exit_code_of(main: Callable[[], int | None]) -> int:
    """What `run_script` exits with."""
    try:
        return main() or EXIT_OK
    except CancelledError as error:
        print(error.text(), file=sys.stderr)
        return EXIT_CANCELLED
    except KeyboardInterrupt as stop:
        print(f"Stopped. {stop}".rstrip(), file=sys.stderr)
        return EXIT_CANCELLED
    except KnownError as error:
        if logging.getLogger().handlers:  # before there is a log, Python would say it on the terminal a second time
            log.error("%s", error.text())
        print(f"Error: {error.text()}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # The reader (e.g. `head`) has left; nothing can be told to it any more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif is_disk_error(error):
            log.debug("The disk", exc_info=error)
            print(f"Error: {disk_error(error).text()}", file=sys.stderr)
        else:
            raise
        return EXIT_FAILED


def _use_safe_output() -> None:
    ensure_streams()
    # A console in cp1252 cannot show every name; a question mark is better than a crash.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _treat_termination_as_interrupt() -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        return  # not the main thread: whoever runs it there looks after signals
