"""Preference pairs from a trained model's own replies: a prepared folder to train its next edition from.

  python scripts/pair_own_replies.py --model models/training/RUN/NAME.gguf --data PREPARED
  python scripts/pair_own_replies.py --model NEW.gguf --data PREPARED --pairs people

The model writes several replies at places of the training part. `--pairs best` (the default) prefers the best of them
to the worst, by what a detector finds and how they fit; `--pairs people` prefers what people said to what the model
said. The new folder holds the same rows with these pairs in place of the others; train from it with --method sft+dpo.
Finished replies are kept, so a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.typed_paths import typed_path

_PLACES, _SAMPLES = 400, 4


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = script_parser(__doc__)
    made.add_argument("--model", metavar="GGUF", type=typed_path, required=True, help="the model to teach")
    made.add_argument("--adapter", metavar="GGUF", type=typed_path, help="a GGUF LoRA on top of --model")
    made.add_argument("--data", metavar="DIR", type=typed_path, required=True, help="the folder it was trained from")
    made.add_argument("--out", metavar="DIR", type=typed_path, help="folder to make (default: DATA-own)")
    made.add_argument(
        "--pairs",
        choices=("best", "people"),
        default="best",
        help="its best reply against its worst, or what people said against what it said (default: %(default)s)",
    )
    made.add_argument("--places", metavar="N", type=int, default=_PLACES, help="how many (default: %(default)s)")
    made.add_argument(
        "--samples", metavar="N", type=int, default=_SAMPLES, help="replies at each place (default: %(default)s)"
    )
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser, groups=("runtime", "offline", "train"))

from model.process import prepare_process_environment

prepare_process_environment()

from data.chat.rows import PREFERENCES, TRAIN, PreferenceRow, TrainingRow, read_rows
from data.preprocessor import begin
from model.evaluation import own_replies
from model.evaluation.generation import GenerationSetup
from model.evaluation.places import Embed
from model.layouts import layout_for
from model.training.rows import PreparedFolder
from storage.artefacts import remember_elsewhere
from storage.errors import BadInputError, KnownError
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.kinds import JobKind
from storage.jobs.results import PrepareResult
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.settings import CHAT_TEMPLATE, EMBEDDING_MODEL, HISTORY_MESSAGES, RECALL_TOKENS
from storage.store import Store
from storage.system.files import replace_file


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, write the folder, say what came out."""
    options = parser().parse_args(arguments)
    for file in (options.model, options.adapter):
        if file is not None and not file.is_file():
            raise BadInputError(f"There is no model file {file}.", "Check the path.")
    if options.samples < (2 if options.pairs == "best" else 1):
        raise BadInputError("--samples must be 2 or more: the best of one is its worst.", f"Usual is {_SAMPLES}.")
    data = PreparedFolder.open(options.data)
    out = (options.out or options.data.with_name(options.data.name + "-own")).resolve()
    if out.exists():
        raise BadInputError(f"{out} exists already.", "Give another --out folder, or delete it.")
    with open_store(options) as store, job(store, JobKind.PREPARE) as progress:
        remember_elsewhere(store.facts, store.workspace, out)
        rows = chosen_rows(data, options)
        pairs = make_pairs(store, data, rows, options, progress)
        if not pairs:
            raise KnownError("No pair came out: the replies hardly differ.", "Try more --samples or --places.")
        manifest = write_folder(data, out, pairs, source=f"own replies, {options.pairs}")
        progress.result = PrepareResult(
            str(out), "", manifest["counts"], manifest.get("ceiling", 0.0), manifest["hash"]
        )
    print_summary(
        [
            ("data set", out),
            ("places", len(rows)),
            ("preference pairs", len(pairs)),
            ("next", f'python scripts/3_train_model.py --data "{out}" --method sft+dpo'),
        ]
    )


def chosen_rows(data: PreparedFolder, options: argparse.Namespace) -> list[TrainingRow]:
    """Places with a talk before them, evenly over the training part."""
    rows = [row for row in read_rows(data.path / TRAIN, TrainingRow.parse) if row.conversation.turns and row.reply]
    step = max(1.0, len(rows) / max(options.places, 1))
    return [rows[int(number * step)] for number in range(min(options.places, len(rows)))]


def make_pairs(
    store: Store,
    data: PreparedFolder,
    rows: Sequence[TrainingRow],
    options: argparse.Namespace,
    progress: TerminalProgress,
) -> list[PreferenceRow]:
    """The model writes, and its replies are paired."""
    from model.chat.trial import require_usable
    from model.inference import GenerationOptions, close_model, get_configured_model

    settings = store.settings.read()
    layout = layout_for(settings[CHAT_TEMPLATE], options.model, options.adapter)
    voice = GenerationSetup(
        GenerationOptions.from_settings(settings.for_layout(layout)).with_changes(drafts=1),
        data.system_prompt,
        settings[HISTORY_MESSAGES],
        settings[RECALL_TOKENS],
        layout=layout,
        own_name=data.own_name,
    )
    require_usable(options.model, options.adapter, store.facts, chat_template=settings[CHAT_TEMPLATE])
    kept = store.workspace.data / "evaluation" / "answers"
    model = get_configured_model(options.model, options.adapter, settings, store.facts, is_bulk=True)
    model.is_listening_allowed = False
    try:
        texts = own_replies.sampled(
            model,
            rows,
            voice,
            samples=options.samples if options.pairs == "best" else 1,
            kept=kept / f"own-{own_replies.mark_of([options.model, options.adapter], voice)}.jsonl",
            report=progress.part(0.0, 0.9),
        )
    finally:
        close_model()
    progress.report(0.9, "Ranking the replies")
    if options.pairs == "people":
        return own_replies.against_people(rows, texts)
    return own_replies.best_against_worst(rows, texts, _embedder(store, progress))


def write_folder(data: PreparedFolder, out: Path, pairs: Sequence[PreferenceRow], *, source: str) -> dict[str, Any]:
    """A copy of the folder with other pairs, whole or not at all; returns its manifest."""
    partial = begin(out)
    for path in data.path.iterdir():
        if path.is_file():
            shutil.copy2(path, partial)
    text = "".join(pair.to_json() for pair in pairs)
    (partial / PREFERENCES).write_text(text, encoding="utf-8")
    manifest: dict[str, Any] = json.loads((partial / "manifest.json").read_text(encoding="utf-8"))
    manifest["hash"] = hashlib.sha256((str(manifest.get("hash", "")) + text).encode()).hexdigest()
    manifest["preferences"] = {"source": source, "pairs": len(pairs), "chosen": len(pairs)}
    manifest["counts"] = {**manifest.get("counts", {}), "preferences": len(pairs)}
    (partial / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    replace_file(partial, out)
    return manifest


def _embedder(store: Store, progress: TerminalProgress) -> Embed | None:
    from model.embeddings import bulk_embedder

    for candidate in dict.fromkeys((store.settings.get(EMBEDDING_MODEL), "all-MiniLM-L6-v2")):
        try:
            return bulk_embedder(candidate, store.workspace).embed
        except (KnownError, ImportError) as error:
            progress.note(f"Embedding model {candidate} is not usable here ({error}).")
    return None


if __name__ == "__main__":
    run_script(main)
