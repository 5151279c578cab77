"""What must be seen on an NVIDIA card, as one command without a network that prints one table in under eight minutes.

  python scripts/dev/gpu_acceptance.py              on a computer with a card
  python scripts/dev/gpu_acceptance.py --rehearse   the same steps on the processor, with a tiny base

Each part is a process of its own (Unsloth changes the libraries it is loaded into). The base is Qwen2.5-3B's shape with
random weights: memory and speed are those of the real one, losses are not. A part that fails is a row of the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from storage.jobs.arguments import plain_parser

PARTS = ("card", "trl", "unsloth", "killed", "resumed", "voice")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser(__doc__)
    made.add_argument("--rehearse", action="store_true", help="on the processor, with a tiny base")
    made.add_argument("--data", type=Path, help="a prepared folder (default: an invented one)")
    made.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    made.add_argument("--part", choices=PARTS, help="one part alone, as the whole starts them")
    return made


if __name__ == "__main__":
    parser().parse_args()  # --help, and words it does not know, before anything heavy is loaded

from model.process import prepare_process_environment

prepare_process_environment()

from model.catalog import PACKAGED
from model.training import loaders
from model.training.base_model import BaseModel, resolve_base
from model.training.checkpoints import last_complete
from model.training.export import ExportPlan, export
from model.training.recipes import CPU_SMOKE, RTX3070, Method, Recipe
from model.training.rows import PreparedFolder
from model.training.shapes import QWEN_3B
from model.training.trainer import TrainingPlan, TrainingResult, run_description, train
from storage.records import Conversation, Turn
from storage.settings import TRANSCRIPT
from tests.support import accelerator
from tests.support.training_data import write_prepared_folder, write_tiny_base

CARD_BYTES = 8 * 10**9
# Eight minutes together; a rehearsal on a busy processor may take three times as long.
PART_SECONDS = {"card": 30, "trl": 130, "unsloth": 110, "killed": 50, "resumed": 50, "voice": 110}
RESULT = "result: "
LINES = ("anyone up for chess tonight?", "who broke the printer again", "good morning")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every part and print the table; the exit status is the number of parts that failed."""
    options = parser().parse_args(arguments)
    if options.part:
        print(RESULT + json.dumps(_part(options)))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        data = options.data or write_prepared_folder(folder / "data", rows=400, validation=20, pairs=60)
        return _table([(part, *_run(part, folder, data, is_rehearsal=options.rehearse)) for part in PARTS])


def _run(part: str, folder: Path, data: Path, *, is_rehearsal: bool) -> tuple[bool, str, float]:
    """One part in its own process: did it do what it should, in words, and its seconds."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--data", str(data)]
    started = time.monotonic()
    try:
        done = subprocess.run(
            [*command, *(["--rehearse"] if is_rehearsal else [])],
            capture_output=True,
            text=True,
            timeout=PART_SECONDS[part] * (3 if is_rehearsal else 1),
        )
    except subprocess.TimeoutExpired:
        return False, "not finished in time", time.monotonic() - started
    seconds = time.monotonic() - started
    said = next((line for line in done.stdout.splitlines() if line.startswith(RESULT)), None)
    if part == "killed":
        return done.returncode == KILLED, f"ended with {done.returncode} in the middle, as it should", seconds
    if said is None:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return False, f"ended with {done.returncode}: {last[:200]}", seconds
    return True, json.loads(said.removeprefix(RESULT)), seconds


def _table(rows: list[tuple[str, bool, str, float]]) -> int:
    print("| part | ok | what was seen | seconds |\n|---|---|---|---|")
    for part, is_ok, text, seconds in rows:
        print(f"| {part} | {'yes' if is_ok else 'NO'} | {text} | {seconds:.0f} |")
    return sum(not is_ok for _, is_ok, _, _ in rows)


# ---- the parts, each in a process of its own --------------------------------------------------------------

KILLED = 57


def _part(options: argparse.Namespace) -> str:
    if options.part == "card":
        return _card(is_rehearsal=options.rehearse)
    if not options.rehearse:
        accelerator.cap_memory(CARD_BYTES)
    data = PreparedFolder.open(options.data)
    if options.part == "voice":
        return _voice(data, options.folder, is_rehearsal=options.rehearse)
    if options.part != "unsloth":
        loaders._has_unsloth = lambda _: False  # type: ignore[assignment]
    base = _base(options.folder, is_rehearsal=options.rehearse)
    recipe = _recipe(is_rehearsal=options.rehearse)
    if options.part in ("killed", "resumed"):
        return _through_a_kill(options.part, data, base, options.folder / "killed", recipe)
    plan = TrainingPlan(data, base, options.folder / options.part, recipe, Method.SFT_DPO, layout=TRANSCRIPT)
    result = train(plan)
    (options.folder / f"{options.part}.loss").write_text(str(result.phases[0].validation_before), encoding="utf-8")
    if options.part == "unsloth" and not options.rehearse:
        _require_same_loss(result, options.folder)
    return _told(result)


def _require_same_loss(result: TrainingResult, folder: Path) -> None:
    """Unsloth and TRL on the same rows, before either has trained: the same but for the rounding of 16 bit."""
    other, own = float((folder / "trl.loss").read_text(encoding="utf-8")), result.phases[0].validation_before
    if result.loader != "unsloth" or own is None or abs(own - other) > 0.02 * other:
        raise SystemExit(f"{result.loader} measures {own}, TRL alone {other}")


def _card(*, is_rehearsal: bool) -> str:
    if is_rehearsal:
        return "rehearsal on the processor: no figure below is a graphics card's"
    return f"{accelerator.describe()}, capped at {CARD_BYTES / 1e9:.0f} GB"


def _base(folder: Path, *, is_rehearsal: bool) -> BaseModel:
    """Random weights with the packaged model's tokenizer, made once for all parts."""
    made = folder / "base"
    if not (made / "config.json").is_file():
        tokenizer = resolve_base(PACKAGED, folder / "packaged").folder
        if is_rehearsal:
            write_tiny_base(made, tokenizer, arch="qwen2")
        else:
            accelerator.write_large_base(made, tokenizer, QWEN_3B)
    return BaseModel("random", made, None)


