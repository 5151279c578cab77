"""Can anyone tell? Measure a model against real people and against the untuned model.

  python scripts/4_evaluate_personality.py --model models/run-3/model-Q4_K_M.gguf --data data_storage/messages/prepared
  python scripts/4_evaluate_personality.py --model NEW.gguf --against OLD.gguf --data DIR --quick
  python scripts/4_evaluate_personality.py --sweep --model NEW.gguf --data DIR
  python scripts/4_evaluate_personality.py --blind-test --model NEW.gguf --data DIR
  python scripts/4_evaluate_personality.py --score results/*.json

The model writes replies at places of the test part that it never saw, with the live bot's own prompt and sampling.
Writes report.json and report.html (one file, open it in a browser); docs/EVALUATION.md explains every figure. It may be
stopped at any time: finished replies are kept and the next run continues.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# On a busy computer two spinning threads are slower than one; must be set before the libraries load.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import bootstrap
from storage.jobs.arguments import script_parser
from storage.typed_paths import typed_path


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from storage.blind_test import ITEMS_PER_SIDE
    from storage.settings import CHAT_TEMPLATE

    made = script_parser(__doc__)
    made.add_argument(
        "--model", metavar="GGUF", type=typed_path, help="the model to evaluate (default: the one in use)"
    )
    made.add_argument(
        "--data",
        metavar="DIR",
        type=typed_path,
        help="folder made by 2_prepare_training_data.py (default: the newest of the workspace)",
    )
    made.add_argument(
        "--out",
        metavar="DIR",
        type=typed_path,
        help="where the report goes (default: data_storage/evaluation/MODEL-DATE in the workspace)",
    )
    made.add_argument("--against", metavar="GGUF|current", help="a second model to compare with, or the one in use")
    made.add_argument(
        "--base", metavar="GGUF", type=typed_path, help="the untuned model (default: found automatically)"
    )
    made.add_argument(
        "--adapter",
        metavar="GGUF",
        type=typed_path,
        help="a GGUF LoRA to put on top of --model (the untuned model is then the same file without it)",
    )
    made.add_argument("--no-base", action="store_true", help="leave the untuned model out")
    made.add_argument("--quick", action="store_true", help="fewer places and rounds: a first impression in minutes")
    made.add_argument("--rows", metavar="N", type=int, default=0, help="how many places (default: 400, quick: 80)")
    made.add_argument(
        "--dialogues", metavar="N", type=int, default=0, help="at most so many long dialogues, at least 8 (default: 40)"
    )
    made.add_argument(
        "--sweep",
        action="store_true",
        help="try temperatures, min-p, top-p and no system prompt on the validation part instead, and the other prompt "
        "layout beside the model's own",
    )
    made.add_argument("--take", action="store_true", help="with --sweep: make the suggestion the workspace's settings")
    made.add_argument(
        "--settings",
        metavar="FILE",
        type=typed_path,
        help="measure the model with the settings a sweep suggested for it (its file)",
    )
    made.add_argument("--blind-test", action="store_true", help="make a test for members instead: one HTML file")
    made.add_argument(
        "--items",
        metavar="N",
        type=int,
        default=2 * ITEMS_PER_SIDE,
        help="replies in the blind test, half of them the bot's (default: %(default)s)",
    )
    made.add_argument(
        "--score", metavar="FILE", type=typed_path, nargs="+", help="result files of a blind test to score"
    )
    made.add_argument(
        "--key",
        metavar="FILE",
        type=typed_path,
        help="with --score: the test's key.json (default: found in the workspace)",
    )
    made.add_argument(
        "--pause-bot", action="store_true", help="pause the running bot during the evaluation; it restarts afterwards"
    )
    made.add_argument(
        "--layout",
        choices=CHAT_TEMPLATE.choices,
        help="the prompt layout to measure with (default: the setting's; auto takes what each model was trained with)",
    )
    made.add_argument("--no-recall", action="store_true", help="without recalled lines and without embeddings")
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser, groups=("runtime", "offline", "train"))

from data.preprocessor import delete_if_asked
from data.privacy import find_private
from data.withdrawn_rows import drop_withdrawn, dropped_note
from model.bot_pause import paused_bot, running_bot
from model.catalog import resolve_model
from model.draft_scorer import scorer_path
from model.evaluation import blind_test
from model.evaluation.dialogues import LEAST_DIALOGUES
from model.evaluation.report import EvaluationReport
from model.evaluation.run import Embed, EvaluationConfig, run, run_blind_test, run_sweep
from model.evaluation.sweep import Point
from model.evaluation.verdict import FORMULA, MATCH_MARK, RUBRIC_MARK
from model.files.parts import model_sha256
from model.layouts import layout_for
from model.origin import untuned_model
from model.provenance import read_model_manifest
from model.publishing.checks import has_memory_for, manifest_data_hash, manifest_recipe
from model.publishing.deployment import current, model_path
from model.publishing.suggested import SUGGESTED, read_suggestion, take_suggestion
from storage.artefacts import PreparedSet, remember_elsewhere
from storage.blind_test import quiz_folder, read_result
from storage.environment import read_environment
from storage.errors import BadInputError, KnownError
from storage.jobs.frame import job, open_store, run_script
from storage.jobs.results import BlindTestResult, EvaluateResult, ScoreResult, SweepResult
from storage.jobs.terminal import TerminalProgress, print_summary
from storage.settings import (
    ADAPTER_PATH,
    CHAT,
    CHAT_TEMPLATE,
    EMBEDDING_MODEL,
    MIN_P,
    REPEAT_PENALTY,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    TRANSCRIPT,
    Settings,
)
from storage.split_files import model_bytes
from storage.store import Store
from storage.system.files import write_whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it asks."""
    options = parser().parse_args(arguments)
    # Jobs of their own, so that the panel keeps showing the last evaluation.
    kind = "blind_test" if options.blind_test or options.score else "sweep" if options.sweep else "evaluate"
    with open_store(options) as store, job(store, kind) as progress:
        if options.score:
            score_the_test(store, options, progress)
            return
        options.data = options.data or newest_data(store)
        if note := dropped_note(drop_withdrawn(store, options.data)):
            progress.note(note)
        if options.model is None:
            options.model, options.adapter = chosen_model(store, options.adapter)
        plan = make_plan(store, options, progress)
        with paused_bot(store, asked_by=kind) if options.pause_bot else nullcontext():
            require_memory(store, plan)
            remember_elsewhere(store.facts, store.workspace, plan.out)
            if options.sweep:
                run_the_sweep(plan, progress)
                if options.take:
                    take(store, plan.out / SUGGESTED)
            elif options.blind_test:
                make_the_test(store, plan, options, progress)
            else:
                run_the_report(plan, progress)


