"""Bring messages in and make them searchable: from a file (--import), or what is new on Discord.

  python scripts/fetch_and_embed.py
  python scripts/fetch_and_embed.py --schedule daily@04:00
  python scripts/fetch_and_embed.py --import messages.jsonl --channels channels.json
  python scripts/fetch_and_embed.py --import exports-folder --server 123456789012345678
  python scripts/fetch_and_embed.py --import package.zip --server 123456789012345678
  python scripts/fetch_and_embed.py --rebuild-index

A file is JSON lines of Discord message objects, DiscordChatExporter JSON, or the ZIP of a member's own data that
Discord sends on request (as it came, packed again or unpacked). A folder, a star and a ZIP of exports stand for the
files in them; a data package in several parts is given with all its parts at once. Channels come in off and private;
--enable-channels and --visibility record your answer. Everything may be stopped at any time and started again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.fetch_arguments import add_absence_arguments, add_fetch_arguments
from scripts import bootstrap
from storage.jobs.arguments import script_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from storage.settings import EMBEDDING_MODEL

    made = script_parser(__doc__)
    made.add_argument(
        "--import",
        dest="files",
        metavar="FILE",
        nargs="+",
        type=Path,
        help="files or folders to read instead of Discord",
    )
    made.add_argument(
        "--channels",
        metavar="FILE",
        type=Path,
        help="with --import: Discord channel objects (a JSON list, or one a line), for names and threads",
    )
    made.add_argument(
        "--enable-channels",
        metavar="all|ID,...",
        type=_channel_ids,
        help="with --import: learn from these channels and let their messages be recalled",
    )
    made.add_argument(
        "--visibility",
        choices=("public", "private", "listed"),
        help="with --import: public if every member may read these channels, listed to go by the "
        "permissions in the channel list. A private channel is only recalled in itself, and "
        "trained on only with --include-private later on",
    )
    made.add_argument(
        "--server",
        metavar="ID",
        type=int,
        help="with --import of a data package or of exports of several servers: the one to take (default: SERVER_ID)",
    )
    made.add_argument(
        "--author",
        metavar="ID",
        type=int,
        help="with --import of a data package without an account in it: the member whose messages these are",
    )
    made.add_argument("--no-index", action="store_true", help="leave the search index for later")
    made.add_argument("--only-index", action="store_true", help="only bring the search index up to date")
    made.add_argument("--rebuild-index", action="store_true", help="rebuild the search index from the messages kept")
    made.add_argument(
        "--embedding-model",
        choices=EMBEDDING_MODEL.choices,
        help="use this embedding model from now on; another one than before re-embeds everything",
    )
    made.add_argument(
        "--schedule",
        metavar="daily@04:00|weekly@sun-04:00|off|status",
        help="install, remove or show the operating system's own scheduled fetch",
    )
    add_fetch_arguments(made)
    add_absence_arguments(made)
    return made


def _channel_ids(text: str) -> Enable:
    if text == "all":
        return "all"
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError("give 'all' or channel ids, separated by commas") from None


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.process import prepare_process_environment

prepare_process_environment(embedding_threads=1)

from data.absence_answers import answer, has_answer
from data.chat.recall import recalled_text
from data.exports import Found, find_exports
from data.first_contact import discover, fetch_from_discord, summary_lines
from data.importer import Enable, ImportSummary, import_export, member_of_package
from storage.environment import read_environment
from storage.errors import BadInputError, CancelledError, KnownError
from storage.forgetting import sweep_if_free
from storage.index_sync import CatchUp, catch_up
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import FetchResult, ImportResult
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.settings import EMBEDDING_MODEL, FETCH_SCHEDULE
from storage.store import Store
from storage.system.schedule import apply_schedule
from storage.text import counted
from storage.vectordb import VectorIndex

log = logging.getLogger(__name__)
# As many sentences fit into the panel's notice.
_TOLD_PROBLEMS = 3
Kept = TypeVar("Kept", FetchResult, ImportResult)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it asks."""
    options = parser().parse_args(arguments)
    with open_store(options) as store:
        if options.embedding_model:
            store.settings.set(EMBEDDING_MODEL, options.embedding_model, changed_by="fetch_and_embed")
        if options.schedule:
            print(
                apply_schedule(
                    options.schedule,
                    store.workspace,
                    lambda text: store.settings.set(FETCH_SCHEDULE, text, changed_by="fetch_and_embed"),
                )
            )
        elif has_answer(options):
            print(*answer(store, options), sep="\n")
        elif options.files:
            run_import(store, options)
        elif options.rebuild_index or options.only_index:
            run_index(store, rebuild=options.rebuild_index)
        else:
            run_fetch(store, options)


