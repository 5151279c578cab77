"""Before a run: which recipe, how much memory, disk and time, and whether it can work at all.

Estimates follow from the model's shape; they are meant to be right within a third, and refuse only what clearly cannot
fit.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from itertools import islice

from data.chat.rows import PREFERENCES, SESSIONS, TRAIN, VALIDATION, SessionRow, TrainingRow, read_rows
from model.training.hardware import Hardware
from model.training.recipes import Method, PhaseRecipe, Recipe, halved, least_batch
from model.training.rows import PreparedFolder
from model.training.shapes import ModelShape
from storage.errors import KnownError
from storage.jobs.results import PreflightResult
from storage.settings import CHAT, TRANSCRIPT

GIB = 1024**3
# nf4 with its scales; 16 and 32 bit.
_BYTES_4BIT, _BYTES_16, _BYTES_32 = 0.56, 2, 4
# PyTorch and CUDA themselves, before the first weight.
_RUNTIME_BYTES = {True: int(1.0 * GIB), False: int(0.7 * GIB)}
# Share of a plain matrix product's speed that a training step reaches.
_EFFICIENCY = 0.4
# The same where the processor trains in 16 bit, of its 32-bit product (scripts/benchmark.py training).
_EFFICIENCY_16BIT = 0.9
_CHARACTERS_PER_TOKEN = 3.6
_TOKENS_PER_TURN = 8
_SAFETY_DISK = GIB
_LEAST_ROWS = 100


class PreflightError(KnownError):
    """The run cannot fit on this computer."""


@dataclass(frozen=True)
class WorkEstimate:
    """How much there is to compute: rows of each phase, mean tokens a row, and how many of them every row shares.

    sft_tokens: mean tokens of an SFT row where those are whole conversations, which share nothing; 0 where they are
    replies like the others.
    """

    rows: dict[str, int]
    mean_tokens: float
    shared_tokens: float = 0.0
    sft_tokens: float = 0.0


@dataclass(frozen=True)
class Preflight:
    """What a run needs and what there is, in bytes and seconds, for people and for the panel."""

    recipe: str
    reason: str
    method: str
    base: str
    hardware: Hardware
    memory_bytes: int
    free_bytes: int
    disk_bytes: int
    free_disk_bytes: int
    seconds: float
    steps: dict[str, int]
    rows: dict[str, int]
    bot_bytes: int = 0
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    pausing_the_bot_helps: bool = False

    @property
    def can_run(self) -> bool:
        """Whether nothing stands against the run; warnings may remain."""
        return not self.problems

    def as_result(self) -> PreflightResult:
        """What the job leaves in its row."""
        return PreflightResult.from_json(asdict(self) | {"can_run": self.can_run})

    def require(self) -> None:
        """PreflightError unless the run can fit."""
        if not self.can_run:
            raise PreflightError(" ".join(self.problems), self._cure())

    def _cure(self) -> str:
        if self.pausing_the_bot_helps:
            return "Pause the bot while training (--pause-bot)."
        return (
            "Free some space, choose a smaller model (qwen2.5-0.5b trains overnight without a graphics card), or train "
            "on a rented GPU "
            "(docs/TRAINING.md)."
        )


def measure_work(folder: PreparedFolder, recipe: Recipe, method: Method, layout: str = CHAT) -> WorkEstimate:
    """Rows of each phase after the recipe's caps, and the mean length of a row, from a sample of 200."""
    counts = {"sft": folder.count(TRAIN), "preferences": folder.count(PREFERENCES)}
    sft_tokens = 0.0
    if layout == TRANSCRIPT and folder.count(SESSIONS):
        counts["sft"], sft_tokens = _transcripts(folder, recipe.sft.max_length)
    rows = {}
    for name in method.phases:
        available = counts["sft" if name == "sft" else "preferences"]
        cap = recipe.phase(name).max_rows
        rows[name] = min(available, cap) if cap else available
    if sft_tokens and "sft" in rows and recipe.sft.max_tokens:
        rows["sft"] = max(min(counts["sft"], int(recipe.sft.max_tokens / sft_tokens)), 1)
    rows["validation"] = min(folder.count(VALIDATION), recipe.validation_rows)
    system = len(folder.system_prompt) / _CHARACTERS_PER_TOKEN + _TOKENS_PER_TURN
    return WorkEstimate(rows, system + _mean_tokens(folder), system, sft_tokens)