def make_plan(store: Store, options: argparse.Namespace, progress: TerminalProgress) -> EvaluationConfig:
    """Everything the evaluation needs, found and checked."""
    settings = store.settings.read()
    suggestion = read_suggestion(options.settings) if options.settings else None
    if options.settings and suggestion is None:
        raise BadInputError(f"{options.settings} holds no suggested settings.", "Make one with --sweep.")
    if options.layout:
        settings = settings.with_values({CHAT_TEMPLATE.key: options.layout})
    against = None
    if options.against and not (options.sweep or options.blind_test):
        against = in_use(store) if options.against == "current" else typed_path(options.against)
    for file in (options.model, options.base, options.adapter, against):
        if file is not None and not file.is_file():
            raise BadInputError(f"There is no model file {file}.", "Check the path.")
    manifest = read_model_manifest(options.adapter or options.model)
    base = None
    if not (options.no_base or options.sweep or options.blind_test):
        base = options.base or (options.model if options.adapter else base_model(store))
    models = [("model", options.model)]
    if against is not None:
        models.append(("against", against))
    if base is not None and (options.adapter or base.resolve() != options.model.resolve()):
        models.append(("base", base))
    name = f"{(options.adapter or options.model).stem}-{time.strftime('%Y%m%d-%H%M')}"
    return EvaluationConfig(
        data=options.data,
        out=options.out or store.workspace.data / "evaluation" / name,
        models=tuple(models),
        settings=settings,
        embed=None if options.no_recall else embedder(store, progress),
        find_private=lambda text: said_by_members(store, text),
        is_quick=options.quick,
        row_limit=options.rows,
        dialogue_limit=options.dialogues and max(options.dialogues, LEAST_DIALOGUES),
        recipe=manifest_recipe(manifest),
        notes=(
            *remarks(manifest, options.data, "The model"),
            *(remarks(read_model_manifest(against), options.data, "The model to compare") if against else ()),
        ),
        adapter=options.adapter,
        machine=store.facts,
        answers=store.workspace.data / "evaluation" / "answers",
        scorer=own_scorer(store, options.adapter or options.model),
        suggested=suggestion.settings if suggestion else {},
    )


def own_scorer(store: Store, model: Path) -> Path | None:
    """Where a model's scorer is kept: beside it, where that is inside the workspace. Elsewhere nothing is written."""
    beside = scorer_path(model)
    return beside if beside.resolve().is_relative_to(store.workspace.root.resolve()) else None


def require_memory(store: Store, plan: EvaluationConfig) -> None:
    """KnownError when a model would push the running bot's own out of memory: both would crawl."""
    bot, largest = running_bot(store), max((file for _, file in plan.models), key=model_bytes)
    if bot is not None and not has_memory_for(largest):
        raise KnownError(
            f"The bot is running, and there is not enough free memory to load {largest.name} beside it.",
            "Stop the bot first, or use --pause-bot: it is then started again afterwards.",
        )


