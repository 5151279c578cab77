"""Step 2: turn the stored messages into a data set for training and evaluation.

  python scripts/2_prepare_training_data.py --out prepared
  python scripts/2_prepare_training_data.py --out prepared --rejected model
  python scripts/2_prepare_training_data.py --out prepared --show 20

The folder holds train, validation and test examples, preference pairs, a manifest and report.html, and can be carried
to another machine: nothing in it needs the database. It contains what people wrote: keep it as private.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.typed_paths import typed_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from data.preprocessor import Options

    made = script_parser(__doc__)
    made.add_argument(
        "--out", metavar="DIR", type=typed_path, help="folder to make (default: prepared-DATE in the workspace)"
    )
    made.add_argument("--gap-minutes", type=float, help="silence that ends a conversation (default: the setting, 10)")
    made.add_argument(
        "--include-private",
        metavar="LIST",
        nargs="?",
        const="all",
        help="private channels to learn from (names or ids, separated by commas, or nothing for all that "
        "are switched on): your second, explicit yes, which is recorded",
    )
    made.add_argument(
        "--rejected",
        choices=("auto", "templates", "model"),
        default="auto",
        help="what good replies are preferred to: what the untuned model says in the same place (much better, and "
        "slow; continues where it was stopped), or set phrases; auto asks the model where that takes half an hour at "
        "most (default: %(default)s)",
    )
    made.add_argument("--max-pairs", metavar="N", type=int, help="use only the N best received messages for pairs")
    made.add_argument("--train-share", type=float, default=Options.train_share, help="default %(default)s")
    made.add_argument("--validation-share", type=float, default=Options.validation_share, help="default %(default)s")
    made.add_argument("--seed", type=int, default=Options.seed, help="default %(default)s")
    made.add_argument(
        "--canaries",
        action="store_true",
        help="plant made-up secrets to measure memorisation; such a model can never be deployed",
    )
    made.add_argument(
        "--delete-after-training",
        action="store_true",
        help="delete this folder once a model trained on it was evaluated (4_evaluate_personality.py)",
    )
    made.add_argument("--show", metavar="N", type=int, default=0, help="print N random examples at the end")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from model.process import prepare_process_environment

prepare_process_environment()

from data.canaries import make_canaries, plant
from data.chat.rows import TRAIN, VALIDATION, TrainingRow
from data.dataset_report import page
from data.preferences import Reject, RejectIfAffordable, RejectWithModel, reject_with_templates, write_pairs
from data.preprocessor import Options, Prepared, begin, describe, disk_full, finish, write_rows
from data.taught import read_taught
from storage import policy
from storage.artefacts import remember_elsewhere
from storage.environment import read_environment
from storage.errors import BadInputError, KnownError
from storage.forgetting import sweep_if_free
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import PreparedShare, PrepareResult
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.people import THREAD_KINDS
from storage.records import Conversation
from storage.settings import BOT_NAMES, SESSION_GAP_MINUTES, SYSTEM_PROMPT
from storage.store import Store
from storage.system.files import free_path, remove_tree

_SAMPLES = 12
_REJECTED_TOKENS = 60
# Requests in line at the model at once; in a longer line the oldest would give way.
_QUEUED = 24
_AFFORDABLE_SECONDS = 30 * 60.0
# Rejected texts should be typical of the untuned model, yet differ from one another.
_REJECTED_TEMPERATURE = 0.9


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, prepare, say what came out."""
    options = parser().parse_args(arguments)
    with open_store(options) as store:
        out = options.out or free_path(store.workspace.message_files / time.strftime("prepared-%Y%m%d-%H%M%S"))
        if options.include_private:
            allow_private(store, options.include_private)
        with job(store, JobKind.PREPARE) as progress:
            remember_elsewhere(store.facts, store.workspace, out)
            manifest = prepare(store, out.resolve(), options, progress)
            progress.result = PrepareResult(
                str(out.resolve()),
                str(out.resolve() / "report.html"),
                manifest["counts"],
                manifest["ceiling"],
                manifest["hash"],
                tuple(
                    PreparedShare(share["author_id"], share["name"], share["before"], share["after"])
                    for share in manifest["shares"]
                ),
            )
        sweep_if_free(store)  # what was deleted while the messages were read; the job's own row is written by now
    print_summary(summary_lines(out.resolve(), manifest))
    if options.show:
        show(out.resolve() / TRAIN, options.show, seed=options.seed)