def run_import(store: Store, options: argparse.Namespace) -> None:
    """Import every file, then index, as one job. What cannot be read is told at the end; the rest is imported."""
    with job(store, JobKind.IMPORT) as progress:
        found = find_exports(
            options.files,
            guild_id=options.server,
            usual_guild_id=read_environment(store.workspace.env_file).server_id,
            author=member_of_package(store, options.author) if options.author else None,
            channels_file=options.channels,
        )
        for note in found.notes:
            progress.note(note)
        share = 0.3 if not options.no_index else 1.0
        results = import_all(store, found, options, progress, share=share)
        progress.result = result = ImportResult(tuple(summary.as_row() for summary in results))
        if not options.no_index and results:
            progress.result = index_what_was_kept(store, progress, result, start=share, rebuild=options.rebuild_index)
        refuse_problems(found, imported=len(results))
    _say_what_is_off(store)


def import_all(
    store: Store, found: Found, options: argparse.Namespace, progress: TerminalProgress, *, share: float
) -> list[ImportSummary]:
    """Import one after the other; one that cannot be read joins the problems and keeps no other out."""
    results: list[ImportSummary] = []
    total = len(found.exports)
    for number, export in enumerate(found.exports):
        try:
            summary = import_export(
                store,
                export,
                channels_file=found.channels_file,
                enable=options.enable_channels,
                visibility=options.visibility,
                given_by="owner (terminal)",
                is_one_of_many=total > 1,
                report=progress.part(share * number / total, share * (number + 1) / total),
            )
        except BadInputError as error:
            found.problems.append(error)
            continue
        results.append(summary)
        news = counted(summary.new, "new message") if summary.read else "no messages in it"
        progress.note(f"{summary.file}: {news}")
        print_summary(import_lines(summary))
    unknown = [number for number in _asked_for(options) if store.channels.get(number) is None]
    if unknown and total > 1:
        found.problems.append(
            BadInputError(f"The channel {unknown[0]} is in none of the files.", "Check the ids of --enable-channels.")
        )
    return results


def refuse_problems(found: Found, *, imported: int) -> None:
    """KnownError when anything that was asked for could not be read; every sentence is in the log and the terminal."""
    problems = found.problems
    if not problems:
        return
    if len(problems) == 1 and not imported:
        raise problems[0]
    for problem in problems[_TOLD_PROBLEMS:]:
        log.error("%s", problem.text())
        print(f"- {problem.text()}", file=sys.stderr)
    told = "\n".join(f"- {problem.text()}" for problem in problems[:_TOLD_PROBLEMS])
    rest = len(problems) - _TOLD_PROBLEMS
    more = f"\n- and {rest:,} more, see logs/import.log" if rest > 0 else ""
    raise KnownError(f"Imported: {counted(imported, 'file')}. Not imported: {len(problems):,}.\n{told}{more}")


def _asked_for(options: argparse.Namespace) -> list[int]:
    enable: Enable | None = options.enable_channels
    return [] if enable is None or enable == "all" else list(enable)


def run_index(store: Store, *, rebuild: bool) -> None:
    """Bring the search index up to date as a job of its own."""
    with job(store, JobKind.INDEX) as progress:
        caught_up = index_messages(store, progress, rebuild=rebuild)
        progress.result = caught_up.as_result()
    print_summary(index_lines(caught_up))


def run_fetch(store: Store, options: argparse.Namespace) -> None:
    """Fetch what is new on Discord, then index, as one job."""
    with job(store, JobKind.FETCH) as progress:
        if options.discover:
            progress.result = found = discover(store, options).as_result()
            for channel in found.channels:
                print(f"{channel.id}  #{channel.name}{'  (private)' if channel.is_private else ''}")
            return
        summary = fetch_from_discord(store, options, progress.part(0.0, 0.6))
        progress.result = result = summary.as_result()
        print_summary(summary_lines(summary))
        for sentence in summary.attention:
            print(sentence, file=sys.stderr)
        # Where nothing waits for the index the embedding model need not be loaded at all.
        if not options.no_index and (store.messages.queue_length() or is_of_another_model(store)):
            progress.result = index_what_was_kept(store, progress, result, start=0.6)
    sweep_if_free(store)  # the index, too, no longer holds what was deleted on Discord