def chosen_model(store: Store, adapter: Path | None) -> tuple[Path, Path | None]:
    """What the bot loads: the model in use and the adapter in use, unless another adapter is asked for."""
    settings = store.settings.read()
    model = resolve_model(store.workspace, settings, read_environment(store.workspace.env_file))
    in_settings = settings[ADAPTER_PATH]
    return model, adapter or (Path(in_settings) if in_settings else None)


def said_by_members(store: Store, text: str) -> list[str]:
    """Addresses, numbers and tokens in a reply that are not invented: some member wrote them.

    Where the messages are not at hand (a folder carried to another computer) every one counts.
    """
    found = find_private(text)
    return [each for each in found if store.messages.is_said(each)] if found and store.messages.count() else found


def newest_data(store: Store) -> Path:
    """The prepared folder made last."""
    found = PreparedSet.all(store.workspace)
    prepared = next((each.folder for each in found if (each.folder / "test.jsonl").exists()), None)
    if prepared is None:
        raise BadInputError(
            "No prepared data is in this workspace.",
            "Prepare it with scripts/2_prepare_training_data.py, or give --data.",
        )
    return prepared


def base_model(store: Store) -> Path | None:
    """What the model in use was made from, as far as it is here."""
    try:
        return untuned_model(store.workspace, store.settings.read(), read_environment(store.workspace.env_file))
    except KnownError:
        return None


def in_use(store: Store) -> Path:
    """The deployed model's file."""
    version = current(store.workspace)
    if version is None:
        raise BadInputError("No model is deployed in this workspace.", "Give --against a file.")
    return model_path(store.workspace, version)


def embedder(store: Store, progress: TerminalProgress) -> Embed | None:
    """The workspace's embedding model, or None with a remark when it is not on this computer."""
    from model.embeddings import bulk_embedder

    name = store.settings.get(EMBEDDING_MODEL)
    for candidate in dict.fromkeys((name, "all-MiniLM-L6-v2")):
        try:
            return bulk_embedder(candidate, store.workspace).embed
        except (KnownError, ImportError) as error:
            progress.note(f"Embedding model {candidate} is not usable here ({error}).")
    return None


def remarks(manifest: dict[str, Any], data: Path, who: str) -> tuple[str, ...]:
    """What a reader of the report should know about a model and the data."""
    if not manifest:
        return (f"{who} has no training manifest beside it.",)
    trained_on = manifest_data_hash(manifest)
    try:
        measured_on = json.loads((data / "manifest.json").read_text(encoding="utf-8")).get("hash")
    except (OSError, ValueError):
        return ()
    if trained_on and measured_on and trained_on != measured_on:
        return (f"{who} was trained on another data set than this one: it may have seen some of these places.",)
    return ()


def run_the_report(plan: EvaluationConfig, progress: TerminalProgress) -> None:
    """Measure, print the summary, hand the result to the panel."""
    report = run(plan, progress.report)
    people = report.writers[0]
    progress.result = EvaluateResult(
        str(plan.out / "report.html"),
        str(plan.out / "report.json"),
        report.match_percent,
        report.headline_auc,
        people.figures["auc"].value,
        tuple(report.objections),
        tuple(report.next_steps),
    )
    print_summary(summary(report))
    print(f"Report: {plan.out / 'report.html'}")
    if delete_if_asked(plan.data, model_record=read_model_manifest(plan.adapter or plan.models[0][1])):
        print(f"The data set {plan.data} was deleted, as asked when it was prepared.")


def summary(report: EvaluationReport) -> list[tuple[str, str]]:
    """The figures a terminal needs."""
    lines = []
    for writer in report.writers:
        auc = writer.figures["auc"]
        match = f", match {writer.match.percent:.0f} %" if writer.match else ""
        lines.append(
            (f"{writer.role} ({writer.name})", f"detector AUC {auc.value:.2f} [{auc.low:.2f}, {auc.high:.2f}]{match}")
        )
    lines += [("recites", objection) for objection in report.objections] or [("recites", "no objection")]
    reached = report.model.match
    if reached is not None:
        lines += [(part.name, f"{part.reached:.0%} of {part.weight:g} points") for part in reached.parts]
        lines += [
            ("its own replies", f"{reached.own_share:.0%}"),
            (
                "personality match",
                f"{reached.percent:.0f} %; the specification's mark is {MATCH_MARK:.0f} %, and "
                f"{RUBRIC_MARK:.1f} of 5 in the blind test's rubric, which people give",
            ),
            ("how it is made", FORMULA),
        ]
    if report.model.drift is not None:
        lines.append(("long dialogues", report.model.drift.in_words))
    lines += [("note", note) for note in report.notes]
    return lines + [("next", step) for step in report.next_steps]