def prepare(store: Store, out: Path, options: argparse.Namespace, progress: TerminalProgress) -> dict[str, Any]:
    """The whole data set; the manifest of the finished folder."""
    from model.files.token_counts import TokenCounter
    from model.inference import close_model
    from model.prompts import LAYOUT

    chosen = checked_options(store, options)
    counter = TokenCounter(untuned_file(store))
    partial = begin(out)
    try:
        prepared = write_rows(
            store,
            partial,
            options=chosen,
            layout=LAYOUT,
            count_tokens=counter,
            report=progress.part(0.0, 0.95 if options.rejected == "templates" else 0.6),
        )
        reject = rejecter(store, options.rejected)
        taught = read_taught(store, layout=LAYOUT)
        pairs = write_pairs(
            partial,
            prepared.candidates,
            reject=reject,
            source=options.rejected,
            count_tokens=counter,
            min_tokens=chosen.min_preference_tokens,
            max_chosen=options.max_pairs,
            taught=taught.places,
            report=progress.part(0.95 if options.rejected == "templates" else 0.6, 0.99),
        )
        if isinstance(reject, RejectIfAffordable):
            pairs = replace(pairs, source=reject.source, note=reject.note)
        planted = (
            plant(partial, make_canaries(seed=chosen.seed), layout=LAYOUT, seed=chosen.seed) if chosen.canaries else []
        )
        manifest = describe(
            prepared,
            chosen,
            store,
            layout=LAYOUT,
            system_prompt=store.settings.get(SYSTEM_PROMPT),
            tokenizer=counter.name,
            own_name=own_name(store, prepared.names),
            canaries=planted,
            pairs=asdict(pairs) | {"taught_left_out": dict(taught.left_out)},
        )
        write_report(prepared, manifest)
        return finish(prepared, out, manifest)
    except OSError as error:
        raise disk_full(error, out) from error
    finally:
        counter.close()
        if options.rejected != "templates":
            close_model()
        remove_tree(partial)


def own_name(store: Store, names: Mapping[int, str]) -> str:
    """What the bot is called on this server: as the owner wrote, else as its own messages are signed; '' where neither
    is known, and a transcript takes a name that people might have."""
    chosen = store.settings.get(BOT_NAMES).split(",")[0].strip()
    author = store.messages.own_author()
    return chosen or (names.get(author, "") if author else "")


def checked_options(store: Store, options: argparse.Namespace) -> Options:
    """The command line's choices; BadInputError names one that makes no sense."""
    gap = options.gap_minutes if options.gap_minutes is not None else store.settings.get(SESSION_GAP_MINUTES)
    if gap <= 0:
        raise BadInputError("--gap-minutes must be above 0.", "The usual value is 10.")
    if not 0 < options.train_share <= 1 or not 0 <= options.validation_share <= 1 - options.train_share:
        raise BadInputError(
            "--train-share and --validation-share must be between 0 and 1 and together at most 1.",
            "The usual values are 0.9 and 0.05; the rest is for the evaluation.",
        )
    return Options(
        gap_minutes=gap,
        train_share=options.train_share,
        validation_share=options.validation_share,
        seed=options.seed,
        canaries=options.canaries,
        delete_after_training=options.delete_after_training,
    )


def allow_private(store: Store, wanted: str) -> None:
    """The owner's second yes for private channels, recorded with the words of the question."""
    names = {part.strip().lstrip("#").lower() for part in wanted.split(",") if part.strip()}
    own = [channel for channel in store.channels.all() if channel.kind not in THREAD_KINDS]
    unknown = names - {"all"} - {channel.name.lower() for channel in own} - {str(channel.id) for channel in own}
    if unknown:
        raise BadInputError(
            f"There is no channel '{sorted(unknown)[0]}'.", "Known: " + ", ".join(channel.name for channel in own) + "."
        )
    for channel in own:
        is_named = channel.name.lower() in names or str(channel.id) in names
        if channel.is_private and channel.learn and not channel.include_private and (is_named or "all" in names):
            store.consents.record(
                policy.PRIVATE_CHANNEL,
                policy.YES,
                subject_id=channel.id,
                wording=policy.private_channel_text(channel.name),
                given_by="owner (terminal)",
            )
            store.channels.switch(channel.id, include_private=True)


def untuned_file(store: Store) -> Path:
    """The file of the base that the model in use was made from."""
    from model.origin import untuned_model

    return untuned_model(store.workspace, store.settings.read(), read_environment(store.workspace.env_file))