def is_of_another_model(store: Store) -> bool:
    """True when the index should be made again, since the chosen embedding model is here by now."""
    from model.embeddings import serving_model

    wanted = store.settings.get(EMBEDDING_MODEL)
    index = VectorIndex.open(store.workspace.embeddings, model=wanted, dimension=384)
    return index.made_by not in ("", serving_model(wanted, store.workspace))


def index_what_was_kept(
    store: Store, progress: TerminalProgress, result: Kept, *, start: float, rebuild: bool = False
) -> Kept:
    """Index after a fetch or import; its result with what the index did. The messages are kept whatever happens here:
    trouble is a note, not a failure."""
    try:
        caught_up = index_messages(store, progress, start=start, rebuild=rebuild)
    except CancelledError:
        raise
    except KnownError as error:
        trouble = error.text()
    except Exception as error:
        # torch, LanceDB and the rest raise what they like; the messages wait in the queue for the next run.
        log.exception("Indexing failed")
        trouble = f"{type(error).__name__}: {error}"[:300]
    else:
        print_summary(index_lines(caught_up))
        return replace(result, index=caught_up.as_result())
    progress.note(f"The messages are kept, but not in the search index yet: {trouble} The next fetch tries again.")
    return replace(result, index_trouble=trouble)


def index_messages(store: Store, progress: TerminalProgress, *, start: float = 0.0, rebuild: bool = False) -> CatchUp:
    """Embed what waits in the queue; `start` is the share of the job that is done already."""
    from model.embeddings import indexing_embedder

    report = progress.part(start, 1.0)
    report(0.0, "Loading the embedding model")
    wanted = store.settings.get(EMBEDDING_MODEL)
    embedder = indexing_embedder(wanted, store.workspace)
    if embedder.name != wanted:
        progress.note(
            f"The embedding model {wanted} is not on this computer; {embedder.name}, which is included, serves until "
            f"then: python scripts/download_model.py {wanted}"
        )
    index = VectorIndex.open(store.workspace.embeddings, model=embedder.name, dimension=embedder.dimension)
    names = store.channels.names()
    caught_up = catch_up(
        store,
        index,
        embedder.embed,
        report,
        rebuild=rebuild,
        wait_seconds=60,
        to_text=lambda message: recalled_text(message, names),
    )
    learn_habits(store, index)
    return caught_up


def learn_habits(store: Store, index: VectorIndex) -> None:
    """Learn from the vectors what members react to. The index is complete without it: trouble is a line in the log."""
    from model.emoji_reactions import keep_learnt

    try:
        learnt = keep_learnt(store, index)
    except Exception:
        # numpy and scikit-learn raise what they like; the next index job tries again.
        log.exception("What members react to could not be learnt")
        return
    if learnt is not None:
        fit = learnt.fitness
        log.info(
            "Reactions: learnt from %d; newest %d messages: AUC %.2f, emoji among three %.0f %% (most common %.0f %%)",
            learnt.learnt_from,
            fit.messages,
            fit.auc,
            fit.top3 * 100,
            fit.common3 * 100,
        )


def import_lines(summary: ImportSummary) -> list[tuple[str, object]]:
    """What became of a file, for the terminal."""
    lines: list[tuple[str, object]] = [
        ("file", f"{summary.file} ({summary.format})"),
        ("messages read", summary.read),
        ("bots and webhooks", summary.bots),
        ("system messages", summary.system),
        ("considered", summary.considered),
        ("bare links dropped", summary.links),
    ]
    if summary.empty:
        lines.append(("without content", summary.empty))
    if summary.duplicates:
        lines.append(("repeated", summary.duplicates))
    return [
        *lines,
        ("kept", summary.kept),
        ("new", summary.new),
        ("edited", summary.edited),
        ("channels", f"{summary.channels:,} ({summary.channels_new:,} new)"),
    ]


def index_lines(caught_up: CatchUp) -> list[tuple[str, object]]:
    """What became of the index, for the terminal."""
    return [("indexed", caught_up.indexed), ("removed from index", caught_up.removed), ("index holds", caught_up.rows)]


def _say_what_is_off(store: Store) -> None:
    off = [channel for channel in store.channels.all() if not channel.learn]
    if off:
        print(
            f"Channels that are off: {len(off):,} of {len(store.channels.all()):,}. Nothing is learnt or recalled from "
            "those. Turn them on in the panel, or import again with --enable-channels.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run_script(main)