def _transcripts(folder: PreparedFolder, max_length: int) -> tuple[int, float]:
    """About how many rows whole conversations make, and their mean tokens."""
    lengths = [
        sum(_line_tokens(turn.name + turn.text) for turn in row.turns)
        for row in read_rows(folder.path / SESSIONS, SessionRow.parse)
    ]
    rows = sum(1 + int(length) // max_length for length in lengths)
    return rows, sum(lengths) / max(rows, 1)


def _line_tokens(text: str) -> float:
    return len(text) / _CHARACTERS_PER_TOKEN + _TOKENS_PER_TURN


def _mean_tokens(folder: PreparedFolder) -> float:
    """Mean tokens of a row without the system prompt, from the first 200 rows."""
    lengths = []
    for row in islice(read_rows(folder.path / TRAIN, TrainingRow.parse), 200):
        said = (*row.conversation.turns, *row.conversation.recalled)
        texts = [line.name + line.text for line in said] + [row.reply]
        lengths.append(sum(map(_line_tokens, texts)))
    return sum(lengths) / len(lengths) if lengths else 0.0


def examine(
    *,
    recipe: Recipe,
    reason: str,
    method: Method,
    base: str,
    shape: ModelShape,
    hardware: Hardware,
    work: WorkEstimate,
    is_base_here: bool,
    bot_bytes: int = 0,
    exports: bool = True,
    keeps_merged: bool = False,
) -> Preflight:
    """Compare what a run needs with what there is. bot_bytes: memory of the running bot, 0 when it is off."""
    memory = max(memory_needed(recipe, name, shape, is_gpu=hardware.has_gpu) for name in method.phases)
    disk = disk_needed(recipe, shape, is_base_here=is_base_here, exports=exports, keeps_merged=keeps_merged)
    free = hardware.free_gpu_bytes if hardware.has_gpu else hardware.free_memory_bytes
    problems, warnings, pausing_helps = [], [], False
    if memory > free:
        where = f"the GPU ({hardware.gpu_name})" if hardware.has_gpu else "memory"
        problems.append(
            f"Training with the recipe '{recipe.name}' needs about {_gib(memory)} of {where}, {_gib(free)} are free."
        )
        pausing_helps = bot_bytes > 0 and memory <= free + bot_bytes
    export_memory = export_memory_needed(shape)
    if exports and hardware.has_gpu and export_memory > hardware.free_memory_bytes:
        problems.append(
            f"Writing the model file after training needs about {_gib(export_memory)} of memory, "
            f"{_gib(hardware.free_memory_bytes)} are free."
        )
        pausing_helps = bot_bytes > 0 and export_memory <= hardware.free_memory_bytes + bot_bytes
    if disk > hardware.free_disk_bytes:
        problems.append(f"Training needs about {_gib(disk)} of disk space, {_gib(hardware.free_disk_bytes)} are free.")
        pausing_helps = False
    missing = [name for name in method.phases if not work.rows.get(name)]
    problems += [f"The data set holds no rows for {name.upper()}." for name in missing]
    if bot_bytes and not pausing_helps:
        warnings.append(
            f"The bot is running and uses {_gib(bot_bytes)}; training and replies will slow each other "
            "down (--pause-bot pauses it during the training)."
        )
    if recipe.is_4bit and not hardware.has_gpu:
        warnings.append(f"'{recipe.name}' is meant for an NVIDIA GPU; on the processor the base is held in 32 bit.")
    steps = {name: _steps(recipe.phase(name), work.rows.get(name, 0)) for name in method.phases}
    if work.sft_tokens and "sft" in steps and not hardware.has_gpu:
        # Rows of similar length a step, as many of them as the longest ones would be (model/training/shared_prefix.py).
        full = work.rows["sft"] * work.sft_tokens / (recipe.sft.effective_batch * recipe.sft.max_length)
        steps["sft"] = _steps(replace(recipe.sft, batch_size=1, accumulation=1), math.ceil(full))
    return Preflight(
        recipe=recipe.name,
        reason=reason,
        method=method.value,
        base=base,
        hardware=hardware,
        memory_bytes=memory,
        free_bytes=free,
        disk_bytes=disk,
        free_disk_bytes=hardware.free_disk_bytes,
        seconds=_seconds(recipe, method, shape, hardware, work),
        steps=steps,
        rows=work.rows,
        bot_bytes=bot_bytes,
        problems=tuple(problems),
        warnings=tuple(warnings),
        pausing_the_bot_helps=pausing_helps,
    )


def fit_batches(recipe: Recipe, method: Method, shape: ModelShape, hardware: Hardware) -> Recipe:
    """The recipe with fewer rows in memory at a time where it would not fit otherwise; steps stay the same."""
    free = hardware.free_gpu_bytes if hardware.has_gpu else hardware.free_memory_bytes
    for name in method.phases:
        while memory_needed(recipe, name, shape, is_gpu=hardware.has_gpu) > free:
            smaller = halved(recipe.phase(name), least=least_batch(name))
            if smaller is None:
                break
            recipe = recipe.with_phase(name, batch_size=smaller.batch_size, accumulation=smaller.accumulation)
    return recipe


def fit_hours(recipe: Recipe, method: Method, shape: ModelShape, hardware: Hardware, work: WorkEstimate) -> Recipe:
    """The recipe with fewer rows, in every phase alike, where it would take longer than it may; a hundred at least."""
    limit = recipe.most_hours * 3600
    needed = _seconds(recipe, method, shape, hardware, work)
    if not limit or needed <= limit:
        return recipe
    for name in method.phases:
        rows = max(int(work.rows.get(name, 0) * limit / needed), _LEAST_ROWS)
        recipe = recipe.with_phase(name, max_rows=rows)
    return recipe


def memory_needed(recipe: Recipe, phase: str, shape: ModelShape, *, is_gpu: bool) -> int:
    """Bytes a phase needs at its peak: weights, adapter with gradients and optimiser, activations, logits."""
    numbers = recipe.phase(phase)
    is_4bit = recipe.is_4bit and is_gpu
    is_16bit = recipe.is_for_apple or (is_4bit and not recipe.lora.train_embeddings)
    embedding_bytes = _BYTES_16 if is_16bit else _BYTES_32
    linear_bytes = _BYTES_4BIT if is_4bit else embedding_bytes
    weights = shape.linear_weights * linear_bytes + shape.embedding_weights * embedding_bytes
    trained = shape.lora_weights(recipe.lora.r)
    if recipe.lora.train_embeddings:
        trained += shape.vocabulary * shape.hidden
    # Weight and gradient in 32 bit, two moments in 8 bit (GPU) or 32; DPO and KTO keep a frozen copy as reference.
    trained_bytes = trained * (4 + 4 + (2 if is_gpu else 8) + (4 if phase in ("dpo", "kto") else 0))
    return int(
        weights + trained_bytes + _activations(recipe, numbers, phase, shape, is_gpu=is_gpu) + _RUNTIME_BYTES[is_gpu]
    )


def _activations(recipe: Recipe, numbers: PhaseRecipe, phase: str, shape: ModelShape, *, is_gpu: bool) -> float:
    sequences = numbers.batch_size * (1 if phase == "sft" else 2)
    tokens = sequences * numbers.max_length
    each = _BYTES_16 if is_gpu else _BYTES_32
    one_layer = tokens * (8 * shape.hidden + 4 * shape.intermediate) * each
    if recipe.gradient_checkpointing:
        layers = tokens * shape.hidden * each * shape.layers + one_layer
    else:
        layers = one_layer * shape.layers
    # SFT computes the head on the reply's tokens in chunks, unless the head is trained itself; the others hold whole
    # logits, twice more in 32 bit.
    is_chunked = phase == "sft" and not recipe.lora.train_embeddings
    logits = 0.3 * GIB if is_chunked else tokens * shape.vocabulary * (each + 8)
    return layers + logits


def export_memory_needed(shape: ModelShape) -> int:
    """Bytes: llama.cpp quantises the largest matrix from 16 bit through 32; the merge takes a few rows at a time."""
    return int(shape.vocabulary * shape.hidden * (_BYTES_16 + _BYTES_32) + _RUNTIME_BYTES[False])


def disk_needed(
    recipe: Recipe, shape: ModelShape, *, is_base_here: bool, exports: bool = True, keeps_merged: bool = False
) -> int:
    """Bytes: checkpoints with optimiser, the 16-bit and the quantised GGUF, a merged folder if it is asked for, and
    room to breathe. All of it lies in the run's folder and beside the base; nothing in the system's temporary one."""
    trained = shape.lora_weights(recipe.lora.r)
    if recipe.lora.train_embeddings:
        trained += shape.vocabulary * shape.hidden
    checkpoints = 3 * trained * 12
    files = shape.weights * ((2.7 if exports else 0) + (2 if keeps_merged else 0) + (0 if is_base_here else 2))
    return int(checkpoints + files + _SAFETY_DISK)


def _steps(numbers: PhaseRecipe, rows: int) -> int:
    steps = -(-rows // numbers.effective_batch) * numbers.epochs
    return int(min(steps, numbers.max_steps) if numbers.max_steps else steps)


def _seconds(recipe: Recipe, method: Method, shape: ModelShape, hardware: Hardware, work: WorkEstimate) -> float:
    """From the measured speed: forward 2 per weight and token, backward 2 (weights are frozen), repeated forward 2."""
    if not hardware.gflops:
        return 0.0
    per_token = shape.weights * (6 if recipe.gradient_checkpointing else 4)
    seconds = 0.0
    for name in method.phases:
        numbers = recipe.phase(name)
        rows = _steps(numbers, work.rows.get(name, 0)) * numbers.effective_batch
        # Preference methods compute two replies, and DPO and KTO once more with the reference.
        times = {"sft": 1.0, "orpo": 2.0, "dpo": 3.0, "kto": 1.5}[name]
        is_whole = name == "sft" and work.sft_tokens > 0
        tokens = min(work.sft_tokens if is_whole else work.mean_tokens, numbers.max_length)
        if name == "sft" and not is_whole and not hardware.has_gpu:  # model/training/shared_prefix.py
            tokens -= min(work.shared_tokens, tokens) * (1 - 1 / numbers.batch_size)
        seconds += rows * tokens * times * per_token
    efficiency = _EFFICIENCY_16BIT if hardware.has_fast_16bit else _EFFICIENCY
    return seconds / (hardware.gflops * 1e9 * efficiency * max(hardware.gpu_count, 1))


def _gib(number: float) -> str:
    return f"{number / GIB:.1f} GiB"