def rejecter(store: Store, source: str) -> Reject | RejectIfAffordable:
    """Where rejected texts come from."""
    if source == "templates":
        return reject_with_templates
    path = untuned_file(store)
    model = RejectWithModel(
        lambda asked: _generate(store, path, asked), store.workspace.message_files / f"rejected-{path.stem}.jsonl"
    )
    if source == "model":
        return model
    return RejectIfAffordable(model, seconds=_AFFORDABLE_SECONDS, cannot=(KnownError,))


def _generate(store: Store, path: Path, asked: Sequence[tuple[Conversation, int]]) -> list[str]:
    from model.chat.requests import GenerationOptions, ReplyRequest
    from model.chat.trial import require_usable
    from model.inference import get_configured_model

    require_usable(path, None, store.facts)
    settings = store.settings.read()
    model = get_configured_model(path, None, settings, store.facts, is_bulk=True)
    model.is_listening_allowed = False
    base = GenerationOptions.from_settings(settings.for_layout(model.layout)).with_changes(
        temperature=_REJECTED_TEMPERATURE, max_tokens=_REJECTED_TOKENS
    )
    texts: list[str] = []
    for start in range(0, len(asked), _QUEUED):
        part = asked[start : start + _QUEUED]
        requests = [
            ReplyRequest(
                conversation,
                base.with_changes(seed=seed),
                settings[SYSTEM_PROMPT],
                channel_id=number,
                deadline_seconds=_AFFORDABLE_SECONDS,
            )
            for number, (conversation, seed) in enumerate(part)
        ]
        texts += [reply.result().text for reply in [model.submit(request) for request in requests]]
        # Each place is a talk of its own.
        model.forget_channels(range(len(part)))
    return texts


def write_report(prepared: Prepared, manifest: dict[str, Any]) -> None:
    """report.html, with a few random rows of the validation part."""
    rows = _random_rows(prepared.folder / VALIDATION, _SAMPLES, seed=1)
    (prepared.folder / "report.html").write_text(page(prepared, manifest, rows), encoding="utf-8")


def summary_lines(out: Path, manifest: dict[str, Any]) -> list[tuple[str, object]]:
    """The result for the terminal."""
    counts, shares = manifest["counts"], manifest["shares"]
    rows = [counts["train"], counts["validation"], counts["test"]]
    lines: list[tuple[str, object]] = [
        ("data set", out),
        ("train / validation / test", " / ".join(f"{count:,}" for count in rows)),
        ("with recalled lines", f"{counts['with_recalled'] / max(sum(rows), 1):.0%}"),
        (
            "preference pairs",
            f"{counts['preferences']:,} for {manifest['preferences'].get('chosen', 0):,} messages "
            f"({manifest['preferences'].get('source', '')})",
        ),
        *((("note", f"set phrases instead: {note}"),) if (note := manifest["preferences"].get("note")) else ()),
        ("people", counts["authors"]),
        ("ceiling in force", f"{manifest['ceiling']:.1%}"),
    ]
    if shares:
        top = shares[0]
        # Without the name: this ends in a log. The report has it.
        lines.append(("largest share", f"{top['before']:.1%} -> {top['after']:.1%}"))
    masked = {kind: count for kind, count in manifest["masked"].items() if count}
    lines.append(("masked", ", ".join(f"{count} {kind}" for kind, count in masked.items()) or "nothing"))
    return [*lines, ("report", out / "report.html")]


def show(path: Path, count: int, *, seed: int) -> None:
    """Print random examples to read."""
    for number, row in enumerate(_random_rows(path, count, seed=seed), start=1):
        print(f"\n--- example {number}, session {row.session}")
        for line in row.conversation.recalled:
            print(f"    (earlier) {line.name}: {line.text}".replace("\n", "\n        "))
        for turn in row.conversation.turns:
            mark = "*" if turn.is_self else " "
            print(f"  {mark} {turn.name}: {turn.text}".replace("\n", "\n        "))
        print(f"  > {row.reply}".replace("\n", "\n        "))


def _random_rows(path: Path, count: int, *, seed: int) -> list[TrainingRow]:
    """Rows from random places of a file of any size, in its order."""
    rng = random.Random(seed)
    kept: list[tuple[int, bytes]] = []
    with open(path, "rb") as lines:
        for number, line in enumerate(lines):
            if len(kept) < count:
                kept.append((number, line))
            elif (place := rng.randrange(number + 1)) < count:
                kept[place] = (number, line)
    return [TrainingRow.parse(line) for _, line in sorted(kept)]


if __name__ == "__main__":
    run_script(main)