def _recipe(*, is_rehearsal: bool) -> Recipe:
    """The recipe for cards with 8 GB, for a few steps; the processor's stands in for it in a rehearsal."""
    made = replace(CPU_SMOKE if is_rehearsal else RTX3070, validation_rows=8, log_every=1, save_every=1)
    return made.with_phase("sft", max_steps=2, epochs=1).with_phase("dpo", max_steps=1, epochs=1)


def _told(result: TrainingResult) -> str:
    parts = [f"{result.loader} on {result.device}"]
    for phase in result.phases:
        rate = f"{phase.tokens_per_second:,.0f} tokens/s" if phase.tokens_per_second else "no rate"
        parts.append(
            f"{phase.name}: {phase.steps} steps, validation {phase.validation_before:.4f} -> "
            f"{phase.validation_after:.4f}, {rate}, peak {phase.peak_memory_bytes / 1e9:.2f} GB, {phase.seconds:.0f} s"
        )
    return "; ".join(parts)


def _through_a_kill(part: str, data: PreparedFolder, base: BaseModel, out: Path, recipe: Recipe) -> str:
    from transformers import TrainerCallback

    class Kill(TrainerCallback):
        """As the power goes, with one checkpoint saved."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                os._exit(KILLED)

    saved = last_complete(out / "sft") if part == "resumed" else None
    plan = TrainingPlan(data, base, out, recipe, Method.SFT, is_resumed=part == "resumed", layout=TRANSCRIPT)
    if part == "resumed" and saved is None:
        raise SystemExit("the killed run left no complete checkpoint")
    told = _told(train(plan, callbacks=[Kill()] if part == "killed" else []))
    return f"from {saved.name if saved else 'the start'}; {told}"


def _voice(data: PreparedFolder, folder: Path, *, is_rehearsal: bool) -> str:
    """The packaged model trained, exported, and answering through llama.cpp with all layers where they fit."""
    base = resolve_base(PACKAGED, folder / "packaged")
    steps = 2 if is_rehearsal else 200
    recipe = CPU_SMOKE.with_phase("sft", max_steps=steps, epochs=10, max_rows=0)
    plan = TrainingPlan(data, base, folder / "voice", recipe, Method.SFT, layout=TRANSCRIPT)
    result = train(plan)
    description = run_description(plan)
    made = export(ExportPlan(base, result.adapter, folder / "voice", "voice", data.system_prompt, description))
    assert made.gguf is not None  # export() raises where it makes none
    return f"{_told(result)}; Q4_K_M KL {made.checks['Q4_K_M']['kl']:.3f}; " + _answers(made.gguf, data.system_prompt)


def _answers(gguf: Path, system_prompt: str) -> str:
    from model.chat.requests import GenerationOptions, ReplyRequest
    from model.inference import close_model, get_model

    model = get_model(gguf, n_ctx=1024)
    try:
        options = GenerationOptions(max_tokens=24, seed=1)
        replies = [
            model.generate(ReplyRequest(Conversation((Turn("mira", line),)), options, system_prompt, channel_id=1)).text
            for line in LINES
        ]
    finally:
        close_model()
    import llama_cpp

    where = "with CUDA" if llama_cpp.llama_supports_gpu_offload() else "on the processor"
    return f"llama.cpp {where}: " + " / ".join(text.replace("\n", " ").replace("|", "/") for text in replies)


if __name__ == "__main__":
    sys.exit(main())