def run_the_sweep(plan: EvaluationConfig, progress: TerminalProgress) -> None:
    """Try the grid in the model's own layout, and the other layout as it would be asked; write the best as settings."""
    file = plan.models[0][1]
    own = layout_for(plan.settings[CHAT_TEMPLATE], file, plan.adapter)
    other = CHAT if own == TRANSCRIPT else TRANSCRIPT
    points = {own: run_sweep(plan, progress.part(0.0, 0.85))}
    asked = replace(plan, settings=plan.settings.with_values({CHAT_TEMPLATE.key: other}))
    points[other] = run_sweep(asked, progress.part(0.85, 1.0), points=[starting_point(other)])
    best = {layout: found[0] for layout, found in points.items()}
    layout = min(best, key=lambda name: best[name].score)
    settings = best[layout].as_settings()
    if layout != own:
        settings[CHAT_TEMPLATE.key] = layout
    plan.out.mkdir(parents=True, exist_ok=True)
    content = {
        "settings": settings,
        "auc": best[layout].auc,
        "fit": best[layout].fit,
        "model_sha256": model_sha256(plan.adapter or file),
        "layouts": {
            name: {"auc": point.auc, "fit": point.fit, "score": point.score, "places": point.places}
            for name, point in best.items()
        },
        "points": [point.measured() | {"layout": name} for name, found in points.items() for point in found],
    }
    write_whole(plan.out / SUGGESTED, json.dumps(content, indent=1).encode())
    progress.result = SweepResult(settings, best[layout].auc, best[layout].fit, str(plan.out / SUGGESTED))
    for name, found in points.items():
        print(f"Prompt layout {name}:")
        for point in found:
            fit = "" if point.fit is None else f"  fit {point.fit:.2f}"
            print(f"AUC {point.auc:.2f} [{point.low:.2f}, {point.high:.2f}]{fit}  {point.places} places  {point.label}")
    suggestion = read_suggestion(plan.out / SUGGESTED)
    print(f"Suggested settings: {suggestion.text if suggestion else 'none'}")
    print(f"Kept in {plan.out / SUGGESTED}; --take makes them the bot's, and so does publishing the model.")


def starting_point(layout: str) -> Point:
    """How a layout is asked where nobody chose anything."""
    start = Settings(layout=layout)
    return Point(start[TEMPERATURE], start[MIN_P], start[TOP_P], start[TOP_K], start[REPEAT_PENALTY])


def take(store: Store, path: Path) -> None:
    """Make a sweep's suggestion the workspace's settings."""
    suggestion = read_suggestion(path)
    if suggestion is not None:
        take_suggestion(store, suggestion)
        print("They are the bot's settings now; Settings > Sampling shows them.")


def make_the_test(
    store: Store, plan: EvaluationConfig, options: argparse.Namespace, progress: TerminalProgress
) -> None:
    """Make the quiz, its page and its key."""
    quiz, key = run_blind_test(plan, per_side=options.items // 2, report=progress.report)
    folder = options.out or quiz_folder(store.workspace, quiz.id)
    remember_elsewhere(store.facts, store.workspace, folder)
    page = blind_test.save(quiz, key, folder)
    progress.result = BlindTestResult(str(folder / "quiz.json"), str(page), len(quiz.items))
    print(f"{len(quiz.items)} replies. Give members this file: {page}")
    print(f"Keep {folder / 'key.json'} to yourself. Put their result files into {folder / 'results'} and score them:")
    print(f"python scripts/4_evaluate_personality.py --score {folder / 'results'}/*.json --key {folder / 'key.json'}")


def score_the_test(store: Store, options: argparse.Namespace, progress: TerminalProgress) -> None:
    """Score result files."""
    # The shell of Windows leaves *.json as it is.
    files = [
        found
        for path in options.score
        for found in (sorted(path.parent.glob(path.name)) if "*" in path.name else [path])
    ]
    results = [read_result(path) for path in files]
    if not results:
        raise BadInputError("There are no result files there.", "Members save them at the end of the test page.")
    key_file = options.key or quiz_folder(store.workspace, results[0].quiz_id) / "key.json"
    found = blind_test.score(results, blind_test.read_key(key_file))
    values = asdict(found) | {"rubric_mean": found.rubric_mean, "reading": blind_test.reading(found)}
    progress.result = ScoreResult.from_json(values)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        write_whole(options.out / "score.json", json.dumps(values, indent=1).encode())
    print_summary(blind_test.lines_of(found))


if __name__ == "__main__":
    run_script(main)
